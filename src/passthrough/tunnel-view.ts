// A tunnel as status output and tests see it.
import type { EndpointId } from '../model/endpoint.ts';
import type { Tunnel } from './tunnel/tunnel.ts';

/** One tunnel for status output. */
export interface TunnelView {
  readonly client: string;
  /** Undefined until a connection to an endpoint exists. */
  readonly endpoint: EndpointId | undefined;
  /** `connecting`: the endpoint has not said anything yet. */
  readonly phase: 'connecting' | 'open' | 'half-closed' | 'closing';
  readonly isDraining: boolean;
  readonly ageMs: number;
  readonly idleMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

export function viewOf(tunnel: Tunnel, nowMs: number): TunnelView {
  return {
    client: tunnel.clientText,
    endpoint: tunnel.record?.id,
    phase: phaseOf(tunnel),
    isDraining: tunnel.drainAtMs !== Number.POSITIVE_INFINITY,
    ageMs: nowMs - tunnel.startedMs,
    idleMs: nowMs - tunnel.lastByteMs,
    bytesUp: tunnel.bytesUp,
    bytesDown: tunnel.bytesDown,
  };
}

function phaseOf(tunnel: Tunnel): TunnelView['phase'] {
  if (tunnel.isClosing) return 'closing';
  if (tunnel.connector) return 'connecting';
  return tunnel.isClientEnded || tunnel.isUpstreamEnded ? 'half-closed' : 'open';
}
