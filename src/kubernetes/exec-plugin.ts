// Runs the exec plugin of a kubeconfig through @kubernetes/client-node's ExecAuth, which keeps what the
// plugin said until it expires. What ExecAuth lacks is added here: a deadline, a bound on the output, no
// terminal, KUBERNETES_EXEC_INFO, and commands relative to the kubeconfig, as client-go has them.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { RequestOptions } from 'node:https';
import { dirname, isAbsolute, join } from 'node:path';
import type { User } from '@kubernetes/client-node';
import { readJson } from '../lib/bounded-json.ts';
import { ByteAccumulator } from '../lib/byte-accumulator.ts';
import { messageOf } from '../model/error-text.ts';

const deadlineMs = 30_000;
/** A token, or a certificate with its key: a few kilobytes. */
const maxOutputBytes = 1 << 20;
const maxErrorBytes = 8 << 10;
const wanted = 'it must print one ExecCredential as JSON';

export interface ExecOutcome {
  readonly token?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface ExecPlugin {
  /** What the plugin gives, or gave and has not expired; rejects with an Error that has its first words. */
  run(): Promise<ExecOutcome>;
  /** Ends a plugin that runs. */
  stop(): void;
}

interface Options {
  /** The user of the kubeconfig, with `exec`. */
  readonly user: User;
  readonly kubeconfig: string;
  /** What `provideClusterInfo` hands over. */
  readonly cluster?: Readonly<Record<string, unknown>>;
  readonly timeoutMs?: number;
}

/** Loads ExecAuth (4 KB of the package, none of its HTTP stack) and prepares the plugin of `user`. */
export async function execPlugin({
  user,
  kubeconfig,
  cluster,
  timeoutMs = deadlineMs,
}: Options): Promise<ExecPlugin> {
  const { ExecAuth } = await import('@kubernetes/client-node/dist/exec_auth.js');
  const auth = new ExecAuth();
  let child: ChildProcess | undefined;
  let isTooLong = false;
  const kill = () => {
    // Its own process group, so that what the plugin started ends too and cannot keep the pipes open.
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      child.kill('SIGKILL');
    }
  };
  const boundedSpawn = (command: string, args: readonly string[] | undefined, options: SpawnOptions) => {
    const started = spawn(command, args ?? [], {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    child = started;
    return collected(started, () => {
      isTooLong = true;
      kill();
    });
  };
  // `execFn` is private in the types, but the package's own tests replace it the same way.
  Object.assign(auth, { execFn: boundedSpawn });

  const prepared = prepare(user, kubeconfig, cluster);
  return {
    stop: kill,
    async run() {
      const options: RequestOptions = {};
      isTooLong = false;
      let timer: NodeJS.Timeout | undefined;
      const expired = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          kill();
          child?.stdout?.destroy();
          child?.stderr?.destroy();
          reject(new Error(`it gave no answer within ${timeoutMs / 1000} s`));
        }, timeoutMs);
      });
      const answered = auth.applyAuthentication(prepared, options);
      try {
        await Promise.race([answered, expired]);
      } catch (error) {
        answered.catch(() => {}); // the loser of the race; its reason is the one below
        if (isTooLong) throw new Error(`its output exceeds ${maxOutputBytes} bytes; ${wanted}`);
        const [words] = messageOf(error).trim().split('\n');
        throw new Error(words ? words.slice(0, 200) : 'it failed without output');
      } finally {
        clearTimeout(timer);
      }
      const header = (options.headers as Record<string, unknown> | undefined)?.Authorization;
      const token = typeof header === 'string' ? header.replace(/^Bearer /, '') : undefined;
      const outcome: { token?: string; cert?: string; key?: string } = {};
      if (token !== undefined) outcome.token = token;
      if (typeof options.cert === 'string') outcome.cert = options.cert;
      if (typeof options.key === 'string') outcome.key = options.key;
      return outcome;
    },
  };
}

/**
 * What ExecAuth reads of a child, in place of it: standard output comes in one piece once the child has ended, collected
 * within the bound and checked as JSON, and of standard error the beginning. ExecAuth itself would add up whatever comes.
 */
function collected(child: ChildProcess, onTooLong: () => void): EventEmitter {
  const output = new ByteAccumulator(maxOutputBytes);
  const errors = new ByteAccumulator(maxErrorBytes);
  const stdout = Object.assign(new EventEmitter(), { setEncoding() {} });
  const stderr = Object.assign(new EventEmitter(), { setEncoding() {} });
  let isCut = false;
  child.stdout?.on('data', (chunk: Buffer) => {
    if (isCut || output.append(chunk)) return;
    isCut = true;
    onTooLong();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    errors.append(chunk.subarray(0, maxErrorBytes - errors.length));
  });
  const shown = Object.assign(new EventEmitter(), { stdout, stderr });
  child.on('error', (error) => shown.emit('error', error));
  child.on('close', (code) => {
    const text = output.text();
    const reading = readJson(text);
    // It may have ended by itself before it was killed: what is left of its output must not count.
    if (isCut) shown.emit('error', new Error('its output was cut'));
    if (code === 0 && !reading.ok) shown.emit('error', new Error(`its output ${reading.problem}; ${wanted}`));
    stdout.emit('data', text);
    stderr.emit('data', errors.text());
    shown.emit('close', code);
  });
  return shown;
}

/** The user with its command found and its environment completed, as client-go hands them to a plugin. */
function prepare(user: User, kubeconfig: string, cluster: Options['cluster']): User {
  const exec = user.exec ?? user.authProvider?.config?.exec;
  if (typeof exec?.command !== 'string' || exec.command === '')
    throw new Error('its exec section has no command');
  const command: string = exec.command;
  const info = {
    kind: 'ExecCredential',
    apiVersion: exec.apiVersion ?? 'client.authentication.k8s.io/v1',
    spec:
      exec.provideClusterInfo === true && cluster ? { interactive: false, cluster } : { interactive: false },
  };
  return {
    ...user,
    exec: {
      ...exec,
      command: command.includes('/') && !isAbsolute(command) ? join(dirname(kubeconfig), command) : command,
      env: [...(exec.env ?? []), { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }],
    },
  };
}
