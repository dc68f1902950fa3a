// Puts the status together that the admin server and `fairlead status` show. Pure.
import { formatReason, type JudgedEndpoint, type Snapshot } from '../model/snapshot.ts';
import type { EndpointTraffic } from '../model/outcome.ts';
import type { EndpointId } from '../model/endpoint.ts';
import type { Status, StatusEndpoint, StatusPool } from '../model/status.ts';

/** One pool as the agent knows it. */
export interface PoolStatusInput
  extends Pick<Status, 'policy' | 'credentials' | 'keptCa' | 'missingClientNames' | 'clockSuspect'> {
  readonly snapshot: Snapshot;
  readonly wallMs: number;
  /** Endpoints that discovery no longer lists, and that still carry tunnels. */
  readonly leaving: readonly JudgedEndpoint[];
  traffic(endpoint: EndpointId): EndpointTraffic;
  /** Wall time at which the certificate that it showed last expires. */
  certificateNotAfterMs?(endpoint: EndpointId): number | undefined;
}

export interface StatusInput
  extends PoolStatusInput,
    Omit<Status, 'snapshotVersion' | 'endpoints' | 'isReady' | 'uptimeSeconds' | 'pools'> {
  /** A listener leads to the API servers; else they have no say in whether the agent is ready. */
  readonly isUsed?: boolean;
  readonly pools?: readonly (PoolStatusInput & { readonly name: string })[];
}

const notVisibleHint =
  'alive, but these credentials may not read /readyz: configure any client certificate or service account token of the ' +
  'cluster (--kubeconfig), or allow anonymous requests for the health paths (Kubernetes 1.34 and newer)';

function hintFor({ reason }: JudgedEndpoint): string | undefined {
  const isHidden = reason.code === 'L7OK' && (reason.status === 401 || reason.status === 403);
  if (isHidden) return notVisibleHint;
  if (reason.code === 'L6RSP')
    return 'check the certificate, the CA (--ca-file) and the name (--server-name)';
  return undefined;
}

function statusEndpoints({
  snapshot,
  leaving,
  traffic,
  certificateNotAfterMs,
}: PoolStatusInput): StatusEndpoint[] {
  // Failing open.
  const tried = new Set(snapshot.usableCount === 0 ? snapshot.candidates.map(({ id }) => id) : []);
  return [...snapshot.endpoints, ...leaving].map((judged, index): StatusEndpoint => {
    const { endpoint, verdict, reason, sinceMs, isUsable, isVerified, demotedFor } = judged;
    const { activeTunnels, totalTunnels, bytesUp, bytesDown } = traffic(endpoint.id);
    const hint = hintFor(judged);
    const notAfterMs = certificateNotAfterMs?.(endpoint.id);
    return {
      id: endpoint.id,
      verdict,
      reason: formatReason(reason),
      since: new Date(sinceMs).toISOString(),
      usable: isUsable,
      ...(tried.has(endpoint.id) && { lastResort: true as const }),
      verified: isVerified,
      ...(judged.isUnverified && { unverified: true as const }),
      tier: index < snapshot.endpoints.length ? endpoint.tier : 'removed',
      sources: endpoint.sources,
      ...(endpoint.isGone && { gone: true }),
      ...(endpoint.zone !== undefined && { zone: endpoint.zone }),
      rank: index + 1,
      tunnels: activeTunnels,
      totalTunnels,
      bytesUp,
      bytesDown,
      ...(demotedFor !== undefined && { demotedFor }),
      ...(notAfterMs !== undefined && { certificateNotAfter: new Date(notAfterMs).toISOString() }),
      ...(hint !== undefined && { hint }),
    };
  });
}

/** `isUsable`: every pool that a listener leads to has a usable endpoint. */
export function isAgentReady({
  isUsable,
  stopping,
  waitingFor,
  heldBack,
}: Pick<Status, 'stopping' | 'waitingFor' | 'heldBack'> & { readonly isUsable: boolean }): boolean {
  return isUsable && stopping === undefined && waitingFor === undefined && heldBack === undefined;
}

export function makeStatus({ isUsed = true, pools = [], ...input }: StatusInput): Status {
  const {
    snapshot,
    wallMs,
    traffic: _,
    leaving: _leaving,
    certificateNotAfterMs: _notAfter,
    ...rest
  } = input;
  const others = pools.map(
    ({ name, ...pool }): StatusPool => ({
      name,
      isReady: pool.snapshot.usableCount > 0,
      policy: pool.policy,
      credentials: pool.credentials,
      ...(pool.keptCa && { keptCa: pool.keptCa }),
      ...(pool.missingClientNames && { missingClientNames: pool.missingClientNames }),
      ...(pool.clockSuspect && { clockSuspect: true }),
      snapshotVersion: pool.snapshot.version,
      endpoints: statusEndpoints(pool),
    }),
  );
  return {
    ...rest,
    uptimeSeconds: Math.max(0, Math.round((wallMs - Date.parse(rest.startedAt)) / 1000)),
    isReady: isAgentReady({
      ...rest,
      isUsable: (!isUsed || snapshot.usableCount > 0) && others.every(({ isReady }) => isReady),
    }),
    snapshotVersion: snapshot.version,
    endpoints: statusEndpoints(input),
    ...(others.length > 0 && { pools: others }),
  };
}
