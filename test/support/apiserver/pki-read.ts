// The certificates that an API server process reads from the directory that writePki() wrote.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiServerOptions, CertificateName } from './api-server.ts';

/** Where the files of a control plane's PKI are. */
export const pkiPaths = {
  ca: 'ca.crt',
  server: (name: string, certificate: CertificateName) => join('servers', name, certificate),
  client: (user: string) => join('clients', user),
};

export async function readServerPki(
  dir: string,
  name: string,
): Promise<Pick<ApiServerOptions, 'certificates' | 'clientCa'>> {
  const read = (file: string) => readFile(join(dir, file), 'utf8');
  const pair = async (certificate: CertificateName) => ({
    cert: await read(`${pkiPaths.server(name, certificate)}.crt`),
    key: await read(`${pkiPaths.server(name, certificate)}.key`),
  });
  return {
    clientCa: await read(pkiPaths.ca),
    certificates: {
      good: await pair('good'),
      expired: await pair('expired'),
      'not-yet-valid': await pair('not-yet-valid'),
      'wrong-name': await pair('wrong-name'),
      'unknown-ca': await pair('unknown-ca'),
    },
  };
}
