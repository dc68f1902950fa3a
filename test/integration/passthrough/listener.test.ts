// What a listener says when it cannot have its address, and what happens when descriptors run out.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../src/model/clock.ts';
import { TunnelTable } from '../../../src/passthrough/tunnel-table.ts';
import { startPassthroughListener } from '../../../src/passthrough/listener.ts';
import {
  collect,
  echo,
  RecordedOutcomes,
  startDataPath,
  TestEndpoint,
  overBothKindsOfConnections,
  presentKindOfConnections,
} from '../../support/agent/data-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { defaultPassthroughOptions } from '../../support/agent/default-options.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

overBothKindsOfConnections(() => {
  function parts() {
    const log = recordingLog();
    const outcomes = new RecordedOutcomes();
    const options = defaultPassthroughOptions();
    const table = new TunnelTable({ clock: systemClock, random: Math.random, log, outcomes, options });
    return { table, picker: () => ({ candidates: [], usableCount: 0 }) };
  }

  test('a port in use is a coded error that names the address and the fix', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const failed = startPassthroughListener({ ...parts(), listen: { host: '127.0.0.1', port } });
    await expect(failed).rejects.toMatchObject({
      code: 'LISTEN_IN_USE',
      message: expect.stringContaining(`127.0.0.1:${port} is already in use`),
    });
    other.close();
  });

  test('an address that the host lacks is a coded error', async () => {
    const listen = { host: '192.0.2.1', port: 0 };
    await expect(startPassthroughListener({ ...parts(), listen })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining('192.0.2.1:0: this host has no such address'),
    });
  });

  test('an optional listener is left out where its address does not exist', async () => {
    const listen = { host: '2001:db8::1', port: 0 };
    expect(await startPassthroughListener({ ...parts(), listen, optional: true })).toBeUndefined();
  });

  test('an optional listener whose port is taken is still an error', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const listen = { host: '127.0.0.1', port };
    await expect(startPassthroughListener({ ...parts(), listen, optional: true })).rejects.toMatchObject({
      code: 'LISTEN_IN_USE',
    });
    other.close();
  });

  test('two processes of one user can share a port when told to', async () => {
    const first = await startPassthroughListener({
      ...parts(),
      listen: { host: '127.0.0.1', port: 0 },
      reusePort: true,
    });
    if (first === undefined) throw new Error('left out');
    const again = { ...parts(), listen: first.address, reusePort: true };
    const second = await startPassthroughListener(again);
    expect(second?.address).toEqual(first.address);
    await first.stopAccepting();
    await second?.stopAccepting();
  });

  test('IPv6 works where the host has it', async () => {
    const endpoint = await TestEndpoint.start(echo, { host: '::1' }).catch(() => undefined);
    if (endpoint === undefined) return; // no IPv6 here
    const { table } = parts();
    const picker = () => ({ candidates: [endpoint.endpoint], usableCount: 1 });
    const listener = await startPassthroughListener({ table, picker, listen: { host: '::1', port: 0 } });
    if (listener === undefined) throw new Error('left out');
    const client = connect(listener.address);
    const received = collect(client);
    client.end('hello');
    expect(await received.ended).toBe('end');
    expect(received.bytes().toString()).toBe('hello');
    client.destroy();
    await listener.stopAccepting();
    await table.closeAll(0);
    await endpoint.stop();
  });

  test('sockets of an ordinary server work as well, should raw handles not be there', async () => {
    const endpoint = await TestEndpoint.start(echo);
    const { table } = parts();
    const picker = () => ({ candidates: [endpoint.endpoint], usableCount: 1 });
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      table.accept(socket, { picker, replayNonTls: false }),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect(server.address() as { port: number });
    const received = collect(client);
    const bytes = Buffer.alloc(3_000_000, 'fairlead');
    client.end(bytes);
    expect(await received.ended).toBe('end');
    expect(received.bytes().equals(bytes)).toBe(true);
    client.destroy();
    server.close();
    await table.closeAll(0);
    expect(table.openSockets).toBe(0);
    await endpoint.stop();
  });

  test('both connections of a tunnel that has lived for a second have keepalive', async () => {
    const endpoint = await TestEndpoint.start(echo);
    const path = await startDataPath([endpoint.endpoint]);
    const client = await path.client();
    const received = collect(client);
    client.write('hello');
    await eventually('the echo is back', () => received.bytes().length === 5);
    // /proc/net/tcp: timer 02 is keepalive; the local address comes first.
    const { readFile } = await import('node:fs/promises');
    const port = (value: number | undefined) => (value ?? 0).toString(16).toUpperCase().padStart(4, '0');
    const upstreamPort = port(endpoint.connections[0]?.remotePort);
    const connections = [
      [port(path.listener.address.port), port(client.localPort)],
      [upstreamPort, port(endpoint.endpoint.port)],
    ];
    let table = '';
    const hasKeepAlive = ([local, remote]: string[]) =>
      new RegExp(`:${local} [0-9A-F]{8}:${remote} 01 \\S+ 02:`).test(table);
    let reading: Promise<void> | undefined;
    await eventually('both have a keepalive timer', () => {
      reading ??= readFile('/proc/net/tcp', 'utf8').then((text) => {
        table = text;
        reading = undefined;
      });
      return connections.every(hasKeepAlive);
    });
    await reading;
    await path.stop();
    await endpoint.stop();
  });

  test('descriptors that run out cost clients their connection, and nothing else', async () => {
    const endpoint = await TestEndpoint.start(echo);
    const script = fileURLToPath(new URL('../../support/agent/data-path-process.ts', import.meta.url));
    // Room for the runtime and a handful of tunnels; the table's own limit is out of the way on purpose.
    const child: ChildProcess = spawn(
      'sh',
      [
        '-c',
        'ulimit -n 60; exec "$0" "$@"',
        process.execPath,
        script,
        String(endpoint.endpoint.port),
        presentKindOfConnections(),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const lines: string[] = [];
    child.stdout?.on('data', (chunk: Buffer) => lines.push(...chunk.toString().split('\n').filter(Boolean)));
    const clients: Socket[] = [];
    try {
      const port = await eventually('the child listens', () => Number(lines[0]) || undefined);
      const greet = async () => {
        const client = new Socket();
        clients.push(client);
        const received = collect(client);
        client.connect(port, '127.0.0.1');
        client.write('hello');
        let ending = '';
        void received.ended.then((how) => {
          ending = how;
        });
        await eventually('an echo or an end', () => ending !== '' || received.bytes().length === 5);
        return { client, isServed: received.bytes().length === 5 };
      };
      const greeted = await Promise.all(Array.from({ length: 60 }, greet));
      const served = greeted.filter(({ isServed }) => isServed);
      expect(served.length).toBeGreaterThan(0);
      expect(served.length).toBeLessThan(60);
      // The tunnels that were there are not harmed, and when they leave new ones come.
      for (const { client } of served) {
        const echoed = once(client, 'data');
        client.write('again');
        await echoed;
        client.destroy();
      }
      await eventually('the child has room again', () => endpoint.open.length === 0);
      expect((await greet()).isServed).toBe(true);
    } finally {
      for (const client of clients) client.destroy();
      child.stdin?.end();
    }
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
    expect(JSON.parse(lines.at(-1) ?? '{}')).toEqual({ blamed: 0, openSockets: 0 });
    await endpoint.stop();
  }, 60_000);
});
