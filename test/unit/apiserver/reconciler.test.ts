import { keyOf } from '../../support/apiserver/kinds.ts';
import { EndpointReconciler, makeSlice } from '../../support/apiserver/reconciler.ts';
import { Store } from '../../support/apiserver/store.ts';

const sliceKey = keyOf({ group: 'discovery.k8s.io', resource: 'endpointslices' }, 'default', 'kubernetes');

describe('EndpointSlice default/kubernetes', () => {
  test('has the form that kube-apiserver gives it', () => {
    expect(makeSlice(['10.0.0.1', '10.0.0.2'], 6443)).toEqual({
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      metadata: {
        name: 'kubernetes',
        namespace: 'default',
        uid: expect.any(String),
        generation: 1,
        creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        labels: { 'kubernetes.io/service-name': 'kubernetes' },
      },
      addressType: 'IPv4',
      endpoints: [
        { addresses: ['10.0.0.1'], conditions: { ready: true } },
        { addresses: ['10.0.0.2'], conditions: { ready: true } },
      ],
      ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
    });
  });

  test('IPv6 addresses make an IPv6 slice', () => {
    expect(makeSlice(['fd00::1'], 6443)?.addressType).toBe('IPv6');
  });

  test('without any server endpoints and ports are null, and the slice stays itself', () => {
    const value = makeSlice(['10.0.0.1'], 6443)!;
    const empty = makeSlice([], 6443, { key: sliceKey, value, revision: 1 });
    expect(empty).toMatchObject({ endpoints: null, ports: null, addressType: 'IPv4' });
    expect(empty?.metadata).toMatchObject({ uid: value.metadata.uid, generation: 2 });
  });

  test('is not written again when it is right', () => {
    const value = makeSlice(['10.0.0.1'], 6443)!;
    expect(makeSlice(['10.0.0.1'], 6443, { key: sliceKey, value, revision: 1 })).toBeUndefined();
  });
});

test('servers that register and leave at once end with the right slice', async () => {
  const store = new Store();
  const make = (address: string) =>
    new EndpointReconciler({ store, address, port: 6443, leaseMs: 15_000, intervalMs: 10_000 });
  const servers = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(make);
  await Promise.all(servers.map((server) => server.start()));
  const addresses = async () => {
    const slice = (await store.get(sliceKey))?.value as { endpoints?: { addresses: string[] }[] | null };
    return slice.endpoints?.flatMap((endpoint) => endpoint.addresses);
  };
  expect(await addresses()).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  await Promise.all([servers[0]?.remove(), servers[2]?.remove()]);
  expect(await addresses()).toEqual(['10.0.0.2']);
  await servers[1]?.remove();
  expect(await addresses()).toBeUndefined();
});
