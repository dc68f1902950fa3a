// Directives of HAProxy whose purpose Fairlead serves without being told, and what is said of all others.
import type { NoteKind } from './draft-notes.ts';
import { shownLine } from './haproxy-check.ts';
import { is } from './haproxy-lines.ts';
import type { Line } from './haproxy-syntax.ts';

/** By their first words. */
const covered: readonly (readonly [start: string, text: string])[] = [
  ['mode tcp', 'Fairlead relays TCP'],
  [
    'option log-health-checks',
    'every change of a verdict is logged, with its reason; each check with health.logChecks',
  ],
  ['option redispatch', 'after a refused or failed dial the next API server is tried'],
  ['retries', 'every API server is tried within dial.allDownDeadline'],
  ['timeout connect', 'after dial.raceDelay (250ms) the next API server is dialled in parallel'],
  ['timeout queue', 'there is no queue: a client is connected or reset'],
  ['option tcpka', 'both sides of a tunnel have TCP keepalive (tunnels.keepAliveDelay)'],
  ['option clitcpka', 'both sides of a tunnel have TCP keepalive (tunnels.keepAliveDelay)'],
  ['option srvtcpka', 'both sides of a tunnel have TCP keepalive (tunnels.keepAliveDelay)'],
  ['option dontlognull', 'connections are logged at debug level only'],
  ['option tcplog', 'tunnels are counted in the metrics and logged at debug level'],
  ['option httplog', 'tunnels are counted in the metrics and logged at debug level'],
  ['log ', 'logs go to standard output, as JSON lines'],
  ['stats ', 'see /metrics and /status of the admin server'],
  ['nbthread', 'Fairlead is one process with one thread for its tunnels'],
  ['nbproc', 'Fairlead is one process'],
  ['daemon', 'Fairlead stays in the foreground'],
  ['option tcp-check', 'Fairlead asks each endpoint itself (health.check)'],
  ['option ssl-hello-chk', 'Fairlead asks each endpoint itself (health.check)'],
  ['tcp-check ', 'Fairlead asks each endpoint itself (health.check)'],
  ['tcp-request inspect-delay', 'the relay does not look into what clients send'],
  ['monitor-uri', 'the admin server answers /livez, /readyz and /healthz'],
];

export const noCounterpart = 'has no counterpart';

/** The note on a line that nothing else has dealt with. */
export function noteOn(line: Line): { readonly kind: NoteKind; readonly text: string } {
  const shown = `${shownLine(line)} `;
  const known = covered.find(([start]) => shown.startsWith(start.endsWith(' ') ? start : `${start} `));
  if (known) return { kind: 'covered', text: known[1] };
  const why = is(line, 'acl') ? `${noCounterpart}: no rule about clients uses it` : noCounterpart;
  return { kind: 'dropped', text: why };
}
