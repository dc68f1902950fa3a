// Changes a scratch node, and kills itself with SIGKILL before the step that it is told. Whether the agents
// serve is not asked: every one does at once.
// Usage: node install-child.ts ROOT install|update|take-over|uninstall STEP
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { NodeFiles } from '../../../src/installer/node-files.ts';
import { reconcile, type DesiredState } from '../../../src/installer/reconcile.ts';
import { uninstall } from '../../../src/installer/uninstall.ts';
import { defaultConfig } from '../agent/default-config.ts';

export const cacheFile = '/var/lib/fairlead/endpoints.json';
const podDirectory = '/etc/kubernetes/manifests';
const adminPorts = { a: 6440, b: 6441 };
export type Change = 'install' | 'update' | 'take-over' | 'uninstall';

export function desiredState(version: string, replaceProxy: boolean, list = cacheFile): DesiredState {
  const config = defaultConfig('worker-1');
  return {
    template: readFileSync('manifests/static-pod/fairlead.yaml', 'utf8'),
    image: `fairlead:${version}`,
    configText: Buffer.from(`# ${version}\ndiscovery: {cacheFile: ${list}}\n`),
    config: { ...config, discovery: { ...config.discovery, cacheFile: list } },
    ca: 'the CA\n',
    known: async () => [{ endpoint: makeEndpoint('10.0.0.1', 6443), origin: 'watch' }],
    podDirectory,
    adminPorts,
    replaceProxy,
  };
}

export async function change(
  root: string,
  what: Change,
  onStep: () => void = () => {},
  list = cacheFile,
): Promise<void> {
  const files = new NodeFiles(root, onStep);
  const common = { files, pause: async () => {}, nowMs: () => Date.now() };
  if (what === 'uninstall') {
    const options = { podDirectory, adminPorts, cacheFile: list, graceMs: 1 };
    const view = async () => undefined;
    const result = await uninstall(options, {
      ...common,
      view,
      onStep,
      restartKubelet: async () => writeFileSync(join(root, 'etc/kubernetes/kubelet-restarted'), ''),
      say: () => {},
    });
    if (!result.isDone) throw new Error(result.why);
    return;
  }
  let looks = 0;
  const outcome = await reconcile(desiredState(what === 'update' ? '2' : '1', what === 'take-over', list), {
    ...common,
    // The old agent is gone as soon as it may; the new one first waits for its port, where there is one to wait for.
    view: async () => {
      looks += 1;
      const isWaiting = what === 'take-over' && looks < 3;
      return {
        version: '',
        startedAtMs: Date.now() + 1000,
        isReady: !isWaiting,
        isStopping: false,
        problems: [],
        waitingFor: isWaiting ? ['127.0.0.1:6443'] : [],
        hasUsableEndpoint: true,
        tunnels: 0,
        totalTunnels: 0,
        endpoints: [],
      };
    },
    log: { info() {}, warn() {} },
    serveWithinMs: 1000,
    leaveWithinMs: 0,
  });
  if (outcome.state !== 'serving') throw new Error(outcome.message);
}

const [root, what, stepText] = process.argv.slice(2);
if (import.meta.main) {
  let left = Number(stepText);
  await change(root ?? '', what as Change, () => {
    if (left === 0) process.kill(process.pid, 'SIGKILL');
    left -= 1;
  });
}
