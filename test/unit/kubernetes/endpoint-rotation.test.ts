import fc from 'fast-check';
import { backoffMs } from '../../../src/lib/backoff.ts';
import { EndpointRotation } from '../../../src/kubernetes/endpoint-rotation.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';

const backoff = { firstMs: 500, capMs: 30_000 };
const a = makeEndpoint('10.0.0.1', 6443);
const b = makeEndpoint('10.0.0.2', 6443);

test('the wait doubles, is jittered by half, and never passes its cap', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (n, chance) => {
        const delayMs = backoffMs(n, () => chance, backoff);
        const fullMs = Math.min(30_000, 500 * 2 ** Math.min(n - 1, 20));
        expect(delayMs).toBeGreaterThanOrEqual(fullMs / 2);
        expect(delayMs).toBeLessThanOrEqual(fullMs);
      },
    ),
  );
});

test('a round tries every endpoint once, in the order of the moment', () => {
  const rounds = new EndpointRotation(() => 0.5, backoff);
  expect(rounds.next([a, b])).toBe(a);
  rounds.skip(a.id);
  expect(rounds.next([a, b])).toBe(b);
  rounds.skip(b.id);
  expect(rounds.next([a, b])).toBeUndefined();
  expect(rounds.end()).toBe(375);
  expect(rounds.next([b, a])).toBe(b);
});

test('waits grow from round to round until something goes well', () => {
  const rounds = new EndpointRotation(() => 0.5, backoff);
  expect([rounds.end(), rounds.end(), rounds.end()]).toEqual([375, 750, 1500]);
  rounds.reset();
  expect(rounds.end()).toBe(375);
});

test('a wait that all endpoints ask for is kept, one that only some ask for is not', () => {
  const rounds = new EndpointRotation(() => 0, backoff);
  rounds.skip(a.id, 60_000);
  rounds.skip(b.id, 5_000);
  expect(rounds.end()).toBe(5_000);
  rounds.skip(a.id, 60_000);
  rounds.skip(b.id);
  expect(rounds.end()).toBe(500);
});
