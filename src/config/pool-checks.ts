// What must hold between pools, their listeners and the top level.
import { defaultPoolName } from './pool-setting.ts';
import {
  type CrossCheck,
  type CrossProblem,
  type Facts,
  poolableChecks,
  isPoolUsed,
} from './cross-checks.ts';
import { poolValues } from './resolve.ts';
import type { SettingKey, Values } from './settings.ts';
import { suggest } from './suggest.ts';

/** What is checked of the top level is checked of each pool, with the place in the pool. */
function* withinPools(check: CrossCheck, values: Values, facts: Facts): Iterable<CrossProblem> {
  for (const [name, pool] of Object.entries(values.pools)) {
    const isGiven = (key: SettingKey) => Object.hasOwn(pool.own, key);
    for (const problem of check.check(poolValues(values, pool), { ...facts, isGiven })) {
      const { keys, within = [], ...rest } = problem;
      const blamed = keys.find(isGiven) ?? (keys[0] as SettingKey);
      // What nothing in the pool has a part in is said of the top level already.
      if (!keys.some(isGiven)) continue;
      yield {
        keys: ['pools'],
        within: [name, ...blamed.split('.'), ...(blamed === keys[0] ? within : [])],
        ...rest,
      };
    }
  }
}

export const poolChecks: readonly CrossCheck[] = [
  ...poolableChecks.map(
    (check): CrossCheck => ({
      reads: [...check.reads, 'pools'],
      check: (values, facts) => withinPools(check, values, facts),
    }),
  ),
  {
    reads: ['listeners', 'pools'],
    *check({ listeners, pools }) {
      const names = [defaultPoolName, ...Object.keys(pools)];
      for (const [index, { pool }] of listeners.entries()) {
        if (names.includes(pool)) continue;
        const near = suggest(pool, names);
        const hint = near === undefined ? '' : `; did you mean ${near}?`;
        yield {
          keys: ['listeners'],
          within: [index, 'pool'],
          right: `must be one of ${names.join(', ')}${hint}`,
          found: JSON.stringify(pool),
        };
      }
      for (const name of Object.keys(pools)) {
        if (isPoolUsed({ listeners, pools }, name)) continue;
        yield {
          keys: ['pools'],
          within: [name],
          right: 'must be used by a listener (pool), or be removed',
        };
      }
    },
  },
  {
    reads: ['listeners'],
    *check({ listeners }) {
      for (const [index, { optional, waitForAddress }] of listeners.entries()) {
        if (!optional || !waitForAddress) continue;
        yield {
          keys: ['listeners'],
          within: [index, 'waitForAddress'],
          right: 'has no effect, because optional skips the listener; remove one of them',
        };
      }
    },
  },
  {
    reads: ['listeners'],
    *check({ listeners }) {
      // Endpoints expect the header on every connection or on none, health checks included.
      for (const [index, { pool, sendProxy }] of listeners.entries()) {
        const first = listeners.findIndex((other) => other.pool === pool);
        if (listeners[first]?.sendProxy === sendProxy) continue;
        yield {
          keys: ['listeners'],
          within: [index, 'sendProxy'],
          right: `must be the same as in listeners[${first}], which uses the same endpoints`,
          found: String(sendProxy),
        };
      }
    },
  },
];
