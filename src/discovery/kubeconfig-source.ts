// The server of a kubeconfig as a bootstrap seed. It changes with the kubeconfig, and it may be a name.
import { isIP } from 'node:net';
import type { CredentialSource } from '../kubernetes/credentials.ts';
import { formatHostPort, makeEndpoint } from '../model/endpoint.ts';
import { type DnsSourceOptions, dnsSource, type NameSource } from './dns-source.ts';
import type { Propose } from './source.ts';

interface Options extends Omit<DnsSourceOptions, 'names' | 'source'> {
  readonly credentials: Pick<CredentialSource, 'server' | 'subscribe'>;
}

export function kubeconfigSource({ credentials, ...options }: Options): NameSource {
  let names: NameSource | undefined;
  let isUrgent = false;
  let seen = '';
  let unsubscribe: (() => void) | undefined;

  function readServer(propose: Propose): void {
    const { server } = credentials;
    const id = server ? formatHostPort(server) : '';
    if (!server || id === seen) return;
    seen = id;
    void names?.stop();
    names = undefined;
    if (isIP(server.host)) {
      propose({ source: 'kubeconfig', endpoints: [makeEndpoint(server.host, server.port)] });
      return;
    }
    names = dnsSource({ ...options, source: 'kubeconfig', names: [server], isUrgent });
    names.start(propose);
  }

  return {
    start(propose) {
      unsubscribe = credentials.subscribe(() => readServer(propose));
      readServer(propose);
    },
    setUrgent(next) {
      isUrgent = next;
      names?.setUrgent(next);
    },
    async stop() {
      unsubscribe?.();
      await names?.stop();
    },
  };
}
