// Where a run took place: figures mean nothing without it.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { cpus, hostname, loadavg, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { type Tool, toolVersion } from './tools.ts';

const run = promisify(execFile);

export interface HostFacts {
  readonly date: string;
  readonly host: string;
  readonly cpu: string;
  readonly cpuCount: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly distribution: string;
  readonly node: string;
  readonly commit: string;
  /** Uncommitted changes were present. */
  readonly isDirty: boolean;
  /** One-minute load average at the start: what else the machine was doing. */
  readonly loadAverage: number;
  readonly versions: Readonly<Record<string, string>>;
}

async function git(...args: string[]): Promise<string> {
  return run('git', args).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}

export async function hostFacts(tools: readonly Tool[]): Promise<HostFacts> {
  const osRelease = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const versions: Record<string, string> = {};
  for (const tool of tools) versions[tool] = await toolVersion(tool);
  return {
    date: new Date().toISOString(),
    host: hostname(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cpuCount: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    distribution: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? 'unknown',
    node: process.version,
    commit: (await git('rev-parse', '--short=12', 'HEAD')) || 'unknown',
    isDirty: (await git('status', '--porcelain', '--untracked-files=no')) !== '',
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
    versions,
  };
}
