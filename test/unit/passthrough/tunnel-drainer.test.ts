import { TunnelDrainer } from '../../../src/passthrough/tunnel/tunnel-drainer.ts';
import type { Tunnel, TunnelRecord } from '../../../src/passthrough/tunnel/tunnel.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

function make() {
  const clock = new FakeClock();
  const draining = new TunnelDrainer(
    clock,
    () => 0.5,
    () => 0,
  );
  const closed: string[] = [];
  const record = (): TunnelRecord => ({ tunnels: new Set() }) as unknown as TunnelRecord;
  const tunnel = (name: string, at: TunnelRecord): Tunnel => {
    const made = {
      drainFromMs: Number.POSITIVE_INFINITY,
      drainAtMs: Number.POSITIVE_INFINITY,
      record: at,
      connector: undefined,
      isQuiet: () => false,
      close: (reason: string) => closed.push(`${name} ${reason}`),
    } as unknown as Tunnel;
    at.tunnels.add(made);
    return made;
  };
  const move = (moved: Tunnel, to: TunnelRecord) => {
    moved.record?.tunnels.delete(moved);
    moved.record = to;
    to.tunnels.add(moved);
  };
  return { clock, draining, closed, record, tunnel, move };
}

test('a tunnel is closed by the end of its part of the window', async () => {
  const { clock, draining, closed, record, tunnel } = make();
  const a = record();
  tunnel('one', a);
  draining.start(a, 1_000);
  await clock.advance(700);
  expect(closed).toEqual([]);
  await clock.advance(200);
  expect(closed).toEqual(['one drain']);
  expect(clock.pendingTimers).toBe(0);
});

test('a tunnel that moved to another endpoint while it opened is left alone there', async () => {
  const { clock, draining, closed, record, tunnel, move } = make();
  const [a, b] = [record(), record()];
  const moved = tunnel('one', a);
  draining.start(a, 1_000);
  move(moved, b);
  await clock.advance(2_000);
  expect(closed).toEqual([]);
  expect(moved.drainAtMs).toBe(Number.POSITIVE_INFINITY);
});

test('it keeps the times of the other endpoint where that drains too', async () => {
  const { clock, draining, closed, record, tunnel, move } = make();
  const [a, b] = [record(), record()];
  const moved = tunnel('one', a);
  draining.start(a, 1_000);
  move(moved, b);
  draining.start(b, 4_000);
  await clock.advance(2_500);
  expect(closed).toEqual([]);
  await clock.advance(1_000);
  expect(closed).toEqual(['one drain']);
});

test('while it still opens it moves on instead, and only from the endpoint that drains', async () => {
  const { clock, draining, closed, record, tunnel } = make();
  const [a, b] = [record(), record()];
  const left: string[] = [];
  const connector = (name: string, uses: TunnelRecord) => {
    const made = tunnel(name, a);
    made.connector = {
      uses: (asked: TunnelRecord) => asked === uses,
      leaveEndpoint: () => left.push(name) > 0,
    } as never;
  };
  connector('here', a);
  connector('elsewhere', b);
  draining.start(a, 1_000);
  await clock.advance(2_000);
  expect({ left, closed }).toEqual({ left: ['here'], closed: [] });
});
