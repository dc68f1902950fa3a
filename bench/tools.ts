// The programs that a bench run needs besides Node: found, or named with the line that installs them.
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const toolPackages = {
  haproxy: 'haproxy',
  nginx: 'nginx libnginx-mod-stream',
  wrk: 'wrk',
  curl: 'curl',
  taskset: 'util-linux',
  ip: 'iproute2',
  tc: 'iproute2',
} as const;

export type Tool = keyof typeof toolPackages;

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Debian keeps proxies in /usr/sbin, which is not on every user's PATH. */
export async function findTool(tool: Tool): Promise<string | undefined> {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const directory of directories) {
    const path = join(directory, tool);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

export async function missingTools(tools: readonly Tool[]): Promise<readonly Tool[]> {
  const missing: Tool[] = [];
  for (const tool of tools) if ((await findTool(tool)) === undefined) missing.push(tool);
  return missing;
}

export function installLine(tools: readonly Tool[]): string {
  const packages = tools.map((tool) => toolPackages[tool]).join(' ');
  return `apt-get install --no-install-recommends ${packages}`;
}

/**
 * Installs the Debian packages of `tools`; needs root. A package may start its system service; a bench run
 * never talks to it, it only borrows the binaries.
 */
export async function installTools(tools: readonly Tool[]): Promise<void> {
  const packages = tools.flatMap((tool) => toolPackages[tool].split(' '));
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-q'], { env });
  await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], { env });
}

/** Undefined when all are there, after installing them if `install` says so; else what to tell the user. */
export async function requireTools(tools: readonly Tool[], install: boolean): Promise<string | undefined> {
  let missing = await missingTools(tools);
  if (missing.length && install) {
    await installTools(missing);
    missing = await missingTools(tools);
  }
  return missing.length ? `missing: ${missing.join(', ')}\ninstall with: ${installLine(missing)}` : undefined;
}

/** The first dotted number of what the tool says about itself; some say it on stderr or with status 1. */
export async function toolVersion(tool: Tool): Promise<string> {
  const path = await findTool(tool);
  if (path === undefined) return 'missing';
  const flags: Partial<Record<Tool, string>> = {
    curl: '--version',
    taskset: '--version',
    ip: '-V',
    tc: '-V',
  };
  const flag = flags[tool] ?? '-v';
  const output = await run(path, [flag]).catch((error: { stdout?: string; stderr?: string }) => error);
  return /\d+\.\d+[\w.+-]*/.exec(`${output.stdout ?? ''}${output.stderr ?? ''}`)?.[0] ?? 'unknown';
}
