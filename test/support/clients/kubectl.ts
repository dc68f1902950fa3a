// A real kubectl, if there is one: commands that end, and a watch that is started again whenever it ends.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { accessSync, constants, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** The kubectl on PATH. */
export function findKubectl(): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((dir) => join(dir, 'kubectl'))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/**
 * Those to test with: the one on PATH, the oldest and the newest beside it (kubectl.1.27 and so on), and those of
 * FAIRLEAD_TEST_KUBECTL, a list of paths with commas.
 */
export function findKubectls(): string[] {
  const onPath = findKubectl();
  const more = (process.env.FAIRLEAD_TEST_KUBECTL ?? '').split(',').filter(Boolean);
  if (!onPath) return more;
  const dir = dirname(realpathSync(onPath));
  const beside = readdirSync(dir).filter((name) => /^kubectl\.1\.\d+$/.test(name));
  // The oldest and the newest are enough.
  const [oldest, newest] = [beside.sort().at(0), beside.at(-1)];
  const chosen = [...new Set([oldest, newest])].flatMap((name) => (name ? [join(dir, name)] : []));
  return [onPath, ...chosen, ...more];
}

export interface KubectlOptions {
  readonly program: string;
  readonly kubeconfig: string;
  /** kubectl keeps its discovery cache there. */
  readonly home: string;
  /** Flags of every command, such as --server. */
  readonly flags?: readonly string[];
}

export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Kubectl {
  readonly #options: KubectlOptions;

  constructor(options: KubectlOptions) {
    this.#options = options;
  }

  /** The same with another kubeconfig. */
  as(kubeconfig: string): Kubectl {
    return new Kubectl({ ...this.#options, kubeconfig });
  }

  run(args: readonly string[], input = ''): Promise<KubectlResult> {
    const { program, flags = [] } = this.#options;
    return new Promise((resolve) => {
      const child = execFile(
        program,
        [...args, ...flags],
        { env: this.#env(), timeout: 40_000, maxBuffer: 2 ** 24 },
        (error, stdout, stderr) => {
          resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
        },
      );
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    });
  }

  /** The standard output of a command that must succeed. */
  async ok(args: string, input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(args.split(' '), input);
    if (code !== 0) throw new Error(`kubectl ${args}: exit code ${code}: ${stderr}`);
    return stdout;
  }

  watch(args: string): KubectlWatch {
    const { program, flags = [] } = this.#options;
    return new KubectlWatch(() =>
      spawn(program, [...args.split(' '), ...flags], { env: this.#env(), stdio: ['ignore', 'pipe', 'pipe'] }),
    );
  }

  #env(): NodeJS.ProcessEnv {
    const { kubeconfig, home } = this.#options;
    return { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig };
  }
}

/** `kubectl get -w` ends when its connection does; a user would start it again, and so does this. */
export class KubectlWatch {
  /** Everything that it has printed, over all starts. */
  text = '';
  /** What it said when it ended, one entry an end. */
  readonly ends: string[] = [];
  readonly #start: () => ChildProcess;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(start: () => ChildProcess) {
    this.#start = start;
    this.#run();
  }

  /** A line of its output begins so. */
  has(line: string): boolean {
    return this.text.startsWith(line) || this.text.includes(`\n${line}`);
  }

  #run(): void {
    const child = this.#start();
    this.#child = child;
    let errors = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    this.#exited = new Promise((resolve) => {
      child.on('close', (code) => {
        if (!this.#isStopped) {
          this.ends.push(`${code}: ${errors.trim()}`);
          this.#run();
        }
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }
}
