// Attack: a user of the node without privileges floods the admin server: holds 200 connections, opens 2,000 new ones a second,
// silent ones or such that ask for a page.
// Bound: every probe as kubelet sends it (a new connection, 2 s) is answered, clients of the relay are served meanwhile, the
// agent's memory grows by less than 64 MB, and its descriptors are afterwards as many as before.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentProcess } from '../support/agent/agent-process.ts';
import { agentSuite } from '../support/agent/agent-suite.ts';
import { eventually } from '../support/jest/eventually.ts';
import { isFullTier } from '../support/jest/full-tier.ts';

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

function flood(port: number, what: string): ChildProcess {
  const script = new URL('../support/children/connection-flood.ts', import.meta.url).pathname;
  const args = [script, String(port), '200', '2000', what];
  // Another user than the agent, where this may become one.
  const other = process.getuid?.() === 0 ? { uid: 65_531, gid: 65_531 } : {};
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], ...other });
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
