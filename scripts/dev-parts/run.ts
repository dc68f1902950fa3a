// What `npm run dev` starts, and how it all ends: three API servers and their store, one agent at a time.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../test/support/agent/agent-process.ts';
import {
  type ProcessControlPlane,
  startProcessControlPlane,
} from '../../test/support/apiserver/control-plane-processes.ts';
import { Janitor } from '../demo-parts/janitor.ts';
import { createNode } from '../demo-parts/stage.ts';
import { RestartingAgent } from './restarting-agent.ts';

const root = new URL('../..', import.meta.url).pathname;

export interface DevOptions {
  /** Flags for `fairlead run` besides those that it needs here. */
  readonly agentFlags: readonly string[];
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Runs until `signal`; returns the exit code. Leaves no process and no file behind, also when it is killed. */
export async function runDev({ agentFlags, signal }: DevOptions): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-dev-'));
  // What the stand-ins put into the temporary directory is removed with ours.
  process.env.TMPDIR = directory;
  const janitor = new Janitor(directory);
  let plane: ProcessControlPlane | undefined;
  let agent: RestartingAgent | undefined;
  try {
    plane = await startProcessControlPlane({ servers: 3, timings: 'realistic' });
    const { servers, storeProcess } = plane;
    const watch = (): void => {
      const pids = [storeProcess.pid, ...servers.map(({ pid }) => pid), agent?.pid];
      janitor.watch(pids.filter((pid) => pid !== undefined));
    };
    watch();
    if (signal.aborted) return 130;
    await createNode(plane);
    // Both stay the same from restart to restart, so that kubeconfigs and terminals keep working.
    const listen = `127.0.0.1:${await freePort()}`;
    const admin = `127.0.0.1:${await freePort()}`;
    const url = `https://${listen}`;
    const own = await plane.writeKubeconfig({ server: url, user: 'fairlead' });
    const kubeconfig = await plane.writeKubeconfig({ server: url, user: 'admin' });
    agent = new RestartingAgent({
      program: join(root, 'src/main.ts'),
      watched: join(root, 'src'),
      args: [
        ...['--listen', listen, '--admin', admin, '--node-name', 'node-1'],
        ...['--endpoints', servers[0]?.address ?? '', '--kubeconfig', own],
        ...['--cache-file', join(directory, 'endpoints.json'), ...agentFlags],
      ],
      say: (line) => process.stdout.write(`dev: ${line}\n`),
      started: watch,
    });
    process.stdout.write(instructions({ plane, kubeconfig, admin, directory: await plane.directory() }));
    agent.start();
    await once(signal, 'abort');
    return 0;
  } finally {
    await agent?.stop();
    await plane?.stop();
    janitor.watch([]);
    rmSync(directory, { recursive: true, force: true });
    if (plane) process.stdout.write('dev: stopped\n');
  }
}

interface Facts {
  readonly plane: ProcessControlPlane;
  readonly kubeconfig: string;
  readonly admin: string;
  readonly directory: string;
}

function instructions({ plane, kubeconfig, admin, directory }: Facts): string {
  const [first, second] = plane.servers;
  return `
dev: three API servers run. The agent starts now, and again when a file of src/ changes. Ctrl-C ends everything.

  kubectl --kubeconfig ${kubeconfig} get nodes,endpointslices
  node src/main.ts status --admin ${admin}
  curl http://${admin}/metrics

  kill -STOP ${first?.pid}   # freeze ${first?.name}; -CONT ends it, -KILL crashes it for good
  curl --unix-socket ${directory}/${second?.name}.control -X PATCH http://x/misbehaviour -d '{"failReadyz": ["etcd"]}'
  curl --unix-socket ${directory}/${second?.name}.control -X DELETE http://x/misbehaviour

`;
}
