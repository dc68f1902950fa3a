import fc from 'fast-check';
import {
  type CacheContent,
  cacheVersion,
  decodeCache,
  encodeCache,
} from '../../../src/discovery/cache-format.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';

const text = fc.string({ minLength: 1, maxLength: 40 });
const anyEndpoint = fc
  .record(
    {
      host: fc.oneof(fc.ipV4(), fc.ipV6()),
      port: fc.integer({ min: 1, max: 65535 }),
      name: text,
      zone: text,
    },
    { requiredKeys: ['host', 'port'] },
  )
  .map(({ host, port, ...extra }) => makeEndpoint(host, port, extra));
const anyContent: fc.Arbitrary<CacheContent> = fc.record(
  {
    endpoints: fc.array(
      fc.record({ endpoint: anyEndpoint, origin: fc.constantFrom('watch', 'dns', 'kubeconfig') }),
      { maxLength: 20 },
    ),
    syncedAtMs: fc.integer({ min: 0, max: 4e12 }),
    lastPick: text,
  },
  { requiredKeys: ['endpoints'] },
);

test('what was written is read back', () => {
  fc.assert(
    fc.property(anyContent, (content) => {
      expect(decodeCache(encodeCache(content))).toEqual({ ok: true, value: content });
    }),
  );
});

test('a file that was cut off anywhere is refused, not half used', () => {
  const whole = encodeCache({
    endpoints: [{ endpoint: makeEndpoint('10.0.0.1', 6443), origin: 'watch' }],
    lastPick: '10.0.0.1:6443',
  });
  for (let length = 0; length < whole.trimEnd().length; length += 1) {
    expect(decodeCache(whole.slice(0, length)).ok).toBe(false);
  }
});

test('whatever the file holds, reading never throws and gives only whole endpoints', () => {
  const anyRoot = fc.record({
    version: fc.oneof(fc.constant(cacheVersion), fc.jsonValue()),
    syncedAt: fc.oneof(fc.constant('2026-01-01T00:00:00.000Z'), fc.jsonValue()),
    endpoints: fc.array(
      fc.record({
        host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.jsonValue()),
        port: fc.oneof(fc.integer(), fc.jsonValue()),
        origin: fc.oneof(fc.constant('watch'), fc.jsonValue()),
      }),
    ),
  });
  fc.assert(
    fc.property(
      fc.oneof(
        anyRoot.map((root) => JSON.stringify(root)),
        fc.json(),
        fc.string(),
      ),
      (file) => {
        const reading = decodeCache(file);
        if (!reading.ok) expect(reading.problem).not.toBe('');
        else for (const { endpoint } of reading.value.endpoints) expect(endpoint.id).toContain(endpoint.host);
      },
    ),
    { numRuns: 1000 },
  );
});

test.each([
  ['an older or newer format', { version: 2, endpoints: [] }, 'its version is 2'],
  ['no list', { version: 1, endpoints: {} }, 'endpoints is not a list'],
  [
    'a name for an address',
    { version: 1, endpoints: [{ host: 'cp', port: 1, origin: 'watch' }] },
    'endpoints[0]',
  ],
  ['port 0', { version: 1, endpoints: [{ host: '10.0.0.1', port: 0, origin: 'watch' }] }, 'endpoints[0]'],
  ['a time that is none', { version: 1, endpoints: [], syncedAt: 'soon' }, 'syncedAt'],
])('%s is refused, and said', (_, root, problem) => {
  expect(decodeCache(JSON.stringify(root))).toMatchObject({
    ok: false,
    problem: expect.stringContaining(problem),
  });
});

test('members that a later release has added are ignored', () => {
  const entry = { host: '10.0.0.1', port: 6443, origin: 'watch', weight: 3 };
  const reading = decodeCache(JSON.stringify({ version: 1, endpoints: [entry], more: { of: 'this' } }));
  expect(reading).toEqual({
    ok: true,
    value: { endpoints: [{ endpoint: makeEndpoint('10.0.0.1', 6443), origin: 'watch' }] },
  });
});
