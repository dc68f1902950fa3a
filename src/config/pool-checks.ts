// What must hold between groups, their listeners and the top level.
import { defaultGroupName } from './config.ts';
import {
  type CrossCheck,
  type CrossProblem,
  type Facts,
  groupableChecks,
  isGroupUsed,
} from './cross-checks.ts';
import { groupValues } from './resolve.ts';
import type { SettingKey, Values } from './settings.ts';
import { suggest } from './suggest.ts';

/** What is checked of the top level is checked of each group, with the place in the group. */
function* withinGroups(check: CrossCheck, values: Values, facts: Facts): Iterable<CrossProblem> {
  for (const [name, group] of Object.entries(values.groups)) {
    const isGiven = (key: SettingKey) => Object.hasOwn(group.own, key);
    for (const problem of check.check(groupValues(values, group), { ...facts, isGiven })) {
      const { keys, within = [], ...rest } = problem;
      const blamed = keys.find(isGiven) ?? (keys[0] as SettingKey);
      // What nothing in the group has a part in is said of the top level already.
      if (!keys.some(isGiven)) continue;
      yield {
        keys: ['groups'],
        within: [name, ...blamed.split('.'), ...(blamed === keys[0] ? within : [])],
        ...rest,
      };
    }
  }
}

export const groupChecks: readonly CrossCheck[] = [
  ...groupableChecks.map(
    (check): CrossCheck => ({
      reads: [...check.reads, 'groups'],
      check: (values, facts) => withinGroups(check, values, facts),
    }),
  ),
  {
    reads: ['listeners', 'groups'],
    *check({ listeners, groups }) {
      const names = [defaultGroupName, ...Object.keys(groups)];
      for (const [index, { group }] of listeners.entries()) {
        if (names.includes(group)) continue;
        const near = suggest(group, names);
        const hint = near === undefined ? '' : `; did you mean ${near}?`;
        yield {
          keys: ['listeners'],
          within: [index, 'group'],
          right: `must be one of ${names.join(', ')}${hint}`,
          found: JSON.stringify(group),
        };
      }
      for (const name of Object.keys(groups)) {
        if (isGroupUsed({ listeners, groups }, name)) continue;
        yield {
          keys: ['groups'],
          within: [name],
          right: 'must be used by a listener (group), or be removed',
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
          right: 'has no effect, as optional leaves the listener out; remove one of the two',
        };
      }
    },
  },
  {
    reads: ['listeners'],
    *check({ listeners }) {
      // Endpoints expect the header on every connection or on none, health checks included.
      for (const [index, { group, sendProxy }] of listeners.entries()) {
        const first = listeners.findIndex((other) => other.group === group);
        if (listeners[first]?.sendProxy === sendProxy) continue;
        yield {
          keys: ['listeners'],
          within: [index, 'sendProxy'],
          right: `must be as in listeners[${first}], which leads to the same endpoints`,
          found: String(sendProxy),
        };
      }
    },
  },
];
