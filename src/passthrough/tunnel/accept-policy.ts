// Whether a listener accepts a client, before anything else happens to it: by network, and which senders must begin with a
// PROXY protocol header that names the client. How many there are is the listener's count; process-load.ts keeps to it.
import { networkCheck } from '../../model/network.ts';
import { EvictionQueue } from './eviction-queue.ts';

export interface AcceptPolicyOptions {
  /** Maximum concurrent clients of the listener. */
  readonly maxTunnels?: number | undefined;
  /** Networks of clients that are accepted; undefined: all. */
  readonly allowFrom?: readonly string[] | undefined;
  /** Networks of senders of PROXY headers. `allowFrom` is applied to the address that the header names, not to theirs. */
  readonly acceptProxyFrom?: readonly string[] | undefined;
}

/** `expects-proxy-header`: the client has to begin with a PROXY header; `gone`: it has no address any more. */
export type Admission = 'accepted' | 'expects-proxy-header' | 'not-allowed' | 'gone';

export class AcceptPolicy {
  /** Clients of the listener at the moment. */
  tunnels = 0;
  readonly maxTunnels: number;
  /** Of these, the ones that may go when there are too many. */
  readonly queue = new EvictionQueue();
  readonly #isAllowed: ((address: string) => boolean) | undefined;
  readonly #sendsHeader: ((address: string) => boolean) | undefined;

  constructor({ maxTunnels, allowFrom, acceptProxyFrom }: AcceptPolicyOptions = {}) {
    this.maxTunnels = maxTunnels ?? Number.POSITIVE_INFINITY;
    this.#isAllowed = allowFrom && networkCheck(allowFrom);
    this.#sendsHeader = acceptProxyFrom && networkCheck(acceptProxyFrom);
  }

  /** `address` is asked for only where it matters: it costs a system call. */
  accept(address: () => string | undefined): Admission {
    if (!this.#isAllowed && !this.#sendsHeader) return 'accepted';
    const text = address();
    // A health check that ends with a RST may be over before we look: no client is left.
    if (text === undefined) return 'gone';
    if (this.#sendsHeader?.(text)) return 'expects-proxy-header';
    return this.isAllowed(text) ? 'accepted' : 'not-allowed';
  }

  isAllowed(address: string): boolean {
    return this.#isAllowed === undefined || this.#isAllowed(address);
  }
}
