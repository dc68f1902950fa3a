// What Fairlead shows to API servers and what it trusts them by: the types that probes and the watch use.
import type { FairleadError } from '../model/errors.ts';
import type { HostPort } from '../model/endpoint.ts';

export type CredentialKind = 'client certificate' | 'token' | 'exec' | 'none';

/** Immutable, coherent (the key belongs to the certificate, every PEM parses). Never logged. */
export interface Credentials {
  readonly kind: CredentialKind;
  /** PEM of the trusted CAs; absent: those of the runtime. */
  readonly ca?: string;
  /** PEM of the client certificate, with its chain. */
  readonly cert?: string;
  readonly key?: string;
  /** Bearer token. */
  readonly token?: string;
  /** Name to send as SNI and to verify; see server-identity.ts. */
  readonly serverName?: string;
}

/** Where the current credentials are read. */
export interface CredentialSource {
  readonly current: Credentials;
  /** Resolves when the first reading has ended, well or not. */
  readonly started: Promise<void>;
  /** The server of the kubeconfig, when there is one that may be dialled. */
  readonly server: HostPort | undefined;
  /** Why the latest reading was not taken; the credentials of the one before stay in use. */
  readonly problem: FairleadError | undefined;
  /** Calls back when the content has really changed; returns the unsubscribe function. */
  subscribe(listener: (next: Credentials) => void): () => void;
  /**
   * Reads everything again now, exec plugins too (after a 401). True when the credentials have changed.
   * Never rejects; calls at the same time share one reading.
   */
  reload(): Promise<boolean>;
}

export const noCredentials: Credentials = Object.freeze({ kind: 'none' });
