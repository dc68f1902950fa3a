// What a listener says of its clients before anything else happens to them: whose connections it takes, how many at
// a time, and who has to say in a PROXY protocol header whose connection it is.
import { networkCheck } from '../../model/network.ts';

export interface AcceptPolicyOptions {
  /** Most clients of the listener at a time. */
  readonly maxTunnels?: number;
  /** Networks of clients that are taken; undefined: all. */
  readonly allowFrom?: readonly string[];
  /** Networks of senders of PROXY headers. Their own address is not judged by `allowFrom`; the one they name is. */
  readonly acceptProxyFrom?: readonly string[];
}

/** `expects-proxy-header`: the client has to begin with a PROXY header; `gone`: it has no address any more. */
export type Admission = 'taken' | 'expects-proxy-header' | 'not-allowed' | 'full' | 'gone';

export class AcceptPolicy {
  /** Clients that are there now. */
  tunnels = 0;
  readonly maxTunnels: number;
  readonly #isAllowed: ((address: string) => boolean) | undefined;
  readonly #sendsHeader: ((address: string) => boolean) | undefined;

  constructor({ maxTunnels, allowFrom, acceptProxyFrom }: AcceptPolicyOptions = {}) {
    this.maxTunnels = maxTunnels ?? Number.POSITIVE_INFINITY;
    this.#isAllowed = allowFrom && networkCheck(allowFrom);
    this.#sendsHeader = acceptProxyFrom && networkCheck(acceptProxyFrom);
  }

  /** `address` is asked for only where it matters: it costs a system call. */
  accept(address: () => string | undefined): Admission {
    if (this.tunnels >= this.maxTunnels) return 'full';
    if (!this.#isAllowed && !this.#sendsHeader) return 'taken';
    const text = address();
    // A health check that ends with a RST may be over before we look: it is nobody's client.
    if (text === undefined) return 'gone';
    if (this.#sendsHeader?.(text)) return 'expects-proxy-header';
    return this.isAllowed(text) ? 'taken' : 'not-allowed';
  }

  isAllowed(address: string): boolean {
    return this.#isAllowed === undefined || this.#isAllowed(address);
  }
}
