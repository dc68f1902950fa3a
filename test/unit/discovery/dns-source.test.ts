import { dnsSource, inTurns, systemLookup } from '../../../src/discovery/dns-source.ts';
import { addressesIn } from '../../../src/discovery/hosts-lookup.ts';
import type { Proposal } from '../../../src/discovery/source.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

function start(
  answers: Record<string, () => Promise<readonly string[]>>,
  hosts: () => Promise<readonly string[]> = async () => [],
) {
  const clock = new FakeClock();
  const log = recordingLog();
  const asked: string[] = [];
  const askedAtMs: number[] = [];
  const said: Proposal[] = [];
  const source = dnsSource({
    names: Object.keys(answers).map((host) => ({ host, port: 6443 })),
    intervalMs: 30_000,
    clock,
    random: () => 0.5,
    log,
    hosts,
    lookup: (host) => {
      asked.push(host);
      askedAtMs.push(clock.nowMs());
      return answers[host]!();
    },
  });
  source.start((proposal) => said.push(proposal));
  const ids = () => said.at(-1)?.endpoints.map((e) => e.id);
  return { clock, log, asked, askedAtMs, said, source, ids };
}

test('names give the addresses of both families, and keep their name', async () => {
  const { clock, said, ids } = start({ 'cp.example': async () => ['10.0.0.1', 'fd00::1', 'fe80::1%eth0'] });
  await clock.advance(0);
  expect(ids()).toEqual(['10.0.0.1:6443', '[fd00::1]:6443']);
  expect(said[0]).toMatchObject({ source: 'dns', endpoints: [{ name: 'cp.example' }, {}] });
});

test('names are resolved again at the interval', async () => {
  let last = 0;
  const answer = async () => {
    last += 1;
    return [`10.0.0.${last}`];
  };
  const { clock, ids, asked } = start({ 'cp.example': answer });
  await clock.advance(30_000);
  expect(ids()).toEqual(['10.0.0.2:6443']);
  expect(asked).toHaveLength(2);
});

test('a name that fails keeps its last addresses, and says so once', async () => {
  let isUp = true;
  const fail = () => Promise.reject(Object.assign(new Error('x'), { code: 'EAI_AGAIN' }));
  const { clock, log, ids, asked } = start({
    a: () => (isUp ? Promise.resolve(['10.0.0.1']) : fail()),
    b: async () => ['10.0.0.2'],
  });
  await clock.advance(0);
  isUp = false;
  await clock.advance(120_000);
  expect(ids()?.toSorted()).toEqual(['10.0.0.1:6443', '10.0.0.2:6443']);
  expect(log.lines).toMatchObject([{ level: 'warn', fields: { name: 'a', reason: 'EAI_AGAIN' } }]);
  expect(asked.filter((name) => name === 'a').length).toBeGreaterThan(10);
  isUp = true;
  await clock.advance(10_000);
  expect(log.lines.at(-1)).toMatchObject({ level: 'info', message: 'a name resolves again' });
});

test('an empty answer is no answer', async () => {
  const { clock, said, log } = start({ a: async () => [] });
  await clock.advance(0);
  expect(said).toEqual([]);
  expect(log.lines).toHaveLength(1);
});

test('a lookup that hangs is not asked again beside, and does not hold up other names', async () => {
  const { clock, asked, ids } = start({ a: () => new Promise(() => {}), b: async () => ['10.0.0.2'] });
  await clock.advance(300_000);
  expect(asked.filter((name) => name === 'a')).toHaveLength(1);
  expect(ids()).toEqual(['10.0.0.2:6443']);
});

test('nothing is proposed after stop, also by a lookup that was under way', async () => {
  const answer = Promise.withResolvers<readonly string[]>();
  const { clock, said, source } = start({ a: () => answer.promise });
  await source.stop();
  answer.resolve(['10.0.0.1']);
  await clock.advance(100_000);
  expect(said).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('the system resolver knows what /etc/hosts knows', async () => {
  const addresses = await systemLookup('localhost');
  expect(addresses.some((address) => address === '127.0.0.1' || address === '::1')).toBe(true);
});

describe('while no endpoint is usable', () => {
  test('names are resolved at once, then after 2 s growing to 15 s', async () => {
    const { clock, source, askedAtMs } = start({ a: async () => ['10.0.0.1'] });
    await clock.advance(10_000);
    const sinceMs = clock.nowMs();
    source.setUrgent(true);
    await clock.advance(120_000);
    const looks = askedAtMs.filter((at) => at >= sinceMs).map((at) => at - sinceMs);
    expect(looks[0]).toBe(0);
    const gaps = looks.slice(1).map((at, index) => Math.round(at - looks[index]!));
    expect(gaps.slice(0, 3)).toEqual([2_000, 3_000, 4_500]);
    expect(gaps.at(-1)).toBe(15_000);
  });

  test('a control plane that has moved is found within 3 s of the change', async () => {
    let address = '10.0.0.1';
    const { clock, source, ids } = start({ a: async () => [address] });
    await clock.advance(10_000);
    source.setUrgent(true);
    await clock.advance(100);
    address = '10.0.0.2';
    await clock.advance(3_000);
    expect(ids()).toEqual(['10.0.0.2:6443']);
  });

  test('a resolver that fails is asked as often', async () => {
    const { clock, source, askedAtMs } = start({ a: () => Promise.reject(new Error('down')) });
    await clock.advance(9_000);
    const sinceMs = clock.nowMs();
    source.setUrgent(true);
    await clock.advance(4_900);
    expect(askedAtMs.filter((at) => at >= sinceMs)).toHaveLength(2);
  });

  test('afterwards the interval holds again, and one that comes and goes asks no more than every 2 s', async () => {
    const { clock, source, askedAtMs } = start({ a: async () => ['10.0.0.1'] });
    await clock.advance(10_000);
    const sinceMs = clock.nowMs();
    for (let turn = 0; turn < 100; turn += 1) {
      source.setUrgent(true);
      await clock.advance(100);
      source.setUrgent(false);
      await clock.advance(100);
    }
    expect(askedAtMs.filter((at) => at >= sinceMs).length).toBeLessThanOrEqual(11);
    await clock.advance(30_000);
    const calmMs = clock.nowMs();
    await clock.advance(300_000);
    expect(askedAtMs.filter((at) => at > calmMs)).toHaveLength(10);
  });
});

test('while the resolver hangs, the hosts file is read instead', async () => {
  let line = '10.0.0.7';
  const { clock, ids, source } = start({ a: () => new Promise(() => {}) }, async () => [line]);
  await clock.advance(2_500);
  expect(ids()).toEqual(['10.0.0.7:6443']);
  line = '10.0.0.8';
  await clock.advance(2_500);
  expect(ids()).toEqual(['10.0.0.8:6443']);
  await source.stop();
  expect(clock.pendingTimers).toBe(0);
});

test.each([
  ['10.0.0.1 cp.example cp', ['10.0.0.1']],
  ['# 10.0.0.1 cp.example\n\t10.0.0.2\tother CP.Example # cp', ['10.0.0.2']],
  ['10.0.0.1 cp.example\n10.0.0.1 x\nfd00::1 cp.example', ['10.0.0.1', 'fd00::1']],
  ['10.0.0.1 notcp.example\ncp.example', []],
])('of the hosts file %j the name cp.example has %j', (text, addresses) => {
  expect(addressesIn(text, 'cp.example.')).toEqual(addresses);
});

test('a lookup that waits for its turn is left out when it is not wanted any more', async () => {
  const first = Promise.withResolvers<readonly string[]>();
  const asked: string[] = [];
  const ask = inTurns(1, (host) => {
    asked.push(host);
    return first.promise;
  });
  const running = ask('a');
  const waiting = ask('b', () => false);
  first.resolve([]);
  await running;
  await expect(waiting).rejects.toThrow('not wanted');
  expect(asked).toEqual(['a']);
});

test('no more lookups than allowed are with the resolver, and one that fails makes room', async () => {
  const answers = new Map<string, PromiseWithResolvers<readonly string[]>>();
  const ask = inTurns(2, (host) => {
    const answer = Promise.withResolvers<readonly string[]>();
    answers.set(host, answer);
    return answer.promise;
  });
  const all = ['a', 'b', 'c', 'd'].map((host) => ask(host).catch(() => ['failed']));
  await Promise.resolve();
  expect([...answers.keys()]).toEqual(['a', 'b']);
  answers.get('b')?.reject(new Error('x'));
  await all[1];
  expect([...answers.keys()]).toEqual(['a', 'b', 'c']);
  answers.get('c')?.resolve(['10.0.0.3']);
  await all[2];
  for (const host of ['a', 'd']) answers.get(host)?.resolve([]);
  expect(await Promise.all(all)).toEqual([[], ['failed'], ['10.0.0.3'], []]);
});
