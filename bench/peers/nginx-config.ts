// The configuration of Kubespray's nginx static pod; only addresses and ports differ.
import { join } from 'node:path';
import { formatHostPort } from '../../src/model/endpoint.ts';
import { nginxUserLine, privateHttpPaths, streamModuleLine } from '../backend.ts';
import type { ProxyPlace } from './haproxy-config.ts';

/** `dir`: where its files are; several of different ports may share it. */
export async function kubesprayNginx(
  { listen, healthz, endpoints }: ProxyPlace,
  { dir }: { readonly dir: string },
): Promise<string> {
  return `
${await streamModuleLine()}
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
