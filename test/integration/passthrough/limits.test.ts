// What happens at the limits: which tunnel goes for a new client, whether clients that have gone are noticed, and what is held
// for those that do not read.
import type { Socket } from 'node:net';
import { ProcessLoad } from '../../../src/passthrough/process-load.ts';
import { heldLimits, MemoryLedger } from '../../../src/passthrough/socket/memory-ledger.ts';
import { AcceptPolicy } from '../../../src/passthrough/tunnel/accept-policy.ts';
import {
  type DataPath,
  echo,
  overBothKindsOfConnections,
  startDataPath,
  TestEndpoint,
} from '../../support/agent/data-path.ts';
import { clientHello } from '../../support/clients/client-hello.ts';
import { eventually } from '../../support/jest/eventually.ts';

overBothKindsOfConnections(() => {
  let path: DataPath;
  let endpoint: TestEndpoint;

  async function start(
    onConnection: (socket: Socket) => void,
    options: NonNullable<Parameters<typeof startDataPath>[1]> = {},
  ): Promise<void> {
    endpoint = await TestEndpoint.start(onConnection);
    path = await startDataPath([endpoint.endpoint], options);
  }

  afterEach(async () => {
    await path.stop();
    await endpoint.stop();
  });

  async function client(): Promise<Socket> {
    const before = path.table.counters.accepted;
    const socket = await path.client();
    socket.resume();
    await eventually('it is accepted', () => path.table.counters.accepted > before);
    return socket;
  }

  /** A client that has had an answer. */
  async function served(): Promise<Socket> {
    const socket = await client();
    socket.write('x');
    await eventually('it is answered', () => socket.bytesRead > 0);
    return socket;
  }

  test.each([
    ['the process', () => ({ options: { maxTunnels: 3 } })],
    ['the listener', () => ({ policy: new AcceptPolicy({ maxTunnels: 3 }) })],
  ])('at the limit of %s the oldest silent client goes, never one that was answered', async (_, limits) => {
    await start(echo, limits());
    const answered = await served();
    const silent = [await client(), await client()];
    const next = await served();
    await eventually('the oldest silent one has gone', () => silent[0]?.closed === true);
    expect([answered.closed, silent[1]?.closed, next.closed]).toEqual([false, false, false]);
    const last = await served();
    await eventually('then the other', () => silent[1]?.closed === true);
    expect([answered.closed, next.closed, last.closed]).toEqual([false, false, false]);
    expect(path.table.counters.closed).toMatchObject({ evicted: 2, limit: 0 });
    // Nobody is left who could go.
    await path.client().catch(() => {});
    await eventually('one more is refused', () => path.table.counters.closed.limit > 0);
    expect(path.table.counters.closed).toMatchObject({ evicted: 2, limit: 1 });
    expect(path.table.tunnelCount).toBe(3);
  });

  test('where all clients have sent something, the oldest without an answer goes', async () => {
    await start(() => {}, { options: { maxTunnels: 2 } });
    const [one, other] = [await client(), await client()];
    for (const socket of [one, other]) socket.write(clientHello().subarray(0, 20));
    await eventually('both have arrived', () => path.table.list().every(({ bytesUp }) => bytesUp > 0));
    await client();
    await eventually('the oldest has gone', () => one.closed);
    expect(other.closed).toBe(false);
  });

  test('a client that resets while its endpoint does not read is noticed', async () => {
    await start((socket) => socket.pause());
    const clients = await Promise.all(Array.from({ length: 10 }, () => client()));
    // More than the buffers of all sockets on the way take.
    for (const socket of clients) socket.write(Buffer.alloc(16 * 1024 * 1024));
    await eventually('all have stalled', () => path.load.memory.totalBytes >= 10 * 65_536, 20_000);
    for (const socket of clients.slice(1)) socket.resetAndDestroy();
    await eventually('they have gone', () => path.table.tunnelCount === 1, 20_000);
    expect(path.table.counters.closed.client).toBe(9);
    expect(path.load.memory.totalBytes).toBe(65_536);
  });

  test('above the bound of memory the tunnel that stalled first goes, and others are served', async () => {
    await start(
      (socket) => {
        socket.once('data', (chunk) => {
          if (chunk[0] === 0) {
            socket.pause();
            return;
          }
          socket.write(chunk);
          echo(socket);
        });
      },
      { load: new ProcessLoad(new MemoryLedger({ ...heldLimits, readBuffers: 4 * 65_536 })) },
    );
    const stalled: Socket[] = [];
    for (let index = 0; index < 6; index += 1) {
      const socket = await client();
      stalled.push(socket);
      const held = path.load.memory.totalBytes;
      socket.write(Buffer.alloc(16 * 1024 * 1024));
      const isHeld = () => path.load.memory.totalBytes > held || path.table.counters.closed.evicted > 0;
      await eventually('it has stalled', isHeld, 20_000);
    }
    await eventually('two have gone', () => path.table.counters.closed.evicted === 2, 20_000);
    await eventually('their clients know', () => stalled[0]?.closed && stalled[1]?.closed);
    expect(stalled.slice(2).some(({ closed }) => closed)).toBe(false);
    expect(path.load.memory.totalBytes).toBeLessThanOrEqual(4 * 65_536);
    const other = await client();
    other.write('question');
    await eventually('another is answered', () => other.bytesRead === 8);
  });
});
