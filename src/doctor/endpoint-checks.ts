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
      ? 'See that the CA of the credentials is that of this cluster (/etc/kubernetes/pki/ca.crt), and the clock right.'
      : `Let this node reach it: routes, firewalls, security groups; try curl -k https://${where}/livez.`;
    yield finding('endpoint', 'error', `${where}: ${presented.problem}`, fix);
  }
}

const certSansMend =
  'Either let clients verify another name (fairlead kubeconfig point writes tls-server-name), or add it to the ' +
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
    const what = `the certificate of ${list(unverified)} is not for ${name}, so that its health cannot be checked`;
    yield finding(
      'server-name',
      'error',
      what,
      'Set --server-name to a name that all of the certificates have.',
    );
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
        `${file} verifies ${name}, for which the certificate of ${list(bad)} is not good`,
        certSansMend,
      );
    } else
      yield finding('server-name', 'ok', `${file} verifies ${name}, for which every certificate is good`);
  }
  if (clientNames.length > 0) return;

  // Nobody points here yet: what will pointing need?
  const common = [listenerHost, 'localhost'].find((name) => lacking(name).length === 0);
  const service = serviceNames.find((name) => lacking(name).length === 0);
  if (common !== undefined) yield finding('server-name', 'ok', `every certificate is good for ${common}`);
  else if (service !== undefined) {
    const what = `the certificate of ${list(lacking(listenerHost))} is not for ${listenerHost}, as kubeadm makes them; all are for ${service}`;
    yield finding(
      'server-name',
      'info',
      what,
      `Nothing by hand: fairlead kubeconfig point writes tls-server-name: ${service}. For other clients set it too, or add ${isIP(listenerHost) ? `${listenerHost} and localhost` : listenerHost} to certSANs.`,
    );
  } else {
    yield finding(
      'server-name',
      'error',
      `no name that a client could verify is in every certificate (${listenerHost}, localhost, ${serviceNames.join(', ')})`,
      certSansMend,
    );
  }
}

const credentialsMend =
  'Give Fairlead credentials: any client certificate of the cluster CA or any service-account token will do, without ' +
  'RBAC (--kubeconfig /etc/kubernetes/kubelet.conf); or allow anonymous requests for the health paths alone ' +
  '(AuthenticationConfiguration, Kubernetes 1.34 or newer). docs/credentials.md has both.';

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
        `Look at it on its node: kubectl --server https://${where} get --raw '${healthPath}?verbose'`,
      );
    } else if (includesStatus(expectStatus, health.status)) {
      yield finding('health', 'ok', `${where} answers ${healthPath} with ${health.status}`);
    } else if (health.status === 401 && hasCredentials) {
      yield finding(
        'health',
        'error',
        `${where} refuses the credentials (401)`,
        'They are expired, or of another cluster: renew them, or give others.',
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
        'The API server says that it is not ready: fix that first.',
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
        ? "Let this node's clock be set: timedatectl set-ntp true, then chronyc tracking or timedatectl timesync-status."
        : 'The other API servers agree with this node: let that one set its clock (timedatectl set-ntp true).';
    yield finding('clock', severity, `the clock of this node is ${seconds} s ${side} that of ${where}`, fix);
  }
}
