// Asks a running agent for its status.
import { get } from 'node:http';
import * as v from 'valibot';
import { parseJson } from '../lib/bounded-json.ts';
import { ByteAccumulator } from '../lib/byte-accumulator.ts';
import { reachableAt } from '../model/host.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import type { Status } from '../model/status.ts';

const timeoutMs = 3_000;
const maxBytes = 16 * 1_048_576;

const shownEndpoint = v.looseObject({
  id: v.string(),
  verdict: v.string(),
  reason: v.string(),
  since: v.string(),
  usable: v.boolean(),
  lastResort: v.optional(v.boolean()),
  /** Missing in an agent of an older version. */
  verified: v.optional(v.boolean()),
  unverified: v.optional(v.boolean()),
  tier: v.string(),
  sources: v.array(v.string()),
  gone: v.optional(v.boolean()),
  tunnels: v.number(),
  demotedFor: v.optional(v.string()),
  hint: v.optional(v.string()),
});

const shownKeptCa = v.looseObject({ file: v.string(), writtenAt: v.string(), since: v.string() });

/** The members that `fairlead status` shows; an agent of another version may have more. */
const shownStatus = v.looseObject({
  version: v.string(),
  node: v.string(),
  startedAt: v.string(),
  uptimeSeconds: v.number(),
  isReady: v.boolean(),
  stopping: v.optional(v.looseObject({ since: v.string(), until: v.string() })),
  /** Missing in an agent of an older version. */
  deployment: v.optional(v.string()),
  policy: v.string(),
  listeners: v.array(v.looseObject({ address: v.string(), pool: v.optional(v.string()) })),
  endpoints: v.array(shownEndpoint),
  pools: v.optional(
    v.array(
      v.looseObject({
        name: v.string(),
        isReady: v.boolean(),
        policy: v.string(),
        credentials: v.string(),
        keptCa: v.optional(shownKeptCa),
        missingClientNames: v.optional(v.array(v.string())),
        clockSuspect: v.optional(v.boolean()),
        endpoints: v.array(shownEndpoint),
      }),
    ),
  ),
  absentAddresses: v.optional(v.array(v.string())),
  discovery: v.looseObject({
    watch: v.string(),
    ageSeconds: v.optional(v.number()),
    message: v.optional(v.string()),
  }),
  credentials: v.string(),
  keptCa: v.optional(shownKeptCa),
  missingClientNames: v.optional(v.array(v.string())),
  clockSuspect: v.optional(v.boolean()),
  problems: v.optional(
    v.array(
      v.looseObject({
        code: v.string(),
        message: v.string(),
        fix: v.string(),
        isSinceStart: v.boolean(),
        pool: v.optional(v.string()),
      }),
    ),
  ),
  tunnels: v.looseObject({ active: v.number(), max: v.number() }),
});

export type ShownStatus = v.InferOutput<typeof shownStatus>;

/** What the schema asks for, without its leave for more. */
type Asked<T> = T extends readonly (infer Item)[]
  ? readonly Asked<Item>[]
  : T extends object
    ? { readonly [Key in keyof T as string extends Key ? never : Key]: Asked<T[Key]> }
    : T;

// The agent's own status must be one that can be shown: a member that goes there must go here.
const _isShowable = (status: Status): Asked<ShownStatus> => status;

/** Rejects with STATUS_UNREACHABLE when no agent answers, or something else does. */
export async function fetchStatus(admin: HostPort): Promise<ShownStatus> {
  const address = formatHostPort(admin);
  const body = await getText(admin).catch((cause: Error) => {
    throw new FairleadError('STATUS_UNREACHABLE', `no agent answers on ${address}: ${cause.message}`, {
      cause,
    });
  });
  const result = v.safeParse(shownStatus, parseJson(body));
  if (result.success) return result.output;
  const { issues } = result;
  throw new FairleadError(
    'STATUS_UNREACHABLE',
    `what answers on ${address} is not a Fairlead agent (${v.getDotPath(issues[0]) ?? 'status'}: ${issues[0].message})`,
  );
}

function getText({ host, port }: HostPort): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const request = get(
      { host: reachableAt(host), port, path: '/status', signal, agent: false },
      (response) => {
        if (response.statusCode !== 200) {
          request.destroy(new Error(`HTTP status ${response.statusCode}`));
          return;
        }
        const body = new ByteAccumulator(maxBytes);
        response.on('data', (chunk: Buffer) => {
          if (!body.append(chunk))
            request.destroy(new Error(`what answers there sends more than ${maxBytes} bytes; check --admin`));
        });
        response.on('end', () => resolve(body.text()));
        response.on('error', reject);
      },
    );
    request.on('error', (error) =>
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs / 1000} s`) : error),
    );
  });
}
