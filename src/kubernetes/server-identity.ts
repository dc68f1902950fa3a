// Which certificates an API server may show. One rule for probes and for the watch.
//
// A configured server name (or a kubeconfig's tls-server-name) is sent as SNI and must match. Otherwise
// no SNI is sent, as for any dial of an IP address, and the certificate must be valid for the endpoint's
// own address, its configured DNS name, or the in-cluster service name: kubeadm, Kubespray, k3s and the
// managed offerings put `kubernetes.default.svc` into every API server's certificate, and a certificate
// authority of a cluster gives that name to no other server. The address alone would not do: certificates are
// often made before a control plane gets another address, or for a load balancer's name only.
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { Endpoint } from '../model/endpoint.ts';

const serviceNames = ['kubernetes.default.svc', 'kubernetes.default', 'kubernetes'] as const;

/** The TLS options that hold the rule for one endpoint; spread them into `tls.connect` or `https.request`. */
export interface IdentityOptions {
  /** SNI; the empty string sends none. */
  readonly servername: string;
  /** Said outright: Node's default is what NODE_TLS_REJECT_UNAUTHORIZED says. */
  readonly rejectUnauthorized: true;
  readonly checkServerIdentity: (hostname: string, certificate: PeerCertificate) => Error | undefined;
}

/** Undefined when `certificate` is good for `endpoint`, else what is wrong, with what would have been right. */
export function checkIdentity(
  endpoint: Pick<Endpoint, 'host' | 'name'>,
  certificate: PeerCertificate,
  serverName?: string,
): Error | undefined {
  const wanted =
    serverName === undefined
      ? [endpoint.host, ...(endpoint.name === undefined ? [] : [endpoint.name]), ...serviceNames]
      : [serverName];
  const has = certificate.subjectaltname ?? 'no subject alternative name';
  // Without any, Node falls back to the common name, which Go has refused since 1.17 and which may be
  // anything in a client's certificate.
  const isNamed = /(^|, )(DNS|IP Address):/.test(has);
  if (isNamed && wanted.some((name) => checkServerIdentity(name, certificate) === undefined))
    return undefined;
  const shown = has.length > 300 ? `${has.slice(0, 300)}...` : has;
  return Object.assign(new Error(`the certificate is for ${shown}, not for ${wanted.join(', ')}`), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    // The last ones are other forms of a name that is there already.
    wanted: serverName === undefined ? wanted.slice(0, -2) : wanted,
  });
}

export function identityOptions(
  endpoint: Pick<Endpoint, 'host' | 'name'>,
  serverName?: string,
): IdentityOptions {
  return {
    // RFC 6066 allows no address in SNI; Node would warn and send it.
    servername: serverName === undefined || isIP(serverName) ? '' : serverName,
    rejectUnauthorized: true,
    checkServerIdentity: (_hostname, certificate) => checkIdentity(endpoint, certificate, serverName),
  };
}
