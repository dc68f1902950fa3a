// The peers as proxies of requests: TLS ended with the same certificate, verified TLS over kept connections to the
// same endpoints, and least connections for all.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatHostPort, type HostPort } from '../../src/model/endpoint.ts';
import { nginxUserLine, privateHttpPaths } from '../backend.ts';
import { freePorts } from '../processes.ts';
import { findTool } from '../tools.ts';
import { writeKubeconfig } from '../workspace.ts';
import { agentSettled } from './agent-status.ts';
import { type Peer, startChild } from './peer.ts';

async function required(tool: 'haproxy' | 'nginx'): Promise<string> {
  const binary = await findTool(tool);
  if (binary === undefined) throw new Error(`${tool} is missing`);
  return binary;
}

const fairlead: Peer = {
  name: 'fairlead',
  async start(field, target) {
    const { dir } = field.workspace;
    const [port = 0, adminPort = 0, passthroughPort = 0] = await freePorts(3);
    const address = { host: '127.0.0.1', port };
    const admin = { host: '127.0.0.1', port: adminPort };
    const server = `https://127.0.0.1:${passthroughPort}`;
    const settings = {
      nodeName: 'bench',
      listeners: [
        `127.0.0.1:${passthroughPort}`,
        {
          address: formatHostPort(address),
          type: 'http',
          tls: { certFile: join(dir, 'server.crt'), keyFile: join(dir, 'server.key') },
        },
      ],
      endpoints: field.backend.endpoints[target].map(formatHostPort),
      credentials: { kubeconfig: await writeKubeconfig(field.workspace, `kubeconfig-${port}`, server) },
      balance: { policy: 'least-connections' },
      admin: formatHostPort(admin),
    };
    const file = join(dir, `fairlead-http-${port}.yaml`);
    await writeFile(file, JSON.stringify(settings));
    const [program = '', ...rest] = field.fairlead;
    const command = [program, ...field.nodeFlags, ...rest, '--config', file];
    const running = await startChild(field, { name: 'fairlead', target, address, command });
    const endpointCount = field.backend.endpoints[target].length;
    await agentSettled(admin, { watch: 'synced', reason: 'L7OK/200', endpointCount }).catch(
      async (error: unknown) => {
        await running.stop();
        throw error;
      },
    );
    return running;
  },
};

function haproxyConfiguration(
  dir: string,
  pem: string,
  listen: HostPort,
  endpoints: readonly HostPort[],
): string {
  const servers = endpoints.map(
    (at, index) =>
      `  server master${index} ${formatHostPort(at)} check check-ssl ssl verify required ca-file ${join(dir, 'ca.crt')}`,
  );
  return `
global
  maxconn 4000

defaults
  mode http
  option httpchk GET /readyz
  http-reuse always
  timeout http-request 30s
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  maxconn 4000

frontend api
  bind ${formatHostPort(listen)} ssl crt ${pem} alpn h2,http/1.1
  default_backend apiservers

backend apiservers
  balance leastconn
${servers.join('\n')}
`;
}

const haproxy: Peer = {
  name: 'haproxy',
  async start(field, target) {
    const binary = await required('haproxy');
    const { dir, serverCert } = field.workspace;
    const [port = 0] = await freePorts(1);
    const address = { host: '127.0.0.1', port };
    const file = join(dir, `haproxy-http-${port}.cfg`);
    const pem = join(dir, `haproxy-http-${port}.pem`);
    await writeFile(pem, `${serverCert}\n${field.workspace.serverKey}`);
    await writeFile(file, haproxyConfiguration(dir, pem, address, field.backend.endpoints[target]));
    return startChild(field, { name: 'haproxy', target, address, command: [binary, '-db', '-f', file] });
  },
};

function nginxConfiguration(dir: string, listen: HostPort, endpoints: readonly HostPort[]): string {
  return `
${nginxUserLine}
daemon off;
pid ${join(dir, `nginx-http-${listen.port}.pid`)};
error_log stderr warn;
worker_processes 2;
worker_rlimit_nofile 65536;
events { worker_connections 16384; multi_accept on; }
http {
  access_log off;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  tcp_nodelay on;
${privateHttpPaths(dir, `nginx-http-${listen.port}`)}
  upstream apiservers {
    least_conn;
${endpoints.map((at) => `    server ${formatHostPort(at)};`).join('\n')}
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen ${formatHostPort(listen)} ssl http2;
    ssl_certificate ${join(dir, 'server.crt')};
    ssl_certificate_key ${join(dir, 'server.key')};
    client_max_body_size 0;
    location / {
      proxy_pass https://apiservers;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate ${join(dir, 'ca.crt')};
      proxy_ssl_name localhost;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`;
}

const nginx: Peer = {
  name: 'nginx',
  async start(field, target) {
    const binary = await required('nginx');
    const { dir } = field.workspace;
    const [port = 0] = await freePorts(1);
    const address = { host: '127.0.0.1', port };
    const file = join(dir, `nginx-http-${port}.conf`);
    await writeFile(file, nginxConfiguration(dir, address, field.backend.endpoints[target]));
    const command = [binary, '-p', dir, '-e', 'stderr', '-c', file];
    return startChild(field, { name: 'nginx', target, address, command });
  },
};

const all: Readonly<Record<string, Peer>> = { fairlead, haproxy, nginx };

/** The chosen peers that can do it. */
export const httpProxies = (peers: readonly Peer[]): readonly Peer[] =>
  peers.flatMap(({ name }) => all[name] ?? []);
