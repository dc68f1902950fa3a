// HAProxy with the settings of Kubespray's haproxy static pod; only addresses, ports and the place of the
// log socket differ. Its threads follow the CPUs it may use, as in a pod.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatHostPort, type HostPort } from '../../src/model/endpoint.ts';
import type { TargetKind } from '../backend.ts';
import { freePorts } from '../processes.ts';
import { findTool } from '../tools.ts';
import { type Peer, startChild } from './peer.ts';

function configuration(
  listen: HostPort,
  healthz: HostPort,
  logPort: number,
  endpoints: readonly HostPort[],
  target: TargetKind,
): string {
  const check = target === 'tls' ? 'check check-ssl verify none' : 'check';
  const servers = endpoints.map((at, index) => `  server master${index} ${formatHostPort(at)} ${check}`);
  return `
global
  maxconn 4000
  log 127.0.0.1:${logPort} local0

defaults
  mode http
  log global
  option httplog
  option dontlognull
  option http-server-close
  option redispatch
  retries 5
  timeout http-request 5m
  timeout queue 5m
  timeout connect 30s
  timeout client 5m
  timeout server 15m
  timeout http-keep-alive 30s
  timeout check 30s
  maxconn 4000

frontend healthz
  bind ${formatHostPort(healthz)}
  mode http
  monitor-uri /healthz

frontend kube_api_frontend
  bind ${formatHostPort(listen)}
  mode tcp
  option tcplog
  default_backend kube_api_backend

backend kube_api_backend
  mode tcp
  balance leastconn
  default-server inter 15s downinter 15s rise 2 fall 2 slowstart 60s maxconn 1000 maxqueue 256 weight 100
  option httpchk GET /healthz
  http-check expect status 200
${servers.join('\n')}
`;
}

export const haproxy: Peer = {
  name: 'haproxy',
  async start(field, target) {
    const binary = await findTool('haproxy');
    if (binary === undefined) throw new Error('haproxy is missing');
    const [port = 0, healthzPort = 0, logPort = 0] = await freePorts(3);
    const address = { host: '127.0.0.1', port };
    const healthz = { host: '127.0.0.1', port: healthzPort };
    const file = join(field.workspace.dir, `haproxy-${port}.cfg`);
    await writeFile(file, configuration(address, healthz, logPort, field.backend.endpoints[target], target));
    return startChild(field, { name: 'haproxy', target, address, command: [binary, '-db', '-f', file] });
  },
};
