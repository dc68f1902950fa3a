// `fairlead cert`: a serving certificate for an http listener.
import { lstat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { readFileText } from '../lib/read-file.ts';
import { replaceFile } from '../lib/replace-file.ts';
import { messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import { exitCodes } from './exit-codes.ts';
import type { CommandContext } from './command-context.ts';
import { isHostName } from '../model/host.ts';

interface CertOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly name?: readonly string[];
  readonly caCert?: string;
  readonly caKey?: string;
  readonly days?: string;
  readonly force?: boolean;
}

const defaultNames = ['localhost', '127.0.0.1', '::1'];
const defaultDays = '365';

export async function cert(options: CertOptions, { print }: CommandContext): Promise<number> {
  const { certFile, keyFile, name: names = defaultNames, caCert, caKey, days = defaultDays, force } = options;
  const problems = [
    ...names
      .filter((name) => isIP(name) === 0 && !isHostName(name.replace(/^\*\./, '')))
      .map((name) => `--name: "${name}" is neither a DNS name nor an IP address`),
    ...(/^\d{1,4}$/.test(days) && Number(days) > 0
      ? []
      : [`--days: "${days}" is not a number from 1 to 9999`]),
    ...((caCert === undefined) === (caKey === undefined)
      ? []
      : ['--ca-cert and --ca-key must be given together']),
    ...(certFile === keyFile ? ['--cert-file and --key-file must be different files'] : []),
  ];
  if (problems.length > 0) throw new FairleadError('CONFIG_INVALID', problems.join('\n  '));
  if (!force) await refuseExisting([certFile, keyFile]);
  const ca =
    caCert !== undefined && caKey !== undefined
      ? { cert: await read(caCert), key: await read(caKey) }
      : undefined;
  const { makeCertificate } = await import('../lib/make-certificate.ts');
  const request = { names, days: Number(days), nowMs: Date.now(), ...(ca && { ca }) };
  const made = await makeCertificate(request);
  await write(keyFile, made.key, 0o600);
  await write(certFile, made.cert, 0o644);
  print(
    `${certFile}: certificate for ${names.join(', ')}, valid until ${made.notAfter.toISOString().slice(0, 10)}\n` +
      `${keyFile}: its key\n` +
      (ca ? '' : `It is self-signed: clients need ${certFile} as their certificate-authority.\n`),
  );
  return exitCodes.ok.code;
}

async function refuseExisting(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const isThere = await lstat(file).then(
      () => true,
      () => false,
    );
    if (isThere) throw new FairleadError('FILE_EXISTS', `${file} already exists`);
  }
}

async function read(file: string): Promise<string> {
  try {
    return await readFileText(file);
  } catch (error) {
    throw new FairleadError('CERTIFICATE_INVALID', messageOf(error), { cause: error });
  }
}

async function write(file: string, text: string, mode: number): Promise<void> {
  try {
    await replaceFile(file, Buffer.from(text), { mode });
  } catch (error) {
    throw new FairleadError('FILE_NOT_WRITTEN', `${file}: ${messageOf(error)}`, { cause: error });
  }
}
