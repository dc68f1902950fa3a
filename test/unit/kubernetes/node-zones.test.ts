import fc from 'fast-check';
import { zoneOfNode, zonesOfNodes } from '../../../src/kubernetes/node-zones.ts';

const node = (zone: string | undefined, ...addresses: unknown[]) => ({
  metadata: { labels: { 'topology.kubernetes.io/zone': zone } },
  status: { addresses },
});

test('the addresses of each node are in its zone', () => {
  const list = {
    items: [
      node('a', { type: 'InternalIP', address: '10.0.0.1' }, { type: 'Hostname', address: 'cp-1' }),
      node('b', { type: 'InternalIP', address: 'FD00:0:0::5' }, { type: 'ExternalIP', address: '192.0.2.1' }),
      node(undefined, { type: 'InternalIP', address: '10.0.0.3' }),
      node('', { type: 'InternalIP', address: '10.0.0.4' }),
    ],
  };
  expect([...zonesOfNodes(list)]).toEqual([
    ['10.0.0.1', 'a'],
    ['fd00::5', 'b'],
    ['192.0.2.1', 'b'],
  ]);
});

test('whatever is sent in place of nodes is no zone, and never a throw', () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      expect(zoneOfNode(value)).toBeUndefined();
      expect(zonesOfNodes(value).size).toBe(0);
      expect(zonesOfNodes({ items: [value, { status: value, metadata: value }] }).size).toBe(0);
    }),
  );
});
