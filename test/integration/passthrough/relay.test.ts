// The tunnel on real sockets: bytes, half-close, resets, slow readers, and nothing left behind.
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  collect,
  type DataPath,
  echo,
  startDataPath,
  TestEndpoint,
  overBothKindsOfConnections,
} from '../../support/agent/data-path.ts';
import { eventually } from '../../support/jest/eventually.ts';

overBothKindsOfConnections(() => {
  let path: DataPath;
  let endpoint: TestEndpoint;

  async function start(onConnection: (socket: Socket) => void): Promise<void> {
    endpoint = await TestEndpoint.start(onConnection);
    path = await startDataPath([endpoint.endpoint]);
  }

  afterEach(async () => {
    await path.stop();
    await endpoint.stop();
  });

  /** Writes `total` bytes from one block at the reader's pace; returns the hash of all. */
  async function send(socket: Socket, total: number): Promise<string> {
    const hash = createHash('sha256');
    const block = randomBytes(1_000_003);
    for (let sent = 0; sent < total; ) {
      const chunk = block.subarray(0, Math.min(block.length, total - sent));
      hash.update(chunk);
      sent += chunk.length;
      if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
    }
    socket.end();
    return hash.digest('hex');
  }

  /** Not `for await`, which destroys the socket at the end and with it the other direction. */
  function receive(socket: Socket): Promise<{ bytes: number; hash: string }> {
    const hash = createHash('sha256');
    let bytes = 0;
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('data', (chunk: Buffer) => {
        hash.update(chunk);
        bytes += chunk.length;
      });
      socket.resume(); // it may have been paused
      socket.on('end', () => resolve({ bytes, hash: hash.digest('hex') }));
    });
  }

  test('100 MB each way at once arrive intact', async () => {
    const total = 100_000_000;
    const atEndpoint = Promise.withResolvers<{ got: { bytes: number; hash: string }; sent: string }>();
    await start((socket) => {
      Promise.all([receive(socket), send(socket, total)]).then(
        ([got, sent]) => atEndpoint.resolve({ got, sent }),
        atEndpoint.reject,
      );
    });
    const client = await path.client();
    const [got, sent] = await Promise.all([receive(client), send(client, total)]);
    const other = await atEndpoint.promise;
    expect(got).toEqual({ bytes: total, hash: other.sent });
    expect(other.got).toEqual({ bytes: total, hash: sent });
    await eventually('the tunnel is gone', () => path.table.openSockets === 0);
    expect(path.table.traffic(endpoint.endpoint.id)).toMatchObject({ bytesUp: total, bytesDown: total });
  });

  test('single bytes arrive one after the other, in order', async () => {
    await start(echo);
    const client = await path.client();
    const received = collect(client);
    const bytes = randomBytes(3000);
    for (const byte of bytes) {
      client.write(Buffer.of(byte));
      if (byte < 64) await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('all bytes are back', () => received.bytes().length === bytes.length);
    expect(received.bytes().equals(bytes)).toBe(true);
  });

  test('sizes around the buffer limits arrive intact in both directions', async () => {
    await start(echo);
    const client = await path.client();
    const received = collect(client);
    const all: Buffer[] = [];
    for (const size of [1, 4095, 4096, 4097, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 200_000, 1]) {
      const bytes = randomBytes(size);
      all.push(bytes);
      client.write(bytes);
      const expected = Buffer.concat(all);
      await eventually(`${size} bytes are back`, () => received.bytes().length === expected.length);
      expect(received.bytes().equals(expected)).toBe(true);
    }
  });

  test.each(['client', 'endpoint'] as const)('a slow reader at the %s bounds what is held', async (side) => {
    const total = 64_000_000;
    const source = Promise.withResolvers<string>();
    await start((socket) => {
      if (side === 'client') source.resolve(send(socket, total));
      else socket.pause();
    });
    const client = await path.client();
    client.pause();
    client.write('x'); // not TLS: the tunnel is settled at once
    await eventually('the endpoint has the connection', () => endpoint.connections.length === 1);
    const atEndpoint = endpoint.connections[0] as Socket;
    if (side === 'endpoint') source.resolve(send(client, total));
    const reader = side === 'client' ? client : atEndpoint;
    const record = path.table.traffic(endpoint.endpoint.id);
    const moved = () => record.bytesDown + record.bytesUp;
    // The flow stops when the kernel's buffers are full.
    let before = -1;
    let sinceMs = performance.now();
    await eventually('the flow stands still', () => {
      if (moved() !== before) sinceMs = performance.now();
      before = moved();
      return before > 100_000 && performance.now() - sinceMs > 300;
    });
    expect(moved()).toBeLessThan(total);
    for (const connection of path.table.connectionsForTest())
      expect(connection.writableLength).toBeLessThanOrEqual(64 * 1024);
    const { bytes, hash } = await receive(reader);
    expect(bytes).toBe(side === 'client' ? total : total + 1);
    if (side === 'client') expect(hash).toBe(await source.promise);
  });

  test("the client's FIN is passed on and the answer still comes", async () => {
    await start((socket) => {
      const question = collect(socket);
      socket.on('end', () => socket.end(`answer to ${question.bytes()}`));
    });
    const client = await path.client();
    const answer = collect(client);
    client.end('question');
    expect(await answer.ended).toBe('end');
    expect(answer.bytes().toString()).toBe('answer to question');
    await eventually('the tunnel is gone', () => path.table.openSockets === 0);
  });

  test("the endpoint's FIN is passed on and the client can still send", async () => {
    await start((socket) => socket.end('greeting'));
    const client = await path.client();
    const greeting = collect(client);
    expect(await greeting.ended).toBe('end');
    expect(greeting.bytes().toString()).toBe('greeting');
    const atEndpoint = collect(endpoint.connections[0] as Socket);
    client.end('last words');
    expect(await atEndpoint.ended).toBe('end');
    expect(atEndpoint.bytes().toString()).toBe('last words');
  });

  test('a vanished client leaves no upstream socket', async () => {
    await start(echo);
    const client = await path.client();
    const received = collect(client);
    client.write('hello');
    await eventually('the echo is back', () => received.bytes().length === 5);
    const atEndpoint = collect(endpoint.connections[0] as Socket);
    client.resetAndDestroy();
    expect(await atEndpoint.ended).toBe('reset');
    await eventually('no socket is left', () => path.table.openSockets === 0);
    expect(path.table.counters.closed.client).toBe(1);
  });

  test('a reset by the endpoint reaches the client as a reset', async () => {
    await start((socket) => {
      socket.write('hello');
      socket.once('data', () => socket.resetAndDestroy());
    });
    const client = await path.client();
    const received = collect(client);
    await eventually('the greeting is there', () => received.bytes().length === 5);
    client.write('now');
    expect(await received.ended).toBe('reset');
    await eventually('no socket is left', () => path.table.openSockets === 0);
    expect(path.table.counters.closed.endpoint).toBe(1);
  });

  test('400 clients at once each get their own bytes', async () => {
    await start(echo);
    await Promise.all(
      Array.from({ length: 400 }, async () => {
        const client = await path.client();
        const bytes = randomBytes(20_000);
        const received = collect(client);
        client.end(bytes);
        expect(await received.ended).toBe('end');
        expect(received.bytes().equals(bytes)).toBe(true);
      }),
    );
    await eventually('no socket is left', () => path.table.openSockets === 0);
    expect(path.table.tunnelCount).toBe(0);
    expect(path.table.traffic(endpoint.endpoint.id)).toMatchObject({ activeTunnels: 0, totalTunnels: 400 });
  });
});
