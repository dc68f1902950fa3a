import { maxProxyHeaderBytes, proxyHeader } from '../../../src/model/proxy-header.ts';
import type { Leg } from '../../../src/passthrough/socket/connection.ts';
import { ProxyIntro, proxyHeaderTimeoutMs } from '../../../src/passthrough/connect/proxy-header-reader.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const leg = {} as Leg;
const header = proxyHeader({
  source: { host: '192.0.2.1', port: 1 },
  destination: { host: '192.0.2.2', port: 2 },
});

function intro() {
  const clock = new FakeClock();
  const said: string[] = [];
  const subject = new ProxyIntro(clock, {
    introduced: (connection, rest) => {
      said.push(`introduced ${connection?.source.host} ${rest.toString()}`);
      return rest.length === 0;
    },
    introFailed: (why) => said.push(`failed: ${why}`),
    introLost: () => said.push('lost'),
  });
  return { clock, said, subject };
}

test('a client that says nothing is given up after its time, and not before', async () => {
  const { clock, said } = intro();
  await clock.advance(proxyHeaderTimeoutMs - 1);
  expect(said).toEqual([]);
  await clock.advance(2);
  expect(said).toEqual(['failed: no PROXY header in time']);
});

test('bytes that drip in do not buy more time', async () => {
  const { clock, said, subject } = intro();
  for (const byte of header.subarray(0, -1)) {
    subject.legRead(leg, Buffer.from([byte]), 1);
    await clock.advance(Math.ceil(proxyHeaderTimeoutMs / 20));
  }
  expect(said).toEqual(['failed: no PROXY header in time']);
});

test('what follows the header is handed on, with the word whether to read on', async () => {
  const { clock, said, subject } = intro();
  const bytes = Buffer.concat([header, Buffer.from('hello'), Buffer.from('old bytes of the buffer')]);
  expect(subject.legRead(leg, bytes, header.length + 5)).toBe(false);
  expect(said).toEqual(['introduced 192.0.2.1 hello']);
  // A timer for each client would be held for its whole time.
  expect(clock.pendingTimers).toBe(0);
  await clock.advance(proxyHeaderTimeoutMs * 2);
  subject.legFailed();
  subject.legClosed();
  expect(said).toHaveLength(1);
});

test('a header that does not end is bad before it fills memory', () => {
  const { said, subject } = intro();
  const endless = Buffer.from(header);
  endless.writeUInt16BE(maxProxyHeaderBytes - 16, 14);
  subject.legRead(leg, endless, endless.length);
  expect(said).toEqual([]);
  const more = Buffer.from(header);
  more.writeUInt16BE(maxProxyHeaderBytes, 14);
  const other = intro();
  other.subject.legRead(leg, more, more.length);
  expect(other.said).toEqual([expect.stringContaining('failed: a PROXY header of more than')]);
});

test.each([
  ['ends', 'legEnded', 'failed: the client ended before its PROXY header'],
  ['breaks', 'legFailed', 'lost'],
  ['has gone', 'legClosed', 'lost'],
] as const)('a client that %s is over, once', async (_, event, wanted) => {
  const { clock, said, subject } = intro();
  subject[event]();
  subject.legClosed();
  await clock.advance(proxyHeaderTimeoutMs * 2);
  expect(said).toEqual([wanted]);
});

test('after an abort nobody is told anything', async () => {
  const { clock, said, subject } = intro();
  subject.abort();
  subject.legRead(leg, header, header.length);
  subject.legClosed();
  await clock.advance(proxyHeaderTimeoutMs * 2);
  expect(said).toEqual([]);
});
