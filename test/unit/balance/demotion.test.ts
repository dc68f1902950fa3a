import * as fc from 'fast-check';
import { type CertificateStanding, demotionsOf } from '../../../src/balance/demotion.ts';

/** An endpoint whose certificate is valid for these names. */
function standing(
  id: string,
  names: readonly string[],
  extra: Partial<CertificateStanding> = {},
): CertificateStanding {
  return {
    id,
    isReady: true,
    isOutOfTime: false,
    isUnproven: false,
    covers: (name) => names.includes(name),
    ...extra,
  };
}
const certain = (name: string) => ({ name, isCertain: true });
const sent = (name: string) => ({ name, isCertain: false });
const demoted = (...args: Parameters<typeof demotionsOf>) =>
  Object.fromEntries([...demotionsOf(...args).byEndpoint].map(([id, { text }]) => [id, text]));

test('without endpoints there is nothing to say', () => {
  expect(demotionsOf([], [certain('a')])).toEqual({ byEndpoint: new Map(), missingEverywhere: [] });
});

test('an endpoint that lacks a name which another one has is used last', () => {
  expect(demoted([standing('1', ['a']), standing('2', []), standing('3', ['a'])], [certain('a')])).toEqual({
    2: 'certificate is not valid for a',
  });
});

test('where all lack a name nothing changes, and the name is reported', () => {
  const both = [standing('1', []), standing('2', [])];
  expect(demotionsOf(both, [certain('a')])).toEqual({ byEndpoint: new Map(), missingEverywhere: ['a'] });
});

test('what is not known of a certificate is not held against it', () => {
  const unknown = standing('2', [], { covers: () => undefined });
  expect(demotionsOf([standing('1', ['a']), unknown], [certain('a')]).byEndpoint.size).toBe(0);
  expect(demotionsOf([standing('1', []), unknown], [certain('a')]).missingEverywhere).toEqual([]);
});

test('an endpoint that is not ready is not the better one', () => {
  const dead = standing('1', ['a'], { isReady: false });
  expect(demotionsOf([dead, standing('2', [])], [certain('a')])).toEqual({
    byEndpoint: new Map(),
    missingEverywhere: ['a'],
  });
});

test('a name that a client has only sent does not make one host the favourite', () => {
  const hosts = [standing('1', ['cp-1']), standing('2', ['cp-2']), standing('3', ['cp-3'])];
  expect(demoted(hosts, [sent('cp-1')])).toEqual({});
  expect(demoted(hosts, [sent('nonsense')])).toEqual({});
  expect(demotionsOf(hosts, [sent('nonsense')]).missingEverywhere).toEqual([]);
});

test('a name that clients send, and that most certificates have, counts', () => {
  const hosts = [standing('1', ['api']), standing('2', ['api']), standing('3', [])];
  expect(demoted(hosts, [sent('api')])).toEqual({ 3: 'certificate is not valid for api' });
});

test('the expired one is used last, and where all are expired nothing changes', () => {
  const expired = { isOutOfTime: true };
  expect(demoted([standing('1', []), standing('2', [], expired)], [])).toEqual({
    2: 'certificate has expired by the clock of this node',
  });
  expect(demoted([standing('1', [], expired), standing('2', [], expired)], [])).toEqual({});
});

test('one that came back on the kept connection waits behind proved ones for its proof', () => {
  const unproven = { isUnproven: true };
  expect(demoted([standing('1', []), standing('2', [], unproven)], [])).toEqual({
    2: 'no full handshake since it came back',
  });
  expect(demoted([standing('1', [], unproven), standing('2', [], unproven)], [])).toEqual({});
});

test('a list of names is cut', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  expect(demoted([standing('1', names), standing('2', [])], names.map(certain))).toEqual({
    2: 'certificate is not valid for a, b, c and 2 more',
  });
});

test('for each reason at least one ready endpoint is free of it', () => {
  const anyStanding = fc.record({
    isReady: fc.boolean(),
    isOutOfTime: fc.boolean(),
    isUnproven: fc.boolean(),
    has: fc.subarray(['a', 'b', 'c']),
  });
  void fc.assert(
    fc.property(
      fc.array(anyStanding, { maxLength: 6 }),
      fc.subarray([certain('a'), sent('b'), sent('c')]),
      (drawn, names) => {
        const standings = drawn.map(({ has, ...rest }, index) => standing(String(index), has, rest));
        const { byEndpoint } = demotionsOf(standings, names);
        const ready = standings.filter(({ isReady }) => isReady);
        for (const id of byEndpoint.keys()) expect(ready.map((one) => one.id)).toContain(id);
        for (const { rank, text } of byEndpoint.values()) {
          const free = ready.filter(
            (one) =>
              (rank !== 1 || !one.isUnproven) &&
              (rank !== 3 || !one.isOutOfTime) &&
              (rank !== 2 || names.some(({ name }) => text.includes(name) && one.covers(name))),
          );
          expect(free.length).toBeGreaterThan(0);
        }
      },
    ),
  );
});
