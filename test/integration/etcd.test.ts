// A real etcd behind Fairlead: etcdctl writes and watches through it while members die, freeze and come back.
// Nothing that was acknowledged is lost, and the watch misses nothing.
import { createInterface } from 'node:readline';
import type { AgentProcess } from '../support/agent/agent-process.ts';
import { agentSuite } from '../support/agent/agent-suite.ts';
import { type EtcdCluster, type EtcdMember, hasEtcd, startEtcd } from '../support/apiserver/etcd.ts';
import { eventually } from '../support/jest/eventually.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const whenEtcd = hasEtcd ? describe : describe.skip;
if (!hasEtcd) skipLoudly('a real etcd behind Fairlead', 'etcd and etcdctl are not installed');

/** Writes one key after the other through `endpoint` until it is stopped; knows which were acknowledged. */
class Writer {
  readonly acknowledged = new Map<string, string>();
  failures = 0;
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(cluster: EtcdCluster, endpoint: string, prefix: string) {
    this.#running = this.#run(cluster, endpoint, prefix);
  }

  async #run(cluster: EtcdCluster, endpoint: string, prefix: string): Promise<void> {
    for (let index = 0; !this.#isStopped; index += 1) {
      const key = `${prefix}${String(index).padStart(5, '0')}`;
      const { code } = await cluster.ctl(endpoint, ['put', key, `value of ${key}`]);
      if (code === 0) this.acknowledged.set(key, `value of ${key}`);
      else this.failures += 1;
    }
  }

  /** `count` more are acknowledged from now on. */
  async more(count: number): Promise<void> {
    const wanted = this.acknowledged.size + count;
    await eventually(
      () => `${wanted} are acknowledged, not ${this.acknowledged.size}`,
      () => this.acknowledged.size >= wanted,
    );
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }
}

whenEtcd('etcd with three members', () => {
  const suite = agentSuite();
  const directory = tempDir();
  let cluster: EtcdCluster;
  let agent: AgentProcess;

  beforeAll(async () => {
    cluster = await startEtcd(directory);
    suite.onStop(() => cluster.stop());
    const { caFile, certFile, keyFile } = cluster.client;
    const config = {
      listeners: [{ address: '127.0.0.1:0', pool: 'etcd' }],
      admin: '127.0.0.1:0',
      pools: {
        etcd: {
          type: 'etcd',
          endpoints: cluster.members.map(({ id }) => id),
          credentials: { caFile, clientCertFile: certFile, clientKeyFile: keyFile },
          health: { interval: '500ms', standbyInterval: '500ms', timeout: '500ms', fastInterval: '200ms' },
        },
      },
    };
    agent = await suite.startAgent({ config: suite.writeConfig(config) });
    await ready(3);
  });

  const endpoints = async () => (await agent.status()).pools?.[0]?.endpoints ?? [];

  async function ready(count: number): Promise<void> {
    let last: string[] = [];
    await eventually(
      () => `${count} are ready: ${last.join('; ')}`,
      async () => {
        const all = await endpoints();
        last = all.map(({ id, verdict, reason }) => `${id} ${verdict} ${reason}`);
        return all.filter(({ verdict }) => verdict === 'ready').length === count;
      },
    );
  }

  /** The member that new clients go to. */
  async function used(): Promise<EtcdMember> {
    const [first] = await endpoints();
    const member = cluster.members.find(({ id }) => id === first?.id);
    if (!member) throw new Error('no member is used');
    return member;
  }

  test('loses nothing that was acknowledged while members die and freeze, and a watch misses nothing', async () => {
    const seen: string[] = [];
    const watch = cluster.spawnCtl(agent.address, ['watch', '--prefix', 'k/']);
    if (!watch.stdout) throw new Error('no output');
    createInterface({ input: watch.stdout }).on('line', (line) => {
      if (line.startsWith('k/')) seen.push(line);
    });
    // Until the watch stands: what is written before that it does not have to show.
    let probes = 0;
    await eventually('the watch shows something', async () => {
      probes += 1;
      await cluster.ctl(agent.address, ['put', `k/probe${probes}`, 'x']);
      return seen.length > 0;
    });

    const writer = new Writer(cluster, agent.address, 'k/');
    await writer.more(5);
    const killed = await used();
    await killed.kill();
    await writer.more(8);
    killed.start();
    await ready(3);

    const frozen = await used();
    frozen.signal('SIGSTOP');
    await writer.more(5);
    frozen.signal('SIGCONT');
    await ready(3);
    await writer.more(3);
    await writer.stop();

    await eventually('the watch has shown every acknowledged key', () =>
      [...writer.acknowledged.keys()].every((key) => seen.includes(key)),
    );
    const keys = seen.filter((key) => /^k\/\d/.test(key));
    expect(keys).toEqual([...new Set(keys)].sort());
    expect(watch.exitCode).toBeNull();
    for (const { id } of cluster.members) {
      const { stdout } = await cluster.ctl(id, ['get', '--prefix', 'k/0', '--consistency=l']);
      const lines = stdout.split('\n');
      const stored = new Map(
        lines.flatMap((line, i) => (i % 2 ? [] : ([[line, lines[i + 1] ?? '']] as const))),
      );
      for (const [key, value] of writer.acknowledged) expect([key, stored.get(key)]).toEqual([key, value]);
    }
  });

  test('a member without a leader is unready, though its port is open and answers', async () => {
    const [last, ...others] = cluster.members;
    if (!last) throw new Error('unreachable');
    await Promise.all(others.map((member) => member.kill()));
    let reason = '';
    await eventually(
      () => `${last.id} is unready: ${reason}`,
      async () => {
        const found = (await endpoints()).find(({ id }) => id === last.id);
        reason = `${found?.verdict} ${found?.reason}`;
        return found?.verdict === 'unready' && found.reason.startsWith('L7');
      },
    );
    expect((await agent.get('/readyz')).status).toBe(503);
    for (const member of others) member.start();
    await ready(3);
    expect((await cluster.ctl(agent.address, ['put', 'again', 'x'])).code).toBe(0);
  });
});
