// The yardstick relay (pipe-relay.ts) as a peer.
import { fileURLToPath } from 'node:url';
import { formatHostPort } from '../../src/model/endpoint.ts';
import { freePort } from '../processes.ts';
import { type Peer, startChild } from './peer.ts';

const script = fileURLToPath(new URL('./pipe-relay.ts', import.meta.url));

export const pipe: Peer = {
  name: 'pipe',
  async start(field, target) {
    const address = { host: '127.0.0.1', port: await freePort() };
    const endpoints = field.backend.endpoints[target].map(formatHostPort).join(',');
    const command = [process.execPath, ...field.nodeFlags, script];
    const flags = ['--listen', formatHostPort(address), '--endpoints', endpoints];
    return startChild(field, { name: 'pipe', target, address, command: [...command, ...flags] });
  },
};
