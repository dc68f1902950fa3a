// Makes a serving certificate for an http listener (RFC 5280): signed by a CA that is given, or by itself. Node reads
// certificates and makes none; @peculiar/x509 does. It is 0.7 MB that only `fairlead cert` loads.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { FairleadError } from '../model/errors.ts';

export interface CertificateRequest {
  /** DNS names and IP addresses, at least one. */
  readonly names: readonly string[];
  readonly days: number;
  readonly nowMs: number;
  /** PEM; absent: the certificate signs itself, and is what clients are to trust. */
  readonly ca?: { readonly cert: string; readonly key: string };
}

export interface MadeCertificate {
  /** PEM; followed by the CA's certificate where there is one. */
  readonly cert: string;
  readonly key: string;
  readonly notAfter: Date;
}

/** Who signs. */
interface Issuer {
  readonly name: x509.Name;
  /** Hexadecimal. */
  readonly keyId: string | undefined;
  readonly key: KeyObject;
}

const dayMs = 86_400_000;
/** Clocks of clients may be a little behind. */
const backdateMs = 3_600_000;
const crypto = webcrypto as unknown as NonNullable<
  Parameters<typeof x509.SubjectKeyIdentifierExtension.create>[2]
>;

/** Rejects with CERTIFICATE_INVALID when the CA cannot be used. */
export async function makeCertificate(request: CertificateRequest): Promise<MadeCertificate> {
  const { names, days, nowMs, ca } = request;
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = keys.publicKey.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']);
  const subject = new x509.Name('CN=fairlead');
  const caCertificate = ca && attempt('the certificate of the CA', () => new X509Certificate(ca.cert));
  const issuer =
    ca && caCertificate
      ? readIssuer(caCertificate, ca.key)
      : { name: subject, keyId: undefined, key: keys.privateKey };
  const caEndMs = caCertificate ? Date.parse(caCertificate.validTo) : Number.POSITIVE_INFINITY;
  const notAfter = new Date(Math.min(nowMs + days * dayMs, caEndMs));
  if (notAfter.getTime() <= nowMs) throw invalid('the certificate of the CA has expired');

  const algorithm = algorithmOf(issuer.key);
  const made = await x509.X509CertificateGenerator.create(
    {
      // Positive without a leading zero, and at most 20 octets.
      serialNumber: `4${randomBytes(16).toString('hex').slice(1)}`,
      subject,
      issuer: issuer.name,
      notBefore: new Date(nowMs - backdateMs),
      notAfter,
      publicKey,
      signingKey: issuer.key.toCryptoKey(algorithm, false, ['sign']),
      signingAlgorithm: algorithm,
      extensions: [
        // Not a CA, also where it signs itself: its key can then make no other certificate that clients trust.
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        await x509.SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
        ...(issuer.keyId === undefined ? [] : [new x509.AuthorityKeyIdentifierExtension(issuer.keyId)]),
        new x509.SubjectAlternativeNameExtension(names.map(alternativeName)),
      ],
    },
    crypto,
  );
  return {
    cert: `${made.toString('pem')}\n${caCertificate?.toString() ?? ''}`,
    key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    notAfter,
  };
}

function alternativeName(name: string): x509.JsonGeneralName {
  const family = isIP(name);
  if (family === 0) return { type: 'dns', value: name };
  // The package misreads an IPv4 address in the last 32 bits (::ffff:10.0.0.1); URL writes it in hexadecimal.
  return { type: 'ip', value: family === 4 ? name : new URL(`http://[${name}]`).hostname.slice(1, -1) };
}

function readIssuer(certificate: X509Certificate, keyText: string): Issuer {
  const key = attempt('the key of the CA', () => createPrivateKey(keyText));
  if (!certificate.ca) throw invalid('the signing certificate is not a CA');
  if (!certificate.checkPrivateKey(key)) throw invalid('the key does not match the CA certificate');
  const parsed = attempt('the certificate of the CA', () => new x509.X509Certificate(certificate.raw));
  // The name as it is encoded there: clients compare it byte by byte.
  return {
    name: parsed.subjectName,
    keyId: parsed.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId,
    key,
  };
}

function algorithmOf(key: KeyObject) {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === 'prime256v1') return { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  if (curve === 'secp384r1') return { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };
  throw invalid('the key of the CA must be RSA, ECDSA P-256 or ECDSA P-384');
}

function attempt<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const message = `${what} cannot be read: ${(error as Error).message}`;
    throw new FairleadError('CERTIFICATE_INVALID', message, { cause: error });
  }
}

function invalid(message: string): FairleadError {
  return new FairleadError('CERTIFICATE_INVALID', message);
}
