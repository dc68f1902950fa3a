// In a network namespace of its own: agents that follow one another on one port, under a client that opens
// hundreds of connections a second. Prints what the client saw as JSON.
// Usage: node hand-over-child.ts PROGRAM HAND_OVERS [migrate]
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [program = '', count = '3', migrate] = process.argv.slice(2);
writeFileSync('/proc/sys/net/ipv4/tcp_migrate_req', migrate === 'migrate' ? '1' : '0');
const listen = { host: '127.0.0.1', port: 6443 };
const endpoint = createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', () => socket.end('answer'));
}).listen(7000, '127.0.0.1');
await once(endpoint, 'listening');

async function start(index: number): Promise<ChildProcess> {
  const args = ['--endpoints', '127.0.0.1:7000', '--listen', '127.0.0.1:6443', '--admin', '127.0.0.1:6442'];
  const own = ['--reuse-port', '--own-admin', `127.0.0.1:${6500 + index}`];
  const env = { ...process.env, FAIRLEAD_HEALTH_CHECK: 'tcp', FAIRLEAD_SHUTDOWN_GRACE: '2s' };
  const child = spawn(process.execPath, [program, 'run', ...args, ...own], { stdio: 'ignore', env });
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${6500 + index}/readyz`).catch(() => undefined);
    if (ready?.status === 200) return child;
    await sleep(20);
  }
}

const problems: Record<string, number> = {};
let [asked, open, isOn] = [0, 0, true];
function ask(): void {
  asked += 1;
  open += 1;
  let answer = '';
  let problem = 'ended without an answer';
  const socket = connect(listen);
  socket.on('connect', () => socket.write('question'));
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    problem = error.code ?? error.message;
  });
  socket.on('close', () => {
    open -= 1;
    if (answer !== 'answer') problems[problem] = (problems[problem] ?? 0) + 1;
  });
}

let agent = await start(0);
const client = (async () => {
  while (isOn) {
    ask();
    await sleep(2);
  }
})();
for (let index = 1; index <= Number(count); index += 1) {
  const next = await start(index);
  agent.kill('SIGTERM');
  await once(agent, 'exit');
  agent = next;
}
isOn = false;
await client;
while (open > 0) await sleep(10);
agent.kill('SIGKILL');
process.stdout.write(`${JSON.stringify({ asked, problems })}\n`);
process.exit(0);
