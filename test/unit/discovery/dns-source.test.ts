import { dnsSource, systemLookup } from '../../../src/discovery/dns-source.ts';
import type { Proposal } from '../../../src/discovery/source.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { recordingLog } from '../../support/recording-log.ts';

function start(answers: Record<string, () => Promise<readonly string[]>>) {
  const clock = new FakeClock();
  const log = recordingLog();
  const asked: string[] = [];
  const said: Proposal[] = [];
  const source = dnsSource({
    names: Object.keys(answers).map((host) => ({ host, port: 6443 })),
    intervalMs: 30_000,
    clock,
    random: () => 0.5,
    log,
    lookup: (host) => {
      asked.push(host);
      return answers[host]!();
    },
  });
  source.start((proposal) => said.push(proposal));
  const ids = () => said.at(-1)?.endpoints.map((e) => e.id);
  return { clock, log, asked, said, source, ids };
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
