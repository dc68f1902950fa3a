// HAProxy with the settings of Kubespray's haproxy static pod. Its threads follow the CPUs it may use, as in a pod.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../processes.ts';
import { findTool } from '../tools.ts';
import { kubesprayHaproxy } from './haproxy-config.ts';
import { type Peer, startChild } from './peer.ts';

export const haproxy: Peer = {
  name: 'haproxy',
  async start(field, target) {
    const binary = await findTool('haproxy');
    if (binary === undefined) throw new Error('haproxy is missing');
    const [port = 0, healthzPort = 0, logPort = 0] = await freePorts(3);
    const address = { host: '127.0.0.1', port };
    const healthz = { host: '127.0.0.1', port: healthzPort };
    const file = join(field.workspace.dir, `haproxy-${port}.cfg`);
    const place = { listen: address, healthz, endpoints: field.backend.endpoints[target] };
    await writeFile(file, kubesprayHaproxy(place, { logPort, hasTls: target === 'tls' }));
    return startChild(field, { name: 'haproxy', target, address, command: [binary, '-db', '-f', file] });
  },
};
