// The log as a process writes it: its two formats, and that neither a reader who does not read nor a full disk stops the process.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tempDir } from '../support/jest/temp-dir.ts';

const directory = tempDir();
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});
const log = pathToFileURL('src/observe/log.ts').href;

/** The file of a program that logs; `body` sees `logger` and `close`. */
function writeProgram(name: string, options: object, body: string): string {
  const file = join(directory, `${name}.mjs`);
  writeFileSync(
    file,
    `import { createLog } from ${JSON.stringify(log)};
const { logger, close } = await createLog(${JSON.stringify({ level: 'info', node: 'n1', isTerminal: false, ...options })});
${body}`,
  );
  return file;
}

function start(name: string, options: object, body: string) {
  const file = writeProgram(name, options, body);
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  return child;
}

async function outputOf(child: ReturnType<typeof start>): Promise<string> {
  let out = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  await once(child, 'close');
  return out;
}

const twoLines = `logger.info({ endpoint: '10.0.0.1:6443' }, 'endpoint is ready');
logger.debug('not shown');
logger.error({ err: new Error('broken') }, 'failed');
await close();
logger.info('too late');`;

test('JSON lines with level by name, ISO time, node and the error', async () => {
  const lines = (await outputOf(start('json', { format: 'auto' }, twoLines))).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      node: 'n1',
      endpoint: '10.0.0.1:6443',
      msg: 'endpoint is ready',
    },
    expect.objectContaining({
      level: 'error',
      msg: 'failed',
      err: expect.objectContaining({ message: 'broken', stack: expect.any(String) }),
    }),
  ]);
});

test.each([
  ['asked for', { format: 'pretty', isTerminal: false }],
  ['on a terminal', { format: 'auto', isTerminal: true }],
])('pretty lines when %s', async (_name, options) => {
  const out = await outputOf(start('pretty', options, twoLines));
  const plain = out.replace(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g'), '');
  expect(plain).toMatch(
    /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: endpoint is ready\n {4}endpoint: "10\.0\.0\.1:6443"\n/,
  );
  expect(plain).toMatch(/ERROR: failed\n/);
  expect(out === plain).toBe(!options.isTerminal);
});

test('what was logged last is written also when the process ends at once', async () => {
  const out = await outputOf(start('last', { format: 'json' }, "logger.info('last'); process.exit(0);"));
  expect(out).toContain('"msg":"last"');
});

const nobodyReads = (what: string) => `const line = 'x'.repeat(1000);
let ticks = 0;
const timer = setInterval(() => {
  for (let count = 0; count < 500; count++) logger.info(line);
  if (++ticks < 10) return;
  clearInterval(timer);
  ${what}
}, 10);`;

// Standard output is a pipe of 64 KiB that nobody reads, and 5 MB are written to it.
describe('a reader that does not read', () => {
  test.each([
    [
      'stops neither the process nor its event loop',
      "process.stderr.write('still running');",
      'still running',
    ],
    ['does not keep the log from closing', "close().then(() => process.stderr.write('closed'));", 'closed'],
  ])('%s', async (name, what, expected) => {
    const child = start(name.replaceAll(' ', '-'), { format: 'json' }, nobodyReads(what));
    const [said] = (await once(child.stderr as NodeJS.ReadableStream, 'data')) as [Buffer];
    expect(said.toString()).toBe(expected);
  });

  test('does not keep a process from crashing', async () => {
    const child = start(
      'crash',
      { format: 'json' },
      nobodyReads("process.stdout; throw new Error('a bug');"),
    );
    const [exitCode] = (await once(child, 'exit')) as [number | null];
    expect(exitCode).toBeGreaterThan(0);
  });
});

test('a full disk loses lines, not the process', async () => {
  const full = openSync('/dev/full', 'w');
  const file = writeProgram('full', { format: 'json' }, `${twoLines}\nconsole.error('still here');`);
  const child = spawn(process.execPath, [file], { stdio: ['ignore', full, 'pipe'] });
  started.push(child);
  closeSync(full);
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const [code] = (await once(child, 'close')) as [number];
  expect({ code, errors }).toEqual({ code: 0, errors: 'still here\n' });
});
