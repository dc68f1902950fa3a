// Dials and first flights on real sockets: what the kernel does must mean what the unit tests assume.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createServer as createTlsServer, connect as connectTls } from 'node:tls';
import { clientHello } from '../../support/clients/client-hello.ts';
import {
  collect,
  type DataPath,
  echo,
  refusingEndpoint,
  startDataPath,
  TestEndpoint,
  overBothKindsOfConnections,
} from '../../support/agent/data-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { makeCa } from '../../support/credentials/pki.ts';

overBothKindsOfConnections(() => {
  const hello = clientHello();
  let path: DataPath;
  const endpoints: TestEndpoint[] = [];

  async function endpoint(onConnection: (socket: Socket) => void): Promise<TestEndpoint> {
    const started = await TestEndpoint.start(onConnection);
    endpoints.push(started);
    return started;
  }

  /** Answers with its name once it has a whole hello. */
  function answering(name: string): Promise<TestEndpoint> {
    return endpoint((socket) => {
      let bytes = 0;
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes === hello.length) socket.write(name);
      });
    });
  }

  const silent = () =>
    endpoint((socket) => {
      socket.resume();
      socket.on('end', () => socket.end());
    });

  afterEach(async () => {
    await path.stop();
    for (const started of endpoints.splice(0)) await started.stop();
  });

  test('a refused endpoint is passed over before the client notices', async () => {
    const refusing = await refusingEndpoint();
    const good = await answering('good');
    path = await startDataPath([refusing, good.endpoint]);
    const client = await path.client();
    const received = collect(client);
    client.write(hello);
    await eventually('the answer is there', () => received.bytes().toString() === 'good');
    expect(path.outcomes.lines).toEqual([
      `dialed ${refusing.id} refused`,
      `dialed ${good.endpoint.id} connected`,
    ]);
  });

  test('when all refuse the client is reset, and nothing is left', async () => {
    path = await startDataPath([await refusingEndpoint(), await refusingEndpoint()]);
    const startMs = performance.now();
    const client = await path.client();
    const received = collect(client);
    client.write(hello);
    expect(await received.ended).toBe('reset');
    expect(performance.now() - startMs).toBeGreaterThan(1_000); // it was tried for a while
    await eventually('no socket is left', () => path.table.openSockets === 0);
  });

  test('an endpoint that starts listening while a client waits gets it', async () => {
    const late = await refusingEndpoint();
    path = await startDataPath([late]);
    const client = await path.client();
    const received = collect(client);
    client.write('hello');
    await eventually('it was refused', () => path.outcomes.lines.length > 0);
    endpoints.push(await TestEndpoint.start(echo, { port: late.port }));
    await eventually('the echo is there', () => received.bytes().toString() === 'hello');
  });

  test('a frozen endpoint costs about a second, and both get the same flight', async () => {
    const atFrozen: Buffer[] = [];
    const frozen = await endpoint((socket) => socket.on('data', (chunk: Buffer) => atFrozen.push(chunk)));
    const good = await answering('good');
    path = await startDataPath([frozen.endpoint, good.endpoint]);
    const client = await path.client();
    const received = collect(client);
    client.write(hello);
    await eventually('the answer is there', () => received.bytes().toString() === 'good');
    expect(Buffer.concat(atFrozen)).toEqual(hello);
    expect(path.outcomes.lines).toContain(`silent ${frozen.endpoint.id}`);
    expect(path.outcomes.lines).toContain(`unanswered ${frozen.endpoint.id}`);
    expect(path.table.counters.replays).toBe(1);
    await eventually('the loser is closed', () => frozen.open.length === 0);
    expect(path.table.traffic(frozen.endpoint.id).activeTunnels).toBe(0);
    expect(path.table.traffic(good.endpoint.id).activeTunnels).toBe(1);
  });

  test.each(['end', 'resetAndDestroy'] as const)(
    'an endpoint that answers a flight with %s is passed over',
    async (how) => {
      const closing = await endpoint((socket) => socket.once('data', () => socket[how]()));
      const good = await answering('good');
      path = await startDataPath([closing.endpoint, good.endpoint]);
      const client = await path.client();
      const received = collect(client);
      client.write(hello);
      await eventually('the answer is there', () => received.bytes().toString() === 'good');
      expect(path.table.counters.movedOn).toBe(1);
    },
  );

  test('a real TLS client reaches the second endpoint through a frozen first', async () => {
    const ca = await makeCa();
    const leaf = await ca.issue({ commonName: 'kube-apiserver', sans: ['127.0.0.1'] });
    const server = createTlsServer({ ...leaf, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) =>
      socket.end('secret'),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const frozen = await silent();
    const { port } = server.address() as { port: number };
    const good = { id: `127.0.0.1:${port}`, host: '127.0.0.1', port };
    path = await startDataPath([frozen.endpoint, good]);
    const client = connectTls({ ...path.listener.address, ca: ca.cert, ALPNProtocols: ['h2'] });
    const chunks: Buffer[] = [];
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(client, 'end');
    expect(Buffer.concat(chunks).toString()).toBe('secret');
    expect(client.alpnProtocol).toBe('h2');
    expect(path.table.counters.replays).toBe(1);
    client.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test('a burst of clients at the moment of a freeze all get through when the endpoint is judged dead', async () => {
    const frozen = await silent();
    const good = await answering('good');
    path = await startDataPath([frozen.endpoint, good.endpoint]);
    const received = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const client = await path.client();
        client.write(hello);
        return collect(client);
      }),
    );
    await eventually(
      'all have sent',
      () => path.table.traffic(frozen.endpoint.id).bytesUp >= 200 * hello.length,
    );
    expect(path.table.resetEndpoint(frozen.endpoint.id)).toBe(0); // nobody was reset, all were moved
    await eventually('all are answered', () => received.every(({ bytes }) => bytes().toString() === 'good'));
    expect(path.table.traffic(frozen.endpoint.id).activeTunnels).toBe(0);
  });

  test('an endpoint judged dead resets its settled tunnels', async () => {
    const good = await endpoint(echo);
    path = await startDataPath([good.endpoint]);
    const client = await path.client();
    const received = collect(client);
    client.write('hello');
    await eventually('the echo is back', () => received.bytes().length === 5);
    const atEndpoint = collect(good.connections[0] as Socket);
    expect(path.table.resetEndpoint(good.endpoint.id)).toBe(1);
    expect(await received.ended).toBe('reset');
    expect(await atEndpoint.ended).toBe('reset');
    expect(path.table.counters.closed.dead).toBe(1);
  });

  test('a client that leaves while it connects leaves nothing behind', async () => {
    const frozen = await silent();
    path = await startDataPath([frozen.endpoint]);
    const client = await path.client();
    client.write(hello);
    await eventually('the flight has arrived', () => path.table.traffic(frozen.endpoint.id).bytesUp > 0);
    client.resetAndDestroy();
    await eventually('no socket is left', () => path.table.openSockets === 0);
    await eventually('the endpoint has lost its connection', () => frozen.open.length === 0);
  });

  test('a silent answer in a settled tunnel asks for a probe, once for each time the client speaks', async () => {
    const good = await endpoint((socket) => socket.once('data', () => socket.write('first')));
    path = await startDataPath([good.endpoint]);
    const line = `silent ${good.endpoint.id}`;
    const reports = () => path.outcomes.lines.filter((each) => each === line).length;
    const client = await path.client();
    const received = collect(client);
    client.write('one');
    await eventually('the first answer is there', () => received.bytes().length === 5);
    client.write('two');
    await eventually('the silence is reported', () => reports() === 1);
    expect(path.table.unansweredFor(good.endpoint.id, 400)).toBe(1);
    expect(path.table.unansweredFor(good.endpoint.id, 60_000)).toBe(0);
    client.write('three');
    await eventually('it is reported again', () => reports() === 2);
    expect(path.table.resetUnanswered(good.endpoint.id, 400)).toBe(1);
    expect(await received.ended).toBe('reset');
  });

  test('dials that lead to our own listener are refused, by address and by wildcard', async () => {
    const good = await endpoint(echo);
    path = await startDataPath([]);
    path.candidates = [
      { ...path.listener.address, id: `127.0.0.1:${path.listener.address.port}` },
      good.endpoint,
    ];
    const client = await path.client();
    const received = collect(client);
    client.write('hello');
    await eventually('the echo is there', () => received.bytes().length === 5);
    expect(path.table.counters.closed.loop).toBe(1);
    expect(path.table.counters.accepted).toBe(1);
    expect(path.logLines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'endpoint points back to this agent: not used' }),
    );
  });
});
