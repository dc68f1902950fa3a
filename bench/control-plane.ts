// The API behind the backend's TLS: stand-in API servers that list the backend's addresses in EndpointSlice
// default/kubernetes and hold the agent's watch. They serve discovery and nothing that is timed.
import type { HostPort } from '../src/model/endpoint.ts';
import { ApiServer } from '../test/support/apiserver/api-server.ts';
import { makeServerCertificates } from '../test/support/apiserver/pki-files.ts';
import { Store } from '../test/support/apiserver/store.ts';
import { makeCa, type TestCa } from '../test/support/credentials/pki.ts';

/** Whom the stand-ins let read EndpointSlices. */
export const discoveryUser = 'system:serviceaccount:kube-system:fairlead';

export interface BenchControlPlane {
  /** The one that answers; the others are there for their entries in the EndpointSlice. */
  readonly address: HostPort;
  stop(): void;
}

export async function startBenchControlPlane(
  ca: TestCa,
  advertised: readonly HostPort[],
): Promise<BenchControlPlane> {
  const host = '127.0.0.1';
  const store = new Store();
  const certificates = await makeServerCertificates({ ca, otherCa: await makeCa('another-ca') }, host);
  const servers = advertised.map(
    (advertise, index) =>
      new ApiServer({
        name: `cp-${index + 1}`,
        host,
        port: 0,
        advertise,
        store,
        certificates,
        clientCa: ca.cert,
      }),
  );
  const stop = (): void => {
    for (const server of servers) server.kill();
  };
  try {
    for (const server of servers) await server.start();
    await Promise.all(servers.map((server) => server.ready()));
  } catch (error) {
    stop();
    throw error;
  }
  const [first] = servers;
  if (first === undefined) throw new Error('a control plane needs an API server');
  return { address: { host, port: first.port }, stop };
}
