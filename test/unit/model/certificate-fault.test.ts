import { connectionErrorText } from '../../../src/model/certificate-fault.ts';

const nodes = (code: string, message: string) => Object.assign(new Error(message), { code });

test('a certificate that does not verify is worded by us, not by Node', () => {
  const advice =
    'unable to get local issuer certificate; if the root CA is installed locally, try --use-system-ca';
  for (const code of [
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'SELF_SIGNED_CERT_IN_CHAIN',
  ])
    expect(connectionErrorText(nodes(code, advice))).toBe('certificate is signed by an unknown authority');
});

test('other errors, and names, keep their words', () => {
  expect(connectionErrorText(nodes('ECONNREFUSED', 'connect ECONNREFUSED'))).toBe('connect ECONNREFUSED');
  expect(connectionErrorText(nodes('ERR_TLS_CERT_ALTNAME_INVALID', 'not in SANs: a, b'))).toBe(
    'not in SANs: a, b',
  );
});
