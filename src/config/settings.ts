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
  healthSteps,
  httpPath,
  integer,
  nameList,
  optional,
  type Setting,
  type SettingValue,
  statuses,
  text,
} from './setting.ts';

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
    description: 'Name of this node: decides, with the endpoints, which API server it prefers.',
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
      'Local addresses that accept clients. A map gives [options](#listeners). Port 0 takes any free port.',
    flag: '--listen',
    default: ['127.0.0.1:6443', { address: '[::1]:6443', optional: true }],
  }),
  reusePort: boolean({
    ...restart,
    description:
      'Share the ports of listeners and `admin` with other processes of the same user (SO_REUSEPORT), so that a new agent serves before the old one goes. A port that another agent serves is not shared before an endpoint has passed a check. Every process that shares a port must say so.',
    flag: '--reuse-port',
    flagAlone: 'true',
    default: false,
  }),
  waitForPort: duration({
    ...restart,
    description:
      'How long to wait for a port that another process holds, instead of failing at once: for taking over from another load balancer. The flag alone means `forever`.',
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
      'Certificate (PEM) of a front proxy: http listeners then hand the names in verified client certificates on in headers. Whoever has its key can be anybody; see docs/http.md before using it.',
    flag: '--requestheader-cert-file',
  }),
  'requestHeader.keyFile': file({
    ...restart,
    description: 'Key (PEM) of that certificate.',
    flag: '--requestheader-key-file',
  }),
  'requestHeader.usernameHeader': text({
    ...restart,
    description: "Header for the user; one of the API servers' --requestheader-username-headers.",
    flag: '--requestheader-username-header',
    default: 'X-Remote-User',
    right: headerRight,
    check: headerName,
  }),
  'requestHeader.groupHeader': text({
    ...restart,
    description: "Header for the groups; one of the API servers' --requestheader-group-headers.",
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
      'API servers known beforehand: IP addresses or DNS names, port 6443 where none is written. Never forgotten; a last resort once discovery knows better ones.',
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
    description: 'CA certificates (PEM) that the API servers must be signed by.',
    flag: '--ca-file',
  }),
  'credentials.clientCertFile': file({
    ...perPool,
    ...unsetInPools,
    description: 'Client certificate (PEM); needs `credentials.clientKeyFile`.',
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
    description: 'File with a bearer token; read again as it rotates.',
    flag: '--token-file',
  }),
  'credentials.serverName': optional(
    text({
      ...perPool,
      ...unsetInPools,
      description: 'Name that the API servers must have in their certificates.',
      flag: '--server-name',
      defaultNote: "as the kubeconfig says, else the endpoint's address",
      right: 'a DNS name or an IP address',
      check: (value) => /^[A-Za-z0-9_.:-]{1,253}$/.test(value),
    }),
  ),
  'credentials.inCluster': autoBoolean({
    ...perPool,
    ...offInPools,
    description:
      "Use the pod's service account: `auto` takes it when it is there and no other credentials are configured.",
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
    description: 'Name of the port to take where a slice has several.',
    default: 'https',
    right: nameRight,
    check: dnsLabel,
  }),
  'discovery.dnsInterval': duration({
    ...perPool,
    description: 'How often DNS names among the endpoints are resolved again.',
    default: '30s',
    min: '1s',
  }),
  'discovery.cacheFile': file({
    ...perPool,
    ...unsetInPools,
    description: 'Where the last good set of endpoints is kept for the next start.',
    flag: '--cache-file',
  }),
  'discovery.rememberFor': duration({
    ...reload,
    description:
      'How long an API server that was verified once is remembered after the watch has stopped listing it: time of a working watch, over all restarts.',
    default: '7d',
    min: '1m',
    max: '365d',
    off: true,
  }),
  'health.check': choice({
    ...perPool,
    poolDefault: { etcd: 'https', tcp: 'tcp' },
    description: 'How an endpoint is asked: HTTPS requests, plain HTTP requests, or a TCP connect only.',
    default: 'https',
    of: ['https', 'http', 'tcp'],
  }),
  'health.port': optional(
    integer({
      ...perPool,
      ...unsetInPools,
      description: 'Port that is asked, where health has one of its own.',
      defaultNote: "the endpoint's port",
      min: 1,
      max: 65_535,
    }),
  ),
  'health.path': httpPath({
    ...perPool,
    poolDefault: { etcd: '/health' },
    description: 'Path of the request.',
    default: '/readyz',
  }),
  'health.expectStatus': statuses({
    ...perPool,
    poolDefault: { etcd: 200 },
    description: 'Statuses that mean ready: numbers, ranges, or a list of them.',
    default: 200,
  }),
  'health.expectBody': choice({
    ...perPool,
    poolDefault: { etcd: 'etcd', tcp: 'any' },
    description: 'What the answer must say: anything, or what etcd says on /health when it is well.',
    default: 'any',
    of: ['any', 'etcd'],
  }),
  'health.steps': healthSteps({
    ...perPool,
    ...unsetInPools,
    description:
      'Several requests, all of which must be answered as expected, in place of `health.path` and `health.expectStatus`.',
  }),
  'health.interval': duration({
    ...perPool,
    description: 'Between two checks of an endpoint in use.',
    default: '2s',
    min: '100ms',
  }),
  'health.standbyInterval': duration({
    ...perPool,
    description: 'Between two checks of an endpoint that this node does not use (jittered).',
    default: '1m',
    min: '100ms',
  }),
  'health.timeout': duration({
    ...perPool,
    description: 'Longest wait for the answer to a check.',
    default: '1s',
    min: '10ms',
  }),
  'health.fastInterval': duration({
    ...perPool,
    description: 'Between the confirming checks of a suspect endpoint.',
    default: '500ms',
    min: '10ms',
  }),
  'health.rise': integer({
    ...perPool,
    description: 'Good checks in a row until an endpoint is ready again.',
    default: 2,
    min: 1,
    max: 100,
  }),
  'health.fall': integer({
    ...perPool,
    description: 'Bad checks in a row until existing tunnels begin to drain.',
    default: 3,
    min: 1,
    max: 100,
  }),
  'health.reconnect': duration({
    ...perPool,
    description:
      'Age at which the connection of the checks is opened afresh (jittered). Certificates do not wait for it: see docs/health.md.',
    default: '2h',
    min: '1s',
  }),
  'health.clientNames': nameList({
    ...perPool,
    poolDefault: { etcd: [], tcp: [] },
    description:
      "Names that this node's clients verify in the certificates, beside those that Fairlead finds out. An endpoint without them is used last.",
  }),
  'health.startupGrace': duration({
    ...perPool,
    description: 'How long an endpoint must have been up before its 401 or 403 counts as an answer.',
    default: '5s',
    min: '0s',
  }),
  'health.logChecks': boolean({
    ...perPool,
    description: 'Log each check at level info, not only what changes.',
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
      "Endpoints that go before all others while they are ready: those on this host, or those in this node's zone.",
    default: 'none',
    of: ['none', 'local', 'zone'],
  }),
  'balance.returnAfter': duration({
    ...perPool,
    description:
      'How long such an endpoint must have been ready without a break before it takes clients back.',
    default: '15s',
    min: '0s',
  }),
  'balance.rebalance.enabled': boolean({
    ...perPool,
    description: 'Move old tunnels back, slowly, to an endpoint that has recovered.',
    default: true,
  }),
  'balance.rebalance.over': duration({
    ...perPool,
    description: 'The time over which they are moved.',
    default: '10m',
    min: '1s',
  }),
  'dial.raceDelay': duration({
    ...reload,
    description: 'After this long without a connection the next endpoint is dialled beside the first.',
    default: '250ms',
    min: '10ms',
  }),
  'dial.firstFlightTimeout': duration({
    ...reload,
    description: "Silence after the client's first flight until it is tried on the next endpoint too.",
    default: '1s',
    min: '50ms',
  }),
  'dial.lastCandidateTimeout': duration({
    ...reload,
    description: 'How long the last endpoint that is left to try may take to its first byte.',
    default: '10s',
    min: '100ms',
  }),
  'dial.replayBudgetPercent': integer({
    ...reload,
    description: 'Share of the new tunnels, in percent, whose first flight may be sent again.',
    default: 20,
    min: 0,
    max: 100,
  }),
  'dial.replayMinPerSecond': integer({
    ...reload,
    description: 'Replays per second that are allowed whatever the share is.',
    default: 5,
    min: 0,
    max: 10_000,
  }),
  'dial.allDownDeadline': duration({
    ...reload,
    description: 'When no endpoint accepts: how long a client waits before it is reset.',
    default: '2s',
    min: '100ms',
  }),
  'dial.maxHalfOpenDials': integer({
    ...reload,
    description: 'Half-open attempts at a time, over all clients.',
    default: 256,
    min: 1,
    max: 65_536,
  }),
  'tunnels.max': optional(
    integer({
      ...reload,
      description:
        'Maximum concurrent tunnels. At the limit the oldest without an answer ends for a new client.',
      defaultNote: 'derived from the limit of open files',
      min: 1,
      max: 1_000_000,
    }),
  ),
  'tunnels.keepAliveDelay': duration({
    ...reload,
    description: 'Quiet time until TCP keepalive begins, on both connections.',
    default: '15s',
    min: '1s',
    max: '9h',
  }),
  'tunnels.keepAliveInterval': duration({
    ...reload,
    description: 'Between two keepalive probes.',
    default: '5s',
    min: '1s',
    max: '9h',
  }),
  'tunnels.keepAliveCount': integer({
    ...reload,
    description: 'Unanswered keepalive probes that end a tunnel.',
    default: 3,
    min: 1,
    max: 100,
  }),
  'tunnels.halfCloseTimeout': duration({
    ...reload,
    description: 'How long a tunnel of which one side has ended may stay without a byte.',
    default: '5m',
    min: '1s',
  }),
  'tunnels.idleTimeout': duration({
    ...perPool,
    description: 'Ends a tunnel without bytes for this long. Watches can be quiet for minutes.',
    default: 'off',
    min: '1m',
    off: true,
  }),
  'drain.unreadyAfter': duration({
    ...perPool,
    description:
      'How long an endpoint must be unready before its tunnels drain, where docs/health.md does not say at once.',
    default: '5s',
    min: '0s',
  }),
  'drain.betterReadyFor': duration({
    ...perPool,
    description:
      'How long another endpoint must have been ready without a break before they do; for a sick one: before its trouble.',
    default: '20s',
    min: '0s',
  }),
  'drain.window': duration({
    ...perPool,
    description: 'The time over which they are closed (jittered, quiet ones first).',
    default: '10s',
    min: '0s',
  }),
  'drain.shutdownWindow': duration({
    ...perPool,
    description: 'How long an endpoint that is stopping may keep its tunnels, which it ends itself.',
    default: '5m',
    min: '0s',
  }),
  admin: bindAddressOrOff({
    ...restart,
    description:
      'Address of /livez, /readyz, /metrics and /status; false for none. Port 0 takes any free port.',
    flag: '--admin',
    default: '127.0.0.1:6442',
  }),
  ownAdmin: bindAddressOrOff({
    ...restart,
    description:
      "A second address of the admin server that is never shared: with `reusePort`, kubelet's probes ask the right process there.",
    flag: '--own-admin',
    default: false,
  }),
  metrics: bindAddressOrOff({
    ...restart,
    description:
      'A second address that has /metrics and nothing else, for Prometheus; false for none. Other hosts may reach it without `allowNonLoopback`.',
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
      'What starts this agent: the host itself (static pod, systemd), or a DaemonSet, which a node without an API server cannot start; `fairlead kubeconfig point` keeps kubelet away from that one.',
    default: 'host',
    of: ['host', 'daemonset'],
  }),
  'log.level': choice({
    ...reload,
    description: 'Least severity that is logged.',
    flag: '--log-level',
    placeholder: 'LEVEL',
    default: 'info',
    of: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
  }),
  'log.format': choice({
    ...restart,
    description: 'JSON lines, or pretty for people; `auto` is pretty on a terminal only.',
    default: 'auto',
    of: ['auto', 'json', 'pretty'],
  }),
  'shutdown.grace': duration({
    ...reload,
    description: 'How long tunnels may finish after SIGTERM before they are reset.',
    default: '30s',
    min: '0s',
  }),
} satisfies Record<string, Setting<unknown>>;

export const settings = {
  ...plainSettings,
  pools: poolMap({
    ...reload,
    description: 'Further [pools of endpoints](#pools) for listeners to lead to, by name.',
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
