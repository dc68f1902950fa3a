// What the data path knows of one endpoint: its tunnels and plain numbers that metrics and health read.
import type { EndpointId } from '../../model/endpoint.ts';
import type { DialResult, EndpointTraffic } from '../../model/outcome.ts';

/** `T` is the tunnel, whose file needs this one. */
export class EndpointRecord<T = unknown> implements EndpointTraffic {
  readonly id: EndpointId;
  /** Tunnels that have a connection to the endpoint, also those still waiting for its first byte. */
  readonly tunnels = new Set<T>();
  totalTunnels = 0;
  bytesUp = 0;
  bytesDown = 0;
  /** Dials that have not ended; a policy that counts connections adds these. */
  dialing = 0;
  readonly dials: Record<DialResult, number> = {
    connected: 0,
    refused: 0,
    timeout: 0,
    unreachable: 0,
    reset: 0,
    exhausted: 0,
  };
  unansweredFlights = 0;
  /** When `tunnelSilent` was last reported. */
  silenceReportedMs = Number.NEGATIVE_INFINITY;

  constructor(id: EndpointId) {
    this.id = id;
  }

  get activeTunnels(): number {
    return this.tunnels.size;
  }
}
