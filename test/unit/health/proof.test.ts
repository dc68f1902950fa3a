import * as fc from 'fast-check';
import { maxProofSpacingMs, proofSpacingMs, type ProofRequest } from '../../../src/health/proof.ts';
import { Prover } from '../../../src/health/prover.ts';
import type { ClientTlsOutcome } from '../../../src/model/outcome.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

/** A prover whose proofs end at once, as `isGood` says. */
function world() {
  const clock = new FakeClock();
  const proofs: { atMs: number; request: ProofRequest }[] = [];
  const found = { isGood: true, isNew: false };
  const prover = new Prover({
    clock,
    random: () => 0.5,
    prove: (request) => {
      proofs.push({ atMs: clock.nowMs(), request });
      queueMicrotask(() => prover.ended({ ...found }));
    },
  });
  return { clock, prover, proofs, found };
}

test('one strong sign leads to a proof at once, with the name that the client sent', () => {
  const { clock, prover, proofs } = world();
  prover.clientTls('refused', 'api.example');
  expect(proofs).toEqual([{ atMs: clock.nowMs(), request: { cause: 'sign', serverName: 'api.example' } }]);
});

test('one weak sign leads to nothing, a second one within ten seconds to a proof', async () => {
  const { clock, prover, proofs } = world();
  prover.clientTls('doubtful');
  await clock.advance(9_000);
  expect(proofs).toHaveLength(0);
  prover.clientTls('doubtful');
  expect(proofs).toEqual([{ atMs: clock.nowMs(), request: { cause: 'sign' } }]);
});

test('two weak signs more than ten seconds apart lead to nothing', async () => {
  const { clock, prover, proofs } = world();
  for (let sign = 0; sign < 5; sign += 1) {
    prover.clientTls('doubtful');
    await clock.advance(10_001);
  }
  expect(proofs).toHaveLength(0);
});

test('a client that accepts the certificate between two weak signs takes the first one away', async () => {
  const { clock, prover, proofs } = world();
  for (let sign = 0; sign < 5; sign += 1) {
    prover.clientTls('doubtful');
    await clock.advance(500);
    prover.clientTls('accepted');
    await clock.advance(500);
  }
  expect(proofs).toHaveLength(0);
});

test('a sign soon after a proof waits for the next one, and is not forgotten', async () => {
  const { clock, prover, proofs } = world();
  prover.clientTls('refused');
  await clock.advance(1_000);
  prover.clientTls('refused', 'api.example');
  expect(proofs).toHaveLength(1);
  await clock.advance(proofSpacingMs);
  expect(proofs.map(({ request }) => request.serverName)).toEqual([undefined, 'api.example']);
});

test('the proofs of a client that refuses a good certificate come later and later', async () => {
  const { clock, prover, proofs } = world();
  const startedMs = clock.nowMs();
  for (let second = 0; second < 1_000; second += 1) {
    prover.clientTls('refused');
    await clock.advance(1_000);
  }
  const seconds = proofs.map(({ atMs }) => Math.round((atMs - startedMs) / 1_000));
  expect(seconds).toEqual([0, 5, 15, 35, 75, 155, 315, 475, 635, 795, 955]);
});

test('after as long a rest the first sign leads to a proof at once, and the back-off begins anew', async () => {
  const { clock, prover, proofs } = world();
  for (let second = 0; second < 400; second += 1) {
    prover.clientTls('refused');
    await clock.advance(1_000);
  }
  await clock.advance(3 * maxProofSpacingMs);
  proofs.length = 0;
  prover.clientTls('refused');
  expect(proofs).toHaveLength(1);
  await clock.advance(1_000);
  prover.clientTls('refused');
  await clock.advance(proofSpacingMs);
  expect(proofs).toHaveLength(2);
});

test.each([
  ['a bad proof', { isGood: false, isNew: false }],
  ['another certificate', { isGood: true, isNew: true }],
])('%s ends the back-off', async (_, result) => {
  const { clock, prover, proofs } = world();
  for (let second = 0; second < 200; second += 1) {
    prover.clientTls('refused');
    await clock.advance(1_000);
  }
  prover.ended(result);
  await clock.advance(maxProofSpacingMs);
  proofs.length = 0;
  prover.clientTls('refused');
  await clock.advance(1_000);
  prover.clientTls('refused');
  await clock.advance(proofSpacingMs);
  expect(proofs).toHaveLength(2);
});

test('a bad proof takes away what was wanted: every check is a proof from then on', async () => {
  const { clock, prover, proofs, found } = world();
  prover.clientTls('refused');
  await clock.advance(100);
  prover.clientTls('refused');
  found.isGood = false;
  prover.ended(found);
  await clock.advance(60_000);
  expect(proofs).toHaveLength(1);
});

test('what can wait does not take the place of a sign', async () => {
  const { clock, prover, proofs } = world();
  prover.want({ cause: 'move' });
  prover.clientTls('refused', 'api.example');
  prover.want({ cause: 'move' });
  await clock.advance(proofSpacingMs);
  expect(proofs.map(({ request }) => request.cause)).toEqual(['move', 'sign']);
});

test('what moves tunnels does not wait for the back-off of a misconfigured client', async () => {
  const { clock, prover, proofs } = world();
  for (let second = 0; second < 200; second += 1) {
    prover.clientTls('refused');
    await clock.advance(1_000);
  }
  proofs.length = 0;
  prover.want({ cause: 'move' });
  expect(proofs.map(({ request }) => request.cause)).toEqual(['move']);
});

test('a full handshake that is under way is what moves ask for, too', async () => {
  const { clock, prover, proofs } = world();
  prover.want({ cause: 'move' });
  prover.want({ cause: 'move' });
  await clock.advance(60_000);
  expect(proofs).toHaveLength(1);
});

test('nothing is proved after stop, and no timer is left', async () => {
  const { clock, prover, proofs } = world();
  prover.clientTls('refused');
  prover.clientTls('refused');
  prover.stop();
  prover.clientTls('refused');
  await clock.advance(60_000);
  expect(proofs).toHaveLength(1);
  expect(clock.pendingTimers).toBe(0);
});

const happening = fc.record({
  waitMs: fc.integer({ min: 0, max: 4_000 }),
  what: fc.constantFrom<ClientTlsOutcome | 'move' | 'bad' | 'new'>(
    'accepted',
    'refused',
    'refused',
    'doubtful',
    'move',
    'bad',
    'new',
  ),
});

test('whatever comes in, two proofs of an endpoint are five seconds apart at least', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 60 }), async (happenings) => {
      const { clock, prover, proofs } = world();
      for (const { waitMs, what } of happenings) {
        await clock.advance(waitMs);
        if (what === 'move') prover.want({ cause: 'move' });
        else if (what === 'bad' || what === 'new')
          prover.ended({ isGood: what === 'new', isNew: what === 'new' });
        else prover.clientTls(what);
        expect(clock.pendingTimers).toBeLessThanOrEqual(1);
      }
      await clock.advance(maxProofSpacingMs);
      const gaps = proofs.slice(1).map(({ atMs }, index) => atMs - (proofs[index]?.atMs ?? 0));
      for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(proofSpacingMs);
    }),
  );
});
