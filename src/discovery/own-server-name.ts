// The name by which clients of the agent's own kubeconfig reach this agent: the host of its `server`, when that leads to
// a listener of ours. Owns one lookup at a time.
import { lookup as systemLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Clock } from '../model/clock.ts';
import type { HostPort } from '../model/endpoint.ts';

/** A name in /etc/hosts may be pointed at the agent, or away from it, at any time. */
const lookAgainMs = 300_000;

export interface OwnServerNameDeps {
  readonly clock: Pick<Clock, 'nowMs'>;
  isOwnListener(address: HostPort): boolean;
  lookup?(host: string): Promise<readonly { readonly address: string }[]>;
}

export class OwnServerName {
  readonly #deps: OwnServerNameDeps;
  #host: string | undefined;
  #isOwn = false;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #isLooking = false;

  constructor(deps: OwnServerNameDeps) {
    this.#deps = deps;
  }

  /** Undefined where `server` leads elsewhere, and while a name is still being resolved for the first time. */
  of(server: HostPort | undefined): string | undefined {
    if (!server) return undefined;
    const { host, port } = server;
    if (isIP(host)) return this.#deps.isOwnListener(server) ? host : undefined;
    if (host !== this.#host) {
      this.#host = host;
      this.#isOwn = false;
      this.#lookedMs = Number.NEGATIVE_INFINITY;
    }
    const isOld = this.#deps.clock.nowMs() - this.#lookedMs >= lookAgainMs;
    if (isOld && !this.#isLooking) void this.#lookUp(host, port);
    return this.#isOwn ? host : undefined;
  }

  async #lookUp(host: string, port: number): Promise<void> {
    const lookup = this.#deps.lookup ?? ((name: string) => systemLookup(name, { all: true }));
    this.#isLooking = true;
    this.#lookedMs = this.#deps.clock.nowMs();
    try {
      const found = await lookup(host);
      if (host === this.#host)
        this.#isOwn = found.some(({ address }) => this.#deps.isOwnListener({ host: address, port }));
    } catch {
      // A name that does not resolve leads nowhere; what it led to before stays until it does.
    } finally {
      this.#isLooking = false;
    }
  }
}
