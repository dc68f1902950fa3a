// Judges what the API servers showed: certificates, names, health, clocks. Pure.
import { isIP } from 'node:net';
import { includesStatus, type StatusRange } from '../config/statuses.ts';
import { checkIdentity } from '../kubernetes/server-identity.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { nameProblem, serviceNames } from '../adopt/server-names.ts';
import type { Answer } from '../kubernetes/ask-api-server.ts';
import type { Presented } from '../kubernetes/presented-certificate.ts';
import { expiry } from './certificates.ts';
import { type Finding, finding } from './finding.ts';

export interface EndpointFacts {
  readonly endpoint: HostPort;
  readonly presented: Presented;
  /** The answer of the health path; absent when nothing could be asked. */
  readonly health?: Answer;
}

export interface EndpointContext {
  readonly healthPath: string;
  readonly expectStatus: readonly StatusRange[];
  /** The name that Fairlead's own checks verify, where one is configured. */
  readonly serverName?: string;
  /** The names that clients of this node verify, with their kubeconfigs. */
  readonly clientNames: readonly { readonly file: string; readonly name: string }[];
  /** The host of Fairlead's listener: what a client verifies that is told nothing else. */
  readonly listenerHost: string;
  readonly hasCredentials: boolean;
  readonly hasCa: boolean;
  readonly nowMs: number;
}

const list = (endpoints: readonly EndpointFacts[]) =>
  endpoints.map(({ endpoint }) => formatHostPort(endpoint)).join(', ');

export function judgeEndpoints(facts: readonly EndpointFacts[], context: EndpointContext): Finding[] {
  if (facts.length === 0) {
    const fix = 'Name one with --endpoints HOST:PORT, or give a kubeconfig whose server is an API server.';
    return [finding('endpoint', 'error', 'no API server is known', fix)];
  }
  return [
    ...judgeReach(facts, context),
    ...judgeNames(facts, context),
    ...judgeHealth(facts, context),
    ...judgeClock(facts),
  ];
}

function* judgeReach(facts: readonly EndpointFacts[], { hasCa, nowMs }: EndpointContext): Generator<Finding> {
  for (const { endpoint, presented } of facts) {
    const where = formatHostPort(endpoint);
    if (presented.ok) {
      yield finding('endpoint', 'ok', `${where} answers`);
      yield* expiry(`the certificate of ${where}`, Date.parse(presented.certificate.valid_to), {
        nowMs,
        fromMs: Date.parse(presented.certificate.valid_from),
        fix: 'On that control-plane node: kubeadm certs renew apiserver, then restart kube-apiserver.',
      });
      continue;
    }
    const isTrust = /certificate/.test(presented.problem);
    if (isTrust && !hasCa) continue; // there is a finding about the CA itself
    const fix = isTrust
      ? 'Check that the CA of the credentials is the CA of this cluster (/etc/kubernetes/pki/ca.crt) and that the clock is right.'
      : `Check routes, firewalls and security groups between this node and it: curl -k https://${where}/livez.`;
    yield finding('endpoint', 'error', `${where}: ${presented.problem}`, fix);
  }
}

const certSansMend =
  'Either let clients verify another name (fairlead kubeconfig point sets tls-server-name), or add it to the ' +
  'certificates: apiServer.certSANs in the ClusterConfiguration, then on every control-plane node move ' +
  '/etc/kubernetes/pki/apiserver.crt and .key away, kubeadm init phase certs apiserver --config FILE, and restart kube-apiserver.';

function* judgeNames(facts: readonly EndpointFacts[], context: EndpointContext): Generator<Finding> {
  const { serverName, clientNames, listenerHost, hasCa } = context;
  const all = facts.flatMap((fact) =>
    fact.presented.ok ? [{ ...fact, certificate: fact.presented.certificate }] : [],
  );
  if (all.length === 0 || !hasCa) return;
  const unverified = all.filter(({ endpoint, certificate }) =>
    checkIdentity(endpoint, certificate, serverName),
  );
  if (unverified.length > 0) {
    const name = serverName ?? 'its address or kubernetes';
    const what = `the certificate of ${list(unverified)} is not valid for ${name}, so its health cannot be checked`;
    yield finding('server-name', 'error', what, 'Set --server-name to a name that all certificates contain.');
  }
  // One fault is one finding.
  const shown = all.filter((one) => !unverified.includes(one));
  if (shown.length === 0) return;
  const lacking = (name: string) =>
    shown.filter(({ certificate }) => nameProblem(certificate, name) !== undefined);

  for (const { file, name } of clientNames) {
    const bad = lacking(name);
    if (bad.length > 0) {
      yield finding(
        'server-name',
        'error',
        `${file} verifies ${name}, but the certificate of ${list(bad)} is not valid for it`,
        certSansMend,
      );
    } else
      yield finding(
        'server-name',
        'ok',
        `clients of ${file} verify the name ${name}, and every certificate is valid for it`,
      );
  }
  if (clientNames.length > 0) return;

  // No client points here yet: what will pointing need?
  const common = [listenerHost, 'localhost'].find((name) => lacking(name).length === 0);
  const service = serviceNames.find((name) => lacking(name).length === 0);
  if (common !== undefined) yield finding('server-name', 'ok', `every certificate is valid for ${common}`);
  else if (service !== undefined) {
    const what = `the certificate of ${list(lacking(listenerHost))} is not valid for ${listenerHost} (as is usual with kubeadm); all certificates are valid for ${service}`;
    yield finding(
      'server-name',
      'info',
      what,
      `No manual step: fairlead kubeconfig point sets tls-server-name: ${service}. Set it for other clients too, or add ${isIP(listenerHost) ? `${listenerHost} and localhost` : listenerHost} to certSANs.`,
    );
  } else {
    yield finding(
      'server-name',
      'error',
      `no name that clients could verify is in all certificates (${listenerHost}, localhost, ${serviceNames.join(', ')})`,
      certSansMend,
    );
  }
}

const credentialsMend =
  'Configure credentials: any client certificate of the cluster CA or any service account token is enough, without ' +
  'RBAC (--kubeconfig /etc/kubernetes/kubelet.conf). Or allow anonymous requests for the health paths only ' +
  '(AuthenticationConfiguration, Kubernetes 1.34 or newer). docs/credentials.md describes both.';

function* judgeHealth(facts: readonly EndpointFacts[], context: EndpointContext): Generator<Finding> {
  const { healthPath, expectStatus, hasCredentials } = context;
  for (const { endpoint, health } of facts) {
    if (!health) continue;
    const where = formatHostPort(endpoint);
    if (!health.ok) {
      yield finding(
        'health',
        'error',
        `${where} does not answer ${healthPath}: ${health.problem}`,
        `Check it on its node: kubectl --server https://${where} get --raw '${healthPath}?verbose'`,
      );
    } else if (includesStatus(expectStatus, health.status)) {
      yield finding('health', 'ok', `${where} answers ${healthPath} with ${health.status}`);
    } else if (health.status === 401 && hasCredentials) {
      yield finding(
        'health',
        'error',
        `${where} refuses the credentials (401)`,
        'They have expired or belong to another cluster: renew them, or configure others.',
      );
    } else if (health.status === 401 || health.status === 403) {
      yield finding(
        'health',
        'warning',
        `${where} answers ${healthPath} with ${health.status}: its readiness is not visible`,
        credentialsMend,
      );
    } else {
      const failing = [...health.body.matchAll(/^\[-\](\S+)/gm)].map(([, name]) => name).join(', ');
      yield finding(
        'health',
        'warning',
        `${where} answers ${healthPath} with ${health.status}${failing && `: ${failing} failed`}`,
        'The API server reports that it is not ready. Fix that first.',
      );
    }
  }
}

const noticeableMs = 5_000;
const harmfulMs = 60_000;

function* judgeClock(facts: readonly EndpointFacts[]): Generator<Finding> {
  const skews = facts.flatMap(({ endpoint, health }) => {
    if (!health?.ok || health.dateMs === undefined) return [];
    // The Date header has whole seconds, cut off; and the answer was made at some moment of the exchange.
    const skewMs = health.ourMs - (health.dateMs + 500);
    return [{ where: formatHostPort(endpoint), skewMs, unsureMs: 500 + health.tookMs / 2 }];
  });
  if (skews.length === 0) return;
  const bad = skews.filter(({ skewMs, unsureMs }) => Math.abs(skewMs) - unsureMs > noticeableMs);
  if (bad.length === 0) {
    yield finding('clock', 'ok', 'the clock agrees with that of the API servers');
    return;
  }
  for (const { where, skewMs } of bad) {
    const seconds = Math.round(Math.abs(skewMs) / 1000);
    const side = skewMs > 0 ? 'ahead of' : 'behind';
    const severity = Math.abs(skewMs) > harmfulMs ? 'error' : 'warning';
    const fix =
      bad.length === skews.length
        ? "Synchronize this node's clock: timedatectl set-ntp true, then check with chronyc tracking or timedatectl timesync-status."
        : 'The other API servers agree with this node. Synchronize the clock of that one (timedatectl set-ntp true).';
    yield finding('clock', severity, `the clock of this node is ${seconds} s ${side} that of ${where}`, fix);
  }
}
