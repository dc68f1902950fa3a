// The certificates that one endpoint has shown: the usual one, and those for names that clients send as SNI, as an API
// server may have several (--tls-sni-cert-key). Owns a bounded map.
import type { ServingCertificate } from './certificate.ts';
import type { Handshake } from './monitor.ts';

/** Names that are kept, the latest ones: any process on the node can send any name. */
export const maxSeenNames = 16;

export class SeenCertificates {
  #usual: ServingCertificate | undefined;
  /** Undefined: what it showed for this name did not verify. */
  readonly #byName = new Map<string, ServingCertificate | undefined>();

  /** Shown to checks, and to clients that dial an IP address. */
  get usual(): ServingCertificate | undefined {
    return this.#usual;
  }

  /** Remembers what a handshake has shown; true when it replaces another certificate. */
  note({ serverName, certificate, fault }: Handshake): boolean {
    const isChain = fault === undefined || fault === 'name';
    if (serverName === undefined) {
      const before = this.#usual;
      if (certificate) this.#usual = certificate;
      const isNew = certificate !== undefined && before !== undefined && !isSame(certificate, before);
      // They are renewed together.
      if (isNew) this.#byName.clear();
      return isNew;
    }
    const before = this.#byName.get(serverName);
    this.#byName.delete(serverName);
    this.#byName.set(serverName, isChain ? certificate : undefined);
    const [oldest] = this.#byName.keys();
    if (this.#byName.size > maxSeenNames && oldest !== undefined) this.#byName.delete(oldest);
    return certificate !== undefined && before !== undefined && !isSame(certificate, before);
  }

  /**
   * A client that verifies `name` would accept what the endpoint shows it; undefined when that is not known: nothing
   * has been seen, or the usual certificate lacks a DNS name that was not asked for as SNI yet.
   */
  covers(name: string, isSni: boolean): boolean | undefined {
    if (isSni && this.#byName.has(name)) return this.#byName.get(name)?.covers(name) ?? false;
    if (this.#usual === undefined) return undefined;
    return this.#usual.covers(name) || (isSni ? undefined : false);
  }
}

const isSame = (a: ServingCertificate, b: ServingCertificate): boolean => a.fingerprint === b.fingerprint;
