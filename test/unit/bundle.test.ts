// What `scripts/build.ts` writes: which code is in which bundle, the notices beside it, and how it replaces what was there.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { jest } from '@jest/globals';
import type { Metafile } from 'esbuild';
import { bundledPackages, type LockedPackage } from '../../scripts/image/sbom.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const directory = join(tempDir(), 'built');
const copy = join(tempDir(), 'elsewhere');
const metafileName = join(tempDir(), 'meta.json');

function build(): Metafile {
  const args = ['scripts/build.ts', directory, metafileName];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the build failed: ${stderr}`);
  return JSON.parse(readFileSync(metafileName, 'utf8')) as Metafile;
}

// Each start of a process takes seconds on a busy machine.
jest.setTimeout(120_000);

const metafile = build();
const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
const outputs = new Map(
  Object.entries(metafile.outputs).map(([path, output]) => [relative('dist', path), output]),
);
const outputNamed = (start: string) => {
  const found = [...outputs.keys()].filter((path) => path.startsWith(start));
  if (found.length !== 1) throw new Error(`${start}: ${found.join(', ') || 'not built'}`);
  return found[0] as string;
};

/** The files that `start` loads, itself among them; only those at its start unless `isWithLazy`. */
function loadedBy(start: string, isWithLazy: boolean): string[] {
  const found = new Set<string>();
  const look = (path: string) => {
    if (found.has(path)) return;
    found.add(path);
    for (const { path: imported, kind, external } of outputs.get(path)?.imports ?? []) {
      if (!external && (isWithLazy || kind === 'import-statement')) look(relative('dist', imported));
    }
  };
  look(start);
  return [...found];
}

const sourcesOf = (paths: readonly string[]) =>
  paths.flatMap((path) => Object.keys(outputs.get(path)?.inputs ?? {})).sort();

const agent = outputNamed('lib/agent-');
const tools = outputNamed('lib/tools-');

test('the agent has no code of the tools, not even code that it would load later', () => {
  const sources = sourcesOf(loadedBy(agent, true));
  expect(sources).toEqual(expect.arrayContaining(['src/agent/agent.ts', 'src/cli/run.ts']));
  const foreign =
    /^src\/(adopt|installer|doctor|import|cluster|manifest)\/|^src\/cli\/(adoption|install|cluster)|^src\/cli\/program|node_modules\/(cli-table3|diff|@peculiar)\//;
  expect(sources.filter((source) => foreign.test(source))).toEqual([]);
});

test('what only some agents need is not loaded at their start', () => {
  const sources = sourcesOf(loadedBy(agent, false));
  const lazy = /^src\/http\/|node_modules\/(yaml|prom-client|pino-pretty|http-proxy-3|@kubernetes)\//;
  expect(sources.filter((source) => lazy.test(source))).toEqual([]);
});

test('a package that is loaded when it is needed has its named exports', () => {
  const entries = [...outputs.values()].filter(({ entryPoint }) => entryPoint !== undefined);
  for (const [name, used] of [
    ['yaml', 'parseDocument'],
    ['prom-client', 'Registry'],
    ['pino-pretty', 'prettyFactory'],
  ]) {
    const exported = entries.find(({ entryPoint }) => entryPoint === `lazy:${name}`)?.exports;
    expect([name, exported]).toEqual([name, expect.arrayContaining([used])]);
  }
  // What esbuild makes of a CommonJS package by itself has a default export and nothing else.
  expect(entries.filter(({ entryPoint }) => entryPoint?.startsWith('node_modules/'))).toEqual([]);
});

test('the tools have every command, and the agent only by its file', () => {
  const sources = sourcesOf(loadedBy(tools, true));
  const commands = readdirSync('src/adopt').filter((name) => name.endsWith('.ts'));
  expect(sources).toEqual(expect.arrayContaining(commands.map((name) => `src/adopt/${name}`)));
  expect(sources).not.toContain('src/agent/agent.ts');
});

test('every file that a bundle names is there', () => {
  for (const [path] of outputs) {
    if (!path.endsWith('.js')) continue;
    const text = readFileSync(join(directory, path), 'utf8');
    for (const [, imported = ''] of text.matchAll(/(?:from |import(?:\(| ))"(\.[^"]+)"/g)) {
      const place = join(directory, path, '..', imported);
      expect([path, imported, existsSync(place)]).toEqual([path, imported, true]);
    }
  }
  expect(files.filter((path) => path.endsWith('.js')).sort()).toEqual(
    [...outputs.keys()].filter((path) => path.endsWith('.js')).sort(),
  );
});

test('every package in a bundle has its licence in the notices', () => {
  const { packages: locked } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const notices = readFileSync(join(directory, 'THIRD-PARTY-NOTICES'), 'utf8');
  const bundled = bundledPackages(Object.keys(metafile.inputs), locked);
  expect(bundled.size).toBeGreaterThan(20);
  for (const [path, { version }] of bundled) {
    const heading = `== ${path.replace(/^.*node_modules\//, '')} ${version}\n`;
    const [, notice = ''] = notices.split(heading);
    const licence = readdirSync(path).find((name) => /^licen[cs]e/i.test(name)) ?? 'LICENSE';
    expect([path, notice.slice(0, 40_000)]).toEqual([
      path,
      expect.stringContaining(readFileSync(join(path, licence), 'utf8').trim()),
    ]);
  }
});

test('a copy of the directory runs where no package.json of a parent covers it', () => {
  cpSync(directory, copy, { recursive: true });
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [join(copy, 'fairlead.js'), ...args], { encoding: 'utf8' });
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  expect(run('--version')).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  for (const args of [['run'], ['config', 'check']])
    expect(run(...args, '--balance')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('unknown option'),
    });
  expect(run('--', 'run', 'x')).toMatchObject({ status: 2, stderr: expect.stringContaining('too many') });
  expect(run('run', '--help').stdout).toMatch(/^Usage: fairlead run \[options\]/);
  expect(run('--help').stdout).toMatch(/^ {2}run \[options\] /m);
  // The agent's bundle words its own failures.
  expect(run('run', '--config', '/nonexistent').stderr).toMatch(/^fairlead: CONFIG_UNREADABLE: /);
});

test('a build keeps the files of the one before for an hour, and replaces its own in one step each', () => {
  const [recent, old] = ['recent-AAAAAAAA.js', 'old-AAAAAAAA.js'].map((name) => join(directory, 'lib', name));
  for (const file of [recent, old]) writeFileSync(file as string, '');
  const before = Date.now() / 1000 - 3_700;
  utimesSync(old as string, before, before);
  const entry = statSync(join(directory, 'fairlead.js'));
  build();
  expect(existsSync(recent as string)).toBe(true);
  expect(existsSync(old as string)).toBe(false);
  const after = statSync(join(directory, 'fairlead.js'));
  expect(after.ino).not.toBe(entry.ino);
  expect(after.mode & 0o777).toBe(0o755);
  expect(readdirSync(directory).filter((name) => basename(name).startsWith('.build-'))).toEqual([]);
});
