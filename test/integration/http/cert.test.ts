// `fairlead cert`: certificates that clients verify, and files that are never half written or lost.
import 'reflect-metadata';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { readPair } from '../../../src/http/serving-certificate.ts';
import { makeCa } from '../../support/credentials/pki.ts';
import { runCommand } from '../../support/agent/command-context.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
let count = 0;

function files() {
  count += 1;
  return { certFile: join(directory, `${count}.crt`), keyFile: join(directory, `${count}.key`) };
}

const run = ({ certFile, keyFile }: ReturnType<typeof files>, ...more: string[]) =>
  runCommand(['cert', '--cert-file', certFile, '--key-file', keyFile, ...more]);

const openssl = (...args: string[]) => spawnSync('openssl', args, { encoding: 'utf8' });

/** What a client of `host` says that trusts `ca`. */
async function visit(pair: { cert: string; key: string }, ca: string, host: string): Promise<string> {
  const server = createServer(pair, (_request, response) => response.end('served'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await new Promise((resolve) => {
      get(
        {
          host: '127.0.0.1',
          port,
          servername: host === '127.0.0.1' ? '' : host,
          ca,
          agent: false,
          headers: { host },
        },
        (response) => {
          response.on('data', (data: Buffer) => resolve(data.toString()));
        },
      ).on('error', (error) => resolve(error.message));
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('one that signs itself is trusted by who has it, for localhost and loopback only', async () => {
  const made = files();
  const { code, out } = await run(made);
  expect([code, out]).toEqual([0, expect.stringContaining('certificate-authority')]);
  expect(statSync(made.keyFile).mode & 0o777).toBe(0o600);
  const { cert, key } = await readPair(made);
  expect(await visit({ cert, key }, cert, 'localhost')).toBe('served');
  expect(await visit({ cert, key }, cert, '127.0.0.1')).toBe('served');
  expect(await visit({ cert, key }, cert, 'other.example')).toMatch(/altnames/);
  expect(await visit({ cert, key }, (await makeCa()).cert, 'localhost')).toMatch(/self-signed/);
  const certificate = new X509Certificate(cert);
  expect(certificate.ca).toBe(false);
  expect(certificate.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
  expect(Date.parse(certificate.validTo) - Date.now()).toBeLessThan(366 * 86_400_000);
  expect(
    openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', made.certFile, made.certFile)
      .stdout,
  ).toMatch(/OK/);
});

describe('signed by a CA', () => {
  const makeOpensslCa = (name: string, ...key: string[]) => {
    const [cert, keyFile] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
    const named = key.includes('-subj') ? [] : ['-subj', '/CN=test-ca'];
    const subject = [...named, '-addext', 'keyUsage=critical,keyCertSign'];
    const { status, stderr } = openssl(
      'req',
      '-x509',
      '-nodes',
      ...key,
      ...subject,
      '-days',
      '20',
      '-keyout',
      keyFile,
      '-out',
      cert,
    );
    if (status !== 0) throw new Error(stderr);
    return { cert, key: keyFile };
  };

  test.each([
    ['rsa', ['-newkey', 'rsa:2048']],
    ['p256', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
    ['p384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
  ])('%s: verified by openssl and by a client, and not valid for longer than the CA', async (name, key) => {
    const ca = makeOpensslCa(name, ...key);
    const made = files();
    const { code, err } = await run(made, '--ca-cert', ca.cert, '--ca-key', ca.key, '--name', 'node.example');
    expect([code, err]).toEqual([0, '']);
    const verified = openssl(
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      '-CAfile',
      ca.cert,
      made.certFile,
    );
    expect(verified.stdout).toMatch(/OK/);
    const pair = await readPair(made);
    expect(await visit(pair, readFileSync(ca.cert, 'utf8'), 'node.example')).toBe('served');
    const [end, caEnd] = [pair.cert, readFileSync(ca.cert, 'utf8')].map(
      (pem) => new X509Certificate(pem).validTo,
    );
    expect(end).toBe(caEnd);
  });

  test('its name is in the certificate byte for byte, whatever string types it has', async () => {
    // OpenSSL makes PrintableString of C and UTF8String of the others, and Go compares names by their bytes.
    const subject = ['-subj', '/C=DE/O=Beispiel GmbH + Söhne/CN=the ca', '-utf8'];
    const ca = makeOpensslCa('name', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', ...subject);
    const made = files();
    expect(await run(made, '--ca-cert', ca.cert, '--ca-key', ca.key)).toMatchObject({ code: 0 });
    const name = new x509.X509Certificate(readFileSync(ca.cert)).subjectName.toArrayBuffer();
    const { raw, issuer } = new X509Certificate(readFileSync(made.certFile));
    expect(issuer).toContain('C=DE');
    expect(raw.includes(Buffer.from(name))).toBe(true);
    const keyIds = [ca.cert, made.certFile].map(
      (file) => openssl('x509', '-in', file, '-noout', '-text').stdout,
    );
    const [own] = /(?<=Subject Key Identifier: \n\s+)[0-9A-F:]+/.exec(keyIds[0] ?? '') ?? [];
    expect(/(?<=Authority Key Identifier: \n\s+)[0-9A-F:]+/.exec(keyIds[1] ?? '')?.[0]).toBe(own);
    expect(own).toMatch(/^[0-9A-F]{2}:/);
  });

  test('that cannot sign is refused, and nothing is written', async () => {
    const ca = makeOpensslCa('good', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
    const other = makeOpensslCa('other', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
    const leaf = files();
    await run(leaf);
    const ed = join(directory, 'ed.key');
    writeFileSync(ed, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
    for (const [cert, key, message] of [
      [ca.cert, other.key, 'does not match the CA certificate'],
      [leaf.certFile, leaf.keyFile, 'not a CA'],
      [ca.cert, ed, 'does not match the CA certificate'],
      ['/no/such/file', ca.key, 'does not exist'],
      [ca.key, ca.key, 'cannot be read'],
    ] as const) {
      const made = files();
      const { code, err } = await run(made, '--ca-cert', cert, '--ca-key', key);
      expect([code, err]).toEqual([2, expect.stringContaining(message)]);
      expect([existsSync(made.certFile), existsSync(made.keyFile)]).toEqual([false, false]);
    }
  });
});

test('files that exist are kept, unless --force says otherwise', async () => {
  const made = files();
  writeFileSync(made.keyFile, 'precious');
  const { code, err } = await run(made);
  expect([code, err]).toEqual([6, expect.stringMatching(/FILE_EXISTS: .* already exists\n.*--force/s)]);
  expect(readFileSync(made.keyFile, 'utf8')).toBe('precious');
  expect(existsSync(made.certFile)).toBe(false);
  expect((await run(made, '--force')).code).toBe(0);
  await readPair(made);
  expect(statSync(made.keyFile).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

test('addresses of every form are in it, also a date beyond 2050', async () => {
  const made = files();
  const names = ['10.0.0.1', 'fd00::5', '::ffff:10.1.2.3', '1:2:3:4:5:6:7:8', '*.example.org', 'a.example'];
  const { code } = await run(made, '--days', '9999', ...names.flatMap((name) => ['--name', name]));
  expect(code).toBe(0);
  const certificate = new X509Certificate(readFileSync(made.certFile));
  expect(certificate.subjectAltName).toBe(
    'IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:0:5, IP Address:0:0:0:0:0:FFFF:A01:203, ' +
      'IP Address:1:2:3:4:5:6:7:8, DNS:*.example.org, DNS:a.example',
  );
  expect(new Date(certificate.validTo).getFullYear()).toBeGreaterThan(2050);
  const serials = new Set([certificate.serialNumber]);
  for (let index = 0; index < 3; index += 1) {
    await run(made, '--force');
    serials.add(new X509Certificate(readFileSync(made.certFile)).serialNumber);
  }
  expect(serials.size).toBe(4);
});

test('every mistake of the command line is named', async () => {
  const { code, err } = await run(files(), '--name', 'a b', '--days', '0', '--ca-cert', 'x');
  expect(code).toBe(2);
  expect(err).toMatch(/--name: "a b"[\s\S]*--days: "0"[\s\S]*--ca-cert and --ca-key/);
});

test('a directory that is not there: nothing is left behind', async () => {
  const { code, err } = await run({ certFile: '/no/such/dir/crt', keyFile: '/no/such/dir/key' });
  expect([code, err]).toEqual([6, expect.stringContaining('FILE_NOT_WRITTEN')]);
});
