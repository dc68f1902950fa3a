import * as fc from 'fast-check';
import type { ServingCertificate } from '../../../src/health/certificate.ts';
import { Health } from '../../../src/health/health.ts';
import type { MonitoredConnection } from '../../../src/health/monitor.ts';
import type { CheckResult } from '../../../src/health/probe.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { ClientTlsOutcome } from '../../../src/model/outcome.ts';
import { formatReason } from '../../../src/model/snapshot.ts';
import { isUnproven } from '../../../src/health/verdict.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

const endpoint = makeEndpoint('10.0.0.1', 6443);
const options = {
  intervalMs: 2_000,
  standbyIntervalMs: 60_000,
  fastIntervalMs: 500,
  timeoutMs: 1_000,
  reconnectMs: 7_200_000,
  rise: 2,
  startupGraceMs: 0,
};
const good: CheckResult = { kind: 'answered', isExpected: true, status: 200 };
const expired: CheckResult = { kind: 'broken', layer: 6, fault: 'time', text: 'certificate has expired' };

/** One endpoint in use; a fresh connection gets `fresh`, the kept one `kept`: a good answer at first. */
function world(random = () => 0.5) {
  const clock = new FakeClock();
  const handshakes: { atMs: number; serverName?: string }[] = [];
  let checks = 0;
  let fresh = (_serverName?: string): CheckResult => good;
  let kept = good;
  let look = (): void => {};
  let notAfterMs = clock.wallMs() + 1e9;
  const certificate = (): ServingCertificate => ({
    fingerprint: String(notAfterMs),
    notBeforeMs: 0,
    notAfterMs,
    covers: () => true,
  });
  const connect = (serverName?: string): MonitoredConnection => {
    handshakes.push({ atMs: clock.nowMs(), ...(serverName !== undefined && { serverName }) });
    let isUsed = false;
    let isClosed = false;
    return {
      get isKept() {
        return isUsed && !isClosed;
      },
      connectMs: 1,
      certificate: certificate(),
      onLost: undefined,
      run(done) {
        checks += 1;
        const result = isUsed ? kept : fresh(serverName);
        isUsed = result.kind === 'answered';
        queueMicrotask(() => {
          if (!isClosed) done(result);
        });
        return {
          phase: 'requesting',
          abort: () => {
            isClosed = true;
          },
        };
      },
      close: () => {
        isClosed = true;
      },
    };
  };
  const told: string[] = [];
  const health = new Health({
    clock,
    random,
    log: { info: () => {}, warn: () => {} },
    options,
    traffic: { traffic: () => ({ activeTunnels: 1, totalTunnels: 1, bytesUp: 0, bytesDown: 0 }) },
    isPreferred: () => true,
    connect: (_, serverName) => connect(serverName),
    observer: {
      onChange: () => look(),
      onProbe: () => {},
      onCertificate: () => {
        told.push('certificate');
        look();
      },
      onStaleCredentials: () => void told.push('stale credentials'),
    },
  });
  health.watch([endpoint]);
  return {
    clock,
    health,
    handshakes,
    told,
    checks: () => checks,
    answer: (next: typeof fresh) => {
      fresh = next;
    },
    answerOnKept: (next: CheckResult) => {
      kept = next;
    },
    /** Called whenever the observer is told of a change, as an agent looks at all there is to know. */
    onEachLook: (next: () => void) => {
      look = next;
    },
    expiresIn: (ms: number) => {
      notAfterMs = clock.wallMs() + ms;
    },
    shown: () => {
      const state = health.state(endpoint.id);
      return state && `${state.verdict} ${formatReason(state.reason)}`;
    },
  };
}

test('a strong sign is proved at once, and a bad proof is the verdict', async () => {
  const { clock, health, handshakes, answer, shown } = world();
  await clock.advance(10_000);
  answer(() => expired);
  await clock.advance(10_000);
  expect(shown()).toBe('ready L7OK/200');
  health.clientTls(endpoint.id, 'refused');
  await clock.advance(0);
  expect(shown()).toBe('unready L6RSP certificate has expired');
  expect(handshakes).toHaveLength(2);
  health.stop();
});

test('a bad certificate is bad until a full handshake says otherwise', async () => {
  const { clock, health, answer, shown } = world();
  await clock.advance(1_000);
  answer(() => expired);
  health.clientTls(endpoint.id, 'refused');
  await clock.advance(120_000);
  expect(shown()).toBe('unready L6RSP certificate has expired');
  answer(() => good);
  await clock.advance(20_000);
  expect(shown()).toBe('ready L7OK/200');
  health.stop();
});

test('what is bad for the name of a client alone is followed by the usual handshake, which decides', async () => {
  const { clock, health, handshakes, answer, shown } = world();
  await clock.advance(1_000);
  answer((serverName) => (serverName === undefined ? good : expired));
  health.clientTls(endpoint.id, 'refused', 'api.example');
  await clock.advance(0);
  expect(shown()).toBe('ready L7OK/200');
  expect(handshakes.map(({ serverName }) => serverName)).toEqual([undefined, 'api.example', undefined]);
  health.stop();
});

test('a certificate that expires is told at that moment, and proved within ten seconds', async () => {
  const { clock, health, handshakes, told, expiresIn, answer, shown } = world();
  expiresIn(60_000);
  health.reopen();
  await clock.advance(59_000);
  told.length = 0;
  const before = handshakes.length;
  answer(() => expired);
  await clock.advance(1_500);
  expect(told).toEqual(['certificate']);
  expect(shown()).toBe('ready L7OK/200');
  await clock.advance(10_000);
  expect(handshakes.length).toBeGreaterThan(before);
  expect(shown()).toBe('unready L6RSP certificate has expired');
  health.stop();
});

test('a client that goes on refusing a good certificate costs ever fewer handshakes', async () => {
  const { clock, health, handshakes } = world();
  for (let second = 0; second < 1_000; second += 1) {
    health.clientTls(endpoint.id, 'refused', second % 2 === 0 ? undefined : 'api.example');
    await clock.advance(1_000);
  }
  expect(handshakes.length).toBeLessThanOrEqual(1 + 11);
  health.stop();
});

test('only a full handshake proves: answers on the kept connection do not', async () => {
  const { clock, health } = world();
  await clock.advance(100);
  const provedMs = health.state(endpoint.id)?.provedMs;
  await clock.advance(60_000);
  expect(health.state(endpoint.id)).toMatchObject({ verdict: 'ready', provedMs });
  health.prove(endpoint.id, { cause: 'move' });
  await clock.advance(0);
  expect(health.state(endpoint.id)?.provedMs).toBe(clock.nowMs());
  health.stop();
});

test('an endpoint that comes back costs one handshake, however often its proof is asked for', async () => {
  const { clock, health, handshakes, answerOnKept, onEachLook, shown } = world();
  onEachLook(() => {
    const state = health.state(endpoint.id);
    if (state?.verdict === 'ready' && isUnproven(state)) health.prove(endpoint.id, { cause: 'return' });
  });
  await clock.advance(10_000);
  answerOnKept({ kind: 'answered', isExpected: false, status: 500 });
  await clock.advance(10_000);
  expect(shown()).toMatch(/^unready/);
  const before = handshakes.length;
  answerOnKept(good);
  await clock.advance(60_000);
  expect(shown()).toMatch(/^ready/);
  expect(handshakes.length).toBe(before + 1);
});

test('a full handshake is told once its result is in', async () => {
  const { clock, health, told, onEachLook } = world();
  const provedMs: (number | undefined)[] = [];
  onEachLook(() => void provedMs.push(health.state(endpoint.id)?.provedMs));
  await clock.advance(10_000);
  expect(told).toEqual(['certificate']);
  expect(provedMs).not.toContain(undefined);
  health.prove(endpoint.id, { cause: 'move' });
  await clock.advance(0);
  expect(told).toEqual(['certificate', 'certificate']);
});

test('a new token opens no connection', async () => {
  const { clock, health, handshakes } = world();
  await clock.advance(10_000);
  health.renewed();
  await clock.advance(10_000);
  expect(handshakes).toHaveLength(1);
  health.reopen();
  await clock.advance(0);
  expect(handshakes).toHaveLength(2);
  health.stop();
});

test('at rest there is one handshake in two hours, more or less', async () => {
  const { clock, health, handshakes } = world();
  await clock.advance(20 * 7_200_000);
  expect(handshakes.length).toBeGreaterThanOrEqual(20);
  expect(handshakes.length).toBeLessThanOrEqual(21);
  health.stop();
}, 60_000);

test('stopped, it holds no timer', async () => {
  const { clock, health } = world();
  await clock.advance(1_000);
  health.clientTls(endpoint.id, 'refused');
  health.clientTls(endpoint.id, 'refused');
  health.stop();
  expect(clock.pendingTimers).toBe(0);
});

const sign = fc.record({
  waitMs: fc.integer({ min: 0, max: 3_000 }),
  outcome: fc.constantFrom<ClientTlsOutcome>('accepted', 'refused', 'refused', 'doubtful'),
  serverName: fc.constantFrom(undefined, 'a.example', 'b.example', 'not a name', '10.0.0.1'),
});

test('whatever clients send, an endpoint that is well sees few handshakes, and fewer and fewer', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(sign, { maxLength: 200 }), fc.boolean(), async (signs, isNameBad) => {
      const { clock, health, handshakes, answer, shown } = world();
      answer((serverName) => (isNameBad && serverName !== undefined ? expired : good));
      await clock.advance(0);
      const startedMs = clock.nowMs();
      for (const { waitMs, outcome, serverName } of signs) {
        health.clientTls(endpoint.id, outcome, serverName);
        expect(shown()).toBe('ready L7OK/200');
        await clock.advance(waitMs);
      }
      const seconds = (clock.nowMs() - startedMs) / 1_000;
      // 0, 5, 15, 35, 75, 155, 315 s: by doubling; each of at most two handshakes.
      const proofs = 1 + Math.ceil(Math.log2(1 + seconds / 5));
      expect(handshakes.length - 1).toBeLessThanOrEqual(2 * proofs);
      health.stop();
    }),
    { numRuns: 40 },
  );
}, 120_000);

test('an authority that is not known has the CA read again, once for each such trouble', async () => {
  const { clock, health, answer, told, shown } = world();
  const asked = () => told.filter((word) => word === 'stale credentials').length;
  const foreign: CheckResult = { kind: 'broken', layer: 6, fault: 'authority', text: 'unknown authority' };
  await clock.advance(1_000);
  answer(() => foreign);
  health.reopen();
  await clock.advance(60_000);
  expect(shown()).toBe('unready L6RSP unknown authority');
  expect(asked()).toBe(1);
  answer(() => good);
  await clock.advance(60_000);
  expect(shown()).toBe('ready L7OK/200');
  answer(() => foreign);
  health.reopen();
  await clock.advance(60_000);
  expect(asked()).toBe(2);
  answer(() => expired);
  health.reopen();
  await clock.advance(60_000);
  expect(asked()).toBe(2);
});
