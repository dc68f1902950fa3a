// What the static pods of a node say of it: its API server's address, and other local load balancers.
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { resolveBelow } from '../lib/below-root.ts';
import { readFileText } from '../lib/read-file.ts';
import { fieldsOf, isRecord, isString, listOf } from '../lib/guards.ts';

export interface StaticPod {
  /** As the node knows it. */
  readonly file: string;
  readonly name: string;
  readonly images: readonly string[];
  readonly command: readonly string[];
}

export const kubeletConfig = '/var/lib/kubelet/config.yaml';
export const defaultDirectory = '/etc/kubernetes/manifests';

async function readYaml(root: string, path: string): Promise<unknown> {
  try {
    const text = await readFileText(path, { locate: (file) => resolveBelow(root, file) });
    return parse(text, { logLevel: 'silent' });
  } catch {
    return undefined; // missing, unreadable or not YAML: kubelet sees no pod either
  }
}

/** Where kubelet takes static pods from. */
export async function staticPodDirectory(root: string): Promise<string> {
  const config = await readYaml(root, kubeletConfig);
  const path = fieldsOf(config).staticPodPath;
  return typeof path === 'string' && path.startsWith('/') ? resolve(path) : defaultDirectory;
}

export async function readStaticPods(root: string): Promise<StaticPod[]> {
  const directory = await staticPodDirectory(root);
  const names = await readdir(await resolveBelow(root, directory)).catch(() => []);
  const pods: StaticPod[] = [];
  // kubelet skips names that begin with a dot, and asks no ending of the others.
  for (const name of names.filter((candidate) => !candidate.startsWith('.')).sort()) {
    const file = join(directory, name);
    const pod = await readYaml(root, file);
    if (!isRecord(pod) || !isRecord(pod.spec)) continue;
    const containers = listOf(pod.spec.containers).filter(isRecord);
    const texts = (value: unknown) => listOf(value).filter(isString);
    const { name: written } = fieldsOf(pod.metadata);
    pods.push({
      file,
      name: isString(written) ? written : name,
      images: texts(containers.map(({ image }) => image)),
      command: containers.flatMap(({ command, args }) => [...texts(command), ...texts(args)]),
    });
  }
  return pods;
}

/** Where the API server among them listens: `--bind-address` and `--secure-port`, with its defaults. */
export function apiServerAddress(pods: readonly StaticPod[]): { host: string; port: number } | undefined {
  const pod = pods.find(({ command }) => /(^|\/)kube-apiserver$/.test(command[0] ?? ''));
  if (!pod) return undefined;
  const flag = (name: string) =>
    pod.command.findLast((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3);
  return { host: flag('bind-address') ?? '::', port: Number(flag('secure-port') ?? 6443) };
}

/** nginx-proxy, haproxy and their like; Fairlead's own pod is none. */
export function otherLoadBalancers(pods: readonly StaticPod[]): StaticPod[] {
  const isProxy = (text: string) => /(^|[/-])(nginx|haproxy)([-:@]|$)/.test(text);
  return pods.filter(({ name, images }) => isProxy(name) || images.some(isProxy));
}
