// Two load balancer hosts share a virtual address that neither has at first: whoever gets it serves, as with
// keepalived, and an agent that has lost it serves again when it returns.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { Status } from '../../src/model/status.ts';
import { builtProgram } from '../support/agent/agent-process.ts';
import { eventually } from '../support/jest/eventually.ts';
import { namespacesUnavailable, removeLeftovers, Wire, type WireHost } from '../support/faults/netns.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const run = promisify(execFile);
const whyNot = namespacesUnavailable();
if (whyNot !== undefined) skipLoudly('a virtual address that moves', whyNot);
const directory = tempDir();
const vip = '10.99.0.200';

(whyNot === undefined ? test : test.skip)(
  'who has the virtual address serves, and serves again when it returns',
  async () => {
    await removeLeftovers();
    const wire = await Wire.start(['lb1', 'lb2', 'client']);
    const children: ChildProcess[] = [];
    const inside = ({ prefix: [command = '', ...args] }: WireHost, ...more: string[]): ChildProcess => {
      const child = spawn(command, [...args, ...more], { stdio: 'ignore' });
      children.push(child);
      return child;
    };
    try {
      const balancers = [wire.host('lb1'), wire.host('lb2')];
      for (const host of balancers) {
        // What it balances to says which host this is.
        const server = `require('node:net').createServer((s) => s.on('error', () => {}).end('${host.name}')).listen(9000, '127.0.0.1')`;
        inside(host, process.execPath, '-e', server);
        const file = join(directory, `${host.name}.yaml`);
        const config = {
          listeners: [{ address: `${vip}:8383`, pool: 'raw', waitForAddress: true }],
          allowNonLoopback: true,
          pools: { raw: { endpoints: ['127.0.0.1:9000'], health: { interval: '500ms', timeout: '500ms' } } },
        };
        writeFileSync(file, stringify(config));
        inside(host, process.execPath, builtProgram, 'run', '--config', file);
      }

      const output = async ({ prefix: [command = '', ...args] }: WireHost, ...more: string[]) => {
        const { stdout } = await run(command, [...args, ...more]).catch((error: { stdout?: string }) => ({
          stdout: error.stdout ?? '',
        }));
        return stdout;
      };
      const status = async (host: WireHost): Promise<Partial<Status>> => {
        const text = await output(host, process.execPath, builtProgram, 'status', '--json');
        return text === '' ? {} : (JSON.parse(text) as Status);
      };
      for (const host of balancers) {
        await eventually(`${host.name} is ready without the address`, async () => {
          const { isReady, absentAddresses } = await status(host);
          return isReady === true && absentAddresses?.includes(`${vip}:8383`);
        });
      }

      const client = wire.host('client');
      const ask = `const s = require('node:net').connect({ host: '${vip}', port: 8383, timeout: 500 }, () => {}); s.on('data', (d) => process.stdout.write(d)); s.on('error', () => {}); s.on('timeout', () => s.destroy())`;
      const served = () => output(client, process.execPath, '-e', ask);
      const give = async (to: WireHost, from?: WireHost) => {
        if (from) await run('ip', ['-n', from.namespace, 'addr', 'del', `${vip}/24`, 'dev', 'eth0']);
        await run('ip', ['-n', to.namespace, 'addr', 'add', `${vip}/24`, 'dev', 'eth0']);
        // What keepalived tells the neighbours by gratuitous ARP.
        const { stdout } = await run('ip', ['-n', to.namespace, '-o', 'link', 'show', 'eth0']);
        const mac = /link\/ether (\S+)/.exec(stdout)?.[1] ?? '';
        const entry = [vip, 'lladdr', mac, 'dev', 'eth0', 'nud', 'permanent'];
        await run('ip', ['-n', client.namespace, 'neigh', 'replace', ...entry]);
        await eventually(`${to.name} serves`, async () => (await served()) === to.name);
      };
      const [first, second] = balancers;
      if (!first || !second) throw new Error('unreachable');
      await give(first);
      expect(await status(first)).not.toHaveProperty('absentAddresses');
      await give(second, first);
      await give(first, second);
    } finally {
      for (const child of children) child.kill('SIGKILL');
      await wire.stop();
    }
  },
  60_000,
);
