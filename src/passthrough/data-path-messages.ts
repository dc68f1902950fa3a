// What the data path logs. What clients can cause at will is rate-limited, with the number of lines left out.
import type { Logger } from 'pino';
import type { Clock } from '../model/clock.ts';
import type { EndpointId } from '../model/endpoint.ts';
import { RateLimitedLog } from '../lib/rate-limited-log.ts';
import type { Tunnel } from './tunnel/tunnel.ts';

export type DataPathLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'> &
  Partial<Pick<Logger, 'isLevelEnabled'>>;

export class DataPathMessages {
  readonly #log: DataPathLog;
  readonly #clock: Clock;
  readonly #limits: Record<'accept' | 'many' | 'evicted' | 'refused' | 'header' | 'loop', RateLimitedLog>;

  constructor(log: DataPathLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    const limit = () => new RateLimitedLog(clock);
    this.#limits = {
      accept: limit(),
      many: limit(),
      evicted: limit(),
      refused: limit(),
      header: limit(),
      loop: limit(),
    };
  }

  /** Each tunnel is logged when it closes. */
  get isDebug(): boolean {
    return this.#log.isLevelEnabled?.('debug') ?? false;
  }

  acceptFailed(address: string, error: Error): void {
    this.#limits.accept.write((repeats) => {
      this.#log.error({ address, error: error.message, repeats }, 'accepting a client failed');
    });
  }

  tooMany(maxTunnels: number): void {
    this.#limits.many.write((repeats) => {
      this.#log.warn({ maxTunnels, repeats }, 'too many clients: resetting new ones');
    });
  }

  evicted(maxTunnels: number): void {
    this.#limits.evicted.write((repeats) => {
      this.#log.warn({ maxTunnels, repeats }, 'too many clients: the oldest without an answer is reset');
    });
  }

  notAllowed(client: string | undefined): void {
    this.#limits.refused.write((repeats) => {
      this.#log.warn({ client, repeats }, 'reset a client that is not allowed by allowFrom');
    });
  }

  badHeader(client: string, why: string): void {
    this.#limits.header.write((repeats) => {
      this.#log.warn({ client, why, repeats }, 'reset a client without a valid PROXY header');
    });
  }

  loop(endpoint: EndpointId): void {
    this.#limits.loop.write((repeats) => {
      this.#log.warn({ endpoint, repeats }, 'endpoint points back to this agent: not used');
    });
  }

  /** Costs nothing unless the level is debug. */
  closed({ shownClient, record, bytesUp, bytesDown, startedMs, closedBy }: Tunnel): void {
    if (shownClient === undefined || !this.isDebug) return;
    this.#log.debug(
      {
        client: shownClient,
        endpoint: record?.id,
        bytesUp,
        bytesDown,
        durationMs: Math.round(this.#clock.nowMs() - startedMs),
        ...(closedBy && { closedBy }),
      },
      'tunnel closed',
    );
  }
}
