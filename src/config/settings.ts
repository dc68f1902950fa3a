// The schema: every setting of Fairlead, in the order of docs/config.md. The YAML file, the
// environment (FAIRLEAD_ and the path in capitals), the flags, their checks, `config print`, the docs and
// the reload rules all derive from this table. Over 400 lines because it is one table, in one order.
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

const plainSettings = {
  nodeName: text({
    description: 'Name of this node: decides, with the endpoints, which API server it prefers.',
    applies: 'restart',
    flag: '--node-name',
    defaultNote: 'environment variable NODE_NAME, else the host name in lower case',
    right: 'a name of at most 253 characters without spaces',
    check: (value) => value.length <= 253 && !/\s/.test(value),
  }),
  zone: optional(
    text({
      description: 'Zone of this node, for `balance.prefer: zone`.',
      applies: 'reload',
      defaultNote: 'environment variable NODE_ZONE, else not set',
      right: 'the name of a zone, as in the label topology.kubernetes.io/zone',
      check: (value) => /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(value),
    }),
  ),
  listeners: listenerList({
    description:
      'Local addresses that accept clients. A map gives [options](#listeners). Port 0 takes any free port.',
    applies: 'restart',
    flag: '--listen',
    default: ['127.0.0.1:6443', { address: '[::1]:6443', optional: true }],
  }),
  reusePort: boolean({
    description:
      'Share the ports of listeners and `admin` with other processes of the same user (SO_REUSEPORT), so that a new agent serves before the old one goes. A port that another agent serves is not shared before an endpoint has passed a check. Every process that shares a port must say so.',
    applies: 'restart',
    flag: '--reuse-port',
    default: false,
  }),
  waitForPort: duration({
    description:
      'How long to wait for a port that another process holds, instead of failing at once: for taking over from another load balancer. The flag alone means `forever`.',
    applies: 'restart',
    flag: '--wait-for-port',
    default: 'off',
    min: '1s',
    off: true,
    forever: true,
  }),
  'requestHeader.certFile': file({
    description:
      'Certificate (PEM) of a front proxy: http listeners then hand the names in verified client certificates on in headers. Whoever has its key can be anybody; see docs/http.md before using it.',
    applies: 'restart',
    flag: '--requestheader-cert-file',
  }),
  'requestHeader.keyFile': file({
    description: 'Key (PEM) of that certificate.',
    applies: 'restart',
    flag: '--requestheader-key-file',
  }),
  'requestHeader.usernameHeader': text({
    description: "Header for the user; one of the API servers' --requestheader-username-headers.",
    applies: 'restart',
    flag: '--requestheader-username-header',
    default: 'X-Remote-User',
    right: headerRight,
    check: headerName,
  }),
  'requestHeader.groupHeader': text({
    description: "Header for the groups; one of the API servers' --requestheader-group-headers.",
    applies: 'restart',
    flag: '--requestheader-group-header',
    default: 'X-Remote-Group',
    right: headerRight,
    check: headerName,
  }),
  allowNonLoopback: boolean({
    description: 'Allow listeners and the admin server on addresses that other hosts can reach.',
    applies: 'restart',
    default: false,
  }),
  endpoints: endpointList({
    description:
      'API servers known beforehand: IP addresses or DNS names, port 6443 where none is written. Never forgotten; a last resort once discovery knows better ones.',
    applies: 'reload',
    flag: '--endpoints',
  }),
  'credentials.kubeconfig': file({
    description: 'Kubeconfig with the CA and the credentials for health checks and the watch.',
    applies: 'reload',
    flag: '--kubeconfig',
  }),
  'credentials.caFile': file({
    description: 'CA certificates (PEM) that the API servers must be signed by.',
    applies: 'reload',
    flag: '--ca-file',
  }),
  'credentials.clientCertFile': file({
    description: 'Client certificate (PEM); needs `credentials.clientKeyFile`.',
    applies: 'reload',
    flag: '--client-cert',
  }),
  'credentials.clientKeyFile': file({
    description: 'Key (PEM) of the client certificate.',
    applies: 'reload',
    flag: '--client-key',
  }),
  'credentials.tokenFile': file({
    description: 'File with a bearer token; read again as it rotates.',
    applies: 'reload',
    flag: '--token-file',
  }),
  'credentials.serverName': optional(
    text({
      description: 'Name that the API servers must have in their certificates.',
      applies: 'reload',
      flag: '--server-name',
      defaultNote: "as the kubeconfig says, else the endpoint's address",
      right: 'a DNS name or an IP address',
      check: (value) => /^[A-Za-z0-9_.:-]{1,253}$/.test(value),
    }),
  ),
  'credentials.inCluster': autoBoolean({
    description:
      "Use the pod's service account: `auto` takes it when it is there and no other credentials are configured.",
    applies: 'reload',
  }),
  'discovery.watch': boolean({
    description: 'Watch the EndpointSlices of the service `kubernetes` for API servers.',
    applies: 'reload',
    default: true,
  }),
  'discovery.namespace': text({
    description: 'Namespace of that service.',
    applies: 'reload',
    default: 'default',
    right: nameRight,
    check: dnsLabel,
  }),
  'discovery.service': text({
    description: 'Name of that service.',
    applies: 'reload',
    default: 'kubernetes',
    right: nameRight,
    check: dnsLabel,
  }),
  'discovery.portName': text({
    description: 'Name of the port to take where a slice has several.',
    applies: 'reload',
    default: 'https',
    right: nameRight,
    check: dnsLabel,
  }),
  'discovery.dnsInterval': duration({
    description: 'How often DNS names among the endpoints are resolved again.',
    applies: 'reload',
    default: '30s',
    min: '1s',
  }),
  'discovery.cacheFile': file({
    description: 'Where the last good set of endpoints is kept for the next start.',
    applies: 'reload',
    flag: '--cache-file',
  }),
  'discovery.rememberFor': duration({
    description:
      'How long an API server that was verified once is remembered after the watch has stopped listing it: time of a working watch, over all restarts.',
    applies: 'reload',
    default: '7d',
    min: '1m',
    max: '365d',
    off: true,
  }),
  'health.check': choice({
    description: 'How an endpoint is asked: HTTPS requests, plain HTTP requests, or a TCP connect only.',
    applies: 'reload',
    default: 'https',
    of: ['https', 'http', 'tcp'],
  }),
  'health.port': optional(
    integer({
      description: 'Port that is asked, where health has one of its own.',
      applies: 'reload',
      defaultNote: "the endpoint's port",
      min: 1,
      max: 65_535,
    }),
  ),
  'health.path': httpPath({
    description: 'Path of the request.',
    applies: 'reload',
    default: '/readyz',
  }),
  'health.expectStatus': statuses({
    description: 'Statuses that mean ready: numbers, ranges, or a list of them.',
    applies: 'reload',
    default: 200,
  }),
  'health.expectBody': choice({
    description: 'What the answer must say: anything, or what etcd says on /health when it is well.',
    applies: 'reload',
    default: 'any',
    of: ['any', 'etcd'],
  }),
  'health.steps': healthSteps({
    description:
      'Several requests, all of which must be answered as expected, in place of `health.path` and `health.expectStatus`.',
    applies: 'reload',
  }),
  'health.interval': duration({
    description: 'Between two checks of an endpoint in use.',
    applies: 'reload',
    default: '2s',
    min: '100ms',
  }),
  'health.standbyInterval': duration({
    description: 'Between two checks of an endpoint that this node does not use (jittered).',
    applies: 'reload',
    default: '1m',
    min: '100ms',
  }),
  'health.timeout': duration({
    description: 'Longest wait for the answer to a check.',
    applies: 'reload',
    default: '1s',
    min: '10ms',
  }),
  'health.fastInterval': duration({
    description: 'Between the confirming checks of a suspect endpoint.',
    applies: 'reload',
    default: '500ms',
    min: '10ms',
  }),
  'health.rise': integer({
    description: 'Good checks in a row until an endpoint is ready again.',
    applies: 'reload',
    default: 2,
    min: 1,
    max: 100,
  }),
  'health.fall': integer({
    description: 'Bad checks in a row until existing tunnels begin to drain.',
    applies: 'reload',
    default: 3,
    min: 1,
    max: 100,
  }),
  'health.reconnect': duration({
    description:
      'Age at which the connection of the checks is opened afresh (jittered). Certificates do not wait for it: see docs/health.md.',
    applies: 'reload',
    default: '2h',
    min: '1s',
  }),
  'health.clientNames': nameList({
    description:
      "Names that this node's clients verify in the certificates, beside those that Fairlead finds out. An endpoint without them is used last.",
    applies: 'reload',
  }),
  'health.startupGrace': duration({
    description: 'How long an endpoint must have been up before its 401 or 403 counts as an answer.',
    applies: 'reload',
    default: '5s',
    min: '0s',
  }),
  'health.logChecks': boolean({
    description: 'Log each check at level info, not only what changes.',
    applies: 'reload',
    default: false,
  }),
  'balance.policy': choice({
    description: 'How this node orders the endpoints.',
    applies: 'reload',
    default: 'rendezvous',
    of: ['rendezvous', 'least-connections', 'round-robin'],
  }),
  'balance.prefer': choice({
    description:
      "Endpoints that go before all others while they are ready: those on this host, or those in this node's zone.",
    applies: 'reload',
    default: 'none',
    of: ['none', 'local', 'zone'],
  }),
  'balance.returnAfter': duration({
    description:
      'How long such an endpoint must have been ready without a break before it takes clients back.',
    applies: 'reload',
    default: '15s',
    min: '0s',
  }),
  'balance.rebalance.enabled': boolean({
    description: 'Move old tunnels back, slowly, to an endpoint that has recovered.',
    applies: 'reload',
    default: true,
  }),
  'balance.rebalance.over': duration({
    description: 'The time over which they are moved.',
    applies: 'reload',
    default: '10m',
    min: '1s',
  }),
  'dial.raceDelay': duration({
    description: 'After this long without a connection the next endpoint is dialled beside the first.',
    applies: 'reload',
    default: '250ms',
    min: '10ms',
  }),
  'dial.firstFlightTimeout': duration({
    description: "Silence after the client's first flight until it is tried on the next endpoint too.",
    applies: 'reload',
    default: '1s',
    min: '50ms',
  }),
  'dial.lastCandidateTimeout': duration({
    description: 'How long the last endpoint that is left to try may take to its first byte.',
    applies: 'reload',
    default: '10s',
    min: '100ms',
  }),
  'dial.replayBudgetPercent': integer({
    description: 'Share of the new tunnels, in percent, whose first flight may be sent again.',
    applies: 'reload',
    default: 20,
    min: 0,
    max: 100,
  }),
  'dial.replayMinPerSecond': integer({
    description: 'Replays per second that are allowed whatever the share is.',
    applies: 'reload',
    default: 5,
    min: 0,
    max: 10_000,
  }),
  'dial.allDownDeadline': duration({
    description: 'When no endpoint accepts: how long a client waits before it is reset.',
    applies: 'reload',
    default: '2s',
    min: '100ms',
  }),
  'dial.maxHalfOpenDials': integer({
    description: 'Half-open attempts at a time, over all clients.',
    applies: 'reload',
    default: 256,
    min: 1,
    max: 65_536,
  }),
  'tunnels.max': optional(
    integer({
      description: 'Most tunnels at a time; further clients are reset.',
      applies: 'reload',
      defaultNote: 'derived from the limit of open files',
      min: 1,
      max: 1_000_000,
    }),
  ),
  'tunnels.keepAliveDelay': duration({
    description: 'Quiet time until TCP keepalive begins, on both connections.',
    applies: 'reload',
    default: '15s',
    min: '1s',
    max: '9h',
  }),
  'tunnels.keepAliveInterval': duration({
    description: 'Between two keepalive probes.',
    applies: 'reload',
    default: '5s',
    min: '1s',
    max: '9h',
  }),
  'tunnels.keepAliveCount': integer({
    description: 'Unanswered keepalive probes that end a tunnel.',
    applies: 'reload',
    default: 3,
    min: 1,
    max: 100,
  }),
  'tunnels.halfCloseTimeout': duration({
    description: 'How long a tunnel of which one side has ended may stay without a byte.',
    applies: 'reload',
    default: '5m',
    min: '1s',
  }),
  'tunnels.idleTimeout': duration({
    description: 'Ends a tunnel without bytes for this long. Watches can be quiet for minutes.',
    applies: 'reload',
    default: 'off',
    min: '1m',
    off: true,
  }),
  'drain.unreadyAfter': duration({
    description:
      'How long an endpoint must be unready before its tunnels drain, where docs/health.md does not say at once.',
    applies: 'reload',
    default: '5s',
    min: '0s',
  }),
  'drain.betterReadyFor': duration({
    description:
      'How long another endpoint must have been ready without a break before they do; for a sick one: before its trouble.',
    applies: 'reload',
    default: '20s',
    min: '0s',
  }),
  'drain.window': duration({
    description: 'The time over which they are closed (jittered, quiet ones first).',
    applies: 'reload',
    default: '10s',
    min: '0s',
  }),
  'drain.shutdownWindow': duration({
    description: 'How long an endpoint that is stopping may keep its tunnels, which it ends itself.',
    applies: 'reload',
    default: '5m',
    min: '0s',
  }),
  admin: bindAddressOrOff({
    description:
      'Address of /livez, /readyz, /metrics and /status; false for none. Port 0 takes any free port.',
    applies: 'restart',
    flag: '--admin',
    default: '127.0.0.1:6442',
  }),
  ownAdmin: bindAddressOrOff({
    description:
      "A second address of the admin server that is never shared: with `reusePort`, kubelet's probes ask the right process there.",
    applies: 'restart',
    flag: '--own-admin',
    default: false,
  }),
  metrics: bindAddressOrOff({
    description:
      'A second address that has /metrics and nothing else, for Prometheus; false for none. Other hosts may reach it without `allowNonLoopback`.',
    applies: 'restart',
    flag: '--metrics',
    default: false,
  }),
  deployment: choice({
    description:
      'What starts this agent: the host itself (static pod, systemd), or a DaemonSet, which a node without an API server cannot start; `fairlead kubeconfig point` keeps kubelet away from that one.',
    applies: 'restart',
    default: 'host',
    of: ['host', 'daemonset'],
  }),
  'log.level': choice({
    description: 'Least severity that is logged.',
    applies: 'reload',
    flag: '--log-level',
    default: 'info',
    of: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
  }),
  'log.format': choice({
    description: 'JSON lines, or pretty for people; `auto` is pretty on a terminal only.',
    applies: 'restart',
    default: 'auto',
    of: ['auto', 'json', 'pretty'],
  }),
  'shutdown.grace': duration({
    description: 'How long tunnels may finish after SIGTERM before they are reset.',
    applies: 'reload',
    default: '30s',
    min: '0s',
  }),
} satisfies Record<string, Setting<unknown>>;

export const settings = {
  ...plainSettings,
  pools: poolMap({
    description: 'Further [pools of endpoints](#pools) for listeners to lead to, by name.',
    applies: 'reload',
    settings: plainSettings,
  }),
} satisfies Record<string, Setting<unknown>>;

export type SettingKey = keyof typeof settings;
export type Values = { readonly [K in SettingKey]: SettingValue<(typeof settings)[K]> };

export const settingKeys = Object.keys(settings) as readonly SettingKey[];

export function isSettingKey(name: string): name is SettingKey {
  return Object.hasOwn(settings, name);
}

/** The setting of `key` with its value's type forgotten: for code that treats all alike. */
export function settingOf(key: SettingKey): Setting<unknown> {
  return settings[key] as unknown as Setting<unknown>;
}

/** `health.standbyInterval` is FAIRLEAD_HEALTH_STANDBY_INTERVAL. */
export function envName(key: SettingKey): string {
  return `FAIRLEAD_${key
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll('.', '_')
    .toUpperCase()}`;
}
