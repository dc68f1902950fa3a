// From checked values to the Config that the program is given, and back to the settings that differ
// between two of them.
import { isDeepStrictEqual } from 'node:util';
import type { Config, PoolConfig } from './config.ts';
import type { PoolValue } from './pool-setting.ts';
import type { Applies } from './setting.ts';
import { type SettingKey, settingKeys, settingOf, type Values } from './settings.ts';

/** Leaves out the members that are undefined, as exact optional properties want it. */
function defined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) deepFreeze(member);
  return value;
}

/** The members that every pool has, from the settings that hold for it. */
function poolMembers(values: Values): Omit<PoolConfig, 'name' | 'type' | 'follow'> {
  return {
    endpoints: values.endpoints,
    credentials: {
      ...defined({
        kubeconfig: values['credentials.kubeconfig'],
        caFile: values['credentials.caFile'],
        clientCertFile: values['credentials.clientCertFile'],
        clientKeyFile: values['credentials.clientKeyFile'],
        tokenFile: values['credentials.tokenFile'],
        serverName: values['credentials.serverName'],
      }),
      inCluster: values['credentials.inCluster'],
    },
    discovery: {
      watch: values['discovery.watch'],
      namespace: values['discovery.namespace'],
      service: values['discovery.service'],
      portName: values['discovery.portName'],
      dnsIntervalMs: values['discovery.dnsInterval'],
      ...defined({ cacheFile: values['discovery.cacheFile'] }),
      rememberForMs: values['discovery.rememberFor'],
    },
    health: {
      check: values['health.check'],
      ...defined({ port: values['health.port'] }),
      expectBody: values['health.expectBody'],
      steps: values['health.steps'] ?? [
        { path: values['health.path'], expectStatus: values['health.expectStatus'] },
      ],
      intervalMs: values['health.interval'],
      standbyIntervalMs: values['health.standbyInterval'],
      timeoutMs: values['health.timeout'],
      fastIntervalMs: values['health.fastInterval'],
      rise: values['health.rise'],
      fall: values['health.fall'],
      reconnectMs: values['health.reconnect'],
      clientNames: values['health.clientNames'],
      startupGraceMs: values['health.startupGrace'],
      logChecks: values['health.logChecks'],
    },
    balance: {
      policy: values['balance.policy'],
      prefer: values['balance.prefer'],
      returnAfterMs: values['balance.returnAfter'],
      rebalance: {
        enabled: values['balance.rebalance.enabled'],
        overMs: values['balance.rebalance.over'],
      },
    },
    dial: {
      raceDelayMs: values['dial.raceDelay'],
      firstFlightTimeoutMs: values['dial.firstFlightTimeout'],
      lastCandidateTimeoutMs: values['dial.lastCandidateTimeout'],
      replayBudgetPercent: values['dial.replayBudgetPercent'],
      replayMinPerSecond: values['dial.replayMinPerSecond'],
      allDownDeadlineMs: values['dial.allDownDeadline'],
      maxHalfOpenDials: values['dial.maxHalfOpenDials'],
    },
    tunnels: {
      ...defined({ max: values['tunnels.max'] }),
      keepAliveDelayMs: values['tunnels.keepAliveDelay'],
      keepAliveIntervalMs: values['tunnels.keepAliveInterval'],
      keepAliveCount: values['tunnels.keepAliveCount'],
      halfCloseTimeoutMs: values['tunnels.halfCloseTimeout'],
      idleTimeoutMs: values['tunnels.idleTimeout'],
    },
    drain: {
      unreadyAfterMs: values['drain.unreadyAfter'],
      betterReadyForMs: values['drain.betterReadyFor'],
      windowMs: values['drain.window'],
      shutdownWindowMs: values['drain.shutdownWindow'],
    },
  };
}

/** What a pool of this type has where it says nothing and the top level is not meant for it. */
const typeDefaults: Readonly<Record<PoolValue['type'], Partial<Values>>> = {
  etcd: {
    'health.check': 'https',
    'health.path': '/health',
    'health.expectStatus': [{ from: 200, to: 200 }],
    'health.expectBody': 'etcd',
  },
  tcp: { 'health.check': 'tcp', 'health.expectBody': 'any' },
};

/**
 * The settings that hold for a pool: its own, its type's, and for times, choice and draining the top level's.
 * Where endpoints are found and what they are shown is never inherited: a cluster's credentials are not for etcd.
 */
export function poolValues(values: Values, { type, own }: PoolValue): Values {
  return {
    ...values,
    endpoints: [],
    'credentials.kubeconfig': undefined,
    'credentials.caFile': undefined,
    'credentials.clientCertFile': undefined,
    'credentials.clientKeyFile': undefined,
    'credentials.tokenFile': undefined,
    'credentials.serverName': undefined,
    'credentials.inCluster': false,
    'discovery.watch': false,
    'discovery.cacheFile': undefined,
    'health.port': undefined,
    'health.clientNames': [],
    'health.steps': undefined,
    ...typeDefaults[type],
    ...own,
  };
}

function poolConfig(values: Values, name: string, pool: PoolValue): PoolConfig {
  const { type, follow, port } = pool;
  return {
    name,
    type,
    ...(follow !== undefined && port !== undefined && { follow: { pool: follow, port } }),
    ...poolMembers(poolValues(values, pool)),
  };
}

export function toConfig(values: Values): Config {
  return deepFreeze<Config>({
    nodeName: values.nodeName,
    ...defined({ zone: values.zone }),
    listeners: values.listeners,
    reusePort: values.reusePort,
    waitForPortMs: values.waitForPort,
    allowNonLoopback: values.allowNonLoopback,
    ...poolMembers(values),
    requestHeader: {
      ...defined({
        certFile: values['requestHeader.certFile'],
        keyFile: values['requestHeader.keyFile'],
      }),
      usernameHeader: values['requestHeader.usernameHeader'],
      groupHeader: values['requestHeader.groupHeader'],
    },
    admin: values.admin,
    ownAdmin: values.ownAdmin,
    metrics: values.metrics,
    deployment: values.deployment,
    log: { level: values['log.level'], format: values['log.format'] },
    shutdown: { graceMs: values['shutdown.grace'] },
    pools: Object.entries(values.pools).map(([name, pool]) => poolConfig(values, name, pool)),
  });
}

/** The value of a setting in a Config; a duration carries its unit in the name there. */
function valueIn(config: Config, key: SettingKey): unknown {
  // These two are the single step of `health.steps` when no steps are configured.
  if (key === 'health.path' || key === 'health.expectStatus') return undefined;
  let value: unknown = config;
  for (const segment of key.split('.')) {
    const members = value as Record<string, unknown>;
    value = Object.hasOwn(members, segment) ? members[segment] : members[`${segment}Ms`];
  }
  return value;
}

/** The settings that differ, by when they can take effect. */
export function changedSettings(previous: Config, next: Config): { readonly [A in Applies]: SettingKey[] } {
  const changed: { readonly [A in Applies]: SettingKey[] } = { reload: [], restart: [] };
  for (const key of settingKeys) {
    if (!isDeepStrictEqual(valueIn(previous, key), valueIn(next, key)))
      changed[settingOf(key).applies].push(key);
  }
  return changed;
}
