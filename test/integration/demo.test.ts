// The demo, as scripts/demo starts it: its whole story, and that nothing is left of it however it ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/jest/eventually.ts';

const root = new URL('../..', import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), 'fairlead-demo-test-'));

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function start(...args: string[]) {
  const child = spawn(process.execPath, ['scripts/demo.ts', ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: scratch },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const demo = {
    child,
    text: '',
    ended: once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      demo.text += chunk;
    });
  }
  return demo;
}

/** Processes whose command line names our scratch directory: the stand-ins, the store and the agent. */
function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(scratch));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

async function expectNothingLeft(): Promise<void> {
  await eventually('no process and no file is left', () => {
    return processes().length === 0 && readdirSync(scratch).length === 0;
  });
}

test('ends by itself, with no failed connection and a summary', async () => {
  const demo = start();
  const [code] = await demo.ended;
  expect({ code, text: demo.text }).toEqual({
    code: 0,
    text: expect.stringContaining('GOOD: no new connection'),
  });
  expect(demo.text).toContain('(SIGKILL)');
  expect(demo.text).toContain('Fairlead judged it dead (L6TOUT)');
  expect(demo.text).toMatch(/kubectl, a new connection for each request: [1-9]\d* worked, 0 failed/);
  expect(demo.text).toMatch(/Its watch: [1-9]\d* events, 0 missed/);
  await expectNothingLeft();
}, 120_000);

test('Ctrl-C ends it and leaves nothing', async () => {
  const demo = start();
  await eventually('the story has begun', () => demo.text.includes('new connections'), 25_000);
  expect(processes().length).toBeGreaterThanOrEqual(5);
  demo.child.kill('SIGINT');
  expect(await demo.ended).toEqual([130, null]);
  await expectNothingLeft();
}, 60_000);

test('when it is killed itself, with a frozen API server, nothing is left either', async () => {
  const demo = start();
  await eventually('a server is frozen', () => demo.text.includes('is frozen (SIGSTOP)'), 40_000);
  demo.child.kill('SIGKILL');
  await demo.ended;
  await expectNothingLeft();
}, 60_000);
