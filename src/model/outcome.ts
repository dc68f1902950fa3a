// What the data path tells health about endpoints while it carries clients.
import type { EndpointId } from './endpoint.ts';

export type DialResult = 'connected' | 'refused' | 'timeout' | 'unreachable' | 'reset' | 'exhausted';

/** Passive signals. Calls are cheap, synchronous and never throw. */
export interface OutcomeReporter {
  /**
   * An attempt ended. `timeout`: no connect within the race delay or the deadline; `exhausted`: our own
   * shortage (EMFILE, ENOBUFS, EADDRNOTAVAIL), which says nothing about the endpoint.
   */
  dialed(endpoint: EndpointId, result: DialResult, durationMs: number): void;
  /** The client's first flight was written and no byte came back within the bound, or the endpoint closed first. */
  firstFlightUnanswered(endpoint: EndpointId): void;
  /** A client has sent bytes in a tunnel and the endpoint has been silent on it since (about 500 ms). */
  tunnelSilent(endpoint: EndpointId): void;
}

/** Traffic of one endpoint as the data path sees it; live, read-only to others. */
export interface EndpointTraffic {
  readonly activeTunnels: number;
  readonly totalTunnels: number;
  /** Bytes from clients to the endpoint. */
  readonly bytesUp: number;
  /** Bytes from the endpoint to clients; grows with every chunk: "has said something since" compares it. */
  readonly bytesDown: number;
}

export interface TrafficReader {
  traffic(endpoint: EndpointId): EndpointTraffic;
}
