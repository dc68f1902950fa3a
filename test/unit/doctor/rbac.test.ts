import { type RbacInput, reviewRights } from '../../../src/doctor/rbac.ts';

const review = (body: string) =>
  reviewRights({
    ask: async () => ({ ok: true, status: 201, body, ourMs: 0, tookMs: 0 }),
    namespace: 'default',
    credentials: { kind: 'token', token: 't' },
  } as RbacInput);

test('an answer that allows both is a right to watch', async () => {
  expect(await review('{"status":{"allowed":true}}')).toMatchObject({ mayWatch: true });
});

test.each([
  ['denies', '{"status":{"allowed":false}}'],
  ['is not JSON', '<html>'],
  ['has no status', '{}'],
  ['nests deeper than any review', `{"status":{"allowed":true},"x":${'['.repeat(100)}${']'.repeat(100)}}`],
])('an answer that %s is none', async (_, body) => {
  expect(await review(body)).toMatchObject({ mayWatch: false });
});
