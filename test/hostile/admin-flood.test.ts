// Attack: a user of the node without privileges floods the admin server: holds 200 connections, opens 2,000 new ones a second,
// silent ones or such that ask for a page.
// Bound: every probe as kubelet sends it (a new connection, 2 s) is answered, clients of the relay are served meanwhile, the
// agent's memory grows by less than 64 MB, and its descriptors are afterwards as many as before.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentProcess } from '../support/agent/agent-process.ts';
import { agentSuite } from '../support/agent/agent-suite.ts';
import { eventually } from '../support/jest/eventually.ts';
import { isFullTier, longTest } from '../support/jest/full-tier.ts';

const seconds = isFullTier ? 60 : 4;
const suite = agentSuite();
let agent: AgentProcess;

beforeAll(async () => {
  const endpoint = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => socket.write(chunk));
  }).listen(0, '127.0.0.1');
  suite.onStop(() => endpoint.close());
  await once(endpoint, 'listening');
  agent = await suite.startAgent({
    endpoints: [`127.0.0.1:${(endpoint.address() as AddressInfo).port}`],
    args: ['--own-admin', '127.0.0.1:0', '--metrics', '127.0.0.1:0'],
    env: { FAIRLEAD_HEALTH_CHECK: 'tcp' },
  });
  await agent.untilReady(1);
});

/** `core`: the attacker has that one for itself. */
function flood(port: number, what: string, core?: string): ChildProcess {
  const script = new URL('../support/children/connection-flood.ts', import.meta.url).pathname;
  const args = [script, String(port), '200', '2000', what];
  // Another user than the agent, where this may become one.
  const other = process.getuid?.() === 0 ? { uid: 65_531, gid: 65_531 } : {};
  const [program = '', ...first] = [...(core === undefined ? [] : ['taskset', '-c', core]), process.execPath];
  return spawn(program, [...first, ...args], { stdio: ['ignore', 'pipe', 'inherit'], ...other });
}

/** As kubelet probes: a connection of its own, 2 s for everything. Resolves with the status, or what went wrong. */
function probe(port: number, path: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ host: '127.0.0.1', port, signal: AbortSignal.timeout(2_000) }, () =>
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n`,
      ),
    );
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', ({ message }) => resolve(message));
    socket.on('close', () => resolve(text.split('\r\n')[0] ?? ''));
  });
}

/** A client of the relay: a new connection, one question. */
function ask(): Promise<string> {
  const [host = '', port] = agent.address.split(':');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), signal: AbortSignal.timeout(5_000) }, () =>
      socket.write('question'),
    );
    socket.once('data', (chunk) => {
      socket.destroy();
      resolve(String(chunk));
    });
    socket.on('error', ({ message }) => resolve(message));
  });
}

const descriptors = () => readdirSync(`/proc/${agent.pid}/fd`).length;
const residentMb = () =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))?.[1]) / 1024;

test.each([
  ['connections that send nothing', 'silent'],
  ['requests for /metrics', '/metrics'],
  ['requests for /status', '/status'],
])(
  '%s: kubelet is answered in time, clients are served',
  async (_, what) => {
    const port = Number(agent.admin.split(':')[1]);
    const before = { descriptors: descriptors(), residentMb: residentMb() };
    const attacker = flood(port, what);
    try {
      await once(attacker.stdout as NodeJS.ReadableStream, 'data');
      await sleep(500);
      const bad: string[] = [];
      let worstMs = 0;
      const untilMs = performance.now() + seconds * 1_000;
      while (performance.now() < untilMs) {
        const startedMs = performance.now();
        const answers = await Promise.all([probe(port, '/livez'), probe(port, '/readyz')]);
        worstMs = Math.max(worstMs, performance.now() - startedMs);
        bad.push(...answers.filter((answer) => answer !== 'HTTP/1.1 200 OK'));
        const answer = await ask();
        if (answer !== 'question') bad.push(`relay: ${answer}`);
        await sleep(100);
      }
      expect(bad).toEqual([]);
      expect(worstMs).toBeLessThan(2_000);
      expect(residentMb() - before.residentMb).toBeLessThan(64);
    } finally {
      attacker.kill('SIGTERM');
      await once(attacker, 'close');
    }
    await eventually('its descriptors are back', () => descriptors() <= before.descriptors + 2);
  },
  (seconds + 30) * 1_000,
);

// The median of windows that alternate, so that what else the machine does is in both.
longTest(
  "the relay's median is at most 1.2 of what it is without, with the attacker on another core",
  async () => {
    const port = Number(agent.admin.split(':')[1]);
    execFileSync('taskset', ['-a', '-p', '-c', '0', String(agent.pid)]);
    const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
    const window = async (): Promise<number[]> => {
      const times: number[] = [];
      for (const untilMs = performance.now() + 4_000; performance.now() < untilMs; await sleep(2)) {
        const startedMs = performance.now();
        expect(await ask()).toBe('question');
        times.push(performance.now() - startedMs);
      }
      return times;
    };
    const without: number[] = [];
    const during: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      without.push(...(await window()));
      const attacker = flood(port, round % 2 ? '/metrics' : 'silent', '1');
      await once(attacker.stdout as NodeJS.ReadableStream, 'data');
      await sleep(500);
      during.push(...(await window()));
      attacker.kill('SIGTERM');
      await once(attacker, 'close');
      await sleep(500);
    }
    expect(median(during) / median(without)).toBeLessThan(1.2);
  },
  120_000,
);
