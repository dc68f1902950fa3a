// Which name a client can verify an API server's certificate by, found out by looking at the certificates
// themselves: the address that clients are to use (Fairlead's listener), and every endpoint behind it, since
// a name that only some API servers carry would fail at the first failover.
import type { PeerCertificate } from 'node:tls';
import {
  presentedCertificate,
  type PresentOptions,
  type Presented,
} from '../kubernetes/presented-certificate.ts';
import { checkIdentity } from '../kubernetes/server-identity.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';

/** Undefined when `certificate` is good for `name`, as Go's clients judge it; else what is wrong. */
export function nameProblem(certificate: PeerCertificate, name: string): string | undefined {
  return checkIdentity({ host: name }, certificate, name)?.message;
}

/** The names that kubeadm, Kubespray, k3s and the managed offerings put into every API server's certificate. */
export const serviceNames = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'] as const;

export interface NameChoiceInput {
  /** Where clients are to connect. */
  readonly address: HostPort;
  /** The API servers behind it. */
  readonly endpoints: readonly HostPort[];
  readonly ca?: string;
  /** Tried in this order. */
  readonly candidates: readonly string[];
  readonly present?: (options: PresentOptions) => Promise<Presented>;
}

export type NameChoice =
  | { readonly ok: true; readonly name: string; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problem: string };

/** The first candidate for which the address, and every endpoint that answers, shows a good certificate. */
export async function chooseName(input: NameChoiceInput): Promise<NameChoice> {
  const { address, endpoints, ca, candidates, present = presentedCertificate } = input;
  const problems: string[] = [];
  for (const name of candidates) {
    const ask = (target: HostPort) =>
      present({ address: target, serverName: name, ...(ca !== undefined && { ca }) });
    const shown = await ask(address);
    // Without an answer, or with an untrusted certificate, no name can help.
    if (!shown.ok) return { ok: false, problem: `${formatHostPort(address)}: ${shown.problem}` };
    const mismatch = nameProblem(shown.certificate, name);
    if (mismatch !== undefined) {
      problems.push(`${formatHostPort(address)}: ${mismatch}`);
      continue;
    }
    const others = await Promise.all(
      endpoints.map(async (endpoint) => ({ endpoint, shown: await ask(endpoint) })),
    );
    const warnings: string[] = [];
    const bad: string[] = [];
    for (const { endpoint, shown: other } of others) {
      const where = formatHostPort(endpoint);
      if (!other.ok) warnings.push(`${where} could not be checked: ${other.problem}`);
      else {
        const wrong = nameProblem(other.certificate, name);
        if (wrong !== undefined) bad.push(`${where}: ${wrong}`);
      }
    }
    if (bad.length === 0) return { ok: true, name, warnings };
    problems.push(...bad);
  }
  return { ok: false, problem: problems.join('\n  ') };
}

/** What to try for a client of `host` that verifies by the name `current` now, if by one. */
export function nameCandidates(host: string, current?: string): string[] {
  // A name that was chosen comes first: it stays, if it still works.
  return [...new Set(current === undefined ? [host, ...serviceNames] : [current, ...serviceNames, host])];
}
