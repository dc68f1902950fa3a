// Every setting of Fairlead, in the order of docs/config.md. The YAML keys, the environment variables (FAIRLEAD_ and the
// path in capitals), the flags, their checks, `--help`, `config print`, the docs, the type `Config`, and what a reload
// applies all derive from this table: a new setting is a row here, and the code that uses its value. What a listener
// says is in listener-setting.ts, what a pool says besides these in pool-setting.ts.
// Over 400 lines because it is one table, in one order.
import { poolMap } from './pool-setting.ts';
import { listenerList } from './listener-setting.ts';
import {
  autoBoolean,
  bindAddressOrOff,
  boolean,
  choice,
  duration,
  endpointList,
  file,
  integer,
  nameList,
  optional,
  type Setting,
  type SettingValue,
  text,
} from './setting.ts';
import { healthSteps, httpPath, statuses } from './setting-http.ts';

const headerName = (value: string) => /^X-[A-Za-z0-9-]{1,62}$/.test(value);
const headerRight = 'the name of a header that begins with X-, such as X-Remote-User';
const dnsLabel = (value: string) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value);
const nameRight = 'a lower-case DNS label such as kubernetes';

/** Of the process, taking effect when it is started again. */
const restart = { scope: 'process', applies: 'restart' } as const;
/** Of the process, taking effect at a reload. */
const reload = { scope: 'process', applies: 'reload' } as const;
/** A pool may have its own. */
const perPool = { scope: 'pool', applies: 'reload' } as const;

// Where endpoints are found and what they are shown is never inherited by pools: the cluster's credentials are not for etcd.
const unsetInPools = { poolDefault: { etcd: undefined, tcp: undefined } } as const;
const offInPools = { poolDefault: { etcd: false, tcp: false } } as const;

const plainSettings = {
  nodeName: text({
    ...restart,
    description:
      'Name of this node. Together with the endpoints it determines which API server this node prefers.',
    flag: '--node-name',
    hostDefault: ({ env, hostname }) =>
      env.NODE_NAME === undefined
        ? { raw: hostname.toLowerCase(), from: 'host name' }
        : { raw: env.NODE_NAME, from: 'NODE_NAME' },
    defaultNote: 'environment variable NODE_NAME, else the host name in lower case',
    right: 'a name of at most 253 characters without spaces',
    check: (value) => value.length <= 253 && !/\s/.test(value),
  }),
  zone: optional(
    text({
      ...reload,
      description: 'Zone of this node, for `balance.prefer: zone`.',
      hostDefault: ({ env }) => (env.NODE_ZONE ? { raw: env.NODE_ZONE, from: 'NODE_ZONE' } : undefined),
      defaultNote: 'environment variable NODE_ZONE, else not set',
      right: 'the name of a zone, as in the label topology.kubernetes.io/zone',
      check: (value) => /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(value),
    }),
  ),
  listeners: listenerList({
    ...restart,
    description:
      'Local addresses on which to accept clients. A map sets [options](#listeners). Port 0 selects a free port.',
    flag: '--listen',
    default: ['127.0.0.1:6443', { address: '[::1]:6443', optional: true }],
  }),
  reusePort: boolean({
    ...restart,
    description:
      'Share the ports of listeners and `admin` with other processes of the same user (SO_REUSEPORT), so that a new agent is serving before the old one stops. A port that another agent is using is not shared until an endpoint has passed a check. Every process that shares a port must have this setting.',
    flag: '--reuse-port',
    flagAlone: 'true',
    default: false,
  }),
  waitForPort: duration({
    ...restart,
    description:
      'How long to wait for a port that another process holds, instead of failing immediately. Use it to replace another load balancer. The flag without a value means `forever`.',
    flag: '--wait-for-port',
    flagAlone: 'forever',
    default: 'off',
    min: '1s',
    off: true,
    forever: true,
  }),
  'requestHeader.certFile': file({
    ...restart,
    description:
      'Client certificate (PEM) that Fairlead presents to the API servers as an authenticating front proxy. With it, http listeners pass on the names in verified client certificates as headers. Its key allows impersonating any user; read docs/http.md first.',
    flag: '--requestheader-cert-file',
  }),
  'requestHeader.keyFile': file({
    ...restart,
    description: 'Key (PEM) of that certificate.',
    flag: '--requestheader-key-file',
  }),
  'requestHeader.usernameHeader': text({
    ...restart,
    description:
      "Header for the user name. It must be one of the API servers' --requestheader-username-headers.",
    flag: '--requestheader-username-header',
    default: 'X-Remote-User',
    right: headerRight,
    check: headerName,
  }),
  'requestHeader.groupHeader': text({
    ...restart,
    description: "Header for the groups. It must be one of the API servers' --requestheader-group-headers.",
    flag: '--requestheader-group-header',
    default: 'X-Remote-Group',
    right: headerRight,
    check: headerName,
  }),
  allowNonLoopback: boolean({
    ...restart,
    description: 'Allow listeners and the admin server on addresses that other hosts can reach.',
    default: false,
  }),
  endpoints: endpointList({
    ...perPool,
    poolDefault: { etcd: [], tcp: [] },
    description:
      'API servers known in advance, as IP addresses or DNS names. The default port is 6443. They are never forgotten, but are only a last resort once discovery has found better ones.',
    flag: '--endpoints',
  }),
  'credentials.kubeconfig': file({
    ...perPool,
    ...unsetInPools,
    description: 'Kubeconfig with the CA and the credentials for health checks and the watch.',
    flag: '--kubeconfig',
  }),
  'credentials.caFile': file({
    ...perPool,
    ...unsetInPools,
    description: 'CA certificates (PEM) to verify the API servers with.',
    flag: '--ca-file',
  }),
  'credentials.clientCertFile': file({
    ...perPool,
    ...unsetInPools,
    description: 'Client certificate (PEM); requires `credentials.clientKeyFile`.',
    flag: '--client-cert',
  }),
  'credentials.clientKeyFile': file({
    ...perPool,
    ...unsetInPools,
    description: 'Key (PEM) of the client certificate.',
    flag: '--client-key',
  }),
  'credentials.tokenFile': file({
    ...perPool,
    ...unsetInPools,
    description: 'File with a bearer token; reread after rotation.',
    flag: '--token-file',
  }),
  'credentials.serverName': optional(
    text({
      ...perPool,
      ...unsetInPools,
      description: "Name that the API servers' certificates must contain.",
      flag: '--server-name',
      defaultNote: "from the kubeconfig, else the endpoint's address",
      right: 'a DNS name or an IP address',
      check: (value) => /^[A-Za-z0-9_.:-]{1,253}$/.test(value),
    }),
  ),
  'credentials.inCluster': autoBoolean({
    ...perPool,
    ...offInPools,
    description:
      "Use the pod's service account. `auto` uses it if it exists and no other credentials are configured.",
  }),
  'discovery.watch': boolean({
    ...reload,
    ...offInPools,
    description: 'Watch the EndpointSlices of the service `kubernetes` for API servers.',
    default: true,
  }),
  'discovery.namespace': text({
    ...reload,
    description: 'Namespace of that service.',
    default: 'default',
    right: nameRight,
    check: dnsLabel,
  }),
  'discovery.service': text({
    ...reload,
    description: 'Name of that service.',
    default: 'kubernetes',
    right: nameRight,
    check: dnsLabel,
  }),
  'discovery.portName': text({
    ...reload,
    description: 'Name of the port to use if a slice has several.',
    default: 'https',
    right: nameRight,
    check: dnsLabel,
  }),
  'discovery.dnsInterval': duration({
    ...perPool,
    description: 'Interval for resolving the DNS names among the endpoints.',
    default: '30s',
    min: '1s',
  }),
  'discovery.cacheFile': file({
    ...perPool,
    ...unsetInPools,
    description: 'File that keeps the last good set of endpoints for the next start.',
    flag: '--cache-file',
  }),
  'discovery.rememberFor': duration({
    ...reload,
    description:
      'How long an API server that was verified once is remembered after the watch has stopped listing it. Only time with a working watch counts, across restarts.',
    default: '7d',
    min: '1m',
    max: '365d',
    off: true,
  }),
  'health.check': choice({
    ...perPool,
    poolDefault: { etcd: 'https', tcp: 'tcp' },
    description: 'How endpoints are checked: by HTTPS requests, plain HTTP requests, or a TCP connect only.',
    default: 'https',
    of: ['https', 'http', 'tcp'],
  }),
  'health.port': optional(
    integer({
      ...perPool,
      ...unsetInPools,
      description: 'Port for the checks.',
      defaultNote: "the endpoint's port",
      min: 1,
      max: 65_535,
    }),
  ),
  'health.path': httpPath({
    ...perPool,
    poolDefault: { etcd: '/health' },
    description: 'Path of the check request.',
    default: '/readyz',
  }),
  'health.expectStatus': statuses({
    ...perPool,
    poolDefault: { etcd: 200 },
    description: 'Statuses that mean ready, as numbers, ranges, or a list of them.',
    default: 200,
  }),
  'health.expectBody': choice({
    ...perPool,
    poolDefault: { etcd: 'etcd', tcp: 'any' },
    description: 'Expected content of the answer: any, or what a healthy etcd answers on /health.',
    default: 'any',
    of: ['any', 'etcd'],
  }),
  'health.steps': healthSteps({
    ...perPool,
    ...unsetInPools,
    description:
      'Several requests that must all get the expected status. They replace `health.path` and `health.expectStatus`.',
  }),
  'health.interval': duration({
    ...perPool,
    description: 'Time between two checks of an endpoint in use.',
    default: '2s',
    min: '100ms',
  }),
  'health.standbyInterval': duration({
    ...perPool,
    description: 'Time between two checks of an endpoint that this node does not use (jittered).',
    default: '1m',
    min: '100ms',
  }),
  'health.timeout': duration({
    ...perPool,
    description: 'Time limit for the answer to a check.',
    default: '1s',
    min: '10ms',
  }),
  'health.fastInterval': duration({
    ...perPool,
    description: 'Time between the confirming checks of a suspect endpoint.',
    default: '500ms',
    min: '10ms',
  }),
  'health.rise': integer({
    ...perPool,
    description: 'Successful checks in a row before an endpoint is ready again.',
    default: 2,
    min: 1,
    max: 100,
  }),
  'health.fall': integer({
    ...perPool,
    description: 'Failed checks in a row before existing tunnels start to drain.',
    default: 3,
    min: 1,
    max: 100,
  }),
  'health.reconnect': duration({
    ...perPool,
    description:
      'Age at which the connection for checks is replaced (jittered). Changed certificates are detected earlier (docs/health.md).',
    default: '2h',
    min: '1s',
  }),
  'health.clientNames': nameList({
    ...perPool,
    poolDefault: { etcd: [], tcp: [] },
    description:
      "Names that this node's clients verify in the certificates, in addition to those that Fairlead detects. An endpoint that lacks one is used last.",
  }),
  'health.startupGrace': duration({
    ...perPool,
    description: 'How long an endpoint must have been answering before a 401 or 403 is accepted.',
    default: '5s',
    min: '0s',
  }),
  'health.logChecks': boolean({
    ...perPool,
    description: 'Log every check at level info, not only changes.',
    default: false,
  }),
  'balance.policy': choice({
    ...perPool,
    description: 'How this node orders the endpoints.',
    default: 'rendezvous',
    of: ['rendezvous', 'least-connections', 'round-robin'],
  }),
  'balance.prefer': choice({
    ...perPool,
    description:
      "Endpoints that are preferred while they are ready: those on this host, or those in this node's zone.",
    default: 'none',
    of: ['none', 'local', 'zone'],
  }),
  'balance.returnAfter': duration({
    ...perPool,
    description:
      'How long a preferred endpoint must have been ready without interruption before clients return to it.',
    default: '15s',
    min: '0s',
  }),
  'balance.rebalance.enabled': boolean({
    ...perPool,
    description: 'Slowly move existing tunnels back to an endpoint that has recovered.',
    default: true,
  }),
  'balance.rebalance.over': duration({
    ...perPool,
    description: 'Time over which tunnels are moved back.',
    default: '10m',
    min: '1s',
  }),
  'dial.raceDelay': duration({
    ...reload,
    description: 'How long to wait for a connection before also dialling the next endpoint.',
    default: '250ms',
    min: '10ms',
  }),
  'dial.firstFlightTimeout': duration({
    ...reload,
    description:
      "How long an endpoint may be silent after a client's first flight before the next endpoint is tried as well.",
    default: '1s',
    min: '50ms',
  }),
  'dial.lastCandidateTimeout': duration({
    ...reload,
    description: 'How long the last endpoint to be tried may take to send its first byte.',
    default: '10s',
    min: '100ms',
  }),
  'dial.replayBudgetPercent': integer({
    ...reload,
    description: 'Share of new tunnels, in percent, that may send their first flight to a second endpoint.',
    default: 20,
    min: 0,
    max: 100,
  }),
  'dial.replayMinPerSecond': integer({
    ...reload,
    description: 'Replays per second that are always allowed.',
    default: 5,
    min: 0,
    max: 10_000,
  }),
  'dial.allDownDeadline': duration({
    ...reload,
    description: 'How long a client waits before it is reset if no endpoint accepts.',
    default: '2s',
    min: '100ms',
  }),
  'dial.maxHalfOpenDials': integer({
    ...reload,
    description: 'Maximum concurrent half-open dials, across all clients.',
    default: 256,
    min: 1,
    max: 65_536,
  }),
  'tunnels.max': optional(
    integer({
      ...reload,
      description:
        'Maximum concurrent tunnels. At the limit the oldest without an answer ends for a new client.',
      defaultNote: 'derived from the open file limit',
      min: 1,
      max: 1_000_000,
    }),
  ),
  'tunnels.keepAliveDelay': duration({
    ...reload,
    description: 'Idle time before TCP keepalive starts, on both connections.',
    default: '15s',
    min: '1s',
    max: '9h',
  }),
  'tunnels.keepAliveInterval': duration({
    ...reload,
    description: 'Time between two keepalive probes.',
    default: '5s',
    min: '1s',
    max: '9h',
  }),
  'tunnels.keepAliveCount': integer({
    ...reload,
    description: 'Number of unanswered keepalive probes that end a tunnel.',
    default: 3,
    min: 1,
    max: 100,
  }),
  'tunnels.halfCloseTimeout': duration({
    ...reload,
    description: 'How long a half-closed tunnel may be idle.',
    default: '5m',
    min: '1s',
  }),
  'tunnels.idleTimeout': duration({
    ...perPool,
    description: 'Close tunnels that have been idle for this long. Watches can be idle for minutes.',
    default: 'off',
    min: '1m',
    off: true,
  }),
  'drain.unreadyAfter': duration({
    ...perPool,
    description:
      'How long an endpoint must be unready before its tunnels drain, unless they drain immediately (docs/health.md).',
    default: '5s',
    min: '0s',
  }),
  'drain.betterReadyFor': duration({
    ...perPool,
    description:
      'How long another endpoint must have been ready without interruption before tunnels drain. For a sick endpoint, the time before its trouble started counts.',
    default: '20s',
    min: '0s',
  }),
  'drain.window': duration({
    ...perPool,
    description: 'Time over which draining tunnels are closed (jittered, quiet ones first).',
    default: '10s',
    min: '0s',
  }),
  'drain.shutdownWindow': duration({
    ...perPool,
    description: 'How long a stopping endpoint may keep its tunnels, because it ends them itself.',
    default: '5m',
    min: '0s',
  }),
  admin: bindAddressOrOff({
    ...restart,
    description:
      'Address of /livez, /readyz, /metrics and /status; false for none. Port 0 selects a free port.',
    flag: '--admin',
    default: '127.0.0.1:6442',
  }),
  ownAdmin: bindAddressOrOff({
    ...restart,
    description:
      "Second address for the admin server, never shared with another agent. With `reusePort`, kubelet's probes reach the right process there.",
    flag: '--own-admin',
    default: false,
  }),
  metrics: bindAddressOrOff({
    ...restart,
    description:
      'Second address with /metrics only, for Prometheus; false for none. Other hosts may reach it even without `allowNonLoopback`.',
    flag: '--metrics',
    default: false,
  }),
  allowedHosts: nameList({
    ...restart,
    description:
      'Names by which `admin`, `ownAdmin` and `metrics` may be requested (the Host header), besides IP addresses, `localhost` and `nodeName`.',
  }),
  deployment: choice({
    ...restart,
    description:
      'What starts this agent: the host itself (static pod, systemd) or a DaemonSet. A node without an API server cannot start the pod of a DaemonSet, so `fairlead kubeconfig point` refuses to point kubelet at it.',
    default: 'host',
    of: ['host', 'daemonset'],
  }),
  'log.level': choice({
    ...reload,
    description: 'Minimum log level.',
    flag: '--log-level',
    placeholder: 'LEVEL',
    default: 'info',
    of: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
  }),
  'log.format': choice({
    ...restart,
    description:
      'Log format: JSON lines, or `pretty` for people; `auto` is `pretty` on a terminal and JSON otherwise.',
    default: 'auto',
    of: ['auto', 'json', 'pretty'],
  }),
  'shutdown.grace': duration({
    ...reload,
    description: 'How long tunnels may stay open after SIGTERM before they are reset.',
    default: '30s',
    min: '0s',
  }),
} satisfies Record<string, Setting<unknown>>;

export const settings = {
  ...plainSettings,
  pools: poolMap({
    ...reload,
    description: 'Additional [pools of endpoints](#pools) for listeners, by name.',
    settings: plainSettings,
  }),
} satisfies Record<string, Setting<unknown>>;

type Table = typeof settings;
export type SettingKey = keyof Table;

/** The checked values, as the sources give them. */
export type Values = { readonly [K in SettingKey]: SettingValue<Table[K]> };

/** The settings with a value of type T. */
export type KeyOf<T> = { [K in SettingKey]: Values[K] extends T ? K : never }[SettingKey];

/** Where `Config` has the value: `dial.raceDelay`, in milliseconds, is `dial.raceDelayMs` there. */
type ConfigPath<K extends SettingKey> = Table[K] extends { readonly unit: infer Unit extends string }
  ? `${K}${Unit}`
  : K;

/** The values by their paths in `Config`. */
export type ConfigValues = { readonly [K in SettingKey as ConfigPath<K>]: Values[K] };

export const settingKeys = Object.keys(settings) as readonly SettingKey[];

export function isSettingKey(name: string): name is SettingKey {
  return Object.hasOwn(settings, name);
}

/** The setting of `key` with its value's type forgotten: for code that treats all alike. */
export function settingOf(key: SettingKey): Setting<unknown> {
  return settings[key] as unknown as Setting<unknown>;
}

/** See ConfigPath. */
export function configPath(key: SettingKey): string {
  return `${key}${settingOf(key).unit ?? ''}`;
}

/** `health.standbyInterval` is FAIRLEAD_HEALTH_STANDBY_INTERVAL. */
export function envName(key: SettingKey): string {
  return `FAIRLEAD_${key
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll('.', '_')
    .toUpperCase()}`;
}
