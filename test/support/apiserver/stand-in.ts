// What tests can do to an API server, whether it lives in this process or in one of its own.
import type { ServerCertificate } from './listener.ts';
import type { Action, Misbehaviour } from './misbehaviour.ts';
import type { Phase } from './request-handler.ts';

/** How SIGTERM is carried out; the defaults are kube-apiserver's. */
export interface ShutdownOptions {
  /** `--shutdown-delay-duration`: /readyz fails for this long while everything else works. */
  readonly delayMs: number;
  /** `--shutdown-send-retry-after`: watches are ended and requests get 429 before the listener closes. */
  readonly sendRetryAfter: boolean;
  /** How long those 429 are given at least. */
  readonly retryAfterMs: number;
}

export const defaultShutdown: ShutdownOptions = { delayMs: 0, sendRetryAfter: false, retryAfterMs: 1_000 };

export interface ApiServerStats {
  readonly phase: Phase;
  readonly connectionsAccepted: number;
  readonly connectionsOpen: number;
  readonly tlsHandshakes: number;
  readonly tlsFailures: number;
  readonly requests: number;
  /** Requests by path, without the query. */
  readonly requestsByPath: Readonly<Record<string, number>>;
  readonly requestsByMethod: Readonly<Record<string, number>>;
  readonly watchesOpen: number;
  readonly watchesTotal: number;
}

export interface StandIn {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** `host:port`, IPv6 in brackets. */
  readonly address: string;
  readonly url: string;
  /** Begins to start up; resolves when TCP is accepted. */
  start(): Promise<void>;
  /** Resolves when start-up is over and the server is listed in the EndpointSlice. */
  ready(): Promise<void>;
  /**
   * SIGKILL: everything ends at once, the EndpointSlice keeps its entry until the lease has run out. In
   * process the switches stay for the next start, all but `freeze`; a new process begins with good ones.
   */
  kill(): void | Promise<void>;
  /** SIGTERM; resolves when the process has ended. */
  terminate(options?: Partial<ShutdownOptions>): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Changes the given switches and leaves the others. */
  misbehave(change: Partial<Misbehaviour>): Promise<void>;
  /** All switches back to good. */
  behave(): Promise<void>;
  /**
   * Replaces the good serving certificate without a restart, as a real one does when its files change: open connections
   * stay on the old one. A process is given new files, and takes them within moments.
   */
  replaceCertificate(certificate: ServerCertificate): Promise<void>;
  act(action: Action): Promise<void>;
  stats(): ApiServerStats | Promise<ApiServerStats>;
  resetStats(): void | Promise<void>;
}
