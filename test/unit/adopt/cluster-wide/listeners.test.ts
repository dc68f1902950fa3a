import { judgeListeners, type SeenCluster } from '../../../../src/adopt/cluster-wide/listeners.ts';

const address = { host: '127.0.0.1', port: 6443 };

const controlPlane = { name: 'cp-1', isControlPlane: true, addresses: ['10.0.0.11'] };
const worker = { name: 'worker-1', isControlPlane: false, addresses: ['10.0.0.21'] };

function judged(seen: Partial<SeenCluster>, at = address) {
  return judgeListeners(at, {
    nodes: [controlPlane, worker],
    apiServers: [{ node: 'cp-1', port: 6443 }],
    endpoints: [{ host: '10.0.0.11', port: 6443 }],
    agents: new Set(['worker-1']),
    ...seen,
  });
}

const good = { missing: [], doubts: [] };

test.each(['0.0.0.0', '::', '127.0.0.1'])(
  'an API server on the same port, bound to %s, answers by itself',
  (bindAddress) => {
    expect(judged({ apiServers: [{ node: 'cp-1', port: 6443, bindAddress }] })).toEqual(good);
  },
);

test('an API server without --bind-address listens on all addresses', () => {
  expect(judged({})).toEqual(good);
});

test.each([
  [{ node: 'cp-1', port: 6443, bindAddress: '10.0.0.11' }, 'listens on 10.0.0.11 only'],
  [{ node: 'cp-1', port: 7443 }, 'listens on port 7443'],
])('an API server that does not answer there is named, unless an agent does: %j', (apiServer, why) => {
  const { missing } = judged({ apiServers: [apiServer] });
  expect(missing).toEqual([expect.stringMatching(`^cp-1: its API server ${why}`)]);
  expect(judged({ apiServers: [apiServer], agents: new Set(['cp-1', 'worker-1']) })).toEqual(good);
});

test('an API server that is no pod is known by its endpoint, and that is said', () => {
  const { missing, doubts } = judged({ apiServers: [] });
  expect([missing, doubts]).toEqual([
    [],
    [expect.stringContaining('cp-1: its API server does not run as a pod')],
  ]);
});

test.each([
  ['at another port', [{ host: '10.0.0.11', port: 7443 }]],
  ['of another node', [{ host: '10.0.0.12', port: 6443 }]],
  ['at all', []],
])('without a pod, and without an endpoint %s, nobody is known to listen', (_name, endpoints) => {
  expect(judged({ apiServers: [], endpoints }).missing).toEqual([
    'cp-1: no process is known to listen on 127.0.0.1:6443',
  ]);
});

test('the API server of another node is no help', () => {
  const nodes = [controlPlane, { ...controlPlane, name: 'cp-2', addresses: ['10.0.0.12'] }];
  expect(judged({ nodes }).missing).toEqual([expect.stringContaining('cp-2')]);
});

test('a worker without an agent is named, whatever the API servers do', () => {
  const nodes = [controlPlane, worker, { ...worker, name: 'worker-2', addresses: ['10.0.0.11'] }];
  expect(judged({ nodes }).missing).toEqual([expect.stringMatching(/^worker-2: its agent/)]);
});
