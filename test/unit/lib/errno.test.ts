// One table says what system errors mean; every caller reads it.
import { dialResultOf } from '../../../src/passthrough/connect/dial-attempt.ts';
import { failureOf } from '../../../src/kubernetes/api-failure.ts';
import {
  connectionErrorText,
  fileErrorText,
  isMissingFile,
  lacksAddress,
  socketFailure,
} from '../../../src/lib/errno.ts';

const failed = (code: string, message = `connect ${code}`) => Object.assign(new Error(message), { code });

describe('an error of a connection', () => {
  test.each([
    ['ECONNREFUSED', 'refused'],
    ['ETIMEDOUT', 'timeout'],
    ['ECONNRESET', 'reset'],
    ['EPIPE', 'reset'],
    ['EHOSTUNREACH', 'unreachable'],
    ['ENETDOWN', 'unreachable'],
    ['EMFILE', 'exhausted'],
    ['EADDRNOTAVAIL', 'exhausted'],
    ['EADDRINUSE', 'exhausted'],
    ['CERT_HAS_EXPIRED', undefined],
    ['EPROTO', undefined],
    [undefined, undefined],
  ])('%s means %s', (code, failure) => {
    expect(socketFailure(code)).toBe(failure);
  });

  test('that is not in the table has the default of its caller', () => {
    expect([dialResultOf('EPERM'), dialResultOf(undefined)]).toEqual(['unreachable', 'unreachable']);
    expect(failureOf(failed('EPERM'))).toEqual({ kind: 'unreachable', text: 'EPERM' });
  });

  test('that is our own shortage is never the fault of the API server', () => {
    expect(dialResultOf('EMFILE')).toBe('exhausted');
    expect(failureOf(failed('EMFILE'))).toEqual({ kind: 'unreachable', text: 'EMFILE' });
  });

  test.each([
    ['ECONNREFUSED', 'refused', 'no process listens there (connection refused)'],
    ['ECONNRESET', 'reset', 'connection closed'],
    ['EPROTO', 'tls', 'not TLS, or no common version'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'tls', 'certificate is self-signed, not signed by the CA'],
  ])('%s of a request is %s, in words', (code, kind, text) => {
    expect(failureOf(failed(code))).toEqual({ kind, text });
  });

  test('about a certificate is worded by us, not by Node', () => {
    const advice =
      'unable to get local issuer certificate; if the root CA is installed locally, try --use-system-ca';
    for (const code of [
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'SELF_SIGNED_CERT_IN_CHAIN',
    ])
      expect(connectionErrorText(failed(code, advice))).toBe('certificate is signed by an unknown authority');
  });

  test('about a name, or one that is not in the table, keeps its words', () => {
    expect(connectionErrorText(failed('EPERM'))).toBe('connect EPERM');
    expect(connectionErrorText(failed('ERR_TLS_CERT_ALTNAME_INVALID', 'not in SANs: a, b'))).toBe(
      'not in SANs: a, b',
    );
    expect(connectionErrorText('thrown')).toBe('thrown');
  });

  test('of a name with several addresses says what the first of them says', () => {
    const all = new AggregateError([failed('EHOSTUNREACH'), failed('ECONNREFUSED')], '');
    expect(connectionErrorText(all)).toBe('no route to the host');
    expect(connectionErrorText(new AggregateError([failed('EPERM')], ''))).toBe('connect EPERM');
  });
});

describe('an error of a file', () => {
  test('has words for what happens often', () => {
    expect(['ENOENT', 'EACCES', 'EISDIR', 'EIO'].map((code) => fileErrorText(failed(code)))).toEqual([
      'does not exist',
      'cannot be read by this user',
      'is a directory, not a file',
      undefined,
    ]);
  });

  test('says that it is missing also when a directory on the way is a file', () => {
    expect(['ENOENT', 'ENOTDIR', 'EACCES'].map((code) => isMissingFile(failed(code)))).toEqual([
      true,
      true,
      false,
    ]);
  });
});

test('an address or a family that the host lacks is not an address in use', () => {
  expect(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EADDRINUSE'].map((code) => lacksAddress(failed(code)))).toEqual([
    true,
    true,
    false,
  ]);
});
