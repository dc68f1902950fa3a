// The composition root: the only place that builds things.
import type { Logger } from 'pino';
import type { Config } from './config/config.ts';

export interface AgentOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Loads the configuration again; every problem is in the FairleadError that it rejects with. */
  readonly loadConfig: () => Promise<Config>;
}

export interface Agent {
  /** The bound listener addresses, `HOST:PORT`. */
  readonly addresses: readonly string[];
  /** Takes over what can change without dropping tunnels; names the keys that it applied and those that it could not. */
  reload(next: Config): Promise<{ applied: string[]; needsRestart: string[] }>;
  /** Stops accepting, lets tunnels finish for `graceMs` (default: as configured), then resets them. */
  stop(graceMs?: number): Promise<void>;
  /** Settles when the agent has ended, rejects when it failed. */
  readonly done: Promise<void>;
}

/** Rejects with LISTEN_IN_USE or LISTEN_FAILED when a listener cannot be bound. */
export function startAgent(_options: AgentOptions): Promise<Agent> {
  return Promise.reject(new Error('not built yet'));
}
