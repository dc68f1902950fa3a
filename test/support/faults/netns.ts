// A small network of namespaces: hosts with one interface each on a bridge, and the faults of cables and
// routers. The bridge has a namespace of its own, so nothing of this is visible in the machine's network,
// any number of wires may exist at once with the same addresses, and removing the namespaces removes all.
// Needs root and iproute2. Neighbour entries are permanent: a host that is gone is silent, never ARP failure.
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Every namespace that this module makes is named `flt-<pid of its maker>-<serial>-<host>`. */
const prefix = 'flt-';
const ownName = /^flt-(\d+)-\d+-[a-z0-9]+$/;
let serial = 0;

/** Classic BPF for `tc`: drop when a random word is below the threshold (linux/filter.h: SKF_AD_RANDOM). */
function lossProgram(ratio: number): string {
  const threshold = Math.round(ratio * 0xffff_ffff);
  return `4,32 0 0 4294963256,53 0 1 ${threshold},6 0 0 0,6 0 0 2`;
}

/** Why the suite cannot run on this machine; undefined when it can. */
export function namespacesUnavailable(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  try {
    execFileSync('ip', ['netns', 'list'], { stdio: ['ignore', 'ignore', 'pipe'] });
    return undefined;
  } catch (error) {
    return `ip netns does not work here: ${String(error)}`;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Removes what earlier runs have left whose process is gone: their namespaces and the processes in them. */
export async function removeLeftovers(): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'list']);
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  for (const name of names) {
    const owner = ownName.exec(name)?.[1];
    if (owner === undefined || exists(Number(owner))) continue;
    await removeNamespace(name);
  }
}

/** For an abrupt end: whatever this process has made goes with it, at once. */
export function removeOwnNow(): void {
  const ip = (...args: string[]): string =>
    execFileSync('ip', ['netns', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    for (const line of ip('list').split('\n')) {
      const name = line.split(' ')[0] ?? '';
      if (ownName.exec(name)?.[1] !== String(process.pid)) continue;
      for (const pid of ip('pids', name).split('\n').filter(Boolean)) endNow(Number(pid));
      ip('del', name);
    }
  } catch {
    // The next run removes what is left.
  }
}

function endNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

/** Ends the processes inside and removes the namespace. */
async function removeNamespace(name: string): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'pids', name]).catch(() => ({ stdout: '' }));
  for (const pid of stdout.split('\n').filter(Boolean)) endNow(Number(pid));
  await run('ip', ['netns', 'del', name]).catch(() => {});
}

export interface WireHost {
  readonly name: string;
  readonly namespace: string;
  /** IPv4 or IPv6 literal, in a network that all hosts of the wire share. */
  readonly address: string;
  /** What goes before a command to run it on this host. */
  readonly prefix: readonly string[];
}

export class Wire {
  readonly hosts: readonly WireHost[];
  readonly #bridge: string;
  #isRemoved = false;

  private constructor(base: string, names: readonly string[], family: 4 | 6) {
    this.#bridge = `${base}-wire`;
    this.hosts = names.map((name, index) => {
      const namespace = `${base}-${name}`;
      const address = family === 4 ? `10.99.0.${10 + index}` : `fd00:99::${10 + index}`;
      return { name, namespace, address, prefix: ['ip', 'netns', 'exec', namespace] };
    });
  }

  /** Makes hosts of these names (letters and digits); `stop()` or the next `removeLeftovers()` removes them. */
  static async start(names: readonly string[], { family = 4 }: { family?: 4 | 6 } = {}): Promise<Wire> {
    serial += 1;
    const wire = new Wire(`${prefix}${process.pid}-${serial}`, names, family);
    try {
      await wire.#make(family);
    } catch (error) {
      await wire.stop();
      throw error;
    }
    return wire;
  }

  host(name: string): WireHost {
    const host = this.hosts.find((candidate) => candidate.name === name);
    if (!host) throw new Error(`no host ${name} on this wire`);
    return host;
  }

  async #make(family: 4 | 6): Promise<void> {
    const bridge = this.#bridge;
    await ip('netns', 'add', bridge);
    await ip('-n', bridge, 'link', 'add', 'br0', 'type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0');
    await ip('-n', bridge, 'link', 'set', 'br0', 'up');
    for (const [index, { namespace, name, address }] of this.hosts.entries()) {
      await ip('netns', 'add', namespace);
      const peer = ['peer', 'name', name, 'netns', bridge];
      await ip('-n', namespace, 'link', 'add', 'eth0', 'address', macOf(index), 'type', 'veth', ...peer);
      await ip('-n', namespace, 'link', 'set', 'lo', 'up');
      const mask = family === 4 ? '/24' : '/64';
      // Without duplicate address detection the address works at once.
      await ip(
        '-n',
        namespace,
        'addr',
        'add',
        address + mask,
        'dev',
        'eth0',
        ...(family === 6 ? ['nodad'] : []),
      );
      await ip('-n', namespace, 'link', 'set', 'eth0', 'up');
      await ip('-n', bridge, 'link', 'set', name, 'master', 'br0', 'up');
      for (const [other, { address: to }] of this.hosts.entries()) {
        if (other === index) continue;
        const entry = [to, 'lladdr', macOf(other), 'dev', 'eth0', 'nud', 'permanent'];
        await ip('-n', namespace, 'neigh', 'replace', ...entry);
      }
    }
  }

  /** Power loss or a dead switch port: nothing gets through in either direction, and nobody says so. */
  async unplug({ name }: WireHost): Promise<void> {
    await ip('-n', this.#bridge, 'link', 'set', name, 'nomaster');
  }

  async plug({ name }: WireHost): Promise<void> {
    await ip('-n', this.#bridge, 'link', 'set', name, 'master', 'br0');
  }

  /** The host's own interface loses its carrier. */
  async linkDown({ name }: WireHost): Promise<void> {
    await ip('-n', this.#bridge, 'link', 'set', name, 'down');
  }

  async linkUp({ name }: WireHost): Promise<void> {
    await ip('-n', this.#bridge, 'link', 'set', name, 'up');
  }

  /** What `from` sends to `to` disappears; the other direction works. */
  async dropSent(from: WireHost, to: WireHost): Promise<void> {
    await ip('-n', from.namespace, 'route', 'replace', 'blackhole', to.address);
  }

  async sendAgain(from: WireHost, to: WireHost): Promise<void> {
    await ip('-n', from.namespace, 'route', 'del', 'blackhole', to.address);
  }

  /** Drops that part of the packets, in both directions, at random. */
  async lose({ name, namespace }: WireHost, ratio: number): Promise<void> {
    for (const [where, device] of [
      [namespace, 'eth0'],
      [this.#bridge, name],
    ] as const) {
      await run('tc', ['-n', where, 'qdisc', 'replace', 'dev', device, 'clsact']);
      const filter = ['bpf', 'da', 'bytecode', lossProgram(ratio)];
      await run('tc', ['-n', where, 'filter', 'replace', 'dev', device, 'ingress', 'pref', '1', ...filter]);
    }
  }

  async loseNothing({ name, namespace }: WireHost): Promise<void> {
    await run('tc', ['-n', namespace, 'qdisc', 'del', 'dev', 'eth0', 'clsact']);
    await run('tc', ['-n', this.#bridge, 'qdisc', 'del', 'dev', name, 'clsact']);
  }

  /** Ends the processes on the hosts and removes everything. Idempotent. */
  async stop(): Promise<void> {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    await Promise.all(this.hosts.map(({ namespace }) => removeNamespace(namespace)));
    await removeNamespace(this.#bridge);
  }
}

async function ip(...args: string[]): Promise<void> {
  await run('ip', args);
}

function macOf(index: number): string {
  return `02:00:00:99:00:${(10 + index).toString(16).padStart(2, '0')}`;
}
