// What an agent on this node says of itself on its own admin port: how the installer knows that one serves.
//
// To serve is more than to be ready. An agent with a mistyped kubeconfig is ready: it serves from its cache, without
// credentials, watch or verification. So since its start it must have had everything that its own configuration requires; what
// it loses later (an outage, a watch that breaks off) does not change that it is serving.
import { get } from 'node:http';
import * as v from 'valibot';
import { parseJson } from '../lib/bounded-json.ts';
import { ByteAccumulator } from '../lib/byte-accumulator.ts';
import { type HostPort, parseHostPort } from '../model/endpoint.ts';

const shownProblem = v.looseObject({
  code: v.string(),
  message: v.string(),
  fix: v.string(),
  isSinceStart: v.boolean(),
});

const viewSchema = v.looseObject({
  version: v.string(),
  startedAt: v.string(),
  isReady: v.boolean(),
  stopping: v.optional(v.looseObject({})),
  waitingFor: v.optional(v.array(v.string())),
  tunnels: v.looseObject({ active: v.number() }),
  endpoints: v.array(
    v.looseObject({
      id: v.string(),
      usable: v.boolean(),
      reason: v.string(),
      totalTunnels: v.number(),
    }),
  ),
  /** Missing in an agent of an older version. */
  problems: v.optional(v.array(shownProblem)),
});

export interface AgentShortfall {
  readonly code: string;
  readonly message: string;
  readonly fix: string;
  /** It has never had it since it started. */
  readonly isSinceStart: boolean;
}

export interface AgentView {
  readonly version: string;
  readonly startedAtMs: number;
  /** Has its ports and a usable endpoint, and is not stopping. */
  readonly isReady: boolean;
  /** Takes no new clients and ends soon. */
  readonly isStopping: boolean;
  /** Ports that another process still holds. */
  readonly waitingFor: readonly string[];
  readonly hasUsableEndpoint: boolean;
  /** Of its first choice, where none is usable: `10.0.0.1:6443: L6RSP ...`. */
  readonly firstReason?: string;
  /** What its configuration asks for and it does not have. */
  readonly problems: readonly AgentShortfall[];
  readonly tunnels: number;
  /** Since it started, to the endpoints that it has now. */
  readonly totalTunnels: number;
  readonly endpoints: readonly HostPort[];
}

const timeoutMs = 2_000;
const maxBytes = 4 << 20;

/** Undefined when no agent answers on 127.0.0.1:`port`. Never rejects. */
export async function viewAgent(port: number): Promise<AgentView | undefined> {
  const text = await new Promise<string>((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const asking = get({ host: '127.0.0.1', port, path: '/status', agent: false, signal }, (response) => {
      const body = new ByteAccumulator(maxBytes);
      response.on('data', (chunk: Buffer) => {
        if (!body.append(chunk)) asking.destroy();
      });
      response.on('end', () => resolve(body.text()));
      response.on('error', () => resolve(''));
      response.on('close', () => resolve(''));
    });
    asking.on('error', () => resolve(''));
  });
  const reading = v.safeParse(viewSchema, parseJson(text));
  if (!reading.success) return undefined;
  const {
    version,
    startedAt,
    isReady,
    stopping,
    waitingFor = [],
    endpoints,
    tunnels,
    problems = [],
  } = reading.output;
  const [first] = endpoints;
  return {
    version,
    startedAtMs: Date.parse(startedAt),
    isReady: isReady && !stopping,
    isStopping: stopping !== undefined,
    waitingFor,
    problems,
    ...(first && { firstReason: `${first.id}: ${first.reason}` }),
    tunnels: tunnels.active,
    totalTunnels: endpoints.reduce((sum, { totalTunnels }) => sum + totalTunnels, 0),
    endpoints: endpoints.flatMap(({ id }) => {
      const parsed = parseHostPort(id);
      return parsed.ok ? [parsed.value] : [];
    }),
    hasUsableEndpoint: endpoints.some(({ usable }) => usable),
  };
}

/** Undefined when the agent serves, else what is missing, in words for the report. */
export function shortfallOf(view: AgentView): string | undefined {
  if (view.isStopping) return 'it is stopping, and kubelet has not started it again';
  const lacks = lackingOf(view);
  if (view.isReady && lacks.length === 0) return undefined;
  const named = inWords(lacks);
  if (view.isReady) return `it is ready, but lacks what its configuration requires: ${named}`;
  if (view.hasUsableEndpoint) return 'it is not ready';
  const why = view.firstReason === undefined ? '' : ` (${view.firstReason})`;
  return `it has no usable API server${why}${named && `; ${named}`}`;
}

export const inWords = (lacks: readonly AgentShortfall[]): string =>
  lacks
    .map(({ code, message, fix }) => `${code}: ${message}. ${fix}`)
    .join(' ')
    .replace(/\.$/, '');

/** What it has never had since it started; without what follows from the rest. */
export function lackingOf({ problems }: AgentView): AgentShortfall[] {
  const all = problems.filter(({ isSinceStart }) => isSinceStart);
  const causes = all.filter(({ code }) => code !== 'ENDPOINTS_UNVERIFIED');
  return causes.length > 0 ? causes : all;
}
