import { X509Certificate } from 'node:crypto';
import { servingCertificate, sniName } from '../../../src/health/certificate.ts';
import { maxSeenNames, SeenCertificates } from '../../../src/health/seen-certificates.ts';
import { certificateFault } from '../../../src/model/certificate-fault.ts';
import { makeCa } from '../../support/credentials/pki.ts';

async function shown(sans: readonly string[], notAfter = new Date(2_000_000_000_000)) {
  const ca = await makeCa();
  const { cert } = await ca.issue({ commonName: 'common.example', sans, notAfter });
  return servingCertificate(new X509Certificate(cert));
}

test('a certificate is valid for the names and addresses that it lists, and not for its common name', async () => {
  const { covers, notAfterMs } = await shown(['api.example', '*.wild.example', '127.0.0.1', 'fd00::5']);
  const names = ['api.example', 'API.example', 'a.wild.example', '127.0.0.1', 'fd00::5'];
  expect(names.filter((name) => !covers(name))).toEqual([]);
  const others = ['common.example', 'a.b.wild.example', 'wild.example', '127.0.0.2', 'x.example', ''];
  expect(others.filter((name) => covers(name))).toEqual([]);
  expect(notAfterMs).toBe(2_000_000_000_000);
});

test('not even where it lists addresses only', async () => {
  expect((await shown(['10.0.0.1'])).covers('common.example')).toBe(false);
});

test('however many names are asked for, the answers stay right', async () => {
  const { covers } = await shown(['api.example']);
  for (let count = 0; count < 1_000; count += 1) expect(covers(`n${count}.example`)).toBe(false);
  expect(covers('api.example')).toBe(true);
});

test.each([
  ['CERT_HAS_EXPIRED', 'time', 'certificate has expired'],
  ['CERT_NOT_YET_VALID', 'time', 'certificate is not valid yet'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'authority', 'certificate is signed by an unknown authority'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'authority', 'certificate is self-signed, not signed by the CA'],
] as const)('%s is said in words', (code, fault, text) => {
  const error = Object.assign(new Error('try --use-system-ca'), { code });
  expect(certificateFault(error)).toEqual({ fault, text });
});

test('an error that is not about the certificate is no fault of it', () => {
  expect(certificateFault(Object.assign(new Error('x'), { code: 'ECONNRESET' }))).toBeUndefined();
  expect(certificateFault(new Error('x'))).toBeUndefined();
});

test.each([
  ['API.Example', 'api.example'],
  ['_x.example', '_x.example'],
  ['localhost', 'localhost'],
])('%s may be sent as SNI', (text, name) => expect(sniName(text)).toBe(name));

test.each([
  undefined,
  '',
  '10.0.0.1',
  'fd00::5',
  'a b',
  'a..b',
  '-a',
  'a.',
  `${'a'.repeat(64)}.b`,
  'é',
  'a\0',
])('%j is not sent as SNI', (text) => expect(sniName(text)).toBeUndefined());

describe('the certificates that an endpoint has shown', () => {
  test('a new one under the same name is noticed, the first one and a known one are not', async () => {
    const seen = new SeenCertificates();
    const [first, second] = [await shown(['a']), await shown(['a'])];
    expect(seen.note({ certificate: first })).toBe(false);
    expect(seen.note({ certificate: first })).toBe(false);
    expect(seen.note({ serverName: 'b', certificate: second })).toBe(false);
    expect(seen.note({ certificate: first })).toBe(false);
    expect(seen.note({ certificate: second })).toBe(true);
  });

  test('a client that sends ever new names neither fills it nor makes anything look new', async () => {
    const seen = new SeenCertificates();
    const certificate = await shown(['a.example']);
    seen.note({ certificate });
    for (let count = 0; count < 100; count += 1)
      expect(seen.note({ serverName: `n${count}.example`, certificate })).toBe(false);
    const kept = Array.from({ length: 100 }, (_, count) => seen.covers(`n${count}.example`, true));
    expect(kept.filter((covered) => covered !== undefined)).toHaveLength(maxSeenNames);
  });

  test('what is shown for a name counts for that name', async () => {
    const seen = new SeenCertificates();
    expect(seen.covers('a.example', true)).toBeUndefined();
    seen.note({ certificate: await shown(['10.0.0.1']) });
    expect(seen.covers('a.example', true)).toBeUndefined();
    expect(seen.covers('10.0.0.2', false)).toBe(false);
    seen.note({ serverName: 'a.example', certificate: await shown(['a.example']) });
    expect(seen.covers('a.example', true)).toBe(true);
    seen.note({ serverName: 'a.example', fault: 'authority', text: 'x' });
    expect(seen.covers('a.example', true)).toBe(false);
    // After a renewal it has to be asked for again.
    seen.note({ certificate: await shown(['10.0.0.1']) });
    expect(seen.covers('a.example', true)).toBeUndefined();
  });
});
