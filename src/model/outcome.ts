// What the data path tells health about endpoints while it carries clients.
import type { EndpointId } from './endpoint.ts';

export type DialResult = 'connected' | 'refused' | 'timeout' | 'unreachable' | 'reset' | 'exhausted';

/**
 * How a client met the certificate of an endpoint, as far as a relay can see. `refused`: it sent exactly one alert
 * after the server's first flight and closed. `doubtful`: it closed without having sent any data; cancelled dials
 * look so too. `accepted`: it went on.
 */
export type ClientTlsOutcome = 'accepted' | 'refused' | 'doubtful';

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
  /** Once for each tunnel whose client speaks TLS. `serverName`: the SNI of its ClientHello, or the address it dialled. */
  clientTls(endpoint: EndpointId, outcome: ClientTlsOutcome, serverName?: string): void;
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
