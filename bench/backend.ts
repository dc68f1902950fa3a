// The API servers' place in a bench run: Debian's nginx, because it must not be the bottleneck. TLS as a
// kube-apiserver speaks it (TLS 1.3, ECDSA P-256, AES-128-GCM, client certificates asked for), on three
// addresses; and the same bytes without TLS, where the proxy and not the cryptography sets the pace.
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatHostPort, type HostPort } from '../src/model/endpoint.ts';
import { type BenchControlPlane, startBenchControlPlane } from './control-plane.ts';
import { Child, freePort, type Pinning, pinned } from './processes.ts';
import { findTool } from './tools.ts';
import { backendHosts, type Workspace } from './workspace.ts';

/** What clients reach behind a proxy: `tls` is the real thing, `plain` leaves the cryptography out. */
export type TargetKind = 'tls' | 'plain';

export interface Backend {
  readonly endpoints: Readonly<Record<TargetKind, readonly HostPort[]>>;
  stop(): Promise<void>;
}

const debianStreamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';

/** Debian has the stream module as a file; other builds have it inside. */
export async function streamModuleLine(): Promise<string> {
  return access(debianStreamModule).then(
    () => `load_module ${debianStreamModule};`,
    () => '',
  );
}

/** Directives that keep an nginx inside its own directory, for any user. */
export function privateHttpPaths(dir: string, name: string): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${join(dir, `${name}-${kind}`)};`)
    .join('\n');
}

/** Workers of a root master run as another user unless told otherwise, and could not read the run's files. */
export const nginxUserLine = process.getuid?.() === 0 ? 'user root;' : '';

/** Where an upload ends in memory, and is answered when all of it has come. */
export const sinkPath = '/sink';

function configuration(workspace: Workspace, ports: Record<TargetKind, number>, api: HostPort): string {
  const { dir } = workspace;
  const listens = backendHosts.flatMap((host) => [
    `    listen ${host}:${ports.tls} ssl http2 backlog=4096;`,
    `    listen ${host}:${ports.plain} backlog=4096;`,
  ]);
  return `
daemon off;
master_process off;
pid ${join(dir, 'backend.pid')};
error_log stderr warn;
worker_rlimit_nofile 65536;
events { worker_connections 16384; multi_accept on; }
http {
  access_log off;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  sendfile on;
  output_buffers 2 512k;
  default_type application/json;
${privateHttpPaths(dir, 'backend')}
  ssl_protocols TLSv1.3;
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  ssl_ecdh_curve X25519;
  # Every new connection is a full handshake, as those of kubelets are.
  ssl_session_tickets off;
  ssl_session_cache off;
  ssl_certificate ${join(dir, 'server.crt')};
  ssl_certificate_key ${join(dir, 'server.key')};
  ssl_client_certificate ${join(dir, 'ca.crt')};
  ssl_verify_client optional;
  open_file_cache max=16;
  server {
${listens.join('\n')}
    client_max_body_size 0;
    client_body_buffer_size 1m;
    add_header X-Client-Verify $ssl_client_verify;
    location = /readyz { return 200 ok; }
    location = /livez { return 200 ok; }
    location = /healthz { return 200 ok; }
    location = /small { root ${dir}; }
    location = /bulk { root ${dir}; }
    location = ${sinkPath} {
      client_body_buffer_size 16m;
      proxy_pass http://${backendHosts[0]}:${ports.plain}/readyz;
      proxy_method GET;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }
    location /upload/ { root ${dir}; dav_methods PUT; }
    # Discovery's list and watch go to a stand-in API server; nginx only ends the TLS.
    location ~ ^/apis?(/|$) {
      proxy_pass https://${formatHostPort(api)};
      proxy_http_version 1.1;
      proxy_ssl_certificate ${join(dir, 'client.crt')};
      proxy_ssl_certificate_key ${join(dir, 'client.key')};
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`;
}

export async function startBackend(workspace: Workspace, pinning: Pinning): Promise<Backend> {
  const nginx = await findTool('nginx');
  if (nginx === undefined) throw new Error('nginx is missing');
  const ports = { tls: await freePort(), plain: await freePort() };
  const at = (port: number): readonly HostPort[] => backendHosts.map((host) => ({ host, port }));
  const endpoints = { tls: at(ports.tls), plain: at(ports.plain) };
  const controlPlane: BenchControlPlane = await startBenchControlPlane(workspace.ca, endpoints.tls);
  const file = join(workspace.dir, 'backend.conf');
  await writeFile(file, configuration(workspace, ports, controlPlane.address));
  const command = [nginx, '-p', workspace.dir, '-e', 'stderr', '-c', file];
  const child = new Child('backend', pinned(pinning.backend, command));
  const stop = async (): Promise<void> => {
    await child.stop();
    controlPlane.stop();
  };
  try {
    await child.listening(backendHosts[0], ports.tls);
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoints, stop };
}
