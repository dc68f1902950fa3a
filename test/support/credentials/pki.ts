// Certificates for tests and the demo: real CAs and leaves, made in milliseconds, never on disk unless asked.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

export interface Leaf {
  readonly cert: string;
  readonly key: string;
}

export interface LeafOptions {
  readonly commonName: string;
  /** Groups of a client certificate (`system:masters`). */
  readonly organizations?: readonly string[];
  /** DNS names and IP addresses. */
  readonly sans?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

export interface TestCa {
  /** PEM of the CA certificate. */
  readonly cert: string;
  issue(options: LeafOptions): Promise<Leaf>;
}

x509.cryptoProvider.set(webcrypto as never);

async function makeKeys(): Promise<{ keys: webcrypto.CryptoKeyPair; pem: string }> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { keys, pem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
}

/** Makes a CA named `commonName`, good for ten years. */
export async function makeCa(commonName = 'kubernetes'): Promise<TestCa> {
  const { keys } = await makeKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${commonName}`,
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + 3650 * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    cert: ca.toString('pem'),
    async issue({ commonName: leafName, organizations = [], sans = [], notBefore, notAfter }) {
      const leaf = await makeKeys();
      const subject = [...organizations.map((o) => ({ O: [o] })), { CN: [leafName] }];
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString('hex'),
        subject,
        issuer: ca.subject,
        notBefore: notBefore ?? new Date(Date.now() - dayMs),
        notAfter: notAfter ?? new Date(Date.now() + 365 * dayMs),
        signingAlgorithm: algorithm,
        publicKey: leaf.keys.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([
            x509.ExtendedKeyUsage.serverAuth,
            x509.ExtendedKeyUsage.clientAuth,
          ]),
          await x509.AuthorityKeyIdentifierExtension.create(ca),
          ...(sans.length
            ? [
                new x509.SubjectAlternativeNameExtension(
                  sans.map((san) => ({ type: isIP(san) ? 'ip' : 'dns', value: san }) as const),
                ),
              ]
            : []),
        ],
      });
      return { cert: certificate.toString('pem'), key: leaf.pem };
    },
  };
}
