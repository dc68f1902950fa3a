import { X509Certificate } from 'node:crypto';
import { checkIdentity, identityOptions } from '../../../src/kubernetes/server-identity.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { makeCa, type TestCa } from '../../support/credentials/pki.ts';

let ca: TestCa;
beforeAll(async () => {
  ca = await makeCa();
});

type Named = { name?: string; host?: string };

async function check(sans: string[], endpoint: Named, serverName?: string, commonName = 'kube-apiserver') {
  const { cert } = await ca.issue({ commonName, sans });
  const { host = '10.0.0.1', ...extra } = endpoint;
  return checkIdentity(
    makeEndpoint(host, 6443, extra),
    new X509Certificate(cert).toLegacyObject(),
    serverName,
  );
}

test.each([
  ['the address', ['10.0.0.1'], {}],
  ['an IPv6 address, however it is written', ['fd00:0:0::1'], { host: 'fd00::1' }],
  ['the configured DNS name', ['cp.example'], { name: 'cp.example' }],
  ['a wildcard over the configured DNS name', ['*.k8s.example'], { name: 'cp.k8s.example' }],
  ['kubernetes', ['kubernetes', '10.9.9.9'], {}],
  ['kubernetes.default', ['kubernetes.default'], {}],
  ['kubernetes.default.svc', ['kubernetes.default.svc'], {}],
])('a certificate for %s is good', async (_, sans, endpoint) => {
  expect(await check(sans, endpoint)).toBeUndefined();
});

test.each([
  ['another address', ['10.0.0.2']],
  ['a name that was not configured', ['cp.example']],
  ['a name that only looks like the service', ['kubernetes.default.evil']],
  ['nothing', []],
])('a certificate for %s is refused, with what it is for', async (_, sans) => {
  const error = await check(sans, {});
  expect(error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  expect(error?.message).toContain('10.0.0.1');
});

test('a common name alone is no name', async () => {
  expect(await check([], {}, undefined, 'kubernetes')).toBeDefined();
});

test('a configured server name must match, nothing else does', async () => {
  expect(await check(['api.example'], {}, 'api.example')).toBeUndefined();
  expect(await check(['10.0.0.1', 'kubernetes'], {}, 'api.example')).toBeDefined();
  expect(await check(['10.7.7.7'], {}, '10.7.7.7')).toBeUndefined();
});

test('SNI is sent only for a configured DNS name', () => {
  const endpoint = makeEndpoint('10.0.0.1', 6443, { name: 'cp.example' });
  expect(identityOptions(endpoint).servername).toBe('');
  expect(identityOptions(endpoint, '10.0.0.9').servername).toBe('');
  expect(identityOptions(endpoint, 'api.example').servername).toBe('api.example');
});
