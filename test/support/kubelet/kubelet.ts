// A kubelet for static pods, and the file system of a node for it to live in.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { builtProgram } from '../agent/agent-process.ts';

export const podDirectory = '/etc/kubernetes/manifests';

/**
 * Makes a node's file system below `root`. A path of the real one that leads there (a test's process is not in
 * a chroot) means the same below the root.
 */
export function makeNode(root: string): void {
  for (const path of [podDirectory, '/var/lib/kubelet/pki', '/etc/fairlead', '/proc/sys/net/ipv4'])
    mkdirSync(join(root, path), { recursive: true });
  writeFileSync(
    join(root, '/var/lib/kubelet/config.yaml'),
    `kind: KubeletConfiguration\nstaticPodPath: ${podDirectory}\n`,
  );
  writeFileSync(join(root, '/proc/sys/net/ipv4/tcp_migrate_req'), '0\n');
  mkdirSync(join(root, dirname(root)), { recursive: true });
  symlinkSync('/', join(root, root));
}

export class Kubelet {
  /** What it did: `started NAME PID`, `probed NAME good` or `bad`, `ending NAME`, `ended NAME HOW`, and the lines of the agents. */
  readonly log: string[] = [];
  readonly #child: ChildProcess;

  constructor(root: string) {
    this.#child = fork(join(import.meta.dirname, 'main.ts'), [root, podDirectory, builtProgram], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.log.push(line));
  }

  /** Ends it and its pods. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }
}
