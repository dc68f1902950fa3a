// Everything that the demo runs besides its clients: three API servers and their store, Fairlead in front, all as
// processes of their own on loopback, and one temporary directory.
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentProcess, freePort, type LogLine } from '../../test/support/agent/agent-process.ts';
import type { ApiServerProcess } from '../../test/support/apiserver/api-server-process.ts';
import {
  type ProcessControlPlane,
  startProcessControlPlane,
} from '../../test/support/apiserver/control-plane-processes.ts';
import { findKind, keyOf } from '../../test/support/apiserver/kinds.ts';
import { complete } from '../../test/support/apiserver/writes.ts';
import { Janitor } from './janitor.ts';
import { processState } from './processes.ts';
import type { Target } from './target.ts';

export interface Stage {
  readonly directory: string;
  readonly servers: readonly ApiServerProcess[];
  readonly agent: AgentProcess;
  /** Fairlead's own log, JSON lines. */
  readonly agentLog: string;
  /** A kubeconfig of the cluster's administrator, whose server is Fairlead. */
  readonly kubeconfig: string;
  /** A client that is node-1's kubelet, and the address of Fairlead. */
  readonly target: Target;
  /** Tells the janitor what runs now. */
  look(): void;
  /** Kills everything and removes the directory. Idempotent. */
  stop(): Promise<void>;
}

export interface StageOptions {
  readonly signal: AbortSignal;
  readonly onLog: (line: LogLine) => void;
}

export async function setStage({ signal, onLog }: StageOptions): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-demo-'));
  // What the stand-ins put into the temporary directory goes with ours.
  process.env.TMPDIR = directory;
  const janitor = new Janitor(directory);
  let plane: ProcessControlPlane | undefined;
  let agent: AgentProcess | undefined;
  const stop = async (): Promise<void> => {
    await agent?.kill();
    await plane?.stop();
    janitor.watch([]);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    plane = await startProcessControlPlane({ servers: 3, timings: 'realistic' });
    signal.throwIfAborted();
    const { servers, storeProcess, pki } = plane;
    const look = (): void => {
      const pids = [storeProcess, ...servers].map(({ pid }) => pid);
      const all = [...pids, agent?.hasExited ? undefined : agent?.pid];
      janitor.watch(all.filter((pid): pid is number => pid !== undefined && processState(pid) !== 'gone'));
    };
    look();
    await createNode(plane);
    const agentLog = join(directory, 'fairlead.log');
    agent = await startAgent(plane, agentLog, onLog);
    look();
    signal.throwIfAborted();
    const port = Number(agent.address.split(':').at(-1));
    const url = `https://127.0.0.1:${port}`;
    return {
      directory,
      servers,
      agent,
      agentLog,
      kubeconfig: await plane.writeKubeconfig({ server: url, user: 'admin' }),
      target: { host: '127.0.0.1', port, ca: pki.ca.cert, ...pki.clients.node },
      look,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Fairlead is told of one API server; its kubeconfig names Fairlead's own address, as on a real node. */
async function startAgent(
  plane: ProcessControlPlane,
  logFile: string,
  onLog: (line: LogLine) => void,
): Promise<AgentProcess> {
  for (let attempt = 1; ; attempt += 1) {
    const listen = `127.0.0.1:${await freePort()}`;
    const kubeconfig = await plane.writeKubeconfig({ server: `https://${listen}`, user: 'fairlead' });
    const agent = new AgentProcess(
      [
        ...['--listen', listen, '--admin', '127.0.0.1:0', '--node-name', 'node-1'],
        ...['--endpoints', plane.servers[0]?.address ?? '', '--kubeconfig', kubeconfig],
      ],
      {
        onLog: (line, text) => {
          appendFileSync(logFile, `${text}\n`);
          onLog(line);
        },
      },
    );
    try {
      await agent.listening();
      return agent;
    } catch (error) {
      // Another process may have taken the port meanwhile (exit code 3).
      const { code } = await agent.exited;
      if (code !== 3 || attempt === 5) throw error;
    }
  }
}

/** The object of the node that the clients ask for, written past the API servers as if kubelet had registered. */
export async function createNode({ store }: ProcessControlPlane): Promise<void> {
  const kind = findKind('', 'v1', 'nodes');
  if (!kind) throw new Error('the stand-in knows no nodes');
  const object = complete(kind, { verb: 'create', path: '' }, { metadata: { name: 'node-1' } });
  await store.put(keyOf(kind, undefined, 'node-1'), object, { expect: 'absent' });
}

/** The last lines of Fairlead's log, for when something went wrong. */
export function logTail({ agentLog }: Pick<Stage, 'agentLog'>, lines = 10): string {
  try {
    return readFileSync(agentLog, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}
