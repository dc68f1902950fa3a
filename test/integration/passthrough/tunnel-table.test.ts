// Closing from outside, limits, and stopping, on real sockets.
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

  async function start(
    settings: Parameters<typeof startDataPath>[1] = {},
    onConnection: (socket: Socket) => void = echo,
  ): Promise<string> {
    endpoint = await TestEndpoint.start(onConnection);
    path = await startDataPath([endpoint.endpoint], settings);
    return endpoint.endpoint.id;
  }

  afterEach(async () => {
    await path.stop();
    await endpoint.stop();
  });

  /** A client whose tunnel has carried bytes both ways. */
  async function talking(): Promise<{ client: Socket; received: ReturnType<typeof collect> }> {
    const client = await path.client();
    const received = collect(client);
    client.write('hello');
    await eventually('the echo is back', () => received.bytes().length >= 5);
    return { client, received };
  }

  test('over the limit new clients are reset, counted and logged once', async () => {
    await start({ options: { maxTunnels: 2 } });
    await talking();
    const { client: second } = await talking();
    for (let extra = 0; extra < 3; extra += 1) {
      // The reset may even be there before the connect has been noticed.
      const ended = path.client().then(
        (client) => collect(client).ended,
        (error: NodeJS.ErrnoException) => error.code,
      );
      expect(['reset', 'ECONNRESET']).toContain(await ended);
    }
    expect(path.table.counters.closed.limit).toBe(3);
    expect(path.logLines.filter(({ message }) => message.startsWith('too many clients'))).toHaveLength(1);
    second.destroy();
    await eventually('a place is free', () => path.table.tunnelCount === 1);
    await talking();
  });

  test('a drain closes quiet tunnels with a FIN and leaves later ones alone', async () => {
    const id = await start({ options: { quietMs: 20 } });
    const old = await Promise.all(Array.from({ length: 5 }, talking));
    path.table.drain(id, { windowMs: 400 });
    expect(path.table.isDraining(id)).toBe(true);
    const { received: later } = await talking();
    for (const { received } of old) expect(await received.ended).toBe('end');
    await eventually('the drain is over', () => !path.table.isDraining(id));
    expect(path.table.counters.closed.drain).toBe(5);
    let isOver = false;
    void later.ended.then(() => {
      isOver = true;
    });
    await eventually('only the later one is left', () => path.table.tunnelCount === 1);
    expect(isOver).toBe(false);
  });

  test('a tunnel that is never quiet ends with the window', async () => {
    const id = await start({ options: { quietMs: 60_000 } });
    const { received } = await talking();
    path.table.drain(id, { windowMs: 300 });
    expect(await received.ended).toBe('end');
  });

  test('a drain cuts no byte out of what a slow reader still has coming', async () => {
    // Each endpoint connection sends a pattern of its own, so that another tunnel's bytes would show.
    let number = 0;
    const id = await start({}, (socket) => {
      number += 1;
      const block = Buffer.alloc(65_536, `${number}`);
      const send = () => {
        while (socket.write(block));
        socket.once('drain', send);
      };
      send();
    });
    const slow = await path.client();
    slow.pause();
    slow.write('x');
    const record = path.table.traffic(id);
    await eventually('the slow reader is full', async () => {
      const before = record.bytesDown;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return before > 0 && record.bytesDown === before;
    });
    path.table.drain(id, { windowMs: 0 });
    await eventually('the endpoint has lost its connection', () => endpoint.connections[0]?.closed);
    // Others now read into the buffers that are free.
    const others = await Promise.all(Array.from({ length: 5 }, () => path.client()));
    for (const other of others) {
      other.resume();
      other.write('x');
    }
    await eventually('bulk flows', () => record.bytesDown > 100_000_000);
    const received = collect(slow);
    slow.resume();
    await received.ended;
    const bytes = received.bytes();
    expect(bytes.length).toBeGreaterThan(65_536);
    expect(bytes.equals(Buffer.alloc(bytes.length, '1'))).toBe(true);
  });

  test('a cancelled drain closes nothing more', async () => {
    const id = await start({ options: { quietMs: 0 }, random: () => 0.99 });
    const { client, received } = await talking();
    path.table.drain(id, { windowMs: 400 });
    path.table.cancelDrain(id);
    expect(path.table.isDraining(id)).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 600));
    client.write('again');
    await eventually('the echo is back', () => received.bytes().toString() === 'helloagain');
  });

  test('rebalancing closes the quietest tunnel, and only a quiet one', async () => {
    const id = await start();
    const first = await talking();
    const second = await talking();
    expect(path.table.closeOneQuiet(id, 60_000)).toBe(false);
    first.client.write('again');
    await eventually('the first has spoken last', () => first.received.bytes().length === 10);
    expect(path.table.closeOneQuiet(id, 0)).toBe(true);
    expect(await second.received.ended).toBe('end');
    await eventually('one is left', () => path.table.tunnelCount === 1);
  });

  test('a half-closed tunnel without bytes is reset after its limit', async () => {
    await start({ options: { halfCloseTimeoutMs: 200 } }, (socket) => socket.end('bye'));
    const client = await path.client();
    const received = collect(client);
    expect(await received.ended).toBe('end');
    const atEndpoint = collect(endpoint.connections[0] as Socket);
    expect(await atEndpoint.ended).toBe('reset');
    await eventually('no socket is left', () => path.table.openSockets === 0);
    expect(path.table.counters.closed['half-closed']).toBe(1);
  });

  test('an idle tunnel ends after its limit when there is one', async () => {
    await start({ options: { idleTimeoutMs: 200 } });
    const { received } = await talking();
    expect(await received.ended).toBe('end');
    expect(path.table.counters.closed.idle).toBe(1);
  });

  test('stopping refuses new clients, lets tunnels finish, then resets the rest', async () => {
    await start();
    const finishing = await talking();
    const staying = await talking();
    await path.listener.stopAccepting();
    await path.listener.stopAccepting();
    await expect(path.client()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const stopped = path.table.closeAll(500);
    expect(path.table.closeAll(500)).toBe(stopped);
    finishing.client.end(' and bye');
    expect(await finishing.received.ended).toBe('end');
    expect(finishing.received.bytes().toString()).toBe('hello and bye');
    expect(await staying.received.ended).toBe('reset');
    await stopped;
    expect(path.table.openSockets).toBe(0);
    expect(path.table.counters.closed.stop).toBe(1);
  });

  test('a reset right after a FIN still closes every socket', async () => {
    const id = await start();
    const talkers = await Promise.all(Array.from({ length: 10 }, talking));
    // In the same turn of the loop in which the client's FIN is passed on, and before it is out.
    const ended = path.table.connectionsForTest().map((connection) => {
      connection.end();
      return connection;
    });
    expect(path.table.resetEndpoint(id)).toBe(10);
    await eventually('no socket is left', () => path.table.openSockets === 0);
    for (const connection of ended) expect(connection.destroyed).toBe(true);
    for (const { received } of talkers) expect(['end', 'reset']).toContain(await received.ended);
  });

  test('stopping does not wait for the grace time when nobody is left', async () => {
    await start();
    const { client, received } = await talking();
    client.end();
    await received.ended;
    await path.listener.stopAccepting();
    await path.table.closeAll(3_600_000);
  });

  test('the list tells who is connected where', async () => {
    const id = await start();
    const { client } = await talking();
    expect(path.table.list()).toEqual([
      {
        client: `127.0.0.1:${client.localPort}`,
        endpoint: id,
        phase: 'open',
        isDraining: false,
        ageMs: expect.any(Number),
        idleMs: expect.any(Number),
        bytesUp: 5,
        bytesDown: 5,
      },
    ]);
  });
});
