// The files that a configuration names, looked at as the agent would: what does not exist here, cannot be read or is not
// what it should be. None of them keeps the agent from starting (it waits for each), so they are warnings. Exec plugins
// are not run.
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { credentialOptions } from '../agent/options.ts';
import { allPools, type Config, defaultPoolName, type PoolConfig, usedPools } from '../config/config.ts';
import type { Loaded } from '../config/load.ts';
import { problemsOf, readCredentials } from '../kubernetes/load-credentials.ts';
import { readFileText } from '../lib/read-file.ts';
import { codeOf, codeOrMessage, messageOf } from '../model/error-text.ts';
import { type AgentProblem, type Problem, problemKinds } from '../model/problems.ts';

interface FileProblem extends Required<Problem> {
  readonly path: string;
}

/** A line for each problem, with where the setting was said, its path, the file and what to do. */
export async function namedFileProblems({ config, sources }: Loaded): Promise<string[]> {
  const used = usedPools(config);
  const pools = allPools(config).filter(({ name }) => used.has(name));
  const found = [
    ...(await Promise.all(pools.map(ofPool))).flat(),
    ...(await ofListeners(config)),
    ...(await ofFrontProxy(config)),
  ];
  const known = new Set<string>();
  return found.flatMap(({ path, message, fix }) => {
    // Pools may share their credentials.
    if (known.has(message)) return [];
    known.add(message);
    const source = sourceOf(sources, path);
    return [`${source === undefined ? '' : `${source}: `}${path}: ${message}. ${fix}`];
  });
}

/** Where the setting, or the list or map that it is in, was said. */
function sourceOf(sources: Loaded['sources'], path: string): string | undefined {
  const known: Readonly<Record<string, string>> = sources;
  return known[path] ?? known[/^[a-zA-Z]+/.exec(path)?.[0] ?? ''];
}

async function ofPool(pool: PoolConfig): Promise<FileProblem[]> {
  const prefix = pool.name === defaultPoolName ? '' : `pools.${pool.name}.`;
  const { credentials, discovery } = pool;
  // A pod's service account belongs to the pod, not to this host.
  const own = credentialOptions(pool, { dir: '', exists: false });
  const { serviceAccountDir: _, ...options } = own;
  const found = problemsOf(await readCredentials({ ...options, isPluginSkipped: true }, new Set()));
  const settingOf = ({ code }: AgentProblem): string => {
    const { caFile, clientCertFile, tokenFile } = credentials;
    if (code === 'CA_UNREADABLE' && caFile !== undefined) return 'caFile';
    const isIdentity = code === 'CREDENTIALS_UNREADABLE';
    if (isIdentity && clientCertFile !== undefined) return 'clientCertFile';
    if (isIdentity && tokenFile !== undefined) return 'tokenFile';
    return 'kubeconfig';
  };
  const problems = found.map((problem) => ({
    path: `${prefix}credentials.${settingOf(problem)}`,
    message: problem.message,
    fix: problemKinds[problem.code].fix,
  }));
  return [...problems, ...(await ofCacheFile(`${prefix}discovery.cacheFile`, discovery.cacheFile))];
}

/** The agent makes the directory, where the one above it is there. */
async function ofCacheFile(path: string, file: string | undefined): Promise<FileProblem[]> {
  if (file === undefined) return [];
  const mayWrite = (directory: string) => access(directory, constants.W_OK | constants.X_OK);
  const directory = dirname(file);
  try {
    await mayWrite(directory).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
      return mayWrite(dirname(directory));
    });
    return [];
  } catch (error) {
    const isMissing = codeOf(error) === 'ENOENT';
    const why = isMissing ? 'does not exist' : `cannot be written by this user (${codeOrMessage(error)})`;
    const fix = `Create it (mkdir -p ${directory}), or name another file with --cache-file.`;
    return [{ path, message: `${file}: the directory ${directory} ${why}`, fix }];
  }
}

const tlsFix = 'Restore the file, or create a pair with `fairlead cert`; the listener waits for it.';

async function ofListeners({ listeners }: Pick<Config, 'listeners'>): Promise<FileProblem[]> {
  const found: FileProblem[] = [];
  for (const [index, { tls }] of listeners.entries()) {
    if (!tls) continue;
    const { readPair } = await import('../http/serving-certificate.ts');
    await readPair(tls).catch((error: unknown) => {
      found.push({ path: `listeners[${index}].tls`, message: messageOf(error), fix: tlsFix });
    });
  }
  return found;
}

async function ofFrontProxy({ requestHeader }: Pick<Config, 'requestHeader'>): Promise<FileProblem[]> {
  const found: FileProblem[] = [];
  for (const key of ['certFile', 'keyFile'] as const) {
    const file = requestHeader[key];
    if (file === undefined) continue;
    await readFileText(file).catch((error: unknown) => {
      const fix = 'Restore the file; the http listeners wait for it.';
      found.push({ path: `requestHeader.${key}`, message: messageOf(error), fix });
    });
  }
  return found;
}
