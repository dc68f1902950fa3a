// What an agent on this node says of itself on its own admin port: how the installer knows that one serves.
import { get } from 'node:http';
import * as v from 'valibot';
import { type HostPort, parseHostPort } from '../../model/endpoint.ts';

const viewSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.looseObject({
    version: v.string(),
    startedAt: v.string(),
    isReady: v.boolean(),
    stopping: v.optional(v.looseObject({})),
    waitingFor: v.optional(v.array(v.string())),
    tunnels: v.looseObject({ active: v.number() }),
    endpoints: v.array(v.looseObject({ id: v.string(), usable: v.boolean(), totalTunnels: v.number() })),
  }),
);

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
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > maxBytes) asking.destroy();
      });
      response.on('end', () => resolve(body));
      response.on('error', () => resolve(''));
      response.on('close', () => resolve(''));
    });
    asking.on('error', () => resolve(''));
  });
  const reading = v.safeParse(viewSchema, text);
  if (!reading.success) return undefined;
  const { version, startedAt, isReady, stopping, waitingFor = [], endpoints, tunnels } = reading.output;
  return {
    version,
    startedAtMs: Date.parse(startedAt),
    isReady: isReady && !stopping,
    isStopping: stopping !== undefined,
    waitingFor,
    tunnels: tunnels.active,
    totalTunnels: endpoints.reduce((sum, { totalTunnels }) => sum + totalTunnels, 0),
    endpoints: endpoints.flatMap(({ id }) => {
      const parsed = parseHostPort(id);
      return parsed.ok ? [parsed.value] : [];
    }),
    hasUsableEndpoint: endpoints.some(({ usable }) => usable),
  };
}
