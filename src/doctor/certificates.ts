// When certificates expire, and when that is soon.
import { X509Certificate } from 'node:crypto';
import type { Credentials } from '../kubernetes/credentials.ts';
import { type Finding, finding } from './finding.ts';

const dayMs = 86_400_000;
/** At most; of a short-lived certificate the last tenth, as rotation happens well before. */
const soonMs = 30 * dayMs;

export interface ExpiryContext {
  readonly fromMs: number;
  readonly nowMs: number;
  readonly fix: string;
}

/** A finding where a certificate has expired, is about to, or is not valid yet; else none. */
export function* expiry(
  what: string,
  untilMs: number,
  { fromMs, nowMs, fix }: ExpiryContext,
): Generator<Finding> {
  const leftMs = untilMs - nowMs;
  const day = new Date(untilMs).toISOString().slice(0, 10);
  if (leftMs <= 0) yield finding('certificate', 'error', `${what} expired on ${day}`, fix);
  else if (fromMs > nowMs) {
    const start = new Date(fromMs).toISOString();
    yield finding(
      'certificate',
      'error',
      `${what} is not valid before ${start}`,
      'Set the clock of this node, or wait.',
    );
  } else if (leftMs < Math.min(soonMs, (untilMs - fromMs) / 10)) {
    yield finding('certificate', 'warning', `${what} expires on ${day}`, fix);
  }
}

const blocks = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The credentials' own certificates; PEM that does not parse has been refused before. */
export function judgeCredentialCertificates({ ca, cert }: Credentials, nowMs: number): Finding[] {
  const findings: Finding[] = [];
  const judge = (pem: string, what: string, fix: string) => {
    const { validFromDate, validToDate, subject } = new X509Certificate(pem);
    const name = `${what} (${subject.replaceAll('\n', ', ')})`;
    findings.push(...expiry(name, validToDate.getTime(), { fromMs: validFromDate.getTime(), nowMs, fix }));
  };
  for (const pem of ca?.match(blocks) ?? []) {
    judge(
      pem,
      'a CA certificate',
      'Renew the CA of the cluster: every certificate and kubeconfig that it signed must be renewed too.',
    );
  }
  const [leaf] = cert?.match(blocks) ?? [];
  if (leaf !== undefined) {
    judge(
      leaf,
      'the client certificate',
      'kubelet renews its own while it reaches an API server (rotateCertificates). Renew others with kubeadm certs renew, or issue a new one.',
    );
  }
  if (findings.length === 0 && (ca !== undefined || cert !== undefined)) {
    findings.push(finding('certificate', 'ok', 'no certificate in the credentials expires soon'));
  }
  return findings;
}

/** Who the client certificate is: name and groups. */
export function certificateUser(cert: string | undefined): { name: string; groups: string[] } | undefined {
  const [leaf] = cert?.match(blocks) ?? [];
  if (leaf === undefined) return undefined;
  const lines = new X509Certificate(leaf).subject.split('\n');
  const values = (key: string) =>
    lines.flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));
  const [name] = values('CN');
  return name === undefined ? undefined : { name, groups: values('O') };
}
