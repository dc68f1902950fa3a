// A node for the installer: its files, its ports, and a kubelet that runs what is written there.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KubeApi, reportsNamespace } from '../../../src/kubernetes/kube-api.ts';
import { loadCredentials } from '../../../src/kubernetes/load-credentials.ts';
import { freePort, runFairlead } from '../agent/agent-process.ts';
import type { AgentScope } from '../agent/agent-suite.ts';
import { grantsWithNodeWatch } from '../apiserver/access.ts';
import type { ControlPlane } from '../apiserver/control-plane.ts';
import { Kubelet, makeNode, podDirectory } from './kubelet.ts';

export const staticPodTemplate = 'manifests/static-pod/fairlead.yaml';

/** An image that is never pulled. */
export const digest = (character: string) => `registry.example/fairlead@sha256:${character.repeat(64)}`;

export type Slot = 'a' | 'b';

export interface Cluster {
  readonly plane: ControlPlane;
  /** A kubeconfig of its administrator. */
  readonly admin: string;
}

/** A control plane with the namespace for reports; `scope` stops it. */
export async function startCluster(scope: AgentScope): Promise<Cluster> {
  const plane = await scope.startControlPlane({ grants: grantsWithNodeWatch });
  const admin = await plane.writeKubeconfig({ user: 'admin' });
  const { credentials, server } = await loadCredentials({ kubeconfig: admin }, new Set());
  const api = new KubeApi({ servers: server ? [server] : [], credentials, userAgent: 'test' });
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: reportsNamespace } };
  await api.must({ method: 'POST', path: '/api/v1/namespaces', body: namespace });
  return { plane, admin };
}

/** A node of `cluster` with its ports and kubeconfig. Its agents end with its kubelet. */
export class Worker {
  readonly root: string;
  readonly name: string;
  readonly cluster: Cluster;
  /** What the installer is given. */
  readonly configFile: string;
  readonly port: number;
  /** Of the agents in the two slots. */
  readonly adminPorts: string;
  readonly #adminPort: number;
  #kubelet: Kubelet | undefined;

  private constructor(
    name: string,
    directory: string,
    cluster: Cluster,
    [port = 0, adminPort = 0, ...ofSlots]: readonly number[],
  ) {
    this.name = name;
    this.cluster = cluster;
    this.root = join(directory, name);
    this.configFile = join(directory, `${name}.yaml`);
    this.port = port;
    this.#adminPort = adminPort;
    this.adminPorts = ofSlots.join(',');
  }

  /** Below `directory`, with nothing of Fairlead on it and no kubelet. */
  static async make(name: string, directory: string, cluster: Cluster): Promise<Worker> {
    const ports = [await freePort(), await freePort(), await freePort(), await freePort()];
    const made = new Worker(name, directory, cluster, ports);
    makeNode(made.root);
    const kubeconfig = readFileSync(await cluster.plane.writeKubeconfig({ user: 'node' }));
    writeFileSync(made.path('/etc/kubernetes/kubelet.conf'), kubeconfig);
    made.writeConfig();
    return made;
  }

  /** `scope` stops it. */
  startKubelet(scope: AgentScope): void {
    const kubelet = new Kubelet(this.root);
    this.#kubelet = kubelet;
    scope.onStop(() => kubelet.stop());
  }

  /** What its kubelet did. */
  get log(): readonly string[] {
    return this.#kubelet?.log ?? [];
  }

  path(path: string): string {
    return join(this.root, path);
  }

  manifest(slot: Slot): string {
    return this.path(`${podDirectory}/fairlead-${slot}.yaml`);
  }

  /** The slots that have a pod. */
  slots(): Slot[] {
    return (['a', 'b'] as const).filter((slot) => existsSync(this.manifest(slot)));
  }

  writeConfig(more = ''): void {
    writeFileSync(
      this.configFile,
      `listeners: ["127.0.0.1:${this.port}"]
admin: 127.0.0.1:${this.#adminPort}
credentials: {kubeconfig: ${this.path('/etc/kubernetes/kubelet.conf')}}
discovery: {cacheFile: ${this.path('/var/lib/fairlead/endpoints.json')}}
shutdown: {grace: 1s}
${more}`,
    );
  }

  install(image: string, ...more: string[]) {
    return runFairlead([
      'install',
      ...['--root', this.root, '--node', this.name, '--kubeconfig', this.cluster.admin],
      ...['--config', this.configFile, '--template', staticPodTemplate],
      ...['--image', image, '--admin-ports', this.adminPorts, '--serve-within', '20', ...more],
    ]);
  }

  /** Brings it to an agent of image 4, whatever a test before has left; says in which slot it is, and the other one. */
  async serving(): Promise<{ slot: Slot; other: Slot }> {
    this.writeConfig();
    expect(await this.install(digest('4'))).toMatchObject({ code: 0, stderr: '' });
    const [slot = 'a', ...more] = this.slots();
    expect(more).toEqual([]);
    return { slot, other: slot === 'a' ? 'b' : 'a' };
  }

  /** What its cluster is told about it. */
  async report(): Promise<Record<string, string>[]> {
    const args = ['install', '--report', '--json', '--kubeconfig', this.cluster.admin];
    const { stdout } = await runFairlead(args);
    return (JSON.parse(stdout) as Record<string, string>[]).filter(({ node }) => node === this.name);
  }
}
