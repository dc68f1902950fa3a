// A semaphore over the nodes of a cluster, for a change that few of them may make at a time: one Lease a turn. And the halt,
// a ConfigMap that stops the rollout until it is deleted. Both are in the API, so that a node that dies delays the others
// only until its Lease expires.
import { fieldsOf } from '../lib/guards.ts';
import { printable } from '../lib/printable.ts';
import {
  configMapPath,
  reportsNamespace,
  type KubeApi,
  type KubeObject,
  leasePath,
  refusal,
} from '../kubernetes/kube-api.ts';

export const rolloutName = 'fairlead-rollout';
const turnName = (index: number) => `fairlead-turn-${index}`;
/** Of a Lease that says nothing of it. */
const defaultTurnSeconds = 600;

/** `2026-11-21T15:00:00.000000Z`, as a MicroTime wants it. */
const microTime = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z');

interface LeaseSpec {
  readonly holderIdentity?: string | null;
  readonly renewTime?: string | null;
  readonly leaseDurationSeconds?: number | null;
}
export const leaseSpec = (lease: KubeObject): LeaseSpec => (lease.spec ?? {}) as LeaseSpec;

export class RolloutSemaphore {
  readonly #api: KubeApi;
  readonly #node: string;
  readonly #nowMs: () => number;
  readonly #turnSeconds: number;

  /** `turnSeconds`: longer than a node needs, as it is not renewed; a holder that is gone loses its turn after that. */
  constructor(api: KubeApi, node: string, nowMs: () => number, turnSeconds = defaultTurnSeconds) {
    this.#turnSeconds = turnSeconds;
    this.#api = api;
    this.#node = node;
    this.#nowMs = nowMs;
  }

  /** Why the rollout is halted, or undefined. */
  async halted(): Promise<string | undefined> {
    const map = await this.#api.find(configMapPath(reportsNamespace, rolloutName));
    const { halted } = fieldsOf(map?.data);
    // Every worker may write it, and it goes to terminals.
    return typeof halted === 'string' ? printable(halted, 1_000) : undefined;
  }

  /** The first reason stays. */
  async halt(reason: string): Promise<void> {
    const body = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: rolloutName, labels: { 'app.kubernetes.io/name': 'fairlead' } },
      data: { halted: reason, node: this.#node, at: new Date(this.#nowMs()).toISOString() },
    };
    const answer = await this.#api.ask({ method: 'POST', path: configMapPath(reportsNamespace), body });
    if (answer.status !== 201 && answer.status !== 409) throw refusal('POST', rolloutName, answer);
  }

  /** The turn that this node has now, or undefined when `count` others are at it. */
  async acquire(count: number): Promise<string | undefined> {
    const names = Array.from({ length: count }, (_, index) => turnName(index));
    const leases = await Promise.all(names.map((name) => this.#api.find(leasePath(reportsNamespace, name))));
    // An interrupted installer continues with the turn that it had.
    const own = leases.findIndex((lease) => lease && leaseSpec(lease).holderIdentity === this.#node);
    for (const index of own >= 0 ? [own] : names.keys()) {
      const lease = leases[index];
      const name = names[index] ?? '';
      if (lease && own < 0 && !this.#isFree(lease)) continue;
      if (await this.#write(name, this.#node, lease)) return name;
    }
    return undefined;
  }

  async release(name: string): Promise<void> {
    const lease = await this.#api.find(leasePath(reportsNamespace, name));
    if (lease && leaseSpec(lease).holderIdentity === this.#node) await this.#write(name, '', lease);
  }

  #isFree(lease: KubeObject): boolean {
    const { holderIdentity, renewTime, leaseDurationSeconds } = leaseSpec(lease);
    if (!holderIdentity) return true;
    const untilMs = Date.parse(renewTime ?? '') + (leaseDurationSeconds ?? defaultTurnSeconds) * 1000;
    return !(untilMs > this.#nowMs());
  }

  /** False if another node was quicker. */
  async #write(name: string, holder: string, lease: KubeObject | undefined): Promise<boolean> {
    const now = microTime(this.#nowMs());
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name,
        namespace: reportsNamespace,
        labels: { 'app.kubernetes.io/name': 'fairlead' },
        ...(lease && { resourceVersion: lease.metadata?.resourceVersion }),
      },
      spec: {
        holderIdentity: holder,
        renewTime: now,
        acquireTime: now,
        leaseDurationSeconds: this.#turnSeconds,
      },
    };
    const answer = lease
      ? await this.#api.ask({ method: 'PUT', path: leasePath(reportsNamespace, name), body })
      : await this.#api.ask({ method: 'POST', path: leasePath(reportsNamespace), body });
    if (answer.status === 409) return false;
    if (answer.status >= 300) throw refusal(lease ? 'PUT' : 'POST', name, answer);
    return true;
  }
}
