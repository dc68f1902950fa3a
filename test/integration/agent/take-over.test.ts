// The move on a running node: the proxy that Kubespray installs (the real one, with its configuration) holds the port,
// a waiting agent takes it over when the proxy is told to stop as kubelet does it, and clients go on.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import type { ControlPlane } from '../../support/apiserver/control-plane.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { monotonicMs } from '../../support/faults/clients/monotonic.ts';
import { StallWatch } from '../../support/faults/stalls.ts';
import { H2Tunnel } from '../../support/clients/h2-tunnel.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

interface Ports {
  readonly port: number;
  readonly healthPort: number;
}

interface Proxy {
  readonly name: string;
  readonly isInstalled: boolean;
  /** What kubelet sends: the STOPSIGNAL of the proxy's image. */
  readonly stopSignal: NodeJS.Signals;
  /** Starts it with the configuration of Kubespray's pod. */
  start(directory: string, ports: Ports): ChildProcess;
}

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const servers = /^ *server .*(?:10\.0\.0\.\d|\[fd00::3\]):6443.*\n/gm;

const suite = agentSuite();
const scratch = tempDir();
let plane: ControlPlane;

/** The fixture with other addresses; nothing else is changed. */
function placed(fixture: string, { port, healthPort }: Ports, line: (endpoint: string) => string): string {
  const lines = plane.endpoints.map((endpoint) => `${line(endpoint)}\n`).join('');
  let isFirst = true;
  return readFileSync(`test/fixtures/${fixture}`, 'utf8')
    .replace(servers, () => {
      const text = isFirst ? lines : '';
      isFirst = false;
      return text;
    })
    .replaceAll(/(127\.0\.0\.1|\[::1\]):6443/g, `$1:${port}`)
    .replaceAll('8081', String(healthPort));
}

const proxies: readonly Proxy[] = [
  {
    name: 'nginx-proxy',
    isInstalled: existsSync(streamModule),
    stopSignal: 'SIGQUIT',
    start(directory, ports) {
      const file = join(directory, 'nginx.conf');
      const config = placed('nginx-proxy.conf', ports, (endpoint) => `    server ${endpoint};`);
      writeFileSync(
        file,
        `load_module ${streamModule};\n${config.replace('shutdown_timeout 10s', 'shutdown_timeout 1s')}`,
      );
      const more = `daemon off; pid ${directory}/pid;`;
      return spawn('nginx', ['-p', directory, '-c', file, '-g', more], { env, stdio: 'ignore' });
    },
  },
  {
    name: 'haproxy',
    isInstalled: spawnSync('haproxy', ['-v'], { env }).error === undefined,
    stopSignal: 'SIGUSR1',
    start(directory, ports) {
      const file = join(directory, 'haproxy.cfg');
      const config = placed(
        'haproxy-proxy.cfg',
        ports,
        (endpoint) => `    server ${endpoint} ${endpoint} check check-ssl verify none`,
      );
      // Its soft stop waits for clients without end; so that the test ends.
      writeFileSync(file, config.replace('global\n', 'global\n    hard-stop-after 1s\n'));
      return spawn('haproxy', ['-W', '-db', '-f', file], { env, stdio: 'ignore' });
    },
  },
];

beforeAll(async () => {
  if (!proxies.some(({ isInstalled }) => isInstalled)) return;
  plane = await suite.startControlPlane({ servers: 2 });
});

interface Dial {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly isConnected: boolean;
}

const dialEveryMs = 20;

/** Dials at that pace, without waiting for the one before. */
function dialler(port: number) {
  const dials: Promise<Dial>[] = [];
  let isOn = true;
  const dial = () =>
    new Promise<Dial>((resolve) => {
      const startedMs = performance.now();
      const socket = connect({ host: '127.0.0.1', port });
      const end = (isConnected: boolean) => {
        socket.destroy();
        resolve({ startedMs, endedMs: performance.now(), isConnected });
      };
      socket.once('connect', () => end(true));
      socket.once('error', () => end(false));
    });
  const loop = (async () => {
    while (isOn) {
      dials.push(dial());
      await sleep(dialEveryMs);
    }
  })();
  return {
    get count() {
      return dials.length;
    },
    async stop(): Promise<Dial[]> {
      isOn = false;
      await loop;
      return Promise.all(dials);
    },
  };
}

/** As kubelet: one connection for everything; when it ends or is refused, the next one. */
function longLived(address: string) {
  const used: string[] = [];
  let [isOn, refusedInARow, mostRefused, reconnects] = [true, 0, 0, -1];
  const loop = (async () => {
    while (isOn) {
      const tunnel = await H2Tunnel.open(address, plane.pki).catch(() => undefined);
      refusedInARow = tunnel ? 0 : refusedInARow + 1;
      mostRefused = Math.max(mostRefused, refusedInARow);
      if (!tunnel) await sleep(20);
      else reconnects += 1;
      while (isOn && tunnel?.isOpen) {
        await tunnel.ask().then(
          (server) => used.push(server),
          () => {},
        );
        await sleep(20);
      }
      tunnel?.destroy();
    }
  })();
  return {
    get answers() {
      return used.length;
    },
    get reconnects() {
      return reconnects;
    },
    async stop() {
      isOn = false;
      await loop;
      return { mostRefused, reconnects };
    },
  };
}

async function health(port: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
  return answer?.status ?? 0;
}

const missing = proxies.filter(({ isInstalled }) => !isInstalled);
for (const { name } of missing) skipLoudly(`taking over from ${name}`, `${name} is not installed`);
const installed = proxies.filter(({ isInstalled }) => isInstalled);
if (installed.length > 0) {
  test.each(installed.map((proxy) => [proxy.name, proxy] as const))(
    'a waiting agent takes port and health port of %s over, and no client has more than one reconnect to make',
    async (name, proxy) => {
      const directory = join(scratch, name);
      mkdirSync(directory);
      const ports = { port: await freePort(), healthPort: await freePort() };
      const old = proxy.start(directory, ports);
      const hasEnded = once(old, 'exit');
      suite.onStop(() => {
        old.kill('SIGKILL');
        return hasEnded;
      });
      const address = `127.0.0.1:${ports.port}`;
      await eventually('the proxy serves', async () => (await health(ports.healthPort)) === 200);
      const client = longLived(address);
      suite.onStop(() => client.stop());
      await eventually('an answer through the proxy', () => client.answers > 0);

      const takenOver = new Map<string, number>();
      const agent = suite.spawnAgent({
        listen: address,
        admin: `127.0.0.1:${ports.healthPort}`,
        endpoints: plane.endpoints,
        kubeconfig: await plane.writeKubeconfig(),
        args: ['--wait-for-port'],
        onLog: ({ msg, address: at }) => {
          if (msg === 'address acquired') takenOver.set(String(at), performance.now());
        },
      });
      await eventually('the agent waits', () => agent.messages.includes('address is in use: waiting for it'));
      const running = dialler(ports.port);
      suite.onStop(() => running.stop());
      // By then the agent has tried for a while, and tries at its usual pace.
      await eventually('dials through the proxy', () => running.count > 10);
      const [before, reconnectsBefore] = [client.answers, client.reconnects];

      const stalls = new StallWatch(() => [agent.pid, old.pid ?? 0]);
      suite.onStop(() => stalls.stop());
      const stopMs = monotonicMs();
      old.kill(proxy.stopSignal);
      await eventually('both addresses are taken over', () => takenOver.size === 2);
      // Time in which neither of the two could run is not the product's.
      const stalledMs = stalls.between(stopMs, monotonicMs());
      await hasEnded;
      // The one connection of the client was the proxy's until now.
      await eventually('answers through the agent', () => client.reconnects > reconnectsBefore);
      const served = client.answers;
      await eventually('the client goes on', () => client.answers > served + 3);
      expect(before).toBeGreaterThan(0);
      const dials = await running.stop();
      const { mostRefused, reconnects } = await client.stop();

      const refused = dials.filter(({ isConnected }) => !isConnected);
      const firstAfter = dials.find(
        ({ isConnected, startedMs }) => isConnected && startedMs > (refused[0]?.startedMs ?? 0),
      );
      const gapMs = refused[0] && firstAfter ? firstAfter.endedMs - refused[0].startedMs : 0;
      // Tried every 50 ms: the bounds are for a machine that has other things to do.
      expect(refused.length).toBeLessThan(50 + stalledMs / dialEveryMs);
      expect(gapMs).toBeLessThan(1_000 + stalledMs);
      // Not one after the agent has said that it listens.
      const listensMs = takenOver.get(address) ?? 0;
      expect(listensMs).toBeGreaterThan(0);
      expect(refused.filter(({ startedMs }) => startedMs > listensMs)).toEqual([]);
      expect(reconnects).toBe(1);
      expect(mostRefused).toBeLessThanOrEqual(1);
      expect(await health(ports.healthPort)).toBe(200);
      expect((await fetch(`http://127.0.0.1:${ports.healthPort}/status`)).status).toBe(200);
    },
  );
}
