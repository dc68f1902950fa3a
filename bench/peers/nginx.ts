// nginx's stream proxy with the settings of Kubespray's nginx static pod.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../processes.ts';
import { findTool } from '../tools.ts';
import { kubesprayNginx } from './nginx-config.ts';
import { type Peer, startChild } from './peer.ts';

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
    const place = { listen: address, healthz, endpoints: field.backend.endpoints[target] };
    await writeFile(file, await kubesprayNginx(place, { dir }));
    const command = [binary, '-p', dir, '-e', 'stderr', '-c', file];
    return startChild(field, { name: 'nginx', target, address, command });
  },
};
