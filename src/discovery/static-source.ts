// The configured endpoints that are IP addresses. Names go to the dns source.
import { isIP } from 'node:net';
import { type HostPort, makeEndpoint } from '../model/endpoint.ts';
import type { Source } from './source.ts';

export function staticSource(endpoints: readonly HostPort[]): Source {
  return {
    start(propose) {
      propose({
        source: 'static',
        endpoints: endpoints
          .filter(({ host }) => isIP(host))
          .map(({ host, port }) => makeEndpoint(host, port)),
      });
    },
    async stop() {},
  };
}
