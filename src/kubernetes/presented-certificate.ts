// The certificate that an address shows: verified against a CA, not yet for a name. Nothing is asked and nothing secret is
// sent.
import { connect, type PeerCertificate } from 'node:tls';
import { connectionErrorText } from '../lib/errno.ts';
import type { HostPort } from '../model/endpoint.ts';
import { codeOf } from '../model/error-text.ts';
import { identityOptions } from './server-identity.ts';

export type Presented =
  | { readonly ok: true; readonly certificate: PeerCertificate }
  | { readonly ok: false; readonly problem: string; readonly code?: string };

export interface PresentOptions {
  readonly address: HostPort;
  /** PEM; absent: the runtime's own. */
  readonly ca?: string;
  /** SNI; none is sent for an IP address. */
  readonly serverName?: string;
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 5_000;

/** Never rejects. */
export function presentedCertificate(options: PresentOptions): Promise<Presented> {
  const { address, ca, serverName, timeoutMs = defaultTimeoutMs } = options;
  return new Promise((resolve) => {
    const socket = connect({
      ...address,
      ...(ca !== undefined && { ca }),
      ...identityOptions(address, serverName),
      checkServerIdentity: () => undefined,
    });
    const end = (presented: Presented) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(presented);
    };
    const timer = setTimeout(
      () => end({ ok: false, problem: `no TLS answer within ${timeoutMs / 1000} s`, code: 'ETIMEDOUT' }),
      timeoutMs,
    );
    socket.once('secureConnect', () => end({ ok: true, certificate: socket.getPeerCertificate() }));
    // Late errors of a finished socket are ignored.
    socket.on('error', (error) => {
      const code = codeOf(error);
      end({ ok: false, problem: connectionErrorText(error), ...(code !== undefined && { code }) });
    });
    socket.once('close', () =>
      end({ ok: false, problem: 'the connection was closed during the TLS handshake' }),
    );
  });
}
