// The zones of the control-plane nodes, and of this one, from the labels of their Node objects. Only read where
// `balance.prefer: zone` asks for it: it takes the right to list nodes (manifests/rbac-zones). EndpointSlice
// `default/kubernetes` carries no zones. What was read stays until something else is; a failure takes nothing back.
import type { Logger } from 'pino';
import { type Clock, jittered, type Random, type Timer } from '../model/clock.ts';
import { canonicalHost, type Endpoint } from '../model/endpoint.ts';
import { ApiSession } from './api-session.ts';
import type { CredentialSource } from './credentials.ts';
import { parseJson } from '../lib/bounded-json.ts';
import { fieldsOf, listOf } from '../lib/guards.ts';

export interface NodeZonesOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly credentials: Pick<CredentialSource, 'current' | 'started'>;
  /** Endpoints to ask, best first. */
  readonly order: () => readonly Endpoint[];
  readonly nodeName: string;
  readonly userAgent: string;
  readonly onChange: () => void;
}

/** Zones do not move; a control plane that joins is noticed by `evaluate`. */
const againMs = 30 * 60_000;
const retryMs = 60_000;
const zoneLabel = 'topology.kubernetes.io/zone';
/** A Node object is 20 to 40 KB, and a page of them has to fit into one answer. */
const pageSize = 10;
/** Of three hundred control-plane nodes: more than there are endpoints. */
const maxPages = 30;
const controlPlanes = `/api/v1/nodes?limit=${pageSize}&labelSelector=${encodeURIComponent('node-role.kubernetes.io/control-plane')}`;

/** The zone label of a Node object; undefined when it has none. */
export function zoneOfNode(node: unknown): string | undefined {
  const zone = fieldsOf(fieldsOf(fieldsOf(node).metadata).labels)[zoneLabel];
  return typeof zone === 'string' && zone !== '' ? zone : undefined;
}

/** Zone by address, of a NodeList; total, whatever it is. */
export function zonesOfNodes(list: unknown): Map<string, string> {
  const zones = new Map<string, string>();
  for (const node of listOf(fieldsOf(list).items)) {
    const zone = zoneOfNode(node);
    if (zone === undefined) continue;
    for (const entry of listOf(fieldsOf(fieldsOf(node).status).addresses)) {
      const { type, address } = fieldsOf(entry);
      const isAddress = type === 'InternalIP' || type === 'ExternalIP';
      if (isAddress && typeof address === 'string') zones.set(canonicalHost(address), zone);
    }
  }
  return zones;
}

export class NodeZones {
  readonly #options: NodeZonesOptions;
  #zones: ReadonlyMap<string, string> = new Map();
  #own: string | undefined;
  #timer: Timer | undefined;
  #session: ApiSession | undefined;
  #running: Promise<void> | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #warned = '';
  #isStopped = false;

  constructor(options: NodeZonesOptions) {
    this.#options = options;
    void options.credentials.started.then(() => this.refresh());
  }

  /** The zone of this node by its own Node object. */
  get own(): string | undefined {
    return this.#own;
  }

  zoneOf(host: string): string | undefined {
    return this.#zones.get(host);
  }

  /** An endpoint is there whose zone is not known: reads again, but not all the time. */
  refresh(): void {
    const { clock } = this.#options;
    if (this.#isStopped || this.#running || clock.nowMs() - this.#lookedMs < retryMs) return;
    if (this.#options.credentials.current.kind === 'none' || this.#options.order().length === 0) {
      this.#plan(retryMs / 12);
      return;
    }
    this.#lookedMs = clock.nowMs();
    this.#running = this.#read().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#session?.close();
    await this.#running;
  }

  #plan(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#isStopped) return;
    const { clock, random } = this.#options;
    this.#timer = clock.schedule(jittered(delayMs, 0.2, random), () => this.refresh());
  }

  /** The first endpoint that answers is believed. */
  async #read(): Promise<void> {
    let failure = 'no endpoint answers';
    for (const endpoint of this.#options.order()) {
      if (this.#isStopped) return;
      const result = await this.#ask(endpoint);
      if (result === undefined) {
        this.#warned = '';
        this.#plan(againMs);
        return;
      }
      failure = result;
    }
    if (failure !== this.#warned && !this.#isStopped) {
      this.#options.log.warn({ reason: failure }, 'cannot read the zones of the control-plane nodes');
      this.#warned = failure;
    }
    this.#plan(retryMs);
  }

  /** Undefined: done; else why not. */
  async #ask(endpoint: Endpoint): Promise<string | undefined> {
    const { clock, credentials, userAgent, nodeName, log, onChange } = this.#options;
    const session = new ApiSession({ endpoint, credentials: credentials.current, clock, userAgent });
    this.#session = session;
    try {
      const zones = await readZones(session);
      if (typeof zones === 'string') return zones;
      const self = await session.get(`/api/v1/nodes/${encodeURIComponent(nodeName)}`);
      const own = (self.ok ? zoneOfNode(parseJson(self.body)) : undefined) ?? this.#own;
      if (this.#isStopped) return undefined;
      const isSame =
        own === this.#own &&
        zones.size === this.#zones.size &&
        [...zones].every(([host, zone]) => this.#zones.get(host) === zone);
      this.#own = own;
      this.#zones = zones;
      if (isSame) return undefined;
      log.info({ zone: own, zones: Object.fromEntries(zones) }, 'read the zones of the control-plane nodes');
      onChange();
      return undefined;
    } finally {
      session.close();
      this.#session = undefined;
    }
  }
}

/** Zone by address; or why it cannot be read. */
async function readZones(session: ApiSession): Promise<Map<string, string> | string> {
  const zones = new Map<string, string>();
  let next = '';
  for (let page = 0; page < maxPages; page += 1) {
    const answer = await session.get(next === '' ? controlPlanes : `${controlPlanes}&continue=${next}`);
    if (!answer.ok) return answer.failure.text;
    const list = parseJson(answer.body);
    for (const [host, zone] of zonesOfNodes(list)) zones.set(host, zone);
    const token = fieldsOf(fieldsOf(list).metadata).continue;
    if (typeof token !== 'string' || token === '') return zones;
    next = encodeURIComponent(token);
  }
  return `more than ${maxPages} pages of control-plane nodes`;
}
