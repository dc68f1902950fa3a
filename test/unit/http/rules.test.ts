import { RequestPlan } from '../../../src/http/request-plan.ts';
import { admit } from '../../../src/http/client-identity.ts';
import { BodyBudget } from '../../../src/http/request-body.ts';
import { checkRequest, hasBody, upgradeOf, verbOf } from '../../../src/http/request-check.ts';
import { codeLabel, RequestCounters } from '../../../src/http/request-counters.ts';
import { type Failure, mayRetry, saysShuttingDown } from '../../../src/http/retry-rule.ts';
import { statusBody } from '../../../src/http/status-answer.ts';
import { type EndableWatch, WatchDrainer } from '../../../src/http/watch-drainer.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

describe('sending a request again', () => {
  const unsent: Failure = { kind: 'unsent' };
  const unanswered: Failure = { kind: 'unanswered' };
  const refused: Failure = { kind: 'stopping', isRefused: true };
  const leaving: Failure = { kind: 'stopping', isRefused: false };
  const attempts = { isReplayable: true, sends: 1, maxSends: 3, hasMovedOn: false };
  const methods = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'POST', 'PATCH'];
  const allowed = (failure: Failure, change = {}) =>
    methods.filter((method) => mayRetry(failure, { ...attempts, method, ...change }));
  const five = methods.slice(0, 5);

  test('every method while nothing was sent; five of them when it may have been executed', () => {
    expect(allowed(unsent)).toEqual(methods);
    expect(allowed(unanswered)).toEqual(five);
  });

  test('a 503 once, and any method only when nothing was executed', () => {
    expect([allowed(refused), allowed(leaving)]).toEqual([methods, five]);
    expect([allowed(refused, { hasMovedOn: true }), allowed(leaving, { hasMovedOn: true })]).toEqual([
      [],
      [],
    ]);
  });

  test('never without the whole body, and not more often than allowed', () => {
    for (const failure of [unsent, unanswered, refused, leaving]) {
      expect(allowed(failure, { isReplayable: false })).toEqual([]);
      expect(allowed(failure, { sends: 3 })).toEqual([]);
    }
  });

  test('the words of an API server that takes no more', () => {
    expect(saysShuttingDown('The apiserver is shutting down, please try again later.\n')).toBe(true);
    expect(saysShuttingDown('{"message":"the server is currently unable to handle the request"}')).toBe(
      false,
    );
  });
});

describe('requests', () => {
  test.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('%s is carried', (method) => {
    expect(checkRequest(method, '/api/v1?x=%20')).toBeUndefined();
  });

  test.each([
    ['TRACE', '/'],
    ['CONNECT', '/'],
    ['get', '/'],
    ['', '/'],
  ])('%j is not', (method, target) => {
    expect(checkRequest(method, target)?.code).toBe(405);
  });

  test.each(['', '*', 'a', 'https://x/', '/a b', '/a\n', '/ä', '/\x7f'])(
    'the target %j is refused',
    (target) => {
      expect(checkRequest('GET', target)?.code).toBe(400);
    },
  );

  test('upgrades that Kubernetes knows', () => {
    expect(upgradeOf({ connection: 'keep-alive, Upgrade', upgrade: 'SPDY/3.1' })).toBe('SPDY/3.1');
    expect(upgradeOf({ connection: 'upgrade', upgrade: 'WebSocket' })).toBe('WebSocket');
    for (const upgrade of ['h2c', 'websocket, h2c', 'SPDY/3', ''])
      expect(upgradeOf({ connection: 'Upgrade', upgrade })).toBeUndefined();
    expect(upgradeOf({ connection: 'close', upgrade: 'websocket' })).toBeUndefined();
    expect(upgradeOf({})).toBeUndefined();
  });

  test('bodies', () => {
    expect(hasBody({})).toBe(false);
    expect(hasBody({ 'content-length': '0' })).toBe(false);
    expect(hasBody({ 'content-length': '1' })).toBe(true);
    expect(hasBody({ 'transfer-encoding': 'chunked' })).toBe(true);
  });

  test('verbs and codes are a bounded set', () => {
    expect(verbOf('GET', '/a?watch=true', false)).toBe('WATCH');
    expect(verbOf('GET', '/a?x=1&watch', false)).toBe('WATCH');
    expect(verbOf('GET', '/a?watch=false', false)).toBe('GET');
    expect(verbOf('GET', '/watch=1?y', false)).toBe('GET');
    expect(verbOf('POST', '/a?watch=1', false)).toBe('POST');
    expect(verbOf('BREW', '/', false)).toBe('other');
    expect(verbOf('GET', '/', true)).toBe('CONNECT');
    expect([codeLabel(200), codeLabel(0), codeLabel(418), codeLabel(599)]).toEqual([
      '200',
      '0',
      '4xx',
      '5xx',
    ]);
  });

  test('counts are forgotten with their endpoint', () => {
    const counters = new RequestCounters();
    counters.count('GET', 200, 'a');
    counters.count('GET', 200, 'a');
    counters.count('GET', 200, 'b');
    counters.forget('b');
    expect(counters.requests()).toEqual([{ verb: 'GET', code: '200', endpoint: 'a', count: 2 }]);
  });

  test('the memory for bodies is bounded', () => {
    const budget = new BodyBudget(10);
    expect([budget.take(6), budget.take(5), budget.take(4), budget.usedBytes]).toEqual([
      true,
      false,
      true,
      10,
    ]);
    budget.give(6);
    expect(budget.take(5)).toBe(true);
  });
});

test('our own answers are Status objects', () => {
  const body = JSON.parse(
    statusBody({ code: 503, reason: 'ServiceUnavailable', message: 'm', retryAfter: 1 }),
  );
  expect(body).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'fairlead: m',
    reason: 'ServiceUnavailable',
    details: { retryAfterSeconds: 1 },
    code: 503,
  });
});

describe('candidates', () => {
  const [a, b, c] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((host) => makeEndpoint(host, 6443)) as [
    ReturnType<typeof makeEndpoint>,
    ReturnType<typeof makeEndpoint>,
    ReturnType<typeof makeEndpoint>,
  ];

  test('each once a round, in the order of the moment, never ourselves', () => {
    let order = [a, b, c];
    const candidates = new RequestPlan(
      () => ({ candidates: order, usableCount: 3 }),
      ({ id }) => id === b.id,
    );
    expect(candidates.next()).toEqual({ endpoint: a, isLast: false });
    order = [c, b, a];
    expect(candidates.next()).toEqual({ endpoint: c, isLast: true });
    expect([candidates.hasMore, candidates.next()]).toEqual([false, undefined]);
    candidates.startRound();
    expect(candidates.next()?.endpoint).toBe(c);
  });
});

describe('client certificates', () => {
  const subject = { CN: 'me', O: ['g', 'h'] } as never;
  const names = { usernameHeader: 'X-Remote-User', groupHeader: 'X-Remote-Group' };

  test('without one, headers stay as they are', () => {
    const headers = { authorization: 'Bearer t' };
    expect(admit({ kind: 'none' }, headers, names, [])).toEqual({ ok: true, isFronted: false });
    expect(headers).toEqual({ authorization: 'Bearer t' });
  });

  test('without a passthrough listener the answer says so', () => {
    const admission = admit({ kind: 'offered', isVerified: true, subject }, {}, undefined, []);
    expect(admission.ok === false && admission.refusal.message).toMatch(/this agent has none/);
  });

  test('a verified one takes the place of the token', () => {
    const headers = { authorization: 'Bearer t' };
    expect(admit({ kind: 'offered', isVerified: true, subject }, headers, names, [])).toMatchObject({
      isFronted: true,
    });
    expect(headers).toEqual({ 'x-remote-user': 'me', 'x-remote-group': ['g', 'h'] });
  });

  test.each([[{}], [{ CN: ['a', 'b'] }], [{ CN: 'a\nb' }], [{ CN: '' }], [{ CN: 'a', O: 'ü' }]])(
    '%j has no user',
    (odd) => {
      const admission = admit({ kind: 'offered', isVerified: true, subject: odd as never }, {}, names, []);
      expect(admission.ok === false && admission.refusal.code).toBe(403);
    },
  );
});

describe('watches of a draining endpoint', () => {
  const setup = (random = 0.5) => {
    const clock = new FakeClock();
    const ends = new WatchDrainer(clock, () => random);
    const ended: string[] = [];
    const watch = (name: string, endpoint = 'a'): EndableWatch => {
      const it = { endpoint, lastEventMs: clock.nowMs(), end: () => void ended.push(name) };
      ends.add(it);
      return it;
    };
    return { clock, ends, ended, watch };
  };

  test('end within the window, at a quiet moment, and others stay', async () => {
    const { clock, ends, ended, watch } = setup();
    const busy = watch('busy');
    watch('quiet');
    watch('elsewhere', 'b');
    ends.drain('a', 4_000);
    for (let ms = 0; ms < 1_900; ms += 100) {
      await clock.advance(100);
      busy.lastEventMs = clock.nowMs();
    }
    expect(ended).toEqual([]);
    for (let ms = 0; ms < 800; ms += 100) {
      await clock.advance(100);
      busy.lastEventMs = clock.nowMs();
    }
    expect(ended).toEqual(['quiet']);
    for (let ms = 0; ms < 3_000; ms += 100) {
      await clock.advance(100);
      busy.lastEventMs = clock.nowMs();
    }
    expect(ended).toEqual(['quiet', 'busy']);
  });

  test('stay when the endpoint is well again, and when they have ended by themselves', async () => {
    const { clock, ends, ended, watch } = setup();
    watch('one');
    ends.drain('a', 2_000);
    ends.cancelDrain('a');
    await clock.advance(10_000);
    const two = watch('two');
    ends.drain('a', 2_000);
    ends.remove(two);
    await clock.advance(500);
    ends.stop();
    await clock.advance(10_000);
    expect(ended).toEqual([]);
  });

  test('one quiet watch can be ended to rebalance', async () => {
    const { clock, ends, ended, watch } = setup();
    watch('one');
    expect(ends.endOneQuiet('a')).toBe(false);
    await clock.advance(1_500);
    watch('two');
    expect([ends.endOneQuiet('a'), ends.endOneQuiet('a'), ended]).toEqual([true, false, ['one']]);
  });
});
