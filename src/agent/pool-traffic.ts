// What carries the clients of one pool: its tunnels, its requests, the picker that both begin with, and what closes them
// when their endpoint is no longer the right one.
import type { Logger } from 'pino';
import { passthroughOptions } from './options.ts';
import { PoolHttp } from './pool-http.ts';
import { makePicker } from '../balance/picker.ts';
import { TunnelCloser } from '../balance/tunnel-closer.ts';
import type { PoolConfig } from '../config/config.ts';
import type { HealthState } from '../health/verdict.ts';
import type { UpstreamTrust } from '../http/upstreams.ts';
import type { Clock, Random } from '../model/clock.ts';
import type { EndpointId } from '../model/endpoint.ts';
import type { OutcomeReporter } from '../model/outcome.ts';
import type { EndpointPick, Picker, SnapshotSource } from '../model/snapshot.ts';
import type { OwnAddresses } from '../passthrough/own-addresses.ts';
import type { ProcessLoad } from '../passthrough/process-load.ts';
import { TunnelTable } from '../passthrough/tunnel-table.ts';
import type { TunnelLimits } from '../passthrough/tunnel/tunnel-limit.ts';

export interface PoolTrafficDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly load: ProcessLoad;
  readonly ownAddresses: OwnAddresses;
  readonly limits: TunnelLimits;
  readonly outcomes: OutcomeReporter;
  readonly snapshots: SnapshotSource;
  config(): PoolConfig;
  trust(): UpstreamTrust;
  state(endpoint: EndpointId): HealthState | undefined;
  /** Asks for a full handshake with an endpoint: tunnels are to move there. */
  prove(endpoint: EndpointId): void;
  /** Asks all endpoints how they are. */
  ask(): void;
}

export class PoolTraffic {
  readonly table: TunnelTable;
  readonly http: PoolHttp;
  readonly #deps: PoolTrafficDeps;
  readonly #closer: TunnelCloser;
  #pick: Picker;

  constructor(deps: PoolTrafficDeps) {
    const { clock, random, log, load, ownAddresses, limits, outcomes, snapshots } = deps;
    const { config, trust, state, prove, ask } = deps;
    this.#deps = deps;
    const options = passthroughOptions(config(), limits);
    this.table = new TunnelTable({ clock, random, log, outcomes, options, load, ownAddresses });
    this.http = new PoolHttp({ log, outcomes, snapshots, table: this.table, config, trust });
    this.#pick = this.#makePicker();
    this.#closer = new TunnelCloser({
      ...{ clock, random, log, snapshots, state, prove, ask },
      table: this.http.closable,
      options: () => ({
        ...config().drain,
        fall: config().health.fall,
        policy: config().balance.policy,
        rebalance: config().balance.rebalance,
      }),
    });
  }

  #makePicker(): Picker {
    const { config, snapshots } = this.#deps;
    return makePicker(config().balance.policy, snapshots, this.table);
  }

  /** What a new client of this pool tries. */
  pick(): EndpointPick {
    return this.#pick();
  }

  /** Health or discovery has changed: closes what is to be closed. */
  evaluate(): void {
    this.#closer.evaluate();
  }

  /** `isChanged`: which parts of the configuration another one has replaced. */
  configure(isChanged: (...members: readonly (keyof PoolConfig)[]) => boolean, limits: TunnelLimits): void {
    if (isChanged('dial', 'tunnels')) this.table.configure(passthroughOptions(this.#deps.config(), limits));
    if (isChanged('balance')) this.#pick = this.#makePicker();
    if (isChanged('balance', 'dial', 'tunnels')) this.http.configure();
  }

  /** Lets tunnels and requests finish for `graceMs`, then resets them; endpoints that die meanwhile still lose theirs. */
  async stop(graceMs: number): Promise<void> {
    await Promise.all([this.table.closeAll(graceMs), this.http.stop(graceMs)]);
    this.#closer.stop();
  }
}
