// The picture of the moment: what is shown, gathered from the processes, Fairlead's /status and the clients' own
// counts. Nothing in it is assumed.
import type { Status } from '../../src/model/status.ts';
import type { LongConnection } from './long-connection.ts';
import type { NewConnections } from './new-connections.ts';
import { type ProcessState, processState } from './processes.ts';
import type { Stage } from './stage.ts';
import type { Mark } from './tally.ts';

export interface ServerPicture {
  readonly name: string;
  readonly address: string;
  readonly pid: number | undefined;
  readonly process: ProcessState;
  /** What Fairlead says of it; undefined when it does not list it. */
  readonly verdict: string | undefined;
  readonly reason: string;
  readonly tunnels: number;
  readonly totalTunnels: number;
}

export interface ClientPicture {
  readonly ok: number;
  readonly repeated: number;
  readonly failed: number;
  readonly slowestMs: number;
  readonly longestPauseMs: number;
  readonly strip: readonly Mark[];
}

export interface WatchPicture {
  readonly events: number;
  readonly missed: number;
  readonly resumed: number;
  readonly longestQuietMs: number;
}

export type Teller = 'story' | 'fairlead' | 'client';

export interface Happening {
  readonly atMs: number;
  readonly teller: Teller;
  readonly text: string;
  /** Whom it is about. */
  readonly server?: string;
  /** What Fairlead judged, or that it has left the EndpointSlice. */
  readonly verdict?: string;
  readonly reason?: string;
  /** A step of the story in a word. */
  readonly word?: string;
  /** What a step of the story should lead to, in the end. */
  readonly leadsTo?: 'ready' | 'not ready';
}

export interface Picture {
  readonly elapsedMs: number;
  /** Undefined when there is no end in sight (--keep). */
  readonly endMs: number | undefined;
  readonly listen: string;
  readonly admin: string;
  readonly now: string;
  readonly servers: readonly ServerPicture[];
  readonly short: ClientPicture;
  readonly long: ClientPicture;
  readonly watch: WatchPicture;
  readonly happenings: readonly Happening[];
}

export interface Clients {
  readonly short: NewConnections;
  readonly long: LongConnection;
}

export function serverPictures(stage: Stage, status: Status | undefined): ServerPicture[] {
  return stage.servers.map(({ name, address, pid }) => {
    const endpoint = status?.endpoints.find(({ id }) => id === address);
    return {
      name,
      address,
      pid,
      process: processState(pid),
      verdict: endpoint?.verdict,
      reason: endpoint?.reason ?? '',
      tunnels: endpoint?.tunnels ?? 0,
      totalTunnels: endpoint?.totalTunnels ?? 0,
    };
  });
}

export function clientPictures({ short, long }: Clients, nowMs: number) {
  const of = ({ tally }: { readonly tally: NewConnections['tally'] }): ClientPicture => ({
    ok: tally.ok,
    repeated: tally.repeated,
    failed: tally.failed,
    slowestMs: tally.slowestMs,
    longestPauseMs: tally.longestPauseMs(nowMs),
    strip: tally.strip(nowMs),
  });
  const { events, missed, resumed } = long;
  const watch: WatchPicture = { events, missed, resumed, longestQuietMs: long.longestQuietMs(nowMs) };
  return { short: of(short), long: of(long), watch };
}
