// The certificate that an http listener shows, read again when its files change. An inconsistent pair
// is reported and leaves the one before in use.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { type FileWatch, watchFile } from '../config/watch-file.ts';
import { readFileText } from '../lib/read-file.ts';
import type { Clock } from '../model/clock.ts';
import { messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** CAs that client certificates are verified by, for a front proxy. */
  readonly clientCaFile?: string | undefined;
}

export interface ServingPair {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
}

/** Rejects with CERTIFICATE_INVALID, which names the file. */
export async function readPair({ certFile, keyFile, clientCaFile }: CertificateFiles): Promise<ServingPair> {
  // One after the other, so that of two that are missing the message always names the same one.
  const cert = await read(certFile);
  const key = await read(keyFile);
  const ca = clientCaFile === undefined ? undefined : await read(clientCaFile);
  const certificate = parse(certFile, () => new X509Certificate(cert));
  const privateKey = parse(keyFile, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey))
    throw new FairleadError(
      'CERTIFICATE_INVALID',
      `${keyFile} is not the key of the certificate in ${certFile}`,
    );
  if (ca !== undefined) parse(clientCaFile ?? '', () => new X509Certificate(ca));
  const pair = { cert, key, ...(ca !== undefined && { ca }) };
  parse(certFile, () => createSecureContext(pair));
  return pair;
}

async function read(file: string): Promise<string> {
  try {
    return await readFileText(file);
  } catch (error) {
    throw new FairleadError('CERTIFICATE_INVALID', messageOf(error), { cause: error });
  }
}

function parse<T>(file: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new FairleadError('CERTIFICATE_INVALID', `${file}: ${messageOf(error)}`, { cause: error });
  }
}

export interface CertificateWatch {
  stop(): void;
}

/** Calls `take` with every pair that holds together after the first. */
export function watchPair(
  files: CertificateFiles,
  {
    clock,
    log,
    take,
  }: { clock: Clock; log: Pick<Logger, 'info' | 'error'>; take: (pair: ServingPair) => void },
): CertificateWatch {
  let isStopped = false;
  const reread = async (): Promise<void> => {
    try {
      const pair = await readPair(files);
      if (isStopped) return;
      take(pair);
      log.info({ certFile: files.certFile }, 'serving certificate loaded');
    } catch (error) {
      const { message, fix } = error as FairleadError;
      if (!isStopped)
        log.error(
          { error: message, fix },
          'new serving certificate is invalid; the previous one stays in use',
        );
    }
  };
  const paths = [files.certFile, files.keyFile, files.clientCaFile].filter((path) => path !== undefined);
  const watches: FileWatch[] = paths.map((path) => watchFile({ path, clock, onChange: () => void reread() }));
  return {
    stop() {
      isStopped = true;
      for (const watch of watches) watch.stop();
    },
  };
}
