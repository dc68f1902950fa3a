import fc from 'fast-check';
import {
  type HealthEvent,
  type HealthState,
  initialHealth,
  judge,
  type ProbeResult,
} from '../../../src/health/verdict.ts';
import { formatReason } from '../../../src/model/snapshot.ts';

const options = { rise: 2, startupGraceMs: 5_000 };
const ok: ProbeResult = { kind: 'answered', isExpected: true, status: 200 };
const etcdFailed: ProbeResult = { kind: 'answered', isExpected: false, status: 500, failing: ['etcd'] };
const forbidden: ProbeResult = { kind: 'answered', isExpected: false, status: 403 };
const silentTcp: ProbeResult = { kind: 'silent', layer: 4 };
const refused: ProbeResult = { kind: 'refused' };

function probed(nowMs: number, result: ProbeResult, bytesDown = 0): HealthEvent {
  return { type: 'probed', nowMs, bytesDown, result };
}
function suspected(nowMs: number, bytesDown = 0): HealthEvent {
  return { type: 'suspected', nowMs, bytesDown, reason: { code: 'L7TOUT', text: 'late' } };
}
function after(...events: HealthEvent[]): HealthState {
  return events.reduce((state, event) => judge(state, event, options), initialHealth(0));
}
const shown = (state: HealthState): string => `${state.verdict} ${formatReason(state.reason)}`;

test('the first good probe makes an unknown endpoint ready', () => {
  expect(shown(after(probed(1, ok)))).toBe('ready L7OK/200');
});

test('the first 5xx ends new tunnels and names the failing check', () => {
  expect(shown(after(probed(1, ok), probed(2, etcdFailed)))).toBe('unready L7STS/500 etcd failed');
});

test('an answer that should be verified and could not be says so, whatever its status, until one is', () => {
  const unverified = 'the CA cannot be read';
  const doubtful = after(probed(1, { ...ok, unverified }));
  expect(shown(doubtful)).toBe('ready L7OK/200 unverified: the CA cannot be read');
  expect(doubtful).toMatchObject({ isVerified: false, isUnverified: true });
  const hidden = after(probed(1, { ...forbidden, unverified }), probed(6_000, { ...forbidden, unverified }));
  expect(shown(hidden)).toBe('ready L7OK/403 readiness not visible, unverified: the CA cannot be read');
  const sure = judge(doubtful, probed(2, { ...ok, isVerified: true }), options);
  expect(shown(sure)).toBe('ready L7OK/200');
  expect(sure).toMatchObject({ isVerified: true, isUnverified: false });
});

test('an unready endpoint is ready again after rise good probes, not before', () => {
  const once = after(probed(1, ok), probed(2, etcdFailed), probed(3, ok));
  expect(once.verdict).toBe('unready');
  expect(judge(once, probed(4, ok), options).verdict).toBe('ready');
});

test('refused means unready, by probe and by a client dial', () => {
  expect(shown(after(probed(1, ok), probed(2, refused)))).toBe('unready L4CON refused');
  expect(shown(after(probed(1, ok), { type: 'dial-refused', nowMs: 2 }))).toBe('unready L4CON refused');
});

test('silence without a suspicion before it only raises the suspicion', () => {
  expect(after(probed(1, ok), probed(2, silentTcp)).verdict).toBe('suspect');
});

test('a suspected endpoint whose fresh connections fail and that has sent nothing is dead', () => {
  expect(shown(after(probed(1, ok), suspected(2, 7), probed(3, silentTcp, 7)))).toBe('dead L4TOUT');
});

test('one byte on any connection since the suspicion began keeps an endpoint from being dead', () => {
  const state = after(probed(1, ok), suspected(2, 7), probed(3, silentTcp, 8));
  expect(state.verdict).toBe('suspect');
  expect(state.suspicion).toEqual({ sinceMs: 3, bytesDown: 8 });
});

test('an endpoint that finishes TLS and answers late is unready, never dead', () => {
  const late: ProbeResult = { kind: 'silent', layer: 7 };
  expect(shown(after(probed(1, ok), suspected(2), probed(3, late), suspected(4), probed(5, late)))).toBe(
    'unready L7TOUT',
  );
});

test('a suspicion that a probe disproves leaves the endpoint ready at once', () => {
  const state = after(probed(1, ok), suspected(2), probed(3, ok));
  expect(state.verdict).toBe('ready');
  expect(state.suspicion).toBeUndefined();
  expect(state.troubleSinceMs).toBeUndefined();
});

test('an unready endpoint that falls silent becomes dead', () => {
  expect(after(probed(1, etcdFailed), suspected(2), probed(3, silentTcp)).verdict).toBe('dead');
});

describe('401 and 403', () => {
  test('count as ready only after five seconds of answers', () => {
    const early = after(probed(1, forbidden), probed(4_000, forbidden));
    expect(early.verdict).toBe('unknown');
    expect(shown(judge(early, probed(5_001, forbidden), options))).toBe(
      'ready L7OK/403 readiness not visible',
    );
  });

  test('from an endpoint that was just down do not count', () => {
    const state = after(
      probed(1, ok),
      probed(10_000, refused),
      probed(11_000, forbidden),
      probed(11_500, forbidden),
    );
    expect(state.verdict).toBe('unready');
  });

  test('a starting API server (403, 500, 200) is ready only by its 200s', () => {
    const starting = after(
      probed(1, refused),
      probed(100, forbidden),
      probed(220, etcdFailed),
      probed(1_200, ok),
    );
    expect(starting.verdict).toBe('unready');
    expect(judge(starting, probed(1_700, ok), options).verdict).toBe('ready');
  });

  test('while credentials rotate take nothing from a ready endpoint', () => {
    expect(shown(after(probed(1, ok), probed(2_000, { ...forbidden, status: 401 } as ProbeResult)))).toBe(
      'ready L7OK/401 readiness not visible',
    );
  });
});

const failing = (...names: string[]): ProbeResult => ({
  kind: 'answered',
  isExpected: false,
  status: 500,
  failing: names,
});

test('the shutdown check failing, alone or not, is recognised as a polite stop', () => {
  expect(after(probed(1, ok), probed(2, failing('shutdown'))).isShuttingDown).toBe(true);
  expect(after(probed(1, ok), probed(2, failing('etcd', 'shutdown'))).isShuttingDown).toBe(true);
  expect(after(probed(1, ok), probed(2, etcdFailed)).isShuttingDown).toBe(false);
});

test.each<[string, ProbeResult, HealthState['sickness']]>([
  ['500 without names', failing(), 'own'],
  ['a hook that fails', failing('poststarthook/rbac/bootstrap-roles', 'informer-sync'), 'own'],
  ['etcd', failing('etcd', 'etcd-readiness'), 'shared'],
  ['etcd and a hook', failing('poststarthook/x', 'etcd'), 'shared'],
  ['a key service', failing('kms-provider-0'), 'shared'],
  ['no answer over TLS that works', { kind: 'silent', layer: 7 }, 'shared'],
  ['what etcd says of itself', { ...failing(), text: 'no leader' } as ProbeResult, 'shared'],
  ['429', { kind: 'answered', isExpected: false, status: 429 }, undefined],
  ['a bad certificate', { kind: 'broken', layer: 6, text: 'expired' }, undefined],
  ['a refusal', refused, undefined],
])('%s is a sickness of its own, a shared one, or none', (_, result, sickness) => {
  expect(after(probed(1, ok), probed(2, result)).sickness).toBe(sickness);
  expect(after(probed(1, ok), probed(2, result), probed(3, ok)).sickness).toBeUndefined();
});

test('a passing suspicion does not end the time for which an endpoint has been up; being unready does', () => {
  expect(after(probed(1, ok), suspected(500), probed(600, ok)).upSinceMs).toBe(1);
  expect(after(probed(1, ok), probed(500, refused)).upSinceMs).toBeUndefined();
  const back = after(probed(1, ok), probed(500, refused), probed(600, ok), probed(700, ok));
  expect(back.upSinceMs).toBe(700);
});

test('an answer that was late is good and not prompt', () => {
  const prompt = { ...probed(400, ok), askedMs: 395 } as HealthEvent;
  const late = { ...probed(900, ok), askedMs: 600 } as HealthEvent;
  const state = after(probed(1, ok), prompt, suspected(800), late);
  expect({ good: state.lastGoodMs, prompt: state.promptAskedMs, late: state.lastLateMs }).toEqual({
    good: 900,
    prompt: 395,
    late: 800,
  });
});

test('an endpoint that flips often is held out longer and longer, up to a minute', () => {
  let state = after(probed(0, ok));
  const holds: number[] = [];
  for (let flip = 1; flip <= 9; flip += 1) {
    const at = flip * 10_000;
    for (const [offset, result] of [
      [0, refused],
      [500, ok],
      [1_000, ok],
    ] as const) {
      state = judge(state, probed(at + offset, result), options);
    }
    holds.push(Math.max(0, state.heldUntilMs - (at + 1_000)));
  }
  expect(holds).toEqual([0, 0, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
});

test('whatever happens, dead comes only with silence and no byte since the suspicion', () => {
  const result = fc.constantFrom<ProbeResult>(
    ok,
    etcdFailed,
    forbidden,
    refused,
    silentTcp,
    { kind: 'silent', layer: 7 },
    { kind: 'broken', layer: 6, text: 'x' },
  );
  const step = fc.record({
    gap: fc.integer({ min: 0, max: 6_000 }),
    bytes: fc.integer({ min: 0, max: 1 }),
    result: fc.option(result),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let state = initialHealth(0);
      let nowMs = 0;
      let bytesDown = 0;
      for (const { gap, bytes, result: found } of steps) {
        nowMs += gap;
        bytesDown += bytes;
        const before = state;
        state = judge(before, found ? probed(nowMs, found, bytesDown) : suspected(nowMs, bytesDown), options);
        if (state.verdict === 'dead' && before.verdict !== 'dead') {
          expect(found).toEqual(silentTcp);
          expect(before.suspicion?.bytesDown).toBe(bytesDown);
        }
        expect(state.verdict === 'ready' && state.suspicion !== undefined).toBe(false);
      }
    }),
  );
});

describe('an endpoint that answers well and late each time', () => {
  const rounds = (count: number, from = 0): HealthEvent[] =>
    Array.from({ length: count }, (_, index) => [
      suspected(from + index * 2_000 + 700),
      probed(from + index * 2_000 + 1_300, ok),
    ]).flat();

  test('is suspect from the second time on, with one reason, and does not flap', () => {
    let state = after(probed(1, ok), ...rounds(2, 2_000));
    expect(shown(state)).toBe('suspect L7OK/200 slow: answers late');
    const { sinceMs } = state;
    for (const event of rounds(100, 10_000)) {
      state = judge(state, event, options);
      expect([shown(state), state.sinceMs]).toEqual(['suspect L7OK/200 slow: answers late', sinceMs]);
    }
  });

  test('one late answer alone is ready again at once', () => {
    expect(after(probed(1, ok), ...rounds(1, 2_000)).verdict).toBe('ready');
    const spaced = [...rounds(1, 2_000), probed(4_000, ok), probed(6_000, ok), ...rounds(1, 8_000)];
    expect(after(probed(1, ok), ...spaced).verdict).toBe('ready');
  });

  test('is ready after two prompt answers, not after one', () => {
    const once = after(probed(1, ok), ...rounds(5, 2_000), probed(20_000, ok));
    expect(once.verdict).toBe('suspect');
    expect(judge(once, probed(22_000, ok), options).verdict).toBe('ready');
  });

  test('is dead like any other when it falls silent', () => {
    const slow = after(probed(1, ok), ...rounds(5, 2_000));
    const silent = [suspected(20_000), probed(21_000, silentTcp)];
    expect(silent.reduce((state, event) => judge(state, event, options), slow).verdict).toBe('dead');
  });
});
