// The configuration of Kubespray's haproxy static pod; only addresses, ports and the place of the log socket differ.
import { formatHostPort, type HostPort } from '../../src/model/endpoint.ts';

export interface ProxyPlace {
  readonly listen: HostPort;
  readonly healthz: HostPort;
  readonly endpoints: readonly HostPort[];
}

/** `hasTls`: the endpoints are checked as API servers are. */
export function kubesprayHaproxy(
  { listen, healthz, endpoints }: ProxyPlace,
  { logPort, hasTls }: { readonly logPort: number; readonly hasTls: boolean },
): string {
  const check = hasTls ? 'check check-ssl verify none' : 'check';
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
