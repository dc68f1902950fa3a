// What a DaemonSet needs of `fairlead uninstall --stay` and of `--ready-address`.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { builtProgram, freePort } from '../../support/agent/agent-process.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { makeNode } from '../../support/kubelet/kubelet.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const root = join(tempDir(), 'node');
let child: ChildProcess;
let ended: Promise<unknown[]>;
let output = '';

beforeAll(() => {
  makeNode(root);
});

// Also when a test has failed.
afterEach(() => {
  child.kill('SIGKILL');
});

const ready = (port: number) =>
  fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ status }) => status,
    () => 0,
  );

test('it is ready when all is done, stays, and ends at SIGTERM', async () => {
  const [port, a, b] = [await freePort(), await freePort(), await freePort()];
  child = spawn(
    process.execPath,
    [
      ...[builtProgram, 'uninstall', '--root', root, '--stay', '--admin-ports', `${a},${b}`],
      ...['--ready-address', `127.0.0.1:${port}`],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } },
  );
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  ended = once(child, 'close');
  await eventually('it is done', async () => (await ready(port)) === 200);
  expect(output).toContain('Fairlead was removed from this node');
  // Nothing but the address would hold it now.
  await sleep(1_000);
  expect(child.exitCode).toBeNull();
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

test('without an address it stays as well', async () => {
  const [a, b] = [await freePort(), await freePort()];
  output = '';
  child = spawn(
    process.execPath,
    [builtProgram, 'uninstall', '--root', root, '--stay', '--admin-ports', `${a},${b}`],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH } },
  );
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  ended = once(child, 'close');
  await eventually('it is done', () => output.includes('Fairlead was removed from this node'));
  // A process that nothing holds ends within milliseconds.
  await sleep(500);
  expect(child.exitCode).toBeNull();
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});
