import type { PeerCertificate } from 'node:tls';
import type { Answer } from '../../../src/kubernetes/ask-api-server.ts';
import {
  type EndpointContext,
  type EndpointFacts,
  judgeEndpoints,
} from '../../../src/doctor/endpoint-checks.ts';

const nowMs = Date.parse('2026-11-01T00:00:00Z');
const dayMs = 86_400_000;
const kubeadmNames = 'DNS:kubernetes, DNS:kubernetes.default.svc, IP Address:10.96.0.1';

interface Shown {
  readonly names?: string;
  readonly daysLeft?: number;
  readonly health?: Partial<Extract<Answer, { ok: true }>> | { readonly problem: string };
  readonly problem?: string;
}

function endpoint(
  host: string,
  { names = kubeadmNames, daysLeft = 200, health = {}, problem }: Shown = {},
): EndpointFacts {
  const certificate = {
    subject: { CN: 'kube-apiserver' },
    subjectaltname: names,
    valid_from: new Date(nowMs + (daysLeft - 365) * dayMs).toUTCString(),
    valid_to: new Date(nowMs + daysLeft * dayMs).toUTCString(),
  } as unknown as PeerCertificate;
  const answer: Answer =
    'problem' in health && health.problem !== undefined
      ? { ok: false, problem: health.problem }
      : { ok: true, status: 200, body: 'ok', dateMs: nowMs - 500, ourMs: nowMs, tookMs: 10, ...health };
  return {
    endpoint: { host, port: 6443 },
    presented: problem === undefined ? { ok: true, certificate } : { ok: false, problem },
    ...(problem === undefined && { health: answer }),
  };
}

const context: EndpointContext = {
  healthPath: '/readyz',
  expectStatus: [{ from: 200, to: 200 }],
  clientNames: [],
  listenerHost: '127.0.0.1',
  hasCredentials: true,
  hasCa: true,
  nowMs,
};

function judged(facts: readonly EndpointFacts[], more: Partial<EndpointContext> = {}) {
  return judgeEndpoints(facts, { ...context, ...more });
}

const serious = (findings: ReturnType<typeof judged>) =>
  findings
    .filter(({ severity }) => severity === 'warning' || severity === 'error')
    .map(({ check, severity }) => `${severity} ${check}`);

test('API servers as kubeadm makes them, before anything points here: a name to verify is needed, and known', () => {
  const findings = judged([endpoint('10.0.0.1'), endpoint('10.0.0.2')]);
  expect(serious(findings)).toEqual([]);
  expect(findings).toContainEqual({
    check: 'server-name',
    severity: 'info',
    message:
      'the certificate of 10.0.0.1:6443, 10.0.0.2:6443 is not valid for 127.0.0.1 (as is usual with kubeadm); all certificates are valid for kubernetes',
    fix: expect.stringContaining('tls-server-name: kubernetes'),
  });
});

test('certificates with 127.0.0.1, as Kubespray makes them, are well', () => {
  const facts = [endpoint('10.0.0.1', { names: `${kubeadmNames}, IP Address:127.0.0.1` })];
  expect(judged(facts)).toContainEqual(
    expect.objectContaining({
      check: 'server-name',
      severity: 'ok',
      message: 'every certificate is valid for 127.0.0.1',
    }),
  );
});

test('a name that a client verifies and one API server lacks is an error, with both ways to fix it', () => {
  const facts = [
    endpoint('10.0.0.1', { names: `${kubeadmNames}, IP Address:127.0.0.1` }),
    endpoint('10.0.0.2'),
  ];
  const file = '/etc/kubernetes/kubelet.conf';
  const findings = judged(facts, { clientNames: [{ file, name: '127.0.0.1' }] });
  expect(findings).toContainEqual({
    check: 'server-name',
    severity: 'error',
    message: `${file} verifies 127.0.0.1, but the certificate of 10.0.0.2:6443 is not valid for it`,
    fix: expect.stringMatching(/tls-server-name.*certSANs/),
  });
  expect(serious(judged(facts, { clientNames: [{ file, name: 'kubernetes' }] }))).toEqual([]);
});

test('without any common name nobody can verify', () => {
  const facts = [endpoint('10.0.0.1', { names: 'IP Address:10.0.0.1' })];
  expect(serious(judged(facts))).toEqual(['error server-name']);
});

test("a certificate that Fairlead's own checks cannot verify is an error", () => {
  expect(serious(judged([endpoint('10.0.0.1')], { serverName: 'api.example' }))).toEqual([
    'error server-name',
  ]);
});

test('without endpoints there is one finding', () => {
  expect(judged([])).toMatchObject([{ check: 'endpoint', severity: 'error' }]);
});

test('an unreachable API server is an error, also beside good ones', () => {
  const facts = [endpoint('10.0.0.1'), endpoint('10.0.0.2', { problem: 'no route to the host' })];
  expect(serious(judged(facts))).toEqual(['error endpoint']);
});

test('without a CA its absence is one finding elsewhere, not one for each API server', () => {
  const facts = [
    endpoint('10.0.0.1', { problem: 'the certificate is not signed by the CA of the kubeconfig' }),
  ];
  expect(serious(judged(facts, { hasCa: false }))).toEqual([]);
  expect(serious(judged(facts))).toEqual(['error endpoint']);
});

test.each([
  [200, []],
  [31, []],
  [29, ['warning certificate']],
  [-1, ['error certificate']],
])('a server certificate with %s of 365 days left: %j', (daysLeft, expected) => {
  expect(serious(judged([endpoint('10.0.0.1', { daysLeft })]))).toEqual(expected);
});

test.each<[string, Shown['health'], Partial<EndpointContext>, readonly string[]]>([
  ['200', { status: 200 }, {}, []],
  ['401 without credentials', { status: 401 }, { hasCredentials: false }, ['warning health']],
  ['403', { status: 403 }, {}, ['warning health']],
  ['401 with credentials', { status: 401 }, {}, ['error health']],
  ['500', { status: 500, body: '[+]ping ok\n[-]etcd failed: reason withheld\n' }, {}, ['warning health']],
  ['no answer', { problem: 'no answer within 5 s' }, {}, ['error health']],
  ['401 where it is expected', { status: 401 }, { expectStatus: [{ from: 200, to: 401 }] }, []],
])('the health path answered with %s', (_, health, more, expected) => {
  expect(serious(judged([endpoint('10.0.0.1', { ...(health && { health }) })], more))).toEqual(expected);
});

test('the failing checks of an API server are named', () => {
  const facts = [
    endpoint('10.0.0.1', { health: { status: 500, body: '[-]etcd failed\n[-]shutdown failed\n' } }),
  ];
  expect(judged(facts)).toContainEqual(
    expect.objectContaining({ message: '10.0.0.1:6443 answers /readyz with 500: etcd, shutdown failed' }),
  );
});

const clock = (...skewsMs: readonly number[]) =>
  judged(
    skewsMs.map((skewMs, index) => endpoint(`10.0.0.${index}`, { health: { dateMs: nowMs - 500 - skewMs } })),
  ).filter(({ check }) => check === 'clock');

test.each([
  [0, 'ok'],
  [4_000, 'ok'],
  [-7_000, 'warning'],
  [120_000, 'error'],
])('a clock that is %s ms ahead is %s', (skewMs, severity) => {
  expect(clock(skewMs)).toMatchObject([{ severity }]);
});

test('the fix is for the clock that is wrong: ours, or that of one API server', () => {
  expect(clock(30_000, 30_000)[0]).toMatchObject({
    message: 'the clock of this node is 30 s ahead of that of 10.0.0.0:6443',
    fix: expect.stringContaining("this node's clock"),
  });
  expect(clock(0, -30_000)).toMatchObject([
    {
      message: expect.stringContaining('behind that of 10.0.0.1:6443'),
      fix: expect.stringContaining('the clock of that one'),
    },
  ]);
});

test('a slow exchange makes the comparison unsure, not the clock wrong', () => {
  const facts = [endpoint('10.0.0.1', { health: { dateMs: nowMs - 500 - 7_000, tookMs: 5_000 } })];
  expect(judged(facts)).toContainEqual(expect.objectContaining({ check: 'clock', severity: 'ok' }));
});
