// Which endpoints of a pool are preferred by their place (this host, this zone), and which of these go first now.
// Owns what it takes to know: the zones of nodes, while they are asked for, and which endpoints have been lost.
import type { Logger } from 'pino';
import { type Fallen, noneFallen, preferenceOf } from '../balance/preference.ts';
import { type BalanceConfig, defaultPoolName } from '../config/config.ts';
import type { HealthState } from '../health/verdict.ts';
import { NodeZones } from '../kubernetes/node-zones.ts';
import type { CredentialWatch } from '../kubernetes/watch-credentials.ts';
import type { Clock, Random } from '../model/clock.ts';
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import type { KnownEndpoint } from '../model/snapshot.ts';

export interface PreferenceDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly pool: string;
  readonly nodeName: string;
  readonly userAgent: string;
  /** The zone of this node as configured. */
  zone(): string | undefined;
  /** The addresses of this host. */
  hostAddresses(): ReadonlySet<string>;
  /** Endpoints to ask for zones, best first. */
  order(): readonly Endpoint[];
  state(endpoint: EndpointId): HealthState | undefined;
  options(): Pick<BalanceConfig, 'prefer' | 'returnAfterMs'>;
  readonly onChange: () => void;
}

export class PoolPreference {
  readonly #deps: PreferenceDeps;
  #fallen: Fallen = noneFallen;
  #zones: NodeZones | undefined;

  constructor(deps: PreferenceDeps) {
    this.#deps = deps;
  }

  /** Zones of Node objects are the API servers': for other pools only what discovery says counts. */
  start(credentials: CredentialWatch): void {
    const { pool, options } = this.#deps;
    if (options().prefer === 'zone' && pool === defaultPoolName)
      this.#zones = new NodeZones({ ...this.#deps, credentials });
  }

  async stop(): Promise<void> {
    await this.#zones?.stop();
    this.#zones = undefined;
  }

  /** Something else is preferred from now on: what was lost before does not count. */
  reset(): void {
    this.#fallen = noneFallen;
  }

  /** The endpoints that go first now; remembers which of the preferred ones have been lost. */
  favoured(endpoints: readonly KnownEndpoint[]): ReadonlySet<EndpointId> {
    const { state, clock, options } = this.#deps;
    const { returnAfterMs } = options();
    const preferred = this.#byPlace(endpoints);
    const { fallen, favoured } = preferenceOf(this.#fallen, {
      preferred,
      state,
      nowMs: clock.nowMs(),
      returnAfterMs,
    });
    this.#fallen = fallen;
    return favoured;
  }

  #byPlace(endpoints: readonly KnownEndpoint[]): EndpointId[] {
    const { options, hostAddresses, zone: configuredZone } = this.#deps;
    const { prefer } = options();
    if (prefer === 'none') return [];
    if (prefer === 'local') {
      const own = hostAddresses();
      return endpoints.filter(({ host }) => own.has(host)).map(({ id }) => id);
    }
    const zones = this.#zones;
    const zone = configuredZone() ?? zones?.own;
    const zoneOf = (endpoint: Endpoint) => endpoint.zone ?? zones?.zoneOf(endpoint.host);
    const listed = endpoints.filter(({ tier }) => tier !== 'remembered');
    if (listed.some((endpoint) => zoneOf(endpoint) === undefined)) zones?.refresh();
    return endpoints
      .filter((endpoint) => zone !== undefined && zoneOf(endpoint) === zone)
      .map(({ id }) => id);
  }
}
