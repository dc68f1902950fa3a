import { rendezvousOrder } from '../../../src/balance/pick-order.ts';
import { makePicker } from '../../../src/balance/picker.ts';
import { SnapshotPublisher } from '../../../src/balance/snapshot.ts';
import { isOnMemory, makeSnapshot } from '../../../src/balance/snapshot.ts';
import { type HealthState, initialHealth } from '../../../src/health/verdict.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import type { KnownEndpoint, Tier, Verdict } from '../../../src/model/snapshot.ts';

const known = (last: number, tier: Tier = 'discovered'): KnownEndpoint => ({
  ...makeEndpoint(`10.0.0.${last}`, 6443),
  tier,
  sources: ['static'],
});
const health = (verdict: Verdict, extra: Partial<HealthState> = {}): HealthState => ({
  ...initialHealth(0),
  verdict,
  ...extra,
});

function snapshotOf(items: readonly (readonly [KnownEndpoint, HealthState])[], nodeName = 'node-1') {
  const states = new Map(items.map(([endpoint, state]) => [endpoint.id, state]));
  const set = { endpoints: items.map(([endpoint]) => endpoint) };
  return makeSnapshot({ set, state: (id) => states.get(id), nodeName, nowMs: 10_000, wallMs: 1e12 }, 1);
}
const order = (snapshot: ReturnType<typeof snapshotOf>): string[] =>
  snapshot.candidates.map(({ host }) => host);

describe('pick order', () => {
  const ids = Array.from({ length: 5 }, (_, i) => `10.0.0.${i}:6443`);

  test('spreads a fleet evenly over the endpoints', () => {
    const firsts = new Map<string, number>();
    for (let node = 0; node < 5_000; node += 1) {
      const [first = ''] = rendezvousOrder(`node-${node}`, ids);
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    for (const id of ids) expect(Math.abs((firsts.get(id) ?? 0) - 1_000)).toBeLessThan(120);
  });

  test('of a node keeps its sequence when an endpoint goes', () => {
    for (let node = 0; node < 200; node += 1) {
      const all = rendezvousOrder(`node-${node}`, ids);
      for (const gone of ids) {
        const rest = rendezvousOrder(
          `node-${node}`,
          ids.filter((id) => id !== gone),
        );
        expect(rest).toEqual(all.filter((id) => id !== gone));
      }
    }
  });

  test('does not depend on the order in which endpoints were found', () => {
    expect(rendezvousOrder('n', [...ids].reverse())).toEqual(rendezvousOrder('n', ids));
  });
});

describe('an endpoint that should be verified and could not be', () => {
  const verified = health('ready', { isVerified: true });
  const unverified = health('ready', { isUnverified: true });

  test('goes after every one that is verified, of whatever tier, and stays usable', () => {
    for (let node = 0; node < 20; node += 1) {
      const snapshot = snapshotOf(
        [
          [known(1), unverified],
          [known(2), verified],
          [known(3, 'seed'), verified],
          [known(4, 'seed'), unverified],
          [known(5), health('unready')],
        ],
        `node-${node}`,
      );
      expect(order(snapshot)).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.1', '10.0.0.4', '10.0.0.5']);
      expect(snapshot.usableCount).toBe(4);
    }
  });

  test('is used as ever where none is verified: a node must come up', () => {
    const all = [1, 2, 3].map((last) => known(last));
    const before = snapshotOf(all.map((endpoint) => [endpoint, health('ready')]));
    const now = snapshotOf(all.map((endpoint) => [endpoint, unverified]));
    expect(order(now)).toEqual(order(before));
    expect(now.usableCount).toBe(3);
    expect(now.endpoints.every(({ isUnverified }) => isUnverified)).toBe(true);
  });

  test('gets no turn of a policy that shares, while another is verified', () => {
    const publisher = new SnapshotPublisher();
    publisher.publish(() =>
      snapshotOf([
        [known(1), unverified],
        [known(2), verified],
        [known(3), verified],
      ]),
    );
    const traffic = { traffic: () => ({ activeTunnels: 0, totalTunnels: 0, bytesUp: 0, bytesDown: 0 }) };
    for (const policy of ['round-robin', 'least-connections'] as const) {
      const pick = makePicker(policy, publisher, traffic);
      const firsts = new Set(Array.from({ length: 6 }, () => pick().candidates[0]?.host));
      expect(firsts.has('10.0.0.1')).toBe(false);
    }
  });
});

describe('snapshot', () => {
  test('puts the pick of before a restart first, until something is known to be ready', () => {
    const set = { endpoints: [1, 2, 3, 4, 5].map((last) => known(last)) };
    const input = { set, nodeName: 'node-1', nowMs: 0, wallMs: 0 };
    const lastPick = rendezvousOrder(
      'node-1',
      set.endpoints.map(({ id }) => id),
    )[4]!;
    const first = (readyId?: string) =>
      makeSnapshot({ ...input, lastPick, state: (id) => (id === readyId ? health('ready') : undefined) }, 1)
        .candidates[0]?.id;
    expect(first()).toBe(lastPick);
    const other = set.endpoints.find(({ id }) => id !== lastPick)!.id;
    expect(first(other)).toBe(other);
  });

  test('puts ready first, then unknown, then by how much hope is left', () => {
    const snapshot = snapshotOf([
      [known(1), health('dead')],
      [known(2), health('unready', { reason: { code: 'L4CON', text: 'refused' } })],
      [known(3), health('unready', { reason: { code: 'L7STS', status: 500 } })],
      [known(4), health('suspect')],
      [known(5), health('unknown')],
      [known(6), health('ready')],
    ]);
    expect(order(snapshot)).toEqual(['10.0.0.6', '10.0.0.5', '10.0.0.4', '10.0.0.3', '10.0.0.2', '10.0.0.1']);
    expect(snapshot.usableCount).toBe(2);
  });

  test('uses seeds only after every usable discovered endpoint', () => {
    const snapshot = snapshotOf([
      [known(1, 'seed'), health('ready')],
      [known(2), health('unready')],
      [known(3), health('unknown')],
    ]);
    expect(order(snapshot)).toEqual(['10.0.0.3', '10.0.0.1', '10.0.0.2']);
    expect(snapshot.usableCount).toBe(2);
  });

  test('fails open: with nothing usable every endpoint is still a candidate', () => {
    const snapshot = snapshotOf([
      [known(1), health('dead')],
      [known(2), health('unready')],
    ]);
    expect(snapshot.usableCount).toBe(0);
    expect(snapshot.candidates).toHaveLength(2);
  });

  test('holds a flapping endpoint out, but not when it is the only one', () => {
    const flapping = health('ready', { heldUntilMs: 20_000 });
    const two = snapshotOf([
      [known(1), flapping],
      [known(2), health('unknown')],
    ]);
    expect(order(two)).toEqual(['10.0.0.2', '10.0.0.1']);
    expect(two.usableCount).toBe(1);
    const one = snapshotOf([
      [known(1), flapping],
      [known(2), health('dead')],
    ]);
    expect(order(one)).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(one.usableCount).toBe(1);
  });

  test('of no endpoints is empty', () => {
    expect(snapshotOf([])).toMatchObject({ endpoints: [], candidates: [], usableCount: 0 });
  });

  test('is published only when it shows something new', () => {
    const publisher = new SnapshotPublisher();
    const seen: number[] = [];
    publisher.subscribe(({ version }) => seen.push(version));
    const endpoint = known(1);
    for (const verdict of ['unknown', 'ready', 'ready', 'dead'] as const) {
      publisher.publish((version) => ({ ...snapshotOf([[endpoint, health(verdict)]]), version }));
    }
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe('policy', () => {
  const endpoints = [known(1), known(2), known(3)];
  const publisher = new SnapshotPublisher();
  publisher.publish(() =>
    snapshotOf([
      ...endpoints.map((endpoint) => [endpoint, health('ready')] as const),
      [known(9), health('dead')],
      [known(8, 'seed'), health('ready')],
    ]),
  );
  const tunnels = new Map([
    ['10.0.0.1:6443', 5],
    ['10.0.0.2:6443', 1],
    ['10.0.0.3:6443', 3],
  ]);
  const traffic = {
    traffic: (id: string) => ({
      activeTunnels: tunnels.get(id) ?? 0,
      totalTunnels: 0,
      bytesUp: 0,
      bytesDown: 0,
    }),
  };
  const hosts = (pick: () => { candidates: readonly { host: string }[] }): string[] =>
    pick().candidates.map(({ host }) => host);

  test('rendezvous always begins with the node’s own first choice', () => {
    const pick = makePicker('rendezvous', publisher, traffic);
    expect(hosts(pick)).toEqual(hosts(pick));
    expect(pick().usableCount).toBe(4);
  });

  test('least-connections begins with the least loaded; seeds and the dead stay behind', () => {
    const least = hosts(makePicker('least-connections', publisher, traffic));
    expect(least).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.1', '10.0.0.8', '10.0.0.9']);
  });

  test('round-robin gives every endpoint of the best tier its turn', () => {
    const pick = makePicker('round-robin', publisher, traffic);
    const firsts = Array.from({ length: 6 }, () => hosts(pick)[0]);
    for (const { host } of endpoints) expect(firsts.filter((first) => first === host)).toHaveLength(2);
    expect(hosts(pick).slice(3)).toEqual(['10.0.0.8', '10.0.0.9']);
  });
});

describe('remembered endpoints', () => {
  const ready = (verifiedMs: number) => health('ready', { isVerified: true, verifiedMs });
  const status500 = { code: 'L7STS', status: 500 } as const;
  const seen = (items: Parameters<typeof snapshotOf>[0], onMemorySinceMs?: number) => {
    const states = new Map(items.map(([endpoint, state]) => [endpoint.id, state]));
    const set = { endpoints: items.map(([endpoint]) => endpoint) };
    const state = (id: string) => states.get(id);
    const input = { set, state, nodeName: 'node-1', nowMs: 10_000, wallMs: 1e12 };
    const since = isOnMemory(set, state) ? onMemorySinceMs : undefined;
    return makeSnapshot({ ...input, ...(since !== undefined && { onMemorySinceMs: since }) }, 1);
  };
  const memory = known(1, 'remembered');

  test.each(['ready', 'unknown'] as const)('are not tried while a listed one is %s', (verdict) => {
    const snapshot = seen(
      [
        [known(2), health(verdict)],
        [memory, ready(9_000)],
      ],
      8_000,
    );
    expect(order(snapshot)).toEqual(['10.0.0.2']);
    expect(snapshot.usableCount).toBe(1);
    expect(snapshot.endpoints.map(({ endpoint: { host } }) => host)).toEqual(['10.0.0.2', '10.0.0.1']);
  });

  test('are not tried while a seed is ready, nor while a listed one is only held out for flapping', () => {
    expect(
      order(
        seen(
          [
            [known(2, 'seed'), health('ready')],
            [memory, ready(9_000)],
          ],
          8_000,
        ),
      ),
    ).toEqual(['10.0.0.2']);
    const held = seen(
      [
        [known(2), health('ready', { heldUntilMs: 20_000 })],
        [memory, ready(9_000)],
      ],
      8_000,
    );
    expect(order(held)).toEqual(['10.0.0.2']);
    expect(held.usableCount).toBe(1);
  });

  test('are used when nothing else is, once verified after that moment', () => {
    const dead = [known(2), health('dead')] as const;
    expect(order(seen([dead, [memory, ready(7_999)]], 8_000))).toEqual(['10.0.0.2']);
    const snapshot = seen([dead, [memory, ready(8_000)]], 8_000);
    expect(order(snapshot)).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(snapshot.usableCount).toBe(1);
  });

  test('failing open tries those that are verified and not ready, before what is silent', () => {
    const unready = health('unready', { isVerified: true, verifiedMs: 9_000, reason: status500 });
    const snapshot = seen(
      [
        [known(2), health('dead')],
        [memory, unready],
      ],
      8_000,
    );
    expect(snapshot.usableCount).toBe(0);
    expect(order(snapshot)).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  test.each([
    ['was never verified', health('ready', { isVerified: false })],
    ['answers, and not over verified TLS', health('unready', { verifiedMs: 9_000, reason: status500 })],
    [
      'refuses',
      health('unready', { isVerified: true, verifiedMs: 9_000, reason: { code: 'L4CON', text: 'refused' } }),
    ],
    [
      'shows a bad certificate',
      health('unready', { isVerified: true, verifiedMs: 9_000, reason: { code: 'L6RSP' } }),
    ],
    ['is silent', health('dead', { isVerified: true, verifiedMs: 9_000, reason: { code: 'L4TOUT' } })],
    ['has not been checked', health('unknown')],
  ])('failing open excludes one that %s', (_, state) => {
    expect(
      order(
        seen(
          [
            [known(2), health('dead')],
            [memory, state],
          ],
          8_000,
        ),
      ),
    ).toEqual(['10.0.0.2']);
    expect(order(seen([[memory, state]], 8_000))).toEqual([]);
  });

  test('policies choose among them only when nothing else is usable', () => {
    const traffic = { traffic: () => ({ activeTunnels: 0, totalTunnels: 0, bytesUp: 0, bytesDown: 0 }) };
    const others = [known(3, 'remembered'), known(4, 'remembered')].map(
      (one) => [one, ready(9_000)] as const,
    );
    for (const policy of ['rendezvous', 'least-connections', 'round-robin'] as const) {
      const publisher = new SnapshotPublisher();
      publisher.publish(() => seen([[known(2), health('ready')], ...others], 8_000));
      expect(makePicker(policy, publisher, traffic)().candidates.map(({ host }) => host)).toEqual([
        '10.0.0.2',
      ]);
      publisher.publish(() => seen([[known(2), health('dead')], ...others], 8_000));
      const { candidates, usableCount } = makePicker(policy, publisher, traffic)();
      expect(usableCount).toBe(2);
      expect(candidates.at(-1)?.host).toBe('10.0.0.2');
    }
  });
});
