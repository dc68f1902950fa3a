// What kubelet does with static pods, as a process of its own: reads the manifests of a directory, runs the agent
// that each one names, starts it again when it ends, and ends it (SIGTERM, then SIGKILL after the pod's grace)
// when its manifest goes or changes. Once a pod has answered its liveness probe, it is ended when it fails that as often as
// the probe says, with the probe's own grace where it has one. Images are not pulled: one whose name has `broken` in it ends at once.
//
// Usage: node main.ts ROOT DIRECTORY PROGRAM
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { parse } from 'yaml';

interface LivenessProbe {
  readonly httpGet: { readonly host?: string; readonly port: number; readonly path: string };
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly failureThreshold?: number;
  readonly terminationGracePeriodSeconds?: number;
}

interface Manifest {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly terminationGracePeriodSeconds?: number;
    readonly containers: readonly {
      readonly image: string;
      readonly command?: readonly string[];
      readonly args?: readonly string[];
      readonly env?: readonly { readonly name: string; readonly value?: string }[];
      readonly livenessProbe?: LivenessProbe;
    }[];
  };
}

interface Running {
  readonly text: string;
  readonly child: ChildProcess;
  isEnding: boolean;
}

const [root = '/', directory = '', program = ''] = process.argv.slice(2);
const running = new Map<string, Running>();
const notBefore = new Map<string, number>();
const restartMs = 200;

function manifests(): Map<string, { text: string; manifest: Manifest }> {
  const found = new Map<string, { text: string; manifest: Manifest }>();
  const names = existsSync(join(root, directory)) ? readdirSync(join(root, directory)) : [];
  for (const name of names) {
    if (name.startsWith('.')) continue;
    try {
      const text = readFileSync(join(root, directory, name), 'utf8');
      const manifest = parse(text) as Manifest;
      if (manifest.spec.containers.length > 0) found.set(manifest.metadata.name, { text, manifest });
    } catch {
      // gone meanwhile, or not a pod: kubelet skips it as well
    }
  }
  return found;
}

const belowRoot = (word: string) =>
  word.startsWith('/') && existsSync(join(root, word)) ? join(root, word) : word;

function start(name: string, text: string, { spec }: Manifest): void {
  const [container] = spec.containers;
  const { image, command, args = [], env = [] } = container!;
  const words = [...(command ?? [process.execPath, program]), ...args.map(belowRoot)];
  const line = image.includes('broken') ? [process.execPath, '-e', 'process.exit(1)'] : words;
  const child = spawn(line[0]!, line.slice(1), {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env.PATH,
      NODE_NAME: 'worker-1',
      ...Object.fromEntries(env.flatMap((one) => (one.value === undefined ? [] : [[one.name, one.value]]))),
    },
  });
  const pod: Running = { text, child, isEnding: false };
  running.set(name, pod);
  process.stdout.write(`started ${name} ${child.pid}\n`);
  child.stdout?.on('data', (chunk: Buffer) => process.stdout.write(chunk));
  child.on('error', () => {});
  const probe = container?.livenessProbe;
  const unwatch = probe ? watchLiveness(name, probe, () => end(name, pod, graceOf(probe, spec))) : () => {};
  child.on('close', (code, signal) => {
    process.stdout.write(`ended ${name} ${signal ?? code}\n`);
    unwatch();
    running.delete(name);
    notBefore.set(name, Date.now() + (pod.isEnding ? 0 : restartMs));
  });
}

const graceOf = (probe: LivenessProbe, spec: Manifest['spec']) =>
  probe.terminationGracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30;

/**
 * Asks at every period, one question at a time, and calls `failed` once; what it returns ends the watch. A period that
 * ends during a question begins the next one as soon as that is over.
 */
function watchLiveness(
  name: string,
  { httpGet, periodSeconds = 10, timeoutSeconds = 1, failureThreshold = 3 }: LivenessProbe,
  failed: () => void,
): () => void {
  const { host = '127.0.0.1', port, path } = httpGet;
  let hasAnswered = false;
  let isAsking = false;
  let isDue = false;
  let failures = 0;
  const judged = (isGood: boolean): void => {
    process.stdout.write(`probed ${name} ${isGood ? 'good' : 'bad'}\n`);
    isAsking = false;
    hasAnswered ||= isGood;
    failures = isGood || !hasAnswered ? 0 : failures + 1;
    if (failures !== failureThreshold) {
      if (isDue) ask();
      return;
    }
    clearInterval(timer);
    failed();
  };
  const ask = (): void => {
    isDue = isAsking;
    if (isAsking) return;
    isAsking = true;
    let isOver = false;
    const over = (isGood: boolean): void => {
      if (isOver) return;
      isOver = true;
      judged(isGood);
    };
    const request = get({ host, port, path, agent: false }, (response) => {
      response.resume();
      over(response.statusCode === 200);
    });
    request.setTimeout(timeoutSeconds * 1000, () => request.destroy());
    request.on('error', () => over(false));
    request.on('close', () => over(false));
  };
  const timer = setInterval(ask, periodSeconds * 1000);
  return () => clearInterval(timer);
}

function end(name: string, pod: Running, graceSeconds: number): void {
  pod.isEnding = true;
  process.stdout.write(`ending ${name}\n`);
  pod.child.kill('SIGTERM');
  setTimeout(() => pod.child.kill('SIGKILL'), graceSeconds * 1000).unref();
}

function look(): void {
  const wanted = manifests();
  for (const [name, pod] of running) {
    if (pod.isEnding || wanted.get(name)?.text === pod.text) continue;
    end(name, pod, (parse(pod.text) as Manifest).spec.terminationGracePeriodSeconds ?? 30);
  }
  for (const [name, { text, manifest }] of wanted) {
    if (!running.has(name) && (notBefore.get(name) ?? 0) <= Date.now()) start(name, text, manifest);
  }
}

process.on('SIGTERM', () => {
  clearInterval(timer);
  // Not SIGKILL at once: nginx would leave its workers behind.
  for (const { child } of running.values()) child.kill('SIGTERM');
  setTimeout(() => {
    for (const { child } of running.values()) child.kill('SIGKILL');
    process.exit(0);
  }, 3_000).unref();
});
process.on('disconnect', () => process.emit('SIGTERM'));
const timer = setInterval(look, 50);
look();
