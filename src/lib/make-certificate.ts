// Makes a serving certificate for an http listener (RFC 5280): signed by a CA that is given, or by itself. Pure but
// for the random numbers of its key. Node reads certificates and makes none; the packages that do would cost every
// agent 2.3 MB in the bundle (@peculiar/x509, measured), for a command that runs once a year.
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIP, SocketAddress } from 'node:net';
import { FairleadError } from '../model/errors.ts';
import { bits, der, elements, integer, isTrue, nothing, objectId, octets, sequence, time } from './der.ts';

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

/** Who signs: the name and key identifier to refer to, the key, and how. */
interface Issuer {
  readonly name: Buffer;
  readonly keyId: Buffer | undefined;
  readonly key: KeyObject;
  readonly algorithm: Buffer;
  readonly digest: string;
}

const dayMs = 86_400_000;
/** Clocks of clients may be a little behind. */
const backdateMs = 3_600_000;
const subjectKeyId = '2.5.29.14';

/** Throws CERTIFICATE_INVALID when the CA cannot be used. */
export function makeCertificate({ names, days, nowMs, ca }: CertificateRequest): MadeCertificate {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = keys.publicKey.export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha1').update(publicKey.subarray(-65)).digest();
  const subject = sequence(der(0x31, sequence(objectId('2.5.4.3'), der(0x0c, Buffer.from('fairlead')))));
  const caCertificate = ca && attempt('the certificate of the CA', () => new X509Certificate(ca.cert));
  const issuer =
    ca && caCertificate
      ? readIssuer(caCertificate, ca.key)
      : { name: subject, keyId: undefined, key: keys.privateKey, ...algorithmOf(keys.privateKey) };
  const caEndMs = caCertificate ? Date.parse(caCertificate.validTo) : Number.POSITIVE_INFINITY;
  const notAfter = new Date(Math.min(nowMs + days * dayMs, caEndMs));
  if (notAfter.getTime() <= nowMs) throw invalid('the certificate of the CA has expired');

  const contents = sequence(
    der(0xa0, integer(Buffer.of(2))),
    // Positive without a leading zero, and at most 20 octets.
    integer(Buffer.concat([Buffer.of(0x40 | ((randomBytes(1)[0] ?? 0) & 0x3f)), randomBytes(15)])),
    issuer.algorithm,
    issuer.name,
    sequence(time(new Date(nowMs - backdateMs)), time(notAfter)),
    subject,
    publicKey,
    der(0xa3, sequence(...extensions(names, keyId, issuer.keyId))),
  );
  const signature = sign(issuer.digest, contents, issuer.key);
  const raw = sequence(contents, issuer.algorithm, bits(signature));
  return {
    cert: `${pem(raw)}${caCertificate ? pem(caCertificate.raw) : ''}`,
    key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    notAfter,
  };
}

function extensions(names: readonly string[], keyId: Buffer, issuerKeyId: Buffer | undefined): Buffer[] {
  const extension = (id: string, value: Buffer, isCritical = false) =>
    sequence(objectId(id), ...(isCritical ? [isTrue] : []), octets(value));
  const alternatives = names.map((name) => {
    const family = isIP(name);
    if (family === 0) return der(0x82, Buffer.from(name));
    return der(0x87, family === 4 ? Buffer.from(name.split('.').map(Number)) : ipv6Bytes(name));
  });
  return [
    // Not a CA, also where it signs itself: its key can then make no other certificate that anybody trusts.
    extension('2.5.29.19', sequence(), true),
    // digitalSignature
    extension('2.5.29.15', bits(Buffer.of(0x80), 7), true),
    // serverAuth
    extension('2.5.29.37', sequence(objectId('1.3.6.1.5.5.7.3.1'))),
    extension(subjectKeyId, octets(keyId)),
    ...(issuerKeyId ? [extension('2.5.29.35', sequence(der(0x80, issuerKeyId)))] : []),
    extension('2.5.29.17', sequence(...alternatives)),
  ];
}

function ipv6Bytes(text: string): Buffer {
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  // An IPv4 address in the last 32 bits, as ::ffff:10.0.0.1.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((half) => half.toString(16)).join(':'),
  );
  const [before = '', after] = plain.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const head = groups(before);
  const tail = groups(after ?? '');
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  return Buffer.from([...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function readIssuer(certificate: X509Certificate, keyText: string): Issuer {
  const key = attempt('the key of the CA', () => createPrivateKey(keyText));
  if (!certificate.ca) throw invalid('the certificate that is to sign is not a CA');
  if (!certificate.checkPrivateKey(key)) throw invalid('the key is not the key of the CA certificate');
  const [body] = elements(elements(certificate.raw)[0]?.content ?? Buffer.alloc(0));
  // version, serial number, algorithm, issuer, validity, subject, key, extensions
  const members = elements(body?.content ?? Buffer.alloc(0));
  const name = members[5]?.whole;
  if (name === undefined) throw invalid('the certificate of the CA has no name');
  const listed = members.find(({ tag }) => tag === 0xa3)?.content ?? Buffer.alloc(0);
  const id = objectId(subjectKeyId);
  const found = elements(elements(listed)[0]?.content ?? Buffer.alloc(0))
    .map(({ content }) => elements(content))
    .find(([first]) => first?.whole.equals(id));
  const keyId = elements(found?.at(-1)?.content ?? Buffer.alloc(0))[0]?.content;
  return { name, keyId, key, ...algorithmOf(key) };
}

function algorithmOf(key: KeyObject): Pick<Issuer, 'algorithm' | 'digest'> {
  if (key.asymmetricKeyType === 'rsa')
    return { algorithm: sequence(objectId('1.2.840.113549.1.1.11'), nothing), digest: 'sha256' };
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === 'prime256v1')
    return { algorithm: sequence(objectId('1.2.840.10045.4.3.2')), digest: 'sha256' };
  if (curve === 'secp384r1')
    return { algorithm: sequence(objectId('1.2.840.10045.4.3.3')), digest: 'sha384' };
  throw invalid('the key of the CA is none of RSA, ECDSA P-256 and ECDSA P-384');
}

function pem(raw: Buffer): string {
  const lines = raw.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
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
