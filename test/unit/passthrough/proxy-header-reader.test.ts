import { maxProxyHeaderBytes, proxyHeader } from '../../../src/model/proxy-header.ts';
import type { Connection } from '../../../src/passthrough/socket/connection.ts';
import { MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';
import {
  ProxyHeaderReader,
  proxyHeaderTimeoutMs,
} from '../../../src/passthrough/connect/proxy-header-reader.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

const connection = {} as Connection;
const header = proxyHeader({
  source: { host: '192.0.2.1', port: 1 },
  destination: { host: '192.0.2.2', port: 2 },
});

function proxyHeaderReader(memory = new MemoryLedger()) {
  const clock = new FakeClock();
  const said: string[] = [];
  const subject = new ProxyHeaderReader(
    clock,
    {
      proxyHeaderRead: (connection, rest) => {
        said.push(`announced ${connection?.source.host} ${rest.toString()}`);
        return rest.length === 0;
      },
      proxyHeaderFailed: (why) => said.push(`failed: ${why}`),
      proxyHeaderLost: () => said.push('lost'),
    },
    memory,
  );
  return { clock, said, subject, memory };
}

test('a client that says nothing is given up after its time, and not before', async () => {
  const { clock, said } = proxyHeaderReader();
  await clock.advance(proxyHeaderTimeoutMs - 1);
  expect(said).toEqual([]);
  await clock.advance(2);
  expect(said).toEqual(['failed: no PROXY header in time']);
});

test('bytes that drip in do not buy more time', async () => {
  const { clock, said, subject } = proxyHeaderReader();
  for (const byte of header.subarray(0, -1)) {
    subject.connectionRead(connection, Buffer.from([byte]), 1);
    await clock.advance(Math.ceil(proxyHeaderTimeoutMs / 20));
  }
  expect(said).toEqual(['failed: no PROXY header in time']);
});

test('what follows the header is handed on, with the word whether to read on', async () => {
  const { clock, said, subject } = proxyHeaderReader();
  const bytes = Buffer.concat([header, Buffer.from('hello'), Buffer.from('old bytes of the buffer')]);
  expect(subject.connectionRead(connection, bytes, header.length + 5)).toBe(false);
  expect(said).toEqual(['announced 192.0.2.1 hello']);
  // A timer for each client would be held for its whole time.
  expect(clock.pendingTimers).toBe(0);
  await clock.advance(proxyHeaderTimeoutMs * 2);
  subject.connectionFailed();
  subject.connectionClosed();
  expect(said).toHaveLength(1);
});

test('a header that does not end is bad before it fills memory', () => {
  const { said, subject } = proxyHeaderReader();
  const endless = Buffer.from(header);
  endless.writeUInt16BE(maxProxyHeaderBytes - 16, 14);
  subject.connectionRead(connection, endless, endless.length);
  expect(said).toEqual([]);
  const more = Buffer.from(header);
  more.writeUInt16BE(maxProxyHeaderBytes, 14);
  const other = proxyHeaderReader();
  other.subject.connectionRead(connection, more, more.length);
  expect(other.said).toEqual([expect.stringContaining('failed: a PROXY header larger than')]);
});

test.each([
  ['ends', 'connectionEnded', 'failed: the client ended before its PROXY header'],
  ['breaks', 'connectionFailed', 'lost'],
  ['has gone', 'connectionClosed', 'lost'],
] as const)('a client that %s is over, once', async (_, event, wanted) => {
  const { clock, said, subject } = proxyHeaderReader();
  subject[event]();
  subject.connectionClosed();
  await clock.advance(proxyHeaderTimeoutMs * 2);
  expect(said).toEqual([wanted]);
});

test('after an abort nobody is told anything', async () => {
  const { clock, said, subject } = proxyHeaderReader();
  subject.abort();
  subject.connectionRead(connection, header, header.length);
  subject.connectionClosed();
  await clock.advance(proxyHeaderTimeoutMs * 2);
  expect(said).toEqual([]);
});
