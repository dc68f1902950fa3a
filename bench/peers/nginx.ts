// nginx's stream proxy with the settings of Kubespray's nginx static pod; only addresses and ports differ.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatHostPort, type HostPort } from '../../src/model/endpoint.ts';
import { nginxUserLine, privateHttpPaths, streamModuleLine } from '../backend.ts';
import { freePorts } from '../processes.ts';
import { findTool } from '../tools.ts';
import { type Peer, startChild } from './peer.ts';

function configuration(
  dir: string,
  moduleLine: string,
  listen: HostPort,
  healthz: HostPort,
  endpoints: readonly HostPort[],
): string {
  return `
${moduleLine}
${nginxUserLine}
daemon off;
pid ${join(dir, `nginx-${listen.port}.pid`)};
error_log stderr notice;
worker_processes 2;
worker_rlimit_nofile 130048;
worker_shutdown_timeout 10s;

events {
  multi_accept on;
  use epoll;
  worker_connections 16384;
}

stream {
  upstream kube_apiserver {
    least_conn;
${endpoints.map((at) => `    server ${formatHostPort(at)};`).join('\n')}
  }
  server {
    listen ${formatHostPort(listen)};
    proxy_pass kube_apiserver;
    proxy_timeout 10m;
    proxy_connect_timeout 1s;
  }
}

http {
${privateHttpPaths(dir, `nginx-${listen.port}`)}
  aio threads;
  aio_write on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 5m;
  keepalive_requests 100;
  reset_timedout_connection on;
  server_tokens off;
  autoindex off;
  server {
    listen ${formatHostPort(healthz)};
    location /healthz { access_log off; return 200; }
    location /stub_status { stub_status on; access_log off; }
  }
}
`;
}

export const nginx: Peer = {
  name: 'nginx',
  async start(field, target) {
    const binary = await findTool('nginx');
    if (binary === undefined) throw new Error('nginx is missing');
    const { dir } = field.workspace;
    const [port = 0, healthzPort = 0] = await freePorts(2);
    const address = { host: '127.0.0.1', port };
    const healthz = { host: '127.0.0.1', port: healthzPort };
    const file = join(dir, `nginx-${port}.conf`);
    const moduleLine = await streamModuleLine();
    await writeFile(file, configuration(dir, moduleLine, address, healthz, field.backend.endpoints[target]));
    const command = [binary, '-p', dir, '-e', 'stderr', '-c', file];
    return startChild(field, { name: 'nginx', target, address, command });
  },
};
