// Which endpoints are used after all other usable ones because of their certificates, although they answer as they
// should. Pure. It is always a comparison: where no endpoint is better the order stays as it is.
import type { EndpointId } from '../model/endpoint.ts';

/** What is known of the certificates of one endpoint. */
export interface CertificateStanding {
  readonly id: EndpointId;
  /** Takes new tunnels as far as its health goes: only such an endpoint can be the better one. */
  readonly isReady: boolean;
  /** By this node's clock the certificate that it showed last is not valid now. */
  readonly isOutOfTime: boolean;
  /** It was unready or dead, and no full handshake has succeeded since. */
  readonly isUnproven: boolean;
  /** Clients that verify this name would accept it; undefined while that is not known. */
  covers(name: string): boolean | undefined;
}

export interface ClientName {
  readonly name: string;
  /** Configured, or of a kubeconfig. Others are only what clients have sent: any process on the node can send anything. */
  readonly isCertain: boolean;
}

export interface Demotion {
  /** The larger, the later. */
  readonly rank: 1 | 2 | 3;
  readonly reason: 'unproven' | 'client-name' | 'expired';
  readonly text: string;
}

export interface Demotions {
  readonly byEndpoint: ReadonlyMap<EndpointId, Demotion>;
  /** Certain names that no endpoint has. */
  readonly missingEverywhere: readonly string[];
}

export function demotionsOf(
  standings: readonly CertificateStanding[],
  names: readonly ClientName[],
): Demotions {
  const ready = standings.filter(({ isReady }) => isReady);
  const byEndpoint = new Map<EndpointId, Demotion>();
  if (ready.some(({ isUnproven }) => !isUnproven)) {
    for (const { id, isUnproven } of ready)
      if (isUnproven)
        byEndpoint.set(id, { rank: 1, reason: 'unproven', text: 'no full handshake since it came back' });
  }
  const missing = new Map<EndpointId, string[]>();
  const missingEverywhere: string[] = [];
  for (const { name, isCertain } of names) {
    const having = ready.filter(({ covers }) => covers(name) === true).length;
    const lacking = ready.filter(({ covers }) => covers(name) === false);
    if (isCertain && ready.length > 0 && lacking.length === ready.length) missingEverywhere.push(name);
    // kubeadm puts the name of each host into its certificate: a client that sends one of these is not a reason to use
    // that host alone.
    const isBetterKnown = isCertain ? having > 0 : having >= lacking.length && having > 0;
    if (isBetterKnown) for (const { id } of lacking) missing.set(id, [...(missing.get(id) ?? []), name]);
  }
  for (const [id, lacks] of missing)
    byEndpoint.set(id, {
      rank: 2,
      reason: 'client-name',
      text: `certificate is not valid for ${shortList(lacks)}`,
    });
  if (ready.some(({ isOutOfTime }) => !isOutOfTime)) {
    for (const { id, isOutOfTime } of ready)
      if (isOutOfTime)
        byEndpoint.set(id, {
          rank: 3,
          reason: 'expired',
          text: 'certificate has expired by the clock of this node',
        });
  }
  return { byEndpoint, missingEverywhere };
}

const shownNames = 3;

function shortList(names: readonly string[]): string {
  const shown = names.slice(0, shownNames).join(', ');
  return names.length > shownNames ? `${shown} and ${names.length - shownNames} more` : shown;
}
