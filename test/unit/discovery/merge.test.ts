import fc from 'fast-check';
import {
  emptyState,
  endpointSet,
  isSameSet,
  maxFormerAddresses,
  merge,
} from '../../../src/discovery/merge.ts';
import type { Proposal } from '../../../src/discovery/source.ts';
import { type Endpoint, makeEndpoint, type SourceName } from '../../../src/model/endpoint.ts';
import type { EndpointSet } from '../../../src/model/snapshot.ts';

const endpoint = (last: number, extra = {}): Endpoint => makeEndpoint(`10.0.0.${last}`, 6443, extra);
const after = (...proposals: Proposal[]): EndpointSet =>
  endpointSet(proposals.reduce((state, proposal) => merge(state, proposal), emptyState));
const shown = (set: EndpointSet) => set.endpoints.map((e) => `${e.id} ${e.tier} ${e.sources.join('+')}`);

const say = (source: SourceName, ...lasts: number[]): Proposal => ({
  source,
  endpoints: lasts.map((last) => endpoint(last)),
});
const synced = (atMs: number, ...lasts: number[]): Proposal => ({
  ...say('watch', ...lasts),
  syncedAtMs: atMs,
});

const anySource = fc.constantFrom<SourceName>('static', 'cache', 'dns', 'kubeconfig');
const anyLasts = fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 5 });
const anySeed = fc.tuple(anySource, anyLasts).map(([source, lasts]) => say(source, ...lasts));
const anyWatch = fc
  .tuple(anyLasts, fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }))
  .map(([lasts, atMs]) => (atMs === undefined ? say('watch', ...lasts) : synced(atMs, ...lasts)));
const anyProposal = fc.oneof(anySeed, anyWatch);

describe('before the watch has synced', () => {
  test('every proposed endpoint is discovered, whoever proposes it', () => {
    expect(shown(after(say('static', 1, 2), say('cache', 2, 3), say('dns', 4)))).toEqual([
      '10.0.0.1:6443 discovered static',
      '10.0.0.2:6443 discovered static+cache',
      '10.0.0.3:6443 discovered cache',
      '10.0.0.4:6443 discovered dns',
    ]);
  });

  test('the order of the proposals does not matter', () => {
    const oneEach = fc
      .uniqueArray(anySeed, { selector: (proposal) => proposal.source })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    fc.assert(
      fc.property(oneEach, ([list, shuffled]) => {
        expect(after(...shuffled)).toEqual(after(...list));
      }),
    );
  });

  test('an address that a later DNS answer lacks stays', () => {
    expect(shown(after(say('dns', 1, 2), say('dns', 2, 3), say('dns')))).toHaveLength(3);
  });

  test('former DNS addresses are bounded, the oldest go first', () => {
    const answers = Array.from({ length: 40 }, (_, index) => say('dns', index + 1));
    const ids = after(...answers).endpoints.map((e) => e.id);
    expect(ids).toHaveLength(maxFormerAddresses + 1);
    expect(ids).toContain('10.0.0.40:6443');
    expect(ids).toContain('10.0.0.24:6443');
    expect(ids).not.toContain('10.0.0.23:6443');
  });

  test('an incomplete watch result adds and removes nothing', () => {
    expect(shown(after(say('watch', 1), say('watch', 2)))).toHaveLength(2);
  });
});

describe('once the watch has synced', () => {
  test('removal is taken from the watch', () => {
    expect(shown(after(synced(1, 1, 2, 3), synced(2, 2, 3)))).toEqual([
      '10.0.0.2:6443 discovered watch',
      '10.0.0.3:6443 discovered watch',
    ]);
  });

  test('seeds that the slices lack are a last tier, what only the cache knew goes', () => {
    const set = after(say('cache', 1, 2, 9), say('static', 2, 5), say('kubeconfig', 6), synced(7, 1, 2));
    expect(shown(set)).toEqual([
      '10.0.0.1:6443 discovered watch',
      '10.0.0.2:6443 discovered watch+static',
      '10.0.0.5:6443 seed static',
      '10.0.0.6:6443 seed kubeconfig',
    ]);
    expect(set.syncedAtMs).toBe(7);
  });

  test('only the current DNS answer counts', () => {
    expect(shown(after(say('dns', 1), say('dns', 2), synced(1, 3)))).toEqual([
      '10.0.0.2:6443 seed dns',
      '10.0.0.3:6443 discovered watch',
    ]);
  });

  test('an empty slice (the last API server went) keeps the last good set', () => {
    const set = after(synced(1, 1, 2), synced(2));
    expect(shown(set)).toEqual(['10.0.0.1:6443 discovered watch', '10.0.0.2:6443 discovered watch']);
    expect(set.syncedAtMs).toBe(2);
  });

  test('a first sync with nothing in it is no sync: seeds stay discovered', () => {
    const set = after(say('static', 1), say('cache', 2), synced(1));
    expect(shown(set)).toEqual(['10.0.0.1:6443 discovered static', '10.0.0.2:6443 discovered cache']);
    expect(set.syncedAtMs).toBeUndefined();
  });

  test('the zone of the slices and the name of the configuration meet in one endpoint', () => {
    const set = after(
      { source: 'dns', endpoints: [endpoint(1, { name: 'cp.example' })] },
      { source: 'watch', endpoints: [endpoint(1, { zone: 'a' })], syncedAtMs: 1 },
    );
    expect(set.endpoints[0]).toMatchObject({ name: 'cp.example', zone: 'a', tier: 'discovered' });
  });
});

test('nothing ever empties the set, and no proposal is lost without a word of the watch', () => {
  fc.assert(
    fc.property(fc.array(anyProposal, { maxLength: 20 }), (proposals) => {
      let state = emptyState;
      let isFilled = false;
      for (const proposal of proposals) {
        const before = endpointSet(state);
        state = merge(state, proposal);
        const now = endpointSet(state);
        if (isFilled) expect(now.endpoints.length).toBeGreaterThan(0);
        isFilled ||= now.endpoints.length > 0;
        // Only a complete watch result, or a new configured list, may take an endpoint out.
        const mayRemove = proposal.syncedAtMs !== undefined || !['dns', 'watch'].includes(proposal.source);
        if (!mayRemove && before.syncedAtMs === undefined) {
          const ids = new Set(now.endpoints.map((e) => e.id));
          for (const { id } of before.endpoints) expect(ids).toContain(id);
        }
        expect(new Set(now.endpoints.map((e) => e.id)).size).toBe(now.endpoints.length);
      }
    }),
  );
});

test('sets differ when a tier, a source or the sync differs, not when only the age does', () => {
  expect(isSameSet(after(synced(1, 1)), after(synced(2, 1)))).toBe(true);
  expect(isSameSet(after(say('static', 1)), after(say('cache', 1)))).toBe(false);
  expect(isSameSet(after(say('watch', 1)), after(synced(1, 1)))).toBe(false);
  expect(isSameSet(after(synced(1, 1)), after(synced(1, 1, 2)))).toBe(false);
});
