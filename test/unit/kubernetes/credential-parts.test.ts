import fc from 'fast-check';
import { type GoodParts, useParts } from '../../../src/kubernetes/credential-parts.ts';
import { canVerify, type PartReading } from '../../../src/kubernetes/credentials.ts';
import type { CredentialReading } from '../../../src/kubernetes/load-credentials.ts';

const unreadable = (what: string): PartReading<never> => ({
  state: 'unreadable',
  problem: {
    code: what === 'ca' ? 'CA_UNREADABLE' : 'CREDENTIALS_UNREADABLE',
    message: `/${what}: does not exist`,
  },
});
const absent = { state: 'absent' } as const;
const read = <T>(value: T): PartReading<T> => ({ state: 'read', value });
const token = { kind: 'token', token: 'abc' } as const;
const kept = { ca: 'kept', file: '/state/ca.pem', writtenMs: 0 };
const noneKept = async () => undefined;

function reading(parts: Partial<CredentialReading>): CredentialReading {
  return { ca: absent, identity: absent, place: absent, isVerificationAsked: true, warnings: [], ...parts };
}

test('what was read is in use', async () => {
  const found = reading({ ca: read('ca'), identity: read(token), place: read({ serverName: 'api' }) });
  const { credentials, problems, keptCa } = await useParts(found, {}, { kept: async () => kept });
  expect(credentials).toEqual({ ...token, ca: 'ca', serverName: 'api' });
  expect({ problems, keptCa }).toEqual({ problems: [], keptCa: undefined });
});

test('a part that cannot be read any more keeps its last value; the others follow what is read', async () => {
  const before: GoodParts = { ca: 'old', identity: token, place: {} };
  const found = reading({ ca: unreadable('ca'), identity: read({ kind: 'token', token: 'new' }) });
  const { credentials, problems, good } = await useParts(found, before, { kept: async () => kept });
  expect(credentials).toEqual({ kind: 'token', token: 'new', ca: 'old' });
  expect(good.ca).toBe('old');
  expect(problems).toEqual([
    {
      code: 'CA_UNREADABLE',
      message: '/ca: does not exist; the previous value stays in use',
      isSinceStart: false,
    },
  ]);
});

test('a part that is not configured any more is not in use', async () => {
  const before: GoodParts = { ca: 'old', identity: token, place: { serverName: 'api' } };
  const found = reading({ isVerificationAsked: false });
  const { credentials, good } = await useParts(found, before, { kept: async () => kept });
  expect(credentials).toEqual({ kind: 'none' });
  expect(good).toEqual({});
});

test('the kept CA verifies only where a CA is configured and was never read', async () => {
  const found = reading({ ca: unreadable('ca'), identity: read(token) });
  const { credentials, keptCa, problems } = await useParts(found, {}, { kept: async () => kept });
  expect(credentials).toEqual({ ...token, ca: 'kept' });
  expect(keptCa).toBe(kept);
  expect(problems).toEqual([
    {
      code: 'CA_UNREADABLE',
      message:
        '/ca: does not exist; the CA kept in /state/ca.pem on 1970-01-01T00:00:00.000Z verifies in its place',
      isSinceStart: true,
    },
  ]);
  let asked = 0;
  const count = async () => {
    asked += 1;
    return kept;
  };
  for (const ca of [read('ca'), absent]) {
    const { credentials: other } = await useParts(
      reading({ ca, identity: read(token) }),
      {},
      { kept: count },
    );
    expect(other.ca).toBe(ca.state === 'read' ? 'ca' : undefined);
  }
  expect(asked).toBe(0);
});

test('a CA that was left out on purpose is not replaced by the kept one', async () => {
  const ca = { state: 'unreadable', problem: { code: 'CA_MISSING', message: 'insecure' } } as const;
  const { credentials } = await useParts(reading({ ca }), {}, { kept: async () => kept });
  expect(credentials).toEqual({ kind: 'none', unverified: 'no CA is configured' });
});

test('a kubeconfig without CA and user cannot verify, and that is said', async () => {
  const { credentials, problems } = await useParts(reading({ place: read({}) }), {}, { kept: noneKept });
  expect(credentials.unverified).toBe('no CA is configured');
  expect(problems).toEqual([
    { code: 'CA_MISSING', message: 'the kubeconfig has neither a CA nor a user', isSinceStart: true },
  ]);
});

test("credentials that cannot be read leave the runtime's CAs in use where no CA is configured", async () => {
  const found = reading({ identity: unreadable('identity') });
  const { credentials } = await useParts(found, {}, { kept: noneKept });
  expect(canVerify(credentials)).toBe(true);
});

const state = fc.constantFrom('read', 'absent', 'unreadable');
test('whatever is read, absent or unreadable: nothing secret without something to verify by, and no part takes another with it', async () => {
  await fc.assert(
    fc.asyncProperty(state, state, fc.boolean(), fc.boolean(), async (ca, identity, hadCa, isKept) => {
      const part = <T>(how: string, what: string, value: T): PartReading<T> =>
        how === 'read' ? read(value) : how === 'absent' ? absent : unreadable(what);
      const found = reading({ ca: part(ca, 'ca', 'new'), identity: part(identity, 'identity', token) });
      const before: GoodParts = hadCa ? { ca: 'old' } : {};
      const { credentials } = await useParts(found, before, {
        kept: async () => (isKept ? kept : undefined),
      });
      const expected =
        ca === 'read' ? 'new' : ca === 'absent' ? undefined : hadCa ? 'old' : isKept ? 'kept' : undefined;
      expect(credentials.ca).toBe(expected);
      expect(credentials.kind).toBe(identity === 'read' ? 'token' : 'none');
      if (ca === 'unreadable' && expected === undefined) expect(canVerify(credentials)).toBe(false);
      else if (ca !== 'absent') expect(canVerify(credentials)).toBe(true);
    }),
  );
});
