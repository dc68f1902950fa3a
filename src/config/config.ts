// The resolved configuration: what the rest of Fairlead is given. Complete (every default filled in),
// immutable, checked, and without a trace of where a value came from. Its type is derived from the table of settings
// (settings.ts), which says what users write; docs/config.md lists it.
import { defaultPoolName, type PoolValue } from './pool-setting.ts';
import type { HealthStep } from './setting-http.ts';
import type { ConfigValues } from './settings.ts';

export { defaultPoolName };
export type { ListenerConfig, ListenerTls } from './listener-setting.ts';

/** The values whose path begins with `Section.`, by the rest of their path. */
type Within<Section extends string, T> = {
  readonly [Path in keyof T as Path extends `${Section}.${infer Rest}` ? Rest : never]: T[Path];
};

/** Dotted paths as nested objects: `'dial.raceDelayMs': number` as `dial: { raceDelayMs: number }`. */
type Nested<T> = {
  readonly [Path in keyof T as Path extends `${infer Section}.${string}`
    ? Section
    : Path]: Path extends `${infer Section}.${string}` ? Nested<Within<Section, T>> : T[Path];
};

export type AllSettings = Nested<ConfigValues>;

export interface Config extends Omit<AllSettings, 'pools'> {
  /** The pools beside that of the API servers. */
  readonly pools: readonly PoolConfig[];
}

/** What every pool has, whether it may have its own or not. */
type PoolMembers = Pick<
  AllSettings,
  'endpoints' | 'credentials' | 'discovery' | 'health' | 'balance' | 'dial' | 'tunnels' | 'drain'
>;

export function poolMembers(from: PoolMembers): PoolMembers {
  const { endpoints, credentials, discovery, health, balance, dial, tunnels, drain } = from;
  return { endpoints, credentials, discovery, health, balance, dial, tunnels, drain };
}

export type PoolType = 'apiservers' | PoolValue['type'];

/** One pool of endpoints with its own way of finding, checking and choosing them. */
export interface PoolConfig extends PoolMembers {
  readonly name: string;
  readonly type: PoolType;
  /** Takes the hosts of another pool's endpoints, with this port, in place of endpoints of its own. */
  readonly follow?: { readonly pool: string; readonly port: number };
}

export type HealthConfig = Config['health'];
export type BalanceConfig = Config['balance'];
export type RequestHeaderConfig = Config['requestHeader'];

/** The requests of a health check; with `check: tcp` not used. */
export function healthStepsOf({ path, expectStatus, steps }: HealthConfig): readonly HealthStep[] {
  return steps ?? [{ path, expectStatus }];
}

/** The API servers' pool, then the others. */
export function allPools(config: Config): readonly PoolConfig[] {
  return [{ name: defaultPoolName, type: 'apiservers', ...poolMembers(config) }, ...config.pools];
}

/** The names of the pools that do something: a listener leads to them, or another such pool follows them. */
export function usedPools({ listeners, pools }: Pick<Config, 'listeners' | 'pools'>): ReadonlySet<string> {
  const used = new Set(listeners.map(({ pool }) => pool));
  for (const { name, follow } of pools) if (follow && used.has(name)) used.add(follow.pool);
  return used;
}
