// The load balancers that are put through the same faults.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fairlead } from '../../test/support/faults/fairlead.ts';
import type { Subject } from '../../test/support/faults/subject.ts';
import { kubesprayHaproxy } from '../peers/haproxy-config.ts';
import { kubesprayNginx } from '../peers/nginx-config.ts';
import { tunedHaproxy } from './haproxy-tuned.ts';
import type { PeerName } from './options.ts';
import { proxySubject } from './proxy-subject.ts';

/** No process listens there: the log goes nowhere, as it does in Kubespray's pod without a syslog. */
const logPort = 5140;

const haproxy = proxySubject({
  name: 'haproxy',
  tool: 'haproxy',
  // Its endpoints count as up before their first check, which may be 10 s away.
  settleMs: 0,
  configure: async (proxy) => kubesprayHaproxy(proxy, { logPort, hasTls: true }),
});

const haproxyTuned = proxySubject({
  name: 'haproxy-tuned',
  tool: 'haproxy',
  settleMs: 2_000,
  async configure(proxy, { directory, credentials: { ca, cert, key } }) {
    const caFile = join(directory, 'ca.crt');
    const clientFile = join(directory, 'client.pem');
    await writeFile(caFile, ca);
    await writeFile(clientFile, `${cert}\n${key}\n`, { mode: 0o600 });
    return tunedHaproxy(proxy, { caFile, clientFile });
  },
});

const nginx = proxySubject({
  name: 'nginx',
  tool: 'nginx',
  settleMs: 0,
  configure: (proxy, { directory }) => kubesprayNginx(proxy, { dir: directory }),
});

/** `nodeName` decides which API servers Fairlead prefers. */
export function makePeer(name: PeerName, nodeName = 'node-1'): Subject {
  if (name === 'fairlead') return new Fairlead({ nodeName, logLevel: 'info' });
  return { haproxy, 'haproxy-tuned': haproxyTuned, nginx }[name];
}
