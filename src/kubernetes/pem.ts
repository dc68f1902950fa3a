// Checks what was read before anything uses it: a half-written file must not replace a good one, and a
// problem must name the file, never show what is in it.
import { createPrivateKey, X509Certificate } from 'node:crypto';

/** Text with the place it came from, for messages. */
export interface Part {
  readonly text: string;
  /** `/etc/kubernetes/pki/ca.crt`, or `certificate-authority-data of cluster "x"`. */
  readonly where: string;
}

const block = (label: string) => new RegExp(`-----BEGIN (${label})-----[\\s\\S]+?-----END \\1-----`, 'g');
const certificateBlock = block('CERTIFICATE|TRUSTED CERTIFICATE|X509 CERTIFICATE');
const keyBlock = block('(?:[A-Z]+ )?PRIVATE KEY');

/** The certificates of a PEM, parsed; throws an Error that names the place. */
function certificates({ text, where }: Part): { pem: string; parsed: X509Certificate }[] {
  // A file that was written shortly before a power cut is often there, and empty.
  if (text.trim() === '') throw new Error(`${where} is empty; a PEM certificate was expected`);
  const blocks = text.match(certificateBlock) ?? [];
  if (blocks.length === 0) throw new Error(`${where} contains no PEM certificate`);
  // An END is missing: the file was read while it was being written.
  if (blocks.length !== (text.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/g) ?? []).length) {
    throw new Error(`${where} ends in the middle of a certificate`);
  }
  return blocks.map((pem, index) => {
    try {
      return { pem, parsed: new X509Certificate(pem) };
    } catch {
      throw new Error(`certificate ${index + 1} in ${where} cannot be parsed`);
    }
  });
}

/** The CA certificates of a PEM, without anything else that the file may hold. */
export function readCa(part: Part): string {
  return `${certificates(part)
    .map(({ pem }) => pem)
    .join('\n')}\n`;
}

export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
  readonly notAfterMs: number;
}

/**
 * A certificate with its key, from one part (as kubelet-client-current.pem holds both) or two; throws an
 * Error when they do not belong together.
 */
export function readClientCertificate(certPart: Part, keyPart: Part): ClientCertificate {
  const chain = certificates(certPart);
  const keyPem = keyPart.text.match(keyBlock)?.[0];
  if (keyPem === undefined) throw new Error(`${keyPart.where} contains no PEM private key`);
  let isPair = false;
  const leaf = chain[0]!.parsed;
  try {
    isPair = leaf.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    throw new Error(`the private key in ${keyPart.where} cannot be parsed (or needs a passphrase)`);
  }
  if (!isPair)
    throw new Error(`the key in ${keyPart.where} does not belong to the certificate in ${certPart.where}`);
  return {
    cert: `${chain.map(({ pem }) => pem).join('\n')}\n`,
    key: `${keyPem}\n`,
    notAfterMs: leaf.validToDate.getTime(),
  };
}

/** A bearer token, fit for a header. */
export function readToken({ text, where }: Part): string {
  const token = text.trim();
  if (token === '') throw new Error(`${where} is empty; a token was expected`);
  // RFC 6750's b64token is narrower, but what is visible ASCII cannot break a header.
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new Error(`${where} does not contain a bearer token: it has spaces or control characters`);
  return token;
}
