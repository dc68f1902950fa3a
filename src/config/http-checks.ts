// What must hold for listeners of type http, and for the front proxy that they may be.
import type { CrossCheck } from './cross-checks.ts';
import { defaultPoolName } from './pool-setting.ts';
import type { Values } from './settings.ts';

/** Options that only a relay of bytes can have. */
const passthroughOnly = ['replayNonTls', 'sendProxy', 'acceptProxyFrom', 'waitForAddress'] as const;

const httpListeners = ({ listeners }: Pick<Values, 'listeners'>) =>
  listeners.filter(({ type }) => type === 'http');

export const httpChecks: readonly CrossCheck[] = [
  {
    reads: ['listeners'],
    *check({ listeners }) {
      for (const [index, listener] of listeners.entries()) {
        const { type, tls, pool } = listener;
        const at = (member: string, right: string) =>
          ({ keys: ['listeners'], within: [index, member], right }) as const;
        if (type === 'http' && !tls)
          yield at('tls', 'is required with type http: a map with certFile and keyFile (see fairlead cert)');
        if (type === 'passthrough' && tls)
          yield at('tls', 'has no effect with type passthrough; remove one of them');
        if (type !== 'http') continue;
        if (pool !== defaultPoolName)
          yield at('pool', `must be ${defaultPoolName} with type http, which connects to API servers only`);
        for (const member of passthroughOnly) {
          if (listener[member]) yield at(member, 'is for listeners of type passthrough; remove it');
        }
      }
    },
  },
  {
    reads: ['listeners', 'credentials.caFile', 'credentials.kubeconfig', 'credentials.inCluster'],
    *check(values, { isInCluster }) {
      const inCluster = values['credentials.inCluster'];
      if (values['credentials.caFile'] || values['credentials.kubeconfig']) return;
      if (inCluster === true || (inCluster === 'auto' && isInCluster)) return;
      const index = values.listeners.findIndex(({ type }) => type === 'http');
      if (index < 0) return;
      yield {
        keys: ['listeners'],
        within: [index, 'type'],
        right:
          'of http needs credentials.caFile or credentials.kubeconfig: API servers are verified before they get the token of a client',
      };
    },
  },
  {
    reads: ['requestHeader.certFile', 'requestHeader.keyFile', 'listeners'],
    *check(values) {
      const [cert, key] = ['requestHeader.certFile', 'requestHeader.keyFile'] as const;
      if (values[cert] && !values[key]) yield { keys: [cert], right: `needs ${key} as well` };
      if (values[key] && !values[cert]) yield { keys: [key], right: `needs ${cert} as well` };
      const isOn = values[cert] !== undefined;
      const verifying = httpListeners(values).filter(({ tls }) => tls?.clientCaFile !== undefined);
      if (isOn && verifying.length === 0)
        yield {
          keys: [cert],
          right: 'needs a listener of type http with tls.clientCaFile, which verifies the clients',
        };
      if (isOn) return;
      for (const [index, { tls }] of values.listeners.entries()) {
        if (tls?.clientCaFile === undefined) continue;
        const right = 'has no effect without requestHeader.certFile; client certificates are refused';
        yield { keys: ['listeners'], within: [index, 'tls', 'clientCaFile'], right };
      }
    },
  },
];
