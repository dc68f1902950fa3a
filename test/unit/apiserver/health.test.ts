import { answerHealth, answerOneCheck, checksOf } from '../../support/apiserver/health.ts';

const none = new Set<string>();

describe("health answers in Kubernetes' text format", () => {
  test('a healthy server says "ok", without a line end', () => {
    expect(answerHealth('readyz', none)).toEqual({ status: 200, body: 'ok' });
  });

  test('/readyz has 38 checks; /livez knows neither etcd-readiness nor shutdown', () => {
    expect(checksOf.readyz).toHaveLength(38);
    expect(checksOf.livez).not.toContain('etcd-readiness');
    expect(checksOf.livez).not.toContain('shutdown');
  });

  test('verbose names every check in order', () => {
    const { status, body } = answerHealth('readyz', none, { isVerbose: true });
    expect(status).toBe(200);
    expect(body).toMatch(/^\[\+\]ping ok\n\[\+\]log ok\n\[\+\]etcd ok\n\[\+\]etcd-readiness ok\n/);
    expect(body).toMatch(/\n\[\+\]shutdown ok\nreadyz check passed\n$/);
  });

  test('a failure is 500 and verbose without being asked', () => {
    const { status, body } = answerHealth('readyz', new Set(['etcd']));
    expect(status).toBe(500);
    expect(body).toContain('[-]etcd failed: reason withheld\n[+]etcd-readiness ok\n');
    expect(body).toMatch(/\nreadyz check failed\n$/);
  });

  test('an excluded check cannot fail', () => {
    const answer = answerHealth('readyz', new Set(['etcd']), { isVerbose: true, excluded: ['etcd'] });
    expect(answer.status).toBe(200);
    expect(answer.body).toContain('[+]etcd excluded: ok\n');
  });

  test('an exclusion that matches nothing is warned of', () => {
    const { status, body } = answerHealth('livez', none, { isVerbose: true, excluded: ['nope', 'also'] });
    expect(status).toBe(200);
    expect(body).toMatch(
      /\nwarn: some health checks cannot be excluded: no matches for "also", "nope"\nlivez check passed\n$/,
    );
  });

  test('a check that is asked alone answers for itself', () => {
    const failing = new Set(['etcd']);
    expect(answerOneCheck('readyz', 'ping', failing)).toEqual({ status: 200, body: 'ok' });
    expect(answerOneCheck('readyz', 'etcd', failing)?.status).toBe(500);
    expect(answerOneCheck('readyz', 'no-such-check', failing)).toBeUndefined();
  });
});
