// PROXY protocol headers in front of connections: to endpoints, from clients, and with HAProxy on the other side.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer as createHttps } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { localProxyHeader, parseProxyHeader, proxyHeader } from '../../../src/model/proxy-header.ts';
import { AcceptPolicy, type AcceptPolicyOptions } from '../../../src/passthrough/tunnel/accept-policy.ts';
import { ProbeConnection, type ProbeTarget } from '../../../src/health/probe.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { freePort } from '../../support/agent/agent-process.ts';
import { clientHello } from '../../support/clients/client-hello.ts';
import {
  collect,
  startDataPath,
  TestEndpoint,
  overBothKindsOfConnections,
} from '../../support/agent/data-path.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { makeCa } from '../../support/credentials/pki.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

overBothKindsOfConnections(() => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  /** An endpoint that answers with what it has got, in hex, a line for each chunk. */
  async function endpoint(onConnection: (socket: Socket) => void) {
    const started = await TestEndpoint.start(onConnection);
    stops.push(() => started.stop());
    return started;
  }

  async function path(
    candidates: readonly ReturnType<typeof makeEndpoint>[],
    policy?: AcceptPolicyOptions,
    more = {},
  ) {
    const started = await startDataPath(candidates, {
      ...more,
      ...(policy && { policy: new AcceptPolicy(policy) }),
    });
    stops.push(() => started.stop());
    return started;
  }

  /** How a connection to `port` fails. */
  function refused(port: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    });
  }

  const keep = (bytes: Buffer[]) => (socket: Socket) => {
    socket.on('data', (chunk: Buffer) => {
      bytes.push(chunk);
      socket.write('ok');
    });
  };

  const loopback = { acceptProxyFrom: ['127.0.0.0/8'] };
  const announced = {
    source: { host: '192.0.2.7', port: 40_000 },
    destination: { host: '198.51.100.1', port: 8_383 },
  };

  test('an endpoint gets the header with the addresses of the client before anything the client says', async () => {
    const got: Buffer[] = [];
    const server = await endpoint(keep(got));
    const { client, listener } = await path([server.endpoint], undefined, { sendProxy: true });
    const socket = await client();
    await eventually('the header is there before the client has said a word', () => got.length > 0);
    socket.write('hello');
    await eventually('the rest is there', () => Buffer.concat(got).length === 28 + 5);
    const all = Buffer.concat(got);
    expect(parseProxyHeader(all)).toEqual({
      kind: 'complete',
      byteCount: 28,
      connection: {
        source: { host: '127.0.0.1', port: socket.localPort },
        destination: listener.address,
      },
    });
    expect(all.subarray(28).toString()).toBe('hello');
  });

  test('a first flight that is sent to a second endpoint has a header of its own there', async () => {
    const [silent, good]: Buffer[][] = [[], []];
    const first = await endpoint((socket) => socket.on('data', (chunk: Buffer) => silent?.push(chunk)));
    const second = await endpoint(keep(good ?? []));
    const { client, table } = await path([first.endpoint, second.endpoint], undefined, {
      sendProxy: true,
      options: { firstFlightTimeoutMs: 50 },
    });
    const socket = await client();
    const hello = clientHello();
    socket.write(hello);
    await eventually('the second one answers', () => socket.bytesRead > 0);
    const [a, b] = [Buffer.concat(silent ?? []), Buffer.concat(good ?? [])];
    expect(a).toEqual(b);
    expect(b.subarray(28)).toEqual(hello);
    // What the header costs is not the client's.
    await eventually('bytes are counted', () => table.list()[0]?.bytesUp === hello.length);
  });

  describe('clients that must say who they are', () => {
    test('are dialled through with what follows their header, wherever it is cut', async () => {
      const got: Buffer[] = [];
      const server = await endpoint(keep(got));
      const { client, table } = await path([server.endpoint], loopback);
      const socket = await client();
      const bytes = Buffer.concat([proxyHeader(announced), Buffer.from('hello')]);
      for (const byte of bytes) {
        socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await eventually('hello arrives', () => Buffer.concat(got).toString() === 'hello');
      expect(table.list()[0]?.client).toBe('192.0.2.7:40000');
    });

    test('are passed on by their own name to an endpoint that wants a header too', async () => {
      const got: Buffer[] = [];
      const server = await endpoint(keep(got));
      const { client } = await path([server.endpoint], loopback, { sendProxy: true });
      const socket = await client();
      socket.write(Buffer.concat([proxyHeader(announced), Buffer.from('x')]));
      await eventually('both are there', () => Buffer.concat(got).length === 29);
      expect(parseProxyHeader(Buffer.concat(got))).toMatchObject({ connection: announced });
    });

    test.each([
      ['another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
      ['a header of version 1', Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n')],
      ['a header without its addresses', Buffer.from('0d0a0d0a000d0a515549540a21110000', 'hex')],
      [
        'a header of 60 KB',
        Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a2111ea60', 'hex'), Buffer.alloc(60_000)]),
      ],
    ])('are reset after %s, and no endpoint hears of it', async (_, bytes) => {
      const server = await endpoint(() => {});
      const { client, table, logLines } = await path([server.endpoint], loopback);
      const socket = await client();
      const { ended } = collect(socket);
      socket.write(bytes);
      expect(await ended).toMatch(/reset/);
      expect(table.counters.closed['proxy-header']).toBe(1);
      expect(server.connections).toHaveLength(0);
      expect(logLines).toContainEqual(
        expect.objectContaining({ message: 'reset a client without a valid PROXY header' }),
      );
    });

    test('who speaks for itself, as a health check does, is let in under its own address', async () => {
      const got: Buffer[] = [];
      const server = await endpoint(keep(got));
      const { client, table } = await path([server.endpoint], { ...loopback, allowFrom: ['10.0.0.0/8'] });
      (await client()).write(Buffer.concat([localProxyHeader, Buffer.from('x')]));
      await eventually('it is there', () => got.length > 0);
      expect(table.list()[0]?.client).toMatch(/^127\.0\.0\.1:/);
    });

    test('networks are asked for the client that the header names', async () => {
      const server = await endpoint(keep([]));
      const policy = { ...loopback, allowFrom: ['192.0.2.0/24'] };
      const { client, table } = await path([server.endpoint], policy);
      const good = await client();
      good.write(Buffer.concat([proxyHeader(announced), Buffer.from('x')]));
      await eventually('the good one is answered', () => good.bytesRead > 0);
      const other = { ...announced, source: { host: '203.0.113.9', port: 1 } };
      const bad = await client();
      const { ended } = collect(bad);
      bad.write(proxyHeader(other));
      expect(await ended).toMatch(/reset/);
      expect(table.counters.closed['not-allowed']).toBe(1);
    });

    test('others, outside these networks, are taken as they are: their bytes are no header', async () => {
      const got: Buffer[] = [];
      const server = await endpoint(keep(got));
      const { client } = await path([server.endpoint], { acceptProxyFrom: ['10.0.0.0/8'] });
      const socket = await client();
      const header = proxyHeader(announced);
      socket.write(header);
      await eventually('it is passed on', () => Buffer.concat(got).length === header.length);
      expect(Buffer.concat(got)).toEqual(header);
    });
  });

  test('clients outside the allowed networks are reset and counted', async () => {
    const server = await endpoint(() => {});
    const { listener, table, logLines } = await path([server.endpoint], {
      allowFrom: ['10.0.0.0/8', 'fd00::/8'],
    });
    expect(await refused(listener.address.port)).toBe('ECONNRESET');
    expect(table.counters.closed['not-allowed']).toBe(1);
    expect(server.connections).toHaveLength(0);
    expect(logLines.at(-1)?.fields).toMatchObject({ client: '127.0.0.1' });
  });

  test('a listener takes as many clients as it may, and another when one has gone', async () => {
    const server = await endpoint(keep([]));
    const { client, listener, table } = await path([server.endpoint], { maxTunnels: 2 });
    const [one, other] = [await client(), await client()];
    for (const socket of [one, other]) {
      socket.write('x');
      await eventually('it is served', () => socket.bytesRead > 0);
    }
    expect(await refused(listener.address.port)).toBe('ECONNRESET');
    expect(table.counters.closed.limit).toBe(1);
    one.resetAndDestroy();
    await eventually('one has gone', () => table.tunnelCount === 1);
    const next = await client();
    next.write('x');
    await eventually('the next one is served', () => next.bytesRead > 0);
  });

  describe('each tunnel has a line at debug', () => {
    test('with client, endpoint, bytes and duration', async () => {
      const server = await endpoint((socket) => socket.on('data', () => socket.end('bye')));
      const { client, logLines, listener } = await path([server.endpoint], undefined, { isDebug: true });
      const socket = await client();
      const { localPort } = socket;
      socket.end('hello');
      await eventually('the line is there', () =>
        logLines.some(({ message }) => message === 'tunnel closed'),
      );
      expect(listener.address.port).toBeGreaterThan(0);
      expect(logLines.find(({ message }) => message === 'tunnel closed')).toEqual({
        level: 'debug',
        message: 'tunnel closed',
        fields: {
          client: `127.0.0.1:${localPort}`,
          endpoint: server.endpoint.id,
          bytesUp: 5,
          bytesDown: 3,
          durationMs: expect.any(Number),
        },
      });
    });

    test('and none above that level', async () => {
      const server = await endpoint((socket) => socket.on('data', () => socket.end('bye')));
      const { client, logLines, table } = await path([server.endpoint]);
      (await client()).end('hello');
      await eventually('it was carried', () => table.traffic(server.endpoint.id).totalTunnels === 1);
      await eventually('it has gone', () => table.tunnelCount === 0);
      expect(logLines).toEqual([]);
    });
  });

  const haproxyPath = ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy', '/usr/bin/haproxy'].find(existsSync);
  const withHaproxy = haproxyPath ? describe : describe.skip;
  if (!haproxyPath) skipLoudly('PROXY protocol with HAProxy', 'haproxy is not installed');

  withHaproxy('with HAProxy', () => {
    const directory = tempDir();
    let haproxy: ChildProcess | undefined;

    async function start(lines: readonly string[]): Promise<void> {
      const file = join(directory, 'haproxy.cfg');
      const times = ['timeout connect 2s', 'timeout client 10s', 'timeout server 10s', 'mode tcp'];
      writeFileSync(file, ['defaults', ...times.map((line) => ` ${line}`), ...lines, ''].join('\n'));
      expect(spawnSync(haproxyPath ?? '', ['-c', '-f', file], { encoding: 'utf8' }).stderr).not.toMatch(
        /ALERT/,
      );
      const child = spawn(haproxyPath ?? '', ['-db', '-f', file], { stdio: 'ignore' });
      haproxy = child;
      const exited = new Promise((resolve) => child.once('exit', resolve));
      stops.push(() => {
        child.kill('SIGKILL');
        return exited;
      });
    }

    async function open(port: number): Promise<Socket> {
      let socket: Socket | undefined;
      await eventually('HAProxy listens', () => {
        const next = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
        return new Promise<boolean>((resolve) => {
          next.once('connect', () => {
            socket = next;
            resolve(true);
          });
          next.once('error', () => resolve(false));
        });
      });
      if (!socket) throw new Error('no socket');
      const connected = socket;
      connected.on('error', () => {});
      stops.push(() => connected.destroy());
      return connected;
    }

    test('what its send-proxy-v2 says is understood: the client is the one that came to HAProxy', async () => {
      const got: Buffer[] = [];
      const server = await endpoint(keep(got));
      const { listener, table } = await path([server.endpoint], loopback);
      const port = await freePort();
      await start([
        'listen in',
        ` bind 127.0.0.1:${port}`,
        ` server f 127.0.0.1:${listener.address.port} send-proxy-v2 check inter 200ms`,
      ]);
      const socket = await open(port);
      socket.write('through two');
      const checksBefore = table.counters.accepted;
      await eventually('it arrives', () => got.some((chunk) => chunk.toString() === 'through two'));
      await eventually('it has been checked', () => table.counters.accepted > checksBefore + 1);
      // Nothing of a header has gone on, of the health checks neither.
      expect(got.map(String)).toEqual(['through two']);
      expect(table.list().map(({ client }) => client)).toContain(`127.0.0.1:${socket.localPort}`);
      expect(table.counters.closed['proxy-header']).toBe(0);
      expect(haproxy?.exitCode).toBeNull();
    });

    test('what we send is understood by its accept-proxy, from clients and from health checks', async () => {
      const ca = await makeCa();
      const leaf = await ca.issue({ commonName: 'api', sans: ['127.0.0.1'] });
      const seen: (string | undefined)[] = [];
      const https = createHttps({ cert: leaf.cert, key: leaf.key }, (_, response) => response.end('ok'));
      await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
      stops.push(() => {
        https.closeAllConnections();
        https.close();
      });
      const port = await freePort();
      const behind = await endpoint((socket) => {
        socket.once('data', (chunk: string | Buffer) => {
          const parsed = parseProxyHeader(Buffer.from(chunk));
          seen.push(parsed.kind === 'complete' ? String(parsed.connection?.source.port) : 'bad');
          socket.write('ok');
        });
      });
      // HAProxy takes our header, and writes one of its own from what it has understood.
      const plainPort = await freePort();
      await start([
        'listen tls',
        ` bind 127.0.0.1:${port} accept-proxy`,
        ` server s 127.0.0.1:${(https.address() as AddressInfo).port}`,
        'listen plain',
        ` bind 127.0.0.1:${plainPort} accept-proxy`,
        ` server s 127.0.0.1:${behind.endpoint.port} send-proxy-v2`,
      ]);
      await open(port);
      const { client } = await path([makeEndpoint('127.0.0.1', plainPort)], undefined, { sendProxy: true });
      const socket = await client();
      socket.write('x');
      await eventually('HAProxy has told who it was', () => seen.includes(String(socket.localPort)));

      const target = (check: ProbeTarget['check']): ProbeTarget => ({
        endpoint: makeEndpoint('127.0.0.1', port),
        credentials: { ca: ca.cert },
        isVerified: true,
        check,
        sendProxy: true,
        steps: [{ path: '/readyz', isExpected: (status) => status === 200 }],
        userAgent: 'test',
        checkIdentity: () => undefined,
      });
      const probe = new ProbeConnection(target('https'));
      stops.push(() => probe.close());
      const ask = () => new Promise((resolve) => probe.run(resolve));
      expect(await ask()).toMatchObject({ kind: 'answered', status: 200 });
      expect(probe.isKept).toBe(true);
      expect(await ask()).toMatchObject({ kind: 'answered', status: 200 });
      const without = new ProbeConnection({ ...target('https'), sendProxy: false });
      stops.push(() => without.close());
      expect(await new Promise((resolve) => without.run(resolve))).not.toMatchObject({ kind: 'answered' });
      expect(systemClock.nowMs()).toBeGreaterThan(0);
    });
  });
});
