// What single values cannot show: settings that contradict one another. Each check names the settings
// it reads; it runs only when all of them are good by themselves.
import { ownListenerCheck } from '../model/own-listener.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { defaultPoolName } from './pool-setting.ts';
import { formatDuration } from './duration.ts';
import { isLoopback, isWildcard } from '../model/host.ts';
import type { PathSegment } from './problem.ts';
import type { KeyOf, SettingKey, Values } from './settings.ts';

export interface CrossProblem {
  /** The settings involved; the first one that was not left at its default is blamed. */
  readonly keys: readonly SettingKey[];
  /** The part of the first key's value that is meant. */
  readonly within?: readonly PathSegment[];
  readonly right: string;
  readonly found?: string;
}

export interface CrossCheck {
  readonly reads: readonly SettingKey[];
  check(values: Values, facts: Facts): Iterable<CrossProblem>;
}

/** What the checks know besides the values. */
export interface Facts {
  /** The setting was given by someone, not left at its default. */
  isGiven(key: SettingKey): boolean;
  /** The process runs in a pod with a service account's environment. */
  readonly isInCluster: boolean;
}

/** A listener leads to the pool, or to one that follows it. */
export function isPoolUsed({ listeners, pools }: Pick<Values, 'listeners' | 'pools'>, name: string): boolean {
  return listeners.some(({ pool }) => pool === name || pools[pool]?.follow === name);
}

/** The settings that are without effect because another one takes their place. */
export function unusedSettings(values: Values): ReadonlyMap<SettingKey, string> {
  if (values['health.check'] === 'tcp') {
    const why = 'health.check is tcp';
    return new Map([
      ['health.path', why],
      ['health.expectStatus', why],
      ['health.expectBody', why],
      ['health.steps', why],
    ]);
  }
  if (!values['health.steps']) return new Map();
  const why = 'health.steps replaces it';
  return new Map([
    ['health.path', why],
    ['health.expectStatus', why],
  ]);
}

function atMost(lesser: KeyOf<number>, greater: KeyOf<number>): CrossCheck {
  return {
    reads: [lesser, greater],
    *check(values) {
      if (values[lesser] <= values[greater]) return;
      const [less, more] = [formatDuration(values[lesser]), formatDuration(values[greater])];
      yield { keys: [lesser, greater], right: `${lesser} (${less}) must be at most ${greater} (${more})` };
    },
  };
}

const loopbackWanted = 'must be a loopback address (127.0.0.0/8 or ::1) unless allowNonLoopback is true';

function conflict(a: HostPort, b: HostPort): boolean {
  if (a.port === 0 || a.port !== b.port) return false;
  const isSameFamily = a.host.includes(':') === b.host.includes(':');
  return a.host === b.host || (isSameFamily && (isWildcard(a.host) || isWildcard(b.host)));
}

/** What must hold for the settings of every pool, the API servers' one at the top level among them. */
export const poolableChecks: readonly CrossCheck[] = [
  atMost('health.timeout', 'health.interval'),
  atMost('health.fastInterval', 'health.interval'),
  atMost('health.interval', 'health.standbyInterval'),
  {
    reads: ['endpoints', 'listeners', 'admin'],
    *check({ endpoints, listeners, admin }) {
      const isListener = ownListenerCheck(listeners, () => []);
      const isAdmin = ownListenerCheck(admin ? [admin] : [], () => []);
      for (const [index, endpoint] of endpoints.entries()) {
        const { port } = endpoint;
        // Other names may come to mean this host as well; the agent looks again at what they resolve to.
        const host = endpoint.host === 'localhost' ? '127.0.0.1' : endpoint.host;
        const own = isListener({ host, port }) ? 'listeners' : isAdmin({ host, port }) ? 'admin' : undefined;
        if (!own) continue;
        yield {
          keys: ['endpoints'],
          within: [index],
          right: `must be an API server, not Fairlead itself (${own})`,
          found: formatHostPort(endpoint),
        };
      }
    },
  },
  {
    reads: ['endpoints'],
    *check({ endpoints }) {
      const seen = new Set<string>();
      for (const [index, endpoint] of endpoints.entries()) {
        const id = formatHostPort(endpoint);
        if (seen.has(id))
          yield { keys: ['endpoints'], within: [index], right: 'must be listed once', found: id };
        seen.add(id);
      }
    },
  },
  {
    reads: ['credentials.clientCertFile', 'credentials.clientKeyFile'],
    *check(values) {
      const [cert, key] = ['credentials.clientCertFile', 'credentials.clientKeyFile'] as const;
      if (values[cert] && !values[key]) yield { keys: [cert], right: `needs ${key} as well` };
      if (values[key] && !values[cert]) yield { keys: [key], right: `needs ${cert} as well` };
    },
  },
  {
    reads: ['health.check', 'health.steps', 'health.path', 'health.expectStatus', 'health.expectBody'],
    *check(values, { isGiven }) {
      for (const [key, why] of unusedSettings(values)) {
        if (isGiven(key)) yield { keys: [key], right: `has no effect, because ${why}; remove one of them` };
      }
    },
  },
];

export const crossChecks: readonly CrossCheck[] = [
  ...poolableChecks,
  atMost('dial.raceDelay', 'dial.allDownDeadline'),
  atMost('dial.firstFlightTimeout', 'dial.lastCandidateTimeout'),
  {
    reads: ['listeners', 'allowNonLoopback'],
    *check({ listeners, allowNonLoopback }) {
      for (const [index, listener] of listeners.entries()) {
        if (allowNonLoopback || isLoopback(listener.host)) continue;
        yield {
          keys: ['listeners', 'allowNonLoopback'],
          within: [index, 'address'],
          right: loopbackWanted,
          found: formatHostPort(listener),
        };
      }
    },
  },
  {
    reads: ['admin', 'allowNonLoopback'],
    *check({ admin, allowNonLoopback }) {
      if (!admin || allowNonLoopback || isLoopback(admin.host)) return;
      yield { keys: ['admin', 'allowNonLoopback'], right: loopbackWanted, found: formatHostPort(admin) };
    },
  },
  {
    reads: ['ownAdmin', 'allowNonLoopback'],
    *check({ ownAdmin, allowNonLoopback }) {
      if (!ownAdmin || allowNonLoopback || isLoopback(ownAdmin.host)) return;
      yield {
        keys: ['ownAdmin', 'allowNonLoopback'],
        right: loopbackWanted,
        found: formatHostPort(ownAdmin),
      };
    },
  },
  {
    reads: ['listeners', 'admin', 'ownAdmin'],
    *check({ listeners, admin, ownAdmin }) {
      if (!ownAdmin) return;
      const isTaken = [...listeners, ...(admin ? [admin] : [])].some((other) => conflict(other, ownAdmin));
      if (!isTaken) return;
      const right = 'must differ from the listeners and from admin';
      yield { keys: ['ownAdmin'], right, found: formatHostPort(ownAdmin) };
    },
  },
  {
    reads: ['listeners'],
    *check({ listeners }) {
      for (const [index, listener] of listeners.entries()) {
        const first = listeners.findIndex((other) => conflict(other, listener));
        if (first < 0 || first >= index) continue;
        yield {
          keys: ['listeners'],
          within: [index, 'address'],
          right: `must differ from listeners[${first}]`,
          found: formatHostPort(listener),
        };
      }
    },
  },
  {
    reads: ['listeners', 'admin'],
    *check({ listeners, admin }) {
      const index = admin ? listeners.findIndex((listener) => conflict(admin, listener)) : -1;
      if (!admin || index < 0) return;
      yield {
        keys: ['admin', 'listeners'],
        right: `admin must differ from listeners[${index}]`,
        found: formatHostPort(admin),
      };
    },
  },
  {
    reads: ['metrics', 'listeners', 'admin', 'ownAdmin'],
    *check({ metrics, listeners, admin, ownAdmin }) {
      if (!metrics) return;
      const found = formatHostPort(metrics);
      const index = listeners.findIndex((listener) => conflict(metrics, listener));
      if (index >= 0)
        yield {
          keys: ['metrics', 'listeners'],
          right: `metrics must differ from listeners[${index}]`,
          found,
        };
      for (const key of ['admin', 'ownAdmin'] as const) {
        const other = key === 'admin' ? admin : ownAdmin;
        if (!other || !conflict(metrics, other)) continue;
        yield {
          keys: ['metrics', key],
          right: `metrics must differ from ${key}, which has /metrics as well`,
          found,
        };
      }
    },
  },
  {
    reads: ['credentials.inCluster', 'credentials.kubeconfig'],
    *check(values) {
      if (values['credentials.inCluster'] !== true || !values['credentials.kubeconfig']) return;
      yield {
        keys: ['credentials.inCluster', 'credentials.kubeconfig'],
        right:
          'credentials.inCluster: true and credentials.kubeconfig exclude each other; remove one of them',
      };
    },
  },
];

/**
 * A configuration without any way to an API server. Apart from the others: `config print` shows the
 * defaults without one.
 */
export const endpointsCheck: CrossCheck = {
  reads: [
    'endpoints',
    'discovery.cacheFile',
    'credentials.kubeconfig',
    'credentials.inCluster',
    'listeners',
    'pools',
  ],
  *check(values, { isInCluster }) {
    if (!isPoolUsed(values, defaultPoolName)) return;
    const inCluster = values['credentials.inCluster'];
    const mayUsePod = inCluster === 'auto' ? isInCluster : inCluster;
    if (values.endpoints.length || values['credentials.kubeconfig'] || values['discovery.cacheFile']) return;
    if (mayUsePod) return;
    yield {
      keys: ['endpoints'],
      right:
        'must name at least one API server: there is no kubeconfig, cache file or service account to find them with',
    };
  },
};
