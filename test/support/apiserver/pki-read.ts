// The certificates that an API server process reads from the directory that writePki() wrote.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiServerOptions, CertificateName } from './api-server.ts';
import type { ServerCertificate } from './listener.ts';

/** Where the files of a control plane's PKI are. */
export const pkiPaths = {
  ca: 'ca.crt',
  server: (name: string, certificate: CertificateName) => join('servers', name, certificate),
  client: (user: string) => join('clients', user),
};

/** How often files are looked at; a real API server is told by the kernel. */
const lookEveryMs = 50;

/**
 * Calls `onChange` with the serving certificate of `name` whenever its files hold another pair; a pair of which only one
 * half has been written is waited for. Returns what ends it.
 */
export function watchServerCertificate(
  dir: string,
  name: string,
  onChange: (certificate: ServerCertificate) => void,
): () => void {
  const file = join(dir, pkiPaths.server(name, 'good'));
  const files = [`${file}.crt`, `${file}.key`] as const;
  const read = () => ({ cert: readFileSync(files[0], 'utf8'), key: readFileSync(files[1], 'utf8') });
  let present = read().cert;
  const look = () => {
    const pair = read();
    if (pair.cert === present || !isPair(pair)) return;
    present = pair.cert;
    onChange(pair);
  };
  for (const path of files) watchFile(path, { interval: lookEveryMs }, look);
  return () => {
    for (const path of files) unwatchFile(path, look);
  };
}

function isPair({ cert, key }: ServerCertificate): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

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
