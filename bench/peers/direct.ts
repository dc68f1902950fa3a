// No proxy: what the backend and the load generator reach by themselves.
import type { Peer } from './peer.ts';

export const direct: Peer = {
  name: 'direct',
  async start({ backend }, target) {
    const [address] = backend.endpoints[target];
    if (address === undefined) throw new Error('the backend has no endpoint');
    return {
      name: 'direct',
      target,
      address,
      pid: undefined,
      startMs: 0,
      startCpuMs: 0,
      stop: async () => {},
    };
  },
};
