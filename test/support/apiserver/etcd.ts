// A cluster of real etcd members (Debian's etcd-server) on loopback, TLS for clients and peers, and etcdctl. Each
// member is a process that a test may kill, freeze and start again on its data.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../agent/agent-process.ts';
import { makeCa } from '../credentials/pki.ts';

const has = (program: string) => spawnSync(program, ['--version']).error === undefined;

export const hasEtcd = has('etcd') && spawnSync('etcdctl', ['version']).error === undefined;

export interface EtcdFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export class EtcdMember {
  readonly id: string;
  readonly metricsPort: number;
  readonly #args: readonly string[];
  readonly #log: string;
  #child: ChildProcess | undefined;

  constructor(id: string, metricsPort: number, args: readonly string[], log: string) {
    this.id = id;
    this.metricsPort = metricsPort;
    this.#args = args;
    this.#log = log;
  }

  start(): void {
    const output = openSync(this.#log, 'a');
    // Go's own scheduler would take every core for an election.
    const env = { PATH: process.env.PATH, ETCDCTL_API: '3', GOMAXPROCS: '1' };
    this.#child = spawn('etcd', this.#args, { stdio: ['ignore', output, output], env });
    closeSync(output);
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}

export interface EtcdCluster {
  readonly members: readonly EtcdMember[];
  readonly client: EtcdFiles;
  /** Runs etcdctl against `endpoint` to its end. */
  ctl(
    endpoint: string,
    args: readonly string[],
  ): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
  /** Starts etcdctl and leaves it running. */
  spawnCtl(endpoint: string, args: readonly string[]): ChildProcess;
  stop(): Promise<void>;
}

/** Writes everything to `directory` and starts the members; they elect by themselves. */
export async function startEtcd(directory: string, size = 3): Promise<EtcdCluster> {
  const ca = await makeCa('etcd-ca');
  const write = async (name: string, sans: readonly string[]): Promise<EtcdFiles> => {
    const leaf = await ca.issue({ commonName: name, sans });
    const files = { certFile: join(directory, `${name}.crt`), keyFile: join(directory, `${name}.key`) };
    writeFileSync(files.certFile, leaf.cert);
    writeFileSync(files.keyFile, leaf.key);
    return { ...files, caFile: join(directory, 'etcd-ca.crt') };
  };
  writeFileSync(join(directory, 'etcd-ca.crt'), ca.cert);
  const server = await write('member', ['127.0.0.1', 'localhost']);
  const client = await write('client', []);
  const names = Array.from({ length: size }, (_, index) => `m${index + 1}`);
  const ports: { client: number; peer: number; metrics: number }[] = [];
  for (const _ of names)
    ports.push({ client: await freePort(), peer: await freePort(), metrics: await freePort() });
  const peers = names.map((name, index) => `${name}=https://127.0.0.1:${ports[index]?.peer}`).join(',');
  const members = names.map((name, index) => {
    const port = ports[index] ?? { client: 0, peer: 0, metrics: 0 };
    mkdirSync(join(directory, name), { mode: 0o700 });
    const args = {
      name,
      'data-dir': join(directory, name),
      'listen-client-urls': `https://127.0.0.1:${port.client}`,
      'advertise-client-urls': `https://127.0.0.1:${port.client}`,
      'listen-peer-urls': `https://127.0.0.1:${port.peer}`,
      'initial-advertise-peer-urls': `https://127.0.0.1:${port.peer}`,
      'listen-metrics-urls': `http://127.0.0.1:${port.metrics}`,
      'initial-cluster': peers,
      'initial-cluster-state': 'new',
      'client-cert-auth': 'true',
      'trusted-ca-file': server.caFile,
      'cert-file': server.certFile,
      'key-file': server.keyFile,
      'peer-client-cert-auth': 'true',
      'peer-trusted-ca-file': server.caFile,
      'peer-cert-file': server.certFile,
      'peer-key-file': server.keyFile,
      'heartbeat-interval': '50',
      'election-timeout': '500',
    };
    const list = Object.entries(args).map(([flag, value]) => `--${flag}=${value}`);
    return new EtcdMember(`127.0.0.1:${port.client}`, port.metrics, list, join(directory, `${name}.log`));
  });
  for (const member of members) member.start();

  const children = new Set<ChildProcess>();
  const spawnCtl = (endpoint: string, args: readonly string[]): ChildProcess => {
    const tls = [`--cacert=${client.caFile}`, `--cert=${client.certFile}`, `--key=${client.keyFile}`];
    const always = [`--endpoints=https://${endpoint}`, '--dial-timeout=2s', '--command-timeout=4s'];
    const child = spawn('etcdctl', [...always, ...tls, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, ETCDCTL_API: '3' },
    });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  return {
    members,
    client,
    spawnCtl,
    async ctl(endpoint, args) {
      const child = spawnCtl(endpoint, args);
      let [stdout, stderr] = ['', ''];
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
      });
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      const [code] = (await once(child, 'close')) as [number | null];
      return { code, stdout, stderr };
    },
    async stop() {
      await Promise.all(
        [...children].map(async (child) => {
          const exited = once(child, 'exit');
          child.kill('SIGKILL');
          await exited;
        }),
      );
      await Promise.all(members.map((member) => member.kill()));
    },
  };
}
