// HAProxy 2.6 as well as we can tune it for API servers. What was tried and measured is in bench/README.md.
import { formatHostPort } from '../../src/model/endpoint.ts';
import type { ProxyPlace } from '../peers/haproxy-config.ts';

/** `caFile` verifies the API servers; `clientFile` (certificate and key) is what checks show. */
export function tunedHaproxy(
  { listen, healthz, endpoints }: ProxyPlace,
  { caFile, clientFile }: { readonly caFile: string; readonly clientFile: string },
): string {
  const servers = endpoints.map((at, index) => `  server master${index} ${formatHostPort(at)}`);
  return `
global
  maxconn 4000
  log stdout format raw local0

defaults
  mode tcp
  log global
  option redispatch 1
  retries 3
  timeout connect 1s
  timeout client 3h
  timeout server 3h
  timeout check 1s
  maxconn 4000

frontend healthz
  bind ${formatHostPort(healthz)}
  mode http
  timeout client 5s
  monitor-uri /healthz

frontend kube_api_frontend
  bind ${formatHostPort(listen)}
  default_backend kube_api_backend

backend kube_api_backend
  balance leastconn
  option log-health-checks
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
  http-check expect status 200
  default-server check check-ssl verify required verifyhost localhost ca-file ${caFile} crt ${clientFile}
  default-server inter 2s fastinter 500ms downinter 1s rise 2 fall 2
  default-server on-marked-down shutdown-sessions
  default-server observe layer4 error-limit 1 on-error fastinter
  default-server tcp-ut 2s
${servers.join('\n')}
`;
}
