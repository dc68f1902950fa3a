import fc from 'fast-check';
import {
  maxEndpoints,
  maxHeldEndpoints,
  maxSlices,
  parseSlice,
  SliceSet,
} from '../../../src/discovery/endpointslices.ts';

const ready = (ip: string, extra = {}) => ({ addresses: [ip], conditions: { ready: true }, ...extra });
const https = { name: 'https', port: 6443, protocol: 'TCP' };
/** The slice as a real control plane writes it. */
const slice = (over: Record<string, unknown> = {}, name = 'kubernetes') => ({
  metadata: { name, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
  addressType: 'IPv4',
  endpoints: [ready('10.0.0.1'), ready('10.0.0.2')],
  ports: [https],
  ...over,
});
function read(...objects: unknown[]) {
  const set = new SliceSet();
  set.replace(objects);
  const { endpoints, problems } = set.read();
  return { ids: endpoints.map((e) => e.id), endpoints, problems };
}

test('the slice of a real control plane gives its endpoints', () => {
  expect(read(slice())).toMatchObject({ ids: ['10.0.0.1:6443', '10.0.0.2:6443'], problems: [] });
});

test('all slices are merged: dual-stack, custom ports, duplicates once', () => {
  const six = slice({ addressType: 'IPv6', endpoints: [ready('fd00:0::1')] }, 'six');
  const custom = slice({ ports: [{ ...https, port: 7443 }], endpoints: [ready('10.0.0.1')] }, 'custom');
  expect(read(slice(), six, custom, slice({}, 'again')).ids).toEqual([
    '10.0.0.1:6443',
    '10.0.0.2:6443',
    '[fd00::1]:6443',
    '10.0.0.1:7443',
  ]);
});

test.each([
  ['the one named https', [{ name: 'metrics', port: 1 }, https], 6443],
  ['the only one, without a name', [{ port: 8443 }], 8443],
  ['the only one, with an empty name', [{ name: '', port: 8443, protocol: 'TCP' }], 8443],
  ['the only TCP one without a name', [{ port: 1, protocol: 'UDP' }, { port: 8443 }], 8443],
])('of the ports %s is used', (_, ports, port) => {
  expect(read(slice({ ports })).ids[0]).toBe(`10.0.0.1:${port}`);
});

test.each([
  [
    'several without the name https',
    [
      { name: 'a', port: 1 },
      { name: 'b', port: 2 },
    ],
  ],
  ['an only one of another name', [{ name: 'grpc', port: 1 }]],
  ['no number', [{ name: 'https', port: '6443' }]],
  ['null, which means all ports', [{ name: 'https', port: null }]],
  ['0', [{ name: 'https', port: 0 }]],
  ['no list', { 0: https }],
])('ports with %s give nothing and a problem that names the place', (_, ports) => {
  const { ids, problems } = read(slice({ ports }));
  expect(ids).toEqual([]);
  expect(problems.join()).toMatch(/slice "kubernetes": ports/);
});

describe('conditions', () => {
  const conditions = (...list: unknown[]) =>
    read(slice({ endpoints: list.map((c, i) => ({ addresses: [`10.0.0.${i + 1}`], conditions: c })) })).ids;

  test('an endpoint that is not ready is left out', () => {
    expect(conditions({ ready: false }, { ready: true })).toEqual(['10.0.0.2:6443']);
  });
  test('missing conditions count as ready', () => {
    expect(conditions(undefined, null, {}, { ready: null })).toHaveLength(4);
  });
  test('when nothing is ready, what still serves is used', () => {
    expect(conditions({ ready: false, serving: true, terminating: true }, { ready: false })).toEqual([
      '10.0.0.1:6443',
    ]);
  });
  test('when nothing is ready and nothing serves, everything is used', () => {
    expect(conditions({ ready: false }, { ready: false, serving: false })).toHaveLength(2);
  });
  test('readiness is judged over all slices together', () => {
    expect(
      read(slice({ endpoints: [{ addresses: ['10.0.0.9'], conditions: { ready: false } }] }), slice({}, 'b'))
        .ids,
    ).toEqual(['10.0.0.1:6443', '10.0.0.2:6443']);
  });
});

test('the zone comes along', () => {
  expect(read(slice({ endpoints: [ready('10.0.0.1', { zone: 'a' })] })).endpoints[0]?.zone).toBe('a');
});

test('what the last API server leaves is an empty slice without a problem', () => {
  expect(read(slice({ endpoints: null, ports: null }))).toMatchObject({ ids: [], problems: [] });
});

test.each([
  ['an FQDN slice', { addressType: 'FQDN', endpoints: [{ addresses: ['cp.example'] }] }, 'addressType FQDN'],
  ['another address type', { addressType: 'DNS' }, 'addressType is "DNS"'],
  [
    'an IPv6 address in an IPv4 slice',
    { endpoints: [ready('fd00::1')] },
    'endpoints[0].addresses[0] is "fd00::1"',
  ],
  ['the unspecified address', { endpoints: [ready('0.0.0.0')] }, 'unspecified'],
  ['a scoped address', { addressType: 'IPv6', endpoints: [ready('fe80::1%eth0')] }, 'fe80::1%eth0'],
  ['no address', { endpoints: [{ addresses: [] }] }, 'endpoints[0].addresses is a list of 0'],
  ['endpoints of another kind', { endpoints: 'all' }, 'endpoints is "all", not a list'],
  ['an entry of another kind', { endpoints: [7] }, 'endpoints[0] is 7'],
])('%s gives no endpoint and a problem that names the place', (_, over, problem) => {
  const { ids, problems } = read(slice(over));
  expect(ids).toEqual([]);
  expect(problems.join('\n')).toContain(problem);
});

test.each([
  ['127.0.0.1', 'a loopback address'],
  ['127.1.2.3', 'a loopback address'],
  ['0.0.0.0', 'an unspecified address'],
  ['0.1.2.3', 'an unspecified address'],
  ['169.254.169.254', 'a link-local address'],
  ['224.0.0.1', 'a multicast address'],
  ['239.255.255.255', 'a multicast address'],
  ['255.255.255.255', 'a broadcast address'],
  ['::1', 'a loopback address'],
  ['0:0:0:0:0:0:0:1', 'a loopback address'],
  ['::', 'an unspecified address'],
  ['fe80::1', 'a link-local address'],
  ['febf::1', 'a link-local address'],
  ['ff02::1', 'a multicast address'],
  ['::ffff:127.0.0.1', 'a loopback address'],
  ['::ffff:169.254.169.254', 'a link-local address'],
])('%s is left out as %s, and the others stay', (address, kind) => {
  const addressType = address.includes(':') ? 'IPv6' : 'IPv4';
  const good = addressType === 'IPv4' ? '10.0.0.9' : 'fd00::9';
  const { ids, problems } = read(slice({ addressType, endpoints: [ready(address), ready(good)] }));
  expect(ids).toEqual([addressType === 'IPv4' ? '10.0.0.9:6443' : '[fd00::9]:6443']);
  expect(problems.join()).toContain(`endpoints[0].addresses[0] is "${address}", ${kind}`);
});

test('a slice with nothing else does not take away the good one', () => {
  const set = new SliceSet();
  set.replace([slice()]);
  set.apply('MODIFIED', slice({ endpoints: [ready('127.0.0.1')] }));
  expect(set.read().endpoints.map(({ id }) => id)).toEqual(['10.0.0.1:6443', '10.0.0.2:6443']);
});

test('an API server on the loopback may list others on the loopback, and no other special address', () => {
  const set = new SliceSet();
  set.replace([slice({ endpoints: [ready('127.0.0.1'), ready('169.254.0.1')] })], { mayBeLoopback: true });
  expect(set.read().endpoints.map(({ id }) => id)).toEqual(['127.0.0.1:6443']);
});

test('one bad entry costs only itself', () => {
  const { ids, problems } = read(slice({ endpoints: [ready('nonsense'), null, ready('10.0.0.2')] }));
  expect(ids).toEqual(['10.0.0.2:6443']);
  expect(problems).toHaveLength(2);
});

test('a huge slice is bounded, and says so', () => {
  const endpoints = Array.from({ length: 2000 }, (_, i) => ready(`10.1.${i >> 8}.${i & 255}`));
  const { ids, problems } = read(slice({ endpoints }));
  expect(ids).toHaveLength(maxEndpoints);
  expect(problems.join()).toContain('more than');
});

describe('the set of slices is bounded', () => {
  const bounds = `more than ${maxSlices} slices or ${maxHeldEndpoints} endpoints`;
  const one = (index: number) => slice({ endpoints: [ready(`10.2.0.${index}`)] }, `slice-${index}`);
  const many = (size: number, name: string, net: number) =>
    slice({ endpoints: Array.from({ length: size }, (_, i) => ready(`10.${net}.0.${i}`)) }, name);
  const full = () => {
    const set = new SliceSet();
    for (let index = 0; index < maxSlices; index += 1) set.apply('ADDED', one(index));
    return set;
  };

  test('in their number, from a list and from a watch; the problem names what is left out', () => {
    const listed = new SliceSet();
    listed.replace(Array.from({ length: maxSlices + 1 }, (_, index) => one(index)));
    const watched = full();
    watched.apply('ADDED', one(maxSlices));
    for (const set of [listed, watched]) {
      const { endpoints, problems } = set.read();
      expect(endpoints).toHaveLength(maxSlices);
      expect(problems).toEqual([
        expect.stringContaining(`slice "slice-${maxSlices}" is left out: ${bounds}`),
      ]);
    }
  });
  test('a known slice still changes, and a deletion makes room', () => {
    const set = full();
    set.apply('MODIFIED', slice({ endpoints: [ready('10.3.0.1')] }, 'slice-0'));
    expect(set.read().endpoints.map(({ host }) => host)).toContain('10.3.0.1');
    set.apply('ADDED', one(200));
    set.apply('DELETED', one(0));
    expect(set.read().problems).toHaveLength(1);
    set.apply('ADDED', one(200));
    expect(set.read()).toMatchObject({ problems: [] });
    expect(set.read().endpoints.map(({ host }) => host)).toContain('10.2.0.200');
  });
  test('one that was left out is forgotten when it is deleted, or with the next list', () => {
    const set = full();
    set.apply('ADDED', one(200));
    set.apply('DELETED', one(200));
    expect(set.read().problems).toEqual([]);
    set.apply('ADDED', one(200));
    set.replace([one(200)]);
    expect(set.read()).toMatchObject({ endpoints: [{ host: '10.2.0.200' }], problems: [] });
  });
  test('in their endpoints: the one that would be too many is left out, and its last version stays', () => {
    const set = new SliceSet();
    set.replace([1, 2, 3, 4].map((net) => many(maxEndpoints - 1, `s${net}`, net)));
    set.apply('ADDED', many(4, 'small', 5));
    expect(set.read().problems).toEqual([]);
    set.apply('MODIFIED', many(5, 'small', 5));
    expect(set.read().problems).toEqual([expect.stringContaining('slice "small" is left out')]);
    set.apply('MODIFIED', many(1, 'small', 5));
    expect(set.read().problems).toEqual([]);
  });
  test('however many are left out, only the first few are named', () => {
    const set = full();
    for (let index = 100; index < 200; index += 1) set.apply('ADDED', one(index));
    expect(set.read().problems).toHaveLength(4);
  });
});

describe('watch events', () => {
  const bookmark = { metadata: { resourceVersion: '7' }, addressType: '', endpoints: null, ports: null };
  const started = () => {
    const set = new SliceSet();
    set.replace([slice(), slice({ endpoints: [ready('10.0.0.3')] }, 'b')]);
    return set;
  };
  const ids = (set: SliceSet) => set.read().endpoints.map((e) => e.id);

  test('an object without a name, as a bookmark has, changes nothing', () => {
    const set = started();
    for (const type of ['ADDED', 'MODIFIED', 'DELETED'] as const) set.apply(type, bookmark);
    expect(ids(set)).toHaveLength(3);
  });
  test('one slice is deleted, the other stays', () => {
    const set = started();
    set.apply('DELETED', slice());
    expect(ids(set)).toEqual(['10.0.0.3:6443']);
  });
  test('a changed slice replaces its earlier version', () => {
    const set = started();
    set.apply('MODIFIED', slice({ endpoints: [ready('10.0.0.5')] }));
    expect(ids(set)).toEqual(['10.0.0.5:6443', '10.0.0.3:6443']);
  });
  test('a broken version of a slice does not take away what the good one said', () => {
    const set = started();
    set.apply('MODIFIED', slice({ endpoints: { not: 'a list' } }));
    expect(ids(set)).toHaveLength(3);
    expect(set.read().problems).toHaveLength(1);
    set.replace([slice({ ports: 'none' }), slice({ endpoints: [ready('10.0.0.3')] }, 'b')]);
    expect(ids(set)).toHaveLength(3);
  });
});

test('whatever the objects are, parsing never throws and gives only whole endpoints', () => {
  const anyAddress = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.anything());
  const anyEntry = fc.oneof(
    fc.anything(),
    fc.record({
      addresses: fc.oneof(fc.array(anyAddress), fc.anything()),
      conditions: fc.oneof(fc.record({ ready: fc.anything(), serving: fc.anything() }), fc.anything()),
      zone: fc.anything(),
    }),
  );
  const anyPort = fc.oneof(
    fc.anything(),
    fc.record({ name: fc.constantFrom('https', '', null, 'x'), port: fc.oneof(fc.integer(), fc.anything()) }),
  );
  const anySlice = fc.record({
    metadata: fc.oneof(fc.record({ name: fc.constantFrom('a', 'b') }), fc.anything()),
    addressType: fc.oneof(fc.constantFrom('IPv4', 'IPv6', 'FQDN', ''), fc.anything()),
    endpoints: fc.oneof(fc.array(anyEntry), fc.anything()),
    ports: fc.oneof(fc.array(anyPort), fc.constant([https]), fc.anything()),
  });
  const anyType = fc.constantFrom('ADDED' as const, 'MODIFIED' as const, 'DELETED' as const);
  fc.assert(
    fc.property(
      fc.array(fc.oneof(anySlice, fc.anything())),
      fc.array(fc.tuple(anyType, fc.oneof(anySlice, fc.anything()))),
      (list, events) => {
        const set = new SliceSet();
        set.replace(list);
        for (const [type, object] of events) set.apply(type, object);
        const { endpoints, problems } = set.read();
        for (const { host, port, id } of endpoints) {
          expect(host).not.toContain('%');
          expect(port).toBeGreaterThan(0);
          expect(port).toBeLessThan(65536);
          expect(id).toContain(host);
        }
        for (const problem of problems) expect(problem.length).toBeLessThan(600);
      },
    ),
    { numRuns: 500 },
  );
});

test('a bookmark is no slice', () => {
  expect(parseSlice({ metadata: { resourceVersion: '1' }, endpoints: null, ports: null })).toBeUndefined();
});
