import { PoolCertificates } from '../../../src/agent/pool-certificates.ts';
import type { ServingCertificate } from '../../../src/health/certificate.ts';
import type { ProofRequest } from '../../../src/health/proof.ts';
import { SeenCertificates } from '../../../src/health/seen-certificates.ts';
import { type HealthState, initialHealth } from '../../../src/health/verdict.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { KnownEndpoint } from '../../../src/model/snapshot.ts';
import { makeCa } from '../../support/credentials/pki.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

const hour = 3_600_000;
const known = (last: number): KnownEndpoint => ({
  ...makeEndpoint(`10.0.0.${last}`, 6443),
  tier: 'discovered',
  sources: ['watch'],
});

function world(certain: readonly string[] = []) {
  const clock = new FakeClock();
  const states = new Map<string, HealthState>();
  const seen = new Map<string, SeenCertificates>();
  const asked: { id: string; request: ProofRequest }[] = [];
  const logged: string[] = [];
  const log = {
    info: (...said: unknown[]) => void logged.push(String(said.at(-1))),
    warn: (...said: unknown[]) => void logged.push(String(said.at(-1))),
  };
  let own: { ca?: string; cert?: string } = {};
  const certificates = new PoolCertificates({
    clock,
    log: log as never,
    certainNames: () => certain,
    state: (id) => states.get(id),
    certificates: (id) => seen.get(id),
    prove: (id, request) => asked.push({ id, request }),
    credentials: () => own,
  });
  const certificate = (names: readonly string[], notAfterMs = clock.wallMs() + hour): ServingCertificate => ({
    fingerprint: `${names.join()} ${notAfterMs}`,
    notBeforeMs: clock.wallMs() - hour,
    notAfterMs,
    covers: (name) => names.includes(name),
  });
  return {
    clock,
    certificates,
    asked,
    logged,
    certificate,
    seen,
    set(last: number, shown: ServingCertificate, state: Partial<HealthState> = {}) {
      const { id } = known(last);
      states.set(id, { ...initialHealth(0), verdict: 'ready', provedMs: 0, ...state });
      const store = seen.get(id) ?? new SeenCertificates();
      store.note({ certificate: shown });
      seen.set(id, store);
    },
    use: (next: typeof own) => {
      own = next;
    },
    demoted: (...lasts: number[]) =>
      Object.fromEntries([...certificates.demotions(lasts.map(known))].map(([id, { text }]) => [id, text])),
  };
}

test('an address that clients verify counts against the endpoint without it', () => {
  const { set, certificate, demoted, asked } = world(['127.0.0.1']);
  set(1, certificate(['127.0.0.1']));
  set(2, certificate([]));
  expect(demoted(1, 2)).toEqual({ '10.0.0.2:6443': 'certificate is not valid for 127.0.0.1' });
  expect(asked).toEqual([]);
});

test('a DNS name is asked for as SNI before it counts as missing', () => {
  const { set, certificate, demoted, asked, seen } = world(['api.example']);
  set(1, certificate(['api.example']));
  set(2, certificate([]));
  expect(demoted(1, 2)).toEqual({});
  const request = { cause: 'name', serverName: 'api.example' };
  expect(asked).toEqual([{ id: '10.0.0.2:6443', request }]);
  seen.get('10.0.0.2:6443')?.note({ serverName: 'api.example', certificate: certificate([]) });
  expect(demoted(1, 2)).toEqual({ '10.0.0.2:6443': 'certificate is not valid for api.example' });
  seen.get('10.0.0.2:6443')?.note({ serverName: 'api.example', certificate: certificate(['api.example']) });
  expect(demoted(1, 2)).toEqual({});
});

test('a name that all lack is reported once, and again when it is there', () => {
  const { set, certificate, demoted, certificates, logged } = world(['127.0.0.1']);
  set(1, certificate([]));
  set(2, certificate([]));
  expect(demoted(1, 2)).toEqual({});
  demoted(1, 2);
  expect(certificates.missingEverywhere).toEqual(['127.0.0.1']);
  set(1, certificate(['127.0.0.1']));
  demoted(1, 2);
  expect(certificates.missingEverywhere).toEqual([]);
  expect(logged).toEqual([
    'no API server has a certificate for a name that clients verify',
    'the certificates contain every name that clients verify',
  ]);
});

test('whatever names a client sends, nothing is missing everywhere and no single host is the favourite', () => {
  const { set, certificate, demoted, certificates } = world();
  for (const last of [1, 2, 3]) set(last, certificate([`cp-${last}`, 'api.example']));
  for (const name of ['cp-1', 'nonsense', '10.0.0.1', 'a'.repeat(300), 'bad name'])
    certificates.clientTls('refused', name);
  for (let times = 0; times < 100; times += 1) certificates.clientTls('accepted', `n${times}.example`);
  certificates.clientTls('accepted', 'cp-1');
  expect(demoted(1, 2, 3)).toEqual({});
  expect(certificates.missingEverywhere).toEqual([]);
});

test('a client that has left without a word names nothing', () => {
  const { set, certificate, demoted, certificates, asked } = world();
  set(1, certificate(['api.example']));
  set(2, certificate([]));
  certificates.clientTls('doubtful', 'api.example');
  demoted(1, 2);
  expect(asked).toEqual([]);
  certificates.clientTls('accepted', 'api.example');
  demoted(1, 2);
  expect(asked).toHaveLength(1);
});

test('one that is back on its kept connection is proved first', () => {
  const { set, certificate, demoted, asked } = world();
  set(1, certificate([]));
  set(2, certificate([]), { flipsMs: [500], provedMs: 100 });
  expect(demoted(1, 2)).toEqual({ '10.0.0.2:6443': 'no full handshake since it came back' });
  expect(asked).toEqual([{ id: '10.0.0.2:6443', request: { cause: 'return' } }]);
});

test('when all certificates look expired at once, the clock is suspected and nothing is put behind', async () => {
  const { clock, set, certificate, demoted, certificates, logged } = world();
  set(1, certificate([], clock.wallMs() + 5_000));
  set(2, certificate([], clock.wallMs() + 6_000));
  expect(demoted(1, 2)).toEqual({});
  await clock.advance(5_500);
  expect(demoted(1, 2)).toEqual({
    '10.0.0.1:6443': 'certificate has expired by the clock of this node',
  });
  expect(certificates.isClockSuspect).toBe(false);
  await clock.advance(1_000);
  expect(demoted(1, 2)).toEqual({});
  expect(certificates.isClockSuspect).toBe(true);
  set(1, certificate([]), { verdict: 'unready', fault: 'time' });
  demoted(1, 2);
  expect(certificates.isClockSuspect).toBe(true);
  set(2, certificate([], clock.wallMs() + hour));
  demoted(1, 2);
  expect(certificates.isClockSuspect).toBe(false);
  expect(logged).toHaveLength(2);
});

test('a clock before the certificates began is suspected as well', () => {
  const { clock, set, certificate, demoted, certificates } = world();
  set(1, { ...certificate([]), notBeforeMs: clock.wallMs() + 1 });
  expect(demoted(1)).toEqual({});
  expect(certificates.isClockSuspect).toBe(true);
});

test('without endpoints, or before a certificate was seen, nothing is suspected', () => {
  const { demoted, certificates } = world(['127.0.0.1']);
  expect(demoted()).toEqual({});
  expect(demoted(1)).toEqual({});
  expect(certificates.isClockSuspect).toBe(false);
});

test('the numbers have the client certificate, and of several CAs the one that lasts longest', async () => {
  const { use, certificates } = world();
  const ca = await makeCa();
  const old = await makeCa('old');
  const notAfter = new Date(Date.now() + 2 * hour);
  const { cert } = await ca.issue({ commonName: 'node', notAfter });
  use({ ca: `${old.cert}\n${ca.cert}\nnot a certificate`, cert });
  const { client, ca: shown } = certificates.numbers();
  expect(client?.notAfterMs).toBe(Math.floor(notAfter.getTime() / 1_000) * 1_000);
  expect(shown?.notAfterMs).toBeGreaterThan(Date.now() + 3_000 * 24 * hour);
  use({});
  expect(certificates.numbers()).toMatchObject({ serving: [], demoted: [], missingNames: [] });
});

test('a client that dials our address counts against the endpoint whose certificate lacks it', () => {
  const { certificates, set, certificate, demoted, asked } = world();
  set(1, certificate(['127.0.0.1']));
  set(2, certificate([]));
  expect(demoted(1, 2)).toEqual({});
  certificates.clientTls('doubtful', '127.0.0.1');
  expect(demoted(1, 2)).toEqual({});
  certificates.clientTls('refused', '127.0.0.1');
  expect(demoted(1, 2)).toEqual({ '10.0.0.2:6443': 'certificate is not valid for 127.0.0.1' });
  // An address is never asked for as SNI.
  expect(asked).toEqual([]);
});
