// `npm run dev` on a copy of the source: a change restarts the agent behind the same kubeconfig, and nothing is left.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { findKubectl } from '../support/clients/kubectl.ts';
import { eventually } from '../support/jest/eventually.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const root = new URL('../..', import.meta.url).pathname;
const scratch = tempDir();
const copy = join(scratch, 'copy');
const temporary = join(scratch, 'temporary');
const version = join(copy, 'src/model/version.ts');

beforeAll(() => {
  mkdirSync(temporary);
  for (const part of ['package.json', 'src', 'scripts', 'test/support'])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
});

function start(...flags: string[]) {
  const child = spawn('npm', ['run', '--silent', 'dev', '--', ...flags], {
    cwd: copy,
    env: { PATH: process.env.PATH, HOME: scratch, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
    // As in a terminal, where Ctrl-C reaches npm and what it runs.
    detached: true,
  });
  const dev = {
    child,
    text: '',
    ended: once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
    signal: (signal: NodeJS.Signals) => process.kill(-(child.pid ?? 0), signal),
    /** Ends what a failed test has left running. */
    end: () => {
      if (child.exitCode === null && child.signalCode === null) dev.signal('SIGKILL');
    },
    /** Process ids of the agents that have said that they are running. */
    agents: () =>
      [...dev.text.matchAll(/"pid":(\d+),.*"msg":"fairlead is running"/g)].map(([, pid]) => Number(pid)),
    async running(count: number): Promise<void> {
      await eventually(
        () => `start ${count} of the agent: ${dev.text}`,
        () => dev.agents().length === count,
        30_000,
      );
    },
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      dev.text += chunk;
    });
  }
  return dev;
}

/** The line for kubectl that it prints, run as it is. */
async function printedKubectl(text: string): Promise<string> {
  const line = /^ +(kubectl .*)$/m.exec(text)?.[1] ?? 'echo no line for kubectl; false';
  const child = spawn('sh', ['-c', `${line} 2>&1`], { cwd: copy, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  return `exit code ${code}\n${output}`;
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(temporary));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** npm keeps its compile cache there too. */
function files(): string[] {
  return readdirSync(temporary).filter((name) => name.startsWith('fairlead-'));
}

async function expectNothingLeft(): Promise<void> {
  await eventually(
    () => `no process (${processes().map(commandLine)}) and no file (${files()}) is left`,
    () => processes().length === 0 && files().length === 0,
  );
}

const served = /^exit code 0\n[\s\S]*node-1[\s\S]*endpointslice/;

if (findKubectl() === undefined) {
  skipLoudly('npm run dev', 'kubectl is missing');
} else {
  test('a change of the source restarts the agent, which serves the same kubeconfig; Ctrl-C ends it', async () => {
    const dev = start();
    try {
      await dev.running(1);
      const source = readFileSync(version, 'utf8');
      expect(await printedKubectl(dev.text)).toMatch(served);

      // An agent that does not start says so, and the next change starts another.
      appendFileSync(version, '\nthis is not TypeScript\n');
      await eventually(
        'the agent has failed',
        () => /dev: the agent ended with exit code 1;/.test(dev.text),
        30_000,
      );
      writeFileSync(version, source);
      await dev.running(2);
      expect(await printedKubectl(dev.text)).toMatch(served);

      // Some editors write another file and rename it.
      writeFileSync(`${version}~`, source.replace('0.0.0-source', '0.0.0-renamed'));
      renameSync(`${version}~`, version);
      await dev.running(3);
      expect(dev.text).toContain('"version":"0.0.0-renamed"');
      expect(await printedKubectl(dev.text)).toMatch(served);

      expect(new Set(dev.agents()).size).toBe(3);
      dev.signal('SIGINT');
      await dev.ended;
      // npm ends by the signal; its exit code says nothing about what it ran.
      expect(dev.text).toMatch(/dev: stopped\n$/);
      await expectNothingLeft();
    } finally {
      dev.end();
    }
  }, 180_000);

  test('flags go to the agent; nothing is left when it is killed', async () => {
    const dev = start('--log-level', 'debug');
    try {
      await dev.running(1);
      await eventually('a line of level debug', () => dev.text.includes('"level":"debug"'));
      dev.signal('SIGKILL');
      await dev.ended;
      await expectNothingLeft();
    } finally {
      dev.end();
    }
  }, 120_000);
}
