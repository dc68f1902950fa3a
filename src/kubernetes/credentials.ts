// What Fairlead shows to API servers and what it trusts them by: the types that probes and the watch use.
import type { FairleadError } from '../model/errors.ts';
import type { HostPort } from '../model/endpoint.ts';
import type { AgentProblem } from '../model/problems.ts';

export type CredentialKind = 'client certificate' | 'token' | 'exec' | 'none';

/** Who we are. */
export interface Identity {
  readonly kind: Exclude<CredentialKind, 'none'>;
  /** PEM of the client certificate, with its chain. */
  readonly cert?: string;
  readonly key?: string;
  /** Bearer token. */
  readonly token?: string;
}

/** Immutable, coherent (the key belongs to the certificate, every PEM parses). Never logged. */
export interface Credentials extends Omit<Identity, 'kind'> {
  readonly kind: CredentialKind;
  /** PEM of the trusted CAs; absent: those of the runtime. */
  readonly ca?: string;
  /** Name to send as SNI and to verify; see server-identity.ts. */
  readonly serverName?: string;
  /**
   * Why no server can be verified, where the configuration asks for it, in a few words. Then nothing secret may be sent.
   */
  readonly unverified?: string;
  /** No CA is configured, and credentials are that cannot be read: the runtime's CAs must still verify. */
  readonly isSystemTrusted?: boolean;
}

/** Whether servers can be verified: by a CA, or by those of the runtime where credentials without one are configured. */
export function canVerify({ kind, ca, unverified, isSystemTrusted }: Credentials): boolean {
  return unverified === undefined && (kind !== 'none' || ca !== undefined || isSystemTrusted === true);
}

/** What one part of the credentials came to. */
export type PartReading<T> =
  | { readonly state: 'read'; readonly value: T }
  /** Nothing is configured. */
  | { readonly state: 'absent' }
  | { readonly state: 'unreadable'; readonly problem: AgentProblem };

/** A CA that was kept on disk, in use because the configured one cannot be read. */
export interface KeptCa {
  readonly ca: string;
  readonly file: string;
  /** Wall time at which it was written: since then no other CA has verified an API server. */
  readonly writtenMs: number;
}

/** Where the current credentials are read. */
export interface CredentialSource {
  readonly current: Credentials;
  /** Resolves when the first reading has ended, well or not. */
  readonly started: Promise<void>;
  /** The server of the kubeconfig, when there is one that may be dialled. */
  readonly server: HostPort | undefined;
  /** What the latest reading could not read, as an error; the earlier value of each such part stays in use. */
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
