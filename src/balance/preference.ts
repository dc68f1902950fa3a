// Which preferred endpoints (on this host, in this zone) go before all others now. Pure: a state and what is known
// give the next state. One that was lost takes clients back only after it has been ready without a break for a
// while, so that an endpoint on the brink does not pull every new client there and away again.
import type { HealthState } from '../health/verdict.ts';
import type { EndpointId } from '../model/endpoint.ts';

/** The preferred endpoints that were lost, and have not proved themselves since. */
export type Fallen = ReadonlySet<EndpointId>;

export const noneFallen: Fallen = new Set();

export interface PreferenceInput {
  /** The endpoints that are preferred as far as their place is concerned. */
  readonly preferred: readonly EndpointId[];
  state(endpoint: EndpointId): HealthState | undefined;
  readonly nowMs: number;
  readonly returnAfterMs: number;
}

export interface Preference {
  readonly fallen: Fallen;
  /** Those that go first. */
  readonly favoured: ReadonlySet<EndpointId>;
}

export function preferenceOf(
  before: Fallen,
  { preferred, state, nowMs, returnAfterMs }: PreferenceInput,
): Preference {
  const fallen = new Set<EndpointId>();
  const favoured = new Set<EndpointId>();
  for (const id of preferred) {
    const health = state(id);
    // Not checked yet, as after a start: there is nothing against it.
    const isUntried = health === undefined || health.verdict === 'unknown';
    const isReady = health?.verdict === 'ready';
    const hasProved = isReady && nowMs - health.sinceMs >= returnAfterMs;
    if (isUntried || (isReady && (!before.has(id) || hasProved))) favoured.add(id);
    else fallen.add(id);
  }
  return { fallen, favoured };
}
