// What the installer concludes from what agents say of themselves; the files are real, below a scratch root.
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ListenerConfig } from '../../../src/config/config.ts';
import type { AgentView } from '../../../src/installer/agent-view.ts';
import { NodeFiles } from '../../../src/installer/node-files.ts';
import { type Outcome, reconcile } from '../../../src/installer/reconcile.ts';
import { desiredState } from '../../support/children/install-child.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const scratch = tempDir();
const podDirectory = '/etc/kubernetes/manifests';
const agent: AgentView = {
  version: '',
  startedAtMs: Number.POSITIVE_INFINITY,
  isReady: true,
  isStopping: false,
  problems: [],
  waitingFor: [],
  hasUsableEndpoint: true,
  tunnels: 0,
  totalTunnels: 0,
  endpoints: [],
};

function makeNode(name: string) {
  const root = join(scratch, name);
  mkdirSync(join(root, podDirectory), { recursive: true });
  let nowMs = Date.now();
  return {
    root,
    pods: () => readdirSync(join(root, podDirectory)),
    run: (
      version: string,
      view: (port: number) => AgentView | undefined,
      replaceProxy = false,
      listeners?: readonly ListenerConfig[],
    ): Promise<Outcome> => {
      const next = desiredState(version, replaceProxy);
      return reconcile(listeners ? { ...next, config: { ...next.config, listeners } } : next, {
        files: new NodeFiles(root),
        view: async (port) => view(port),
        pause: async (ms) => {
          nowMs += ms;
        },
        nowMs: () => nowMs,
        log: { info() {}, warn() {} },
        serveWithinMs: 5_000,
        leaveWithinMs: 10_000,
      });
    },
  };
}

test('an agent that was started before the manifest was written is the one that is ending', async () => {
  const node = makeNode('old');
  const outcome = await node.run('1', () => ({ ...agent, startedAtMs: Date.now() - 60_000 }));
  expect(outcome).toMatchObject({
    state: 'failed',
    message: expect.stringContaining('kubelet has not started it'),
  });
});

test('an agent that is stopping does not serve, and the message says so', async () => {
  const node = makeNode('stopping');
  const outcome = await node.run('1', () => ({ ...agent, isReady: false, isStopping: true }));
  expect(outcome).toMatchObject({ state: 'failed', message: expect.stringContaining('it is stopping') });
});

const lacking = (code: string, isSinceStart = true): AgentView['problems'] => [
  { code, message: `${code} at its place`, fix: 'Do this.', isSinceStart },
];
const views = (node: {
  run(version: string, view: (port: number) => AgentView | undefined): Promise<Outcome>;
}) => {
  const ports = desiredState('1', false).adminPorts;
  return {
    first: () => node.run('1', (port) => (port === ports.a ? agent : undefined)),
    /** The update goes into slot b. */
    update: (before: AgentView | undefined, next: AgentView) =>
      node.run('2', (port) => (port === ports.b ? next : before)),
  };
};

test('an update that is ready, but has never had what its configuration asks for, is taken back and named', async () => {
  const node = makeNode('lacking');
  const { first, update } = views(node);
  expect(await first()).toMatchObject({ state: 'serving' });
  const outcome = await update(agent, { ...agent, problems: lacking('KUBECONFIG_UNREADABLE') });
  expect(outcome).toMatchObject({ state: 'failed', slot: 'b' });
  for (const part of [
    'fairlead-b is not serving: it is ready, but lacks what its configuration requires',
    'KUBECONFIG_UNREADABLE: KUBECONFIG_UNREADABLE at its place. Do this',
    '(waited 5 s); fairlead-a stays (which does not report KUBECONFIG_UNREADABLE)',
  ])
    expect(outcome.message).toContain(part);
  expect(node.pods()).toEqual(['fairlead-a.yaml']);
});

test('the agent before it is no measure: an update that lacks the same does not serve either', async () => {
  const node = makeNode('same');
  const { first, update } = views(node);
  await first();
  const lacks = { ...agent, problems: lacking('WATCH_NOT_SYNCED') };
  expect(await update(lacks, lacks)).toMatchObject({
    state: 'failed',
    message: expect.stringContaining('fairlead-a stays (which has the same problems)'),
  });
  expect(node.pods()).toEqual(['fairlead-a.yaml']);
});

test('what an agent has lost since it started is no reason to call it anything but serving', async () => {
  const node = makeNode('lost');
  const { first, update } = views(node);
  await first();
  const lost = { ...agent, problems: lacking('CA_UNREADABLE', false) };
  expect(await update(agent, lost)).toMatchObject({ state: 'serving', slot: 'b' });
  expect(await node.run('2', () => lost)).toMatchObject({ state: 'serving', changed: [] });
});

test('a problem that goes away in time is none', async () => {
  const node = makeNode('in time');
  const { first } = views(node);
  await first();
  let looks = 0;
  const outcome = await node.run('2', () => {
    looks += 1;
    return looks < 8 ? { ...agent, problems: lacking('WATCH_NOT_SYNCED') } : agent;
  });
  expect(outcome).toMatchObject({ state: 'serving', slot: 'b' });
});

test('an update that lacks something is not taken away for an agent that does not serve at all', async () => {
  const node = makeNode('neither');
  const { first, update } = views(node);
  await first();
  const broken = { ...agent, isReady: false, hasUsableEndpoint: false };
  const outcome = await update(broken, { ...agent, problems: lacking('WATCH_NOT_SYNCED') });
  expect(outcome).toMatchObject({ state: 'failed', message: expect.stringContaining('both stay') });
  expect(node.pods()).toEqual(['fairlead-a.yaml', 'fairlead-b.yaml']);
  // As soon as it has everything, it serves alone.
  expect(await node.run('2', () => agent)).toMatchObject({ state: 'serving', slot: 'b' });
  expect(node.pods()).toEqual(['fairlead-b.yaml']);
});

test('a first install that lacks something stays, as there is nothing else, and says what is missing', async () => {
  const node = makeNode('first');
  const outcome = await node.run('1', () => ({ ...agent, problems: lacking('WATCH_NOT_SYNCED') }));
  expect(outcome).toMatchObject({
    state: 'failed',
    message: expect.stringContaining('WATCH_NOT_SYNCED at its place'),
  });
  expect(node.pods()).toEqual(['fairlead-a.yaml']);
});

test("another proxy's pod stays while the agent lacks what its configuration asks for", async () => {
  const node = makeNode('proxy stays');
  const proxy = join(node.root, podDirectory, 'nginx-proxy.yml');
  writeFileSync(proxy, 'metadata: {name: nginx-proxy}\nspec: {containers: [{image: nginx}]}\n');
  const waiting = { ...agent, isReady: false, waitingFor: ['127.0.0.1:6443'] };
  const seen = new Set<boolean>();
  const outcome = await node.run(
    '1',
    () => {
      seen.add(existsSync(proxy));
      return { ...waiting, problems: lacking('CA_UNREADABLE') };
    },
    true,
  );
  expect([...seen]).toEqual([true]);
  expect(outcome.message).toContain('CA_UNREADABLE at its place. Do this');
});

test('without a usable API server the message has the reason of the first one, and what is missing', async () => {
  const node = makeNode('reason');
  const outcome = await node.run('1', () => ({
    ...agent,
    isReady: false,
    hasUsableEndpoint: false,
    firstReason: '10.0.0.1:6443: L6RSP self-signed certificate in certificate chain',
    problems: [...lacking('CA_UNREADABLE'), ...lacking('ENDPOINTS_UNVERIFIED')],
  }));
  expect(outcome.message).toContain('it has no usable API server (10.0.0.1:6443: L6RSP self-signed');
  expect(outcome.message).toContain('CA_UNREADABLE at its place');
  // It follows from the other.
  expect(outcome.message).not.toContain('ENDPOINTS_UNVERIFIED');
});

test('an agent of a node that booted with its clock behind is the one that its manifest has started', async () => {
  const node = makeNode('clock');
  await node.run('1', () => agent);
  const manifest = join(node.root, podDirectory, 'fairlead-a.yaml');
  const behind = { ...agent, startedAtMs: Date.now() - 3_600_000 };
  // The clock is right again; then it is not.
  for (const ageMs of [60_000, -60_000]) {
    const written = new Date(Date.now() - ageMs);
    utimesSync(manifest, written, written);
    expect(await node.run('1', () => behind)).toMatchObject({ state: 'serving', changed: [] });
  }
});

test('the API servers are listed only where the node has no list yet', async () => {
  const root = join(scratch, 'known');
  mkdirSync(join(root, podDirectory), { recursive: true });
  let asked = 0;
  const known = () => {
    asked += 1;
    return desiredState('1', false).known();
  };
  const deps = {
    files: new NodeFiles(root),
    view: async () => agent,
    pause: async () => {},
    nowMs: () => Date.now(),
    log: { info() {}, warn() {} },
    serveWithinMs: 1,
    leaveWithinMs: 0,
  };
  for (const _ of [1, 2, 3]) await reconcile({ ...desiredState('1', false), known }, deps);
  expect(asked).toBe(1);
});

test("another proxy's pod stays until the agent has an API server to offer", async () => {
  const node = makeNode('proxy');
  const proxy = join(node.root, podDirectory, 'nginx-proxy.yml');
  writeFileSync(proxy, 'metadata: {name: nginx-proxy}\nspec: {containers: [{image: nginx}]}\n');
  const waiting = { ...agent, isReady: false, waitingFor: ['127.0.0.1:6443'] };
  const seen = new Set<boolean>();
  await node.run(
    '1',
    () => {
      seen.add(existsSync(proxy));
      return { ...waiting, hasUsableEndpoint: false };
    },
    true,
  );
  expect([...seen]).toEqual([true]);
  await node.run('1', () => waiting, true);
  // It was set aside, nothing came of it, and it was given back.
  expect(node.pods()).toEqual(['nginx-proxy.yml']);
});

test('a proxy that a killed installer had set aside comes back when the agent never serves', async () => {
  const node = makeNode('killed');
  const proxy = join(node.root, podDirectory, 'nginx-proxy.yml');
  writeFileSync(proxy, 'metadata: {name: nginx-proxy}\nspec: {containers: [{image: nginx}]}\n');
  const waiting = { ...agent, isReady: false, waitingFor: ['127.0.0.1:6443'] };
  const killed = node.run(
    '1',
    () => {
      if (!existsSync(proxy)) throw new Error('killed');
      return waiting;
    },
    true,
  );
  await expect(killed).rejects.toThrow('killed');
  expect(node.pods()).toEqual(['fairlead-a.yaml']);
  const outcome = await node.run('1', () => ({ ...agent, isReady: false, hasUsableEndpoint: false }), true);
  expect(outcome).toMatchObject({
    state: 'failed',
    message: expect.stringContaining('nginx-proxy.yml stays'),
  });
  expect(node.pods()).toEqual(['nginx-proxy.yml']);
});

test('only the proxies that Kubespray makes are set aside', async () => {
  const node = makeNode('others');
  for (const name of ['haproxy', 'my-nginx'])
    writeFileSync(
      join(node.root, podDirectory, `${name}.yml`),
      `metadata: {name: ${name}}\nspec: {containers: [{image: nginx}]}\n`,
    );
  const proxy = join(node.root, podDirectory, 'haproxy.yml');
  const taken = () =>
    existsSync(proxy) ? { ...agent, isReady: false, waitingFor: ['127.0.0.1:6443'] } : agent;
  expect(await node.run('1', taken, true)).toMatchObject({ state: 'serving' });
  expect(node.pods()).toEqual(['fairlead-a.yaml', 'my-nginx.yml']);
});

test('a configuration that drops the listener which kubelet uses is refused, and nothing is written', async () => {
  const node = makeNode('moved');
  const conf = join(node.root, 'etc/kubernetes/kubelet.conf');
  writeFileSync(conf, "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:6443'}}]\n");
  await node.run('1', () => agent);
  const before = readFileSync(join(node.root, podDirectory, 'fairlead-a.yaml'), 'utf8');
  const [listener] = desiredState('2', false).config.listeners;
  const moved = listener && [{ ...listener, port: 7443 }];
  const refused = node.run('2', () => agent, false, moved);
  await expect(refused).rejects.toMatchObject({
    code: 'INSTALL_REFUSED',
    message: expect.stringContaining(conf.slice(node.root.length)),
  });
  expect(node.pods()).toEqual(['fairlead-a.yaml']);
  expect(readFileSync(join(node.root, podDirectory, 'fairlead-a.yaml'), 'utf8')).toBe(before);
  // Both, or a kubelet that goes elsewhere.
  const both = listener && [listener, { ...listener, port: 7443 }];
  expect(await node.run('2', () => agent, false, both)).toMatchObject({ state: 'serving' });
  writeFileSync(conf, "clusters: [{name: k, cluster: {server: 'https://10.0.0.1:6443'}}]\n");
  expect(await node.run('3', () => agent, false, moved)).toMatchObject({ state: 'serving' });
});

test('an outage of all API servers takes away nothing, and brings back no proxy', async () => {
  const node = makeNode('outage');
  const proxy = join(node.root, podDirectory, 'nginx-proxy.yml');
  writeFileSync(proxy, 'metadata: {name: nginx-proxy}\nspec: {containers: [{image: nginx}]}\n');
  const taken = () =>
    existsSync(proxy) ? { ...agent, isReady: false, waitingFor: ['127.0.0.1:6443'] } : agent;
  expect(await node.run('1', taken, true)).toMatchObject({ state: 'serving' });
  const outcome = await node.run('1', () => ({ ...agent, isReady: false, hasUsableEndpoint: false }), true);
  expect(outcome).toMatchObject({
    state: 'failed',
    message: expect.stringContaining('no usable API server'),
  });
  expect(node.pods()).toEqual(['fairlead-a.yaml']);
});

test('of two pods that an update left behind, the one that serves stays until the next one does', async () => {
  const node = makeNode('two');
  await node.run('1', () => agent);
  writeFileSync(join(node.root, podDirectory, 'fairlead-b.yaml'), 'half an update');
  const seen: string[][] = [];
  const outcome = await node.run('3', () => {
    seen.push(node.pods());
    return agent;
  });
  expect(outcome).toMatchObject({ state: 'serving', slot: 'b' });
  expect(seen[0]).toEqual(['fairlead-a.yaml', 'fairlead-b.yaml']);
  expect(node.pods()).toEqual(['fairlead-b.yaml']);
});

describe('an agent that hangs', () => {
  const { a, b } = desiredState('1', false).adminPorts;

  async function updateBeside(hangsForMs: number, { isListenerSilent = true } = {}) {
    const node = makeNode(`hung for ${hangsForMs} ${isListenerSilent}`);
    await node.run('1', (port) => (port === a ? agent : undefined));
    let nowMs = Date.now();
    const startMs = nowMs;
    const isThere = () => node.pods().includes('fairlead-a.yaml');
    const hangs = () => nowMs - startMs < hangsForMs;
    let hungBesideNew = false;
    const outcome = await reconcile(desiredState('2', false), {
      files: new NodeFiles(node.root),
      view: async (port) => {
        if (port === b && node.pods().includes('fairlead-b.yaml')) {
          hungBesideNew ||= isThere() && hangs();
          return agent;
        }
        return port === a && isThere() && !hangs() ? agent : undefined;
      },
      isSilent: async ({ port }) => isThere() && hangs() && (port === a || isListenerSilent),
      pause: async (ms) => {
        nowMs += ms;
      },
      nowMs: () => nowMs,
      log: { info() {}, warn() {} },
      serveWithinMs: 5_000,
      leaveWithinMs: 10_000,
    });
    return { outcome, hungBesideNew, pods: node.pods(), tookMs: nowMs - startMs };
  }

  test('goes before the next one starts beside it on the same port', async () => {
    const { outcome, hungBesideNew, pods } = await updateBeside(Number.POSITIVE_INFINITY);
    expect(outcome).toMatchObject({ state: 'serving', slot: 'b' });
    expect([hungBesideNew, pods]).toEqual([false, ['fairlead-b.yaml']]);
  });

  test('and that kubelet replaces meanwhile stays until the next one serves', async () => {
    const { outcome, hungBesideNew, tookMs } = await updateBeside(25_000);
    expect(outcome).toMatchObject({ state: 'serving', slot: 'b' });
    expect(hungBesideNew).toBe(false);
    expect(tookMs).toBeLessThan(30_000);
  });

  test('on its admin port only has clients, and is not ended', async () => {
    const { hungBesideNew, tookMs } = await updateBeside(Number.POSITIVE_INFINITY, {
      isListenerSilent: false,
    });
    expect(hungBesideNew).toBe(true);
    expect(tookMs).toBeLessThan(20_000);
  });
});
