// Every way in which the stand-in can be told to misbehave. Plain data: set in process with
// `server.misbehave()` or from another process over the control port.
import { type HostileBody, hostileBytes } from './hostile-body.ts';

export interface Misbehaviour {
  /** The listener is closed, so connects are refused; what is open stays open. */
  readonly refuse: boolean;
  /** Connections are accepted, nothing is read or answered, as if the process were stopped. */
  readonly freeze: boolean;
  /** What happens to a new connection: reset at once, or closed at once. */
  readonly onConnect: 'accept' | 'reset' | 'close';
  /** Certificate, or what comes instead of a TLS handshake; `silent`: the ClientHello is never answered. */
  readonly tls: 'good' | 'expired' | 'not-yet-valid' | 'wrong-name' | 'unknown-ca' | 'garbage' | 'silent';
  /** Every answer comes this much later. */
  readonly delayMs: number;
  /** Extra delay by prefix of the path. */
  readonly delaysMs: Readonly<Record<string, number>>;
  /** Failing checks of /readyz. */
  readonly failReadyz: readonly string[];
  /** Failing checks of /livez and /healthz. */
  readonly failLivez: readonly string[];
  /** The body of health answers: one of 64 MiB, bytes that are not HTTP, or one that is made to do harm. */
  readonly health: 'good' | 'oversized' | 'not-http' | HostileBody;
  /** Everything but the health paths, or really everything, is answered 401. */
  readonly unauthorized: 'off' | 'api' | 'all';
  /** Every request gets this status code with a Status (429 and 503 with Retry-After: 1); 0: off. */
  readonly answerStatus: number;
  /** Every answer is cut, by closing the connection, after this many body bytes; -1: off. */
  readonly dropAfterBytes: number;
  /** What EndpointSlice requests get. */
  readonly slices:
    | 'good'
    | 'not-json'
    | 'truncated'
    | 'empty-list'
    | 'null-items'
    | 'wrong-types'
    | 'bad-addresses'
    | HostileBody;
  /** Which of them: all, or only one kind of request. */
  readonly slicesFor: 'all' | 'list' | 'watch';
  /** How long a hostile body of JSON is. */
  readonly hostileBytes: number;
  /** Open watches say nothing more until this is off again: events wait, bookmarks too. */
  readonly silentWatches: boolean;
}

export const goodBehaviour: Misbehaviour = {
  refuse: false,
  freeze: false,
  onConnect: 'accept',
  tls: 'good',
  delayMs: 0,
  delaysMs: {},
  failReadyz: [],
  failLivez: [],
  health: 'good',
  unauthorized: 'off',
  answerStatus: 0,
  dropAfterBytes: -1,
  slices: 'good',
  slicesFor: 'all',
  hostileBytes,
  silentWatches: false,
};

/** Things that happen once. */
export const actions = [
  'reset-connections',
  'close-connections',
  'reset-watches',
  'end-watches',
  'compact',
] as const;

export type Action = (typeof actions)[number];

/** What is wrong with a change that came from outside, or undefined. */
export function problemWith(change: Record<string, unknown>): string | undefined {
  for (const [name, value] of Object.entries(change)) {
    if (!Object.hasOwn(goodBehaviour, name)) return `no such switch: ${name}`;
    const good = goodBehaviour[name as keyof Misbehaviour];
    if (typeof value !== typeof good || Array.isArray(value) !== Array.isArray(good)) {
      return `${name} must be of the type of ${JSON.stringify(good)}`;
    }
  }
  return undefined;
}
