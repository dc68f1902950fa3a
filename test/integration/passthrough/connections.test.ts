// What a tunnel counts on in a connection, the same for both kinds: bytes, waiting writers, FINs, RSTs and failed dials.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type Endpoint, makeEndpoint } from '../../../src/model/endpoint.ts';
import { checkNodeHandles } from '../../../src/passthrough/socket/handle-check.ts';
import { TcpHandleConnection } from '../../../src/passthrough/socket/tcp-handle-connection.ts';
import {
  type Connection,
  type ConnectionOwner,
  noOwner,
} from '../../../src/passthrough/socket/connection.ts';
import { ConnectionFactory } from '../../../src/passthrough/socket/connection-factory.ts';
import { findNodeHandles, type TcpHandle } from '../../../src/passthrough/socket/node-handles.ts';
import { ReadBuffers } from '../../../src/passthrough/socket/read-buffers.ts';
import {
  collect,
  type ConnectionKind,
  connectionKinds,
  refusingEndpoint,
} from '../../support/agent/data-path.ts';
import { eventually } from '../../support/jest/eventually.ts';

/** Keeps what it hears, in order. */
class Listening implements ConnectionOwner {
  readonly heard: string[] = [];
  received = '';
  isPaused = false;
  onRead: ((connection: Connection) => void) | undefined;

  connectionOpened(): void {
    this.heard.push('connected');
  }
  connectionRead(connection: Connection, buffer: Buffer, byteCount: number): boolean {
    this.received += buffer.toString('latin1', 0, byteCount);
    this.onRead?.(connection);
    return !this.isPaused;
  }
  connectionDrained(): void {
    this.heard.push('drained');
  }
  connectionEnded(): void {
    this.heard.push('ended');
  }
  connectionFailed(_connection: Connection, error: NodeJS.ErrnoException): void {
    this.heard.push(`failed ${error.code}`);
  }
  connectionClosed(): void {
    this.heard.push('closed');
  }
  hears(what: string): Promise<unknown> {
    return eventually(
      () => `${what}; heard ${this.heard.join(', ')}`,
      () => this.heard.includes(what),
    );
  }
}

let factory: ConnectionFactory;
let servers: Server[];

async function factoryOf(kind: ConnectionKind): Promise<ConnectionFactory> {
  const made = new ConnectionFactory(new ReadBuffers());
  if (kind === 'sockets') return made;
  const found = await checkNodeHandles();
  if (!found.ok) throw new Error(found.problem);
  made.useHandles(found.value);
  return made;
}

interface Pair {
  readonly connection: Connection;
  readonly owner: Listening;
  readonly peer: Socket;
  readonly endpoint: Endpoint;
}

/** A connection of ours and the plain socket at its other end. */
async function pair({ host = '127.0.0.1' } = {}): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  servers.push(server);
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  const owner = new Listening();
  const endpoint = makeEndpoint(host, (server.address() as AddressInfo).port);
  const connection = factory.connect(endpoint, owner);
  const peer = await accepted;
  peer.on('error', () => {});
  await owner.hears('connected');
  return { connection, owner, peer, endpoint };
}

/** Bytes that the kernel will not take while nobody reads them. */
function fill(connection: Connection): number {
  const block = Buffer.alloc(1 << 20, 'x');
  let bytes = 0;
  for (; connection.writableLength === 0; bytes += block.length) connection.write(block);
  return bytes;
}

beforeEach(() => {
  servers = [];
});

describe.each(connectionKinds)('a connection over %s', (kind) => {
  beforeEach(async () => {
    factory = await factoryOf(kind);
  });
  afterEach(async () => {
    for (const server of servers) server.close();
    await eventually(
      `all connections are gone, left: ${factory.openConnections}`,
      () => factory.openConnections === 0,
    );
    await factory.allClosed();
  });

  test('is of the kind that was asked for', async () => {
    const { connection } = await pair();
    expect(connection instanceof TcpHandleConnection).toBe(kind === 'handles');
    connection.destroy();
  });

  test('knows both addresses, and sends at once what is small', async () => {
    const { connection, peer } = await pair();
    const opposite = { remoteAddress: peer.localAddress, remotePort: peer.localPort };
    expect(connection).toMatchObject({
      ...opposite,
      localAddress: peer.remoteAddress,
      localPort: peer.remotePort,
    });
    const received = collect(peer);
    peer.resume();
    connection.write(Buffer.from('a'));
    connection.write(Buffer.from('b'));
    await eventually('both bytes', () => received.bytes().toString() === 'ab');
    peer.destroy();
    connection.destroy();
    // A name that has been asked for is known for the log of the end.
    expect(connection).toMatchObject(opposite);
  });

  test('sends without waiting for the answer to what went before (TCP_NODELAY), at both ends', async () => {
    const found = await findNodeHandles();
    if (!found.ok) throw new Error(found.problem);
    const prototype = found.value.TcpHandle.prototype as TcpHandle;
    const { setNoDelay } = prototype;
    const set: boolean[] = [];
    prototype.setNoDelay = function (enable) {
      set.push(enable);
      return setNoDelay.call(this, enable);
    };
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const { _handle: handle } = server as unknown as { _handle: { onconnection: unknown } };
    const accepted = new Promise<Connection>((resolve) => {
      handle.onconnection = (_status: number, client: object) => resolve(factory.accept(client, noOwner));
    });
    const owner = new Listening();
    const port = (server.address() as AddressInfo).port;
    const connection = factory.connect(makeEndpoint('127.0.0.1', port), owner);
    await owner.hears('connected');
    const other = await accepted;
    prototype.setNoDelay = setNoDelay;
    expect(set).toEqual([true, true]);
    connection.destroy();
    other.destroy();
  });

  test('an IPv6 endpoint is dialled as one', async () => {
    const { connection, peer } = await pair({ host: '::1' });
    expect(connection.remoteAddress).toBe('::1');
    peer.destroy();
    connection.destroy();
  });

  test('a refused dial fails and closes, in this order and once each', async () => {
    const owner = new Listening();
    const connection = factory.connect(await refusingEndpoint(), owner);
    await owner.hears('closed');
    expect(owner.heard).toEqual(['failed ECONNREFUSED', 'closed']);
    expect(connection.destroyed).toBe(true);
  });

  test('a dial that fails within the call says so after the call', async () => {
    const owner = new Listening();
    // The broadcast address: the kernel refuses the call itself.
    factory.connect(makeEndpoint('255.255.255.255', 1), owner);
    expect(owner.heard).toEqual([]);
    await owner.hears('closed');
    expect(owner.heard).toEqual([expect.stringMatching(/^failed E(NETUNREACH|ACCES)$/), 'closed']);
  });

  test('a dial that is given up is silent but for its end', async () => {
    const { connection: first, endpoint } = await pair();
    const owner = new Listening();
    const connection = factory.connect(endpoint, owner);
    connection.destroy();
    connection.destroy();
    await owner.hears('closed');
    expect(owner.heard).toEqual(['closed']);
    first.destroy();
  });

  test('a reader that pauses gets nothing more until it goes on', async () => {
    const { connection, owner, peer } = await pair();
    owner.isPaused = true;
    peer.write('one');
    await eventually('the first bytes', () => owner.received === 'one');
    peer.write('two');
    await new Promise((resolve) => peer.write('three', resolve));
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(owner.received).toBe('one');
    owner.isPaused = false;
    connection.resume();
    await eventually('the rest', () => owner.received === 'onetwothree');
    peer.destroy();
    connection.destroy();
  });

  test('a writer that waits hears once when the kernel has everything', async () => {
    const { connection, owner, peer } = await pair();
    const bytes = fill(connection);
    expect(connection.writableLength).toBeGreaterThan(0);
    connection.notifyWhenDrained();
    expect(owner.heard).toEqual(['connected']);
    let received = 0;
    peer.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    peer.resume();
    await owner.hears('drained');
    expect(connection.writableLength).toBe(0);
    await eventually('every byte', () => received === bytes);
    expect(owner.heard).toEqual(['connected', 'drained']);
    connection.write(Buffer.from('!'));
    const more = 1 + fill(connection);
    await eventually('what nobody asked about', () => received === bytes + more);
    expect(owner.heard).toEqual(['connected', 'drained']);
    peer.destroy();
    connection.destroy();
  });

  test('a FIN goes out behind the bytes that wait, and the other direction stays open', async () => {
    const { connection, owner, peer } = await pair();
    const bytes = fill(connection);
    connection.end();
    const { bytes: got, ended } = collect(peer);
    peer.resume();
    expect(await ended).toBe('end');
    expect(got().length).toBe(bytes);
    peer.write('still here');
    await eventually('the answer', () => owner.received === 'still here');
    peer.end();
    await owner.hears('closed');
    expect(owner.heard).toEqual(['connected', 'ended', 'closed']);
  });

  test('the FIN of the other side leaves our direction open until we end it', async () => {
    const { connection, owner, peer } = await pair();
    const received = collect(peer);
    peer.end();
    await owner.hears('ended');
    expect(connection.destroyed).toBe(false);
    connection.write(Buffer.from('last words'));
    connection.end();
    peer.resume();
    expect(await received.ended).toBe('end');
    expect(received.bytes().toString()).toBe('last words');
    await owner.hears('closed');
    expect(owner.heard).toEqual(['connected', 'ended', 'closed']);
  });

  test('destroySoon sends what waits, then closes', async () => {
    const { connection, owner, peer } = await pair();
    const bytes = fill(connection);
    connection.destroySoon();
    expect(connection.destroyed).toBe(false);
    const received = collect(peer);
    peer.resume();
    expect(await received.ended).toBe('end');
    expect(received.bytes().length).toBe(bytes);
    peer.end();
    await owner.hears('closed');
  });

  test.each(['at once', 'with bytes that wait'])('a reset is a RST, %s', async (when) => {
    const { connection, owner, peer } = await pair();
    const { ended } = collect(peer);
    if (when !== 'at once') {
      peer.pause();
      fill(connection);
    }
    connection.resetAndDestroy();
    expect(connection.destroyed).toBe(true);
    peer.resume();
    expect(await ended).toBe('reset');
    await owner.hears('closed');
    expect(owner.heard).toEqual(['connected', 'closed']);
  });

  test('a reset right after the end of our direction closes the socket all the same', async () => {
    const { connection, owner, peer } = await pair();
    const ended = new Promise((resolve) => peer.once('error', resolve));
    connection.end();
    connection.resetAndDestroy();
    await owner.hears('closed');
    // The FIN may be seen before the RST: what it answers then is refused.
    peer.resume();
    peer.write('anybody?');
    expect(await ended).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) });
  });

  test('a reset while bytes and the FIN wait closes the socket', async () => {
    const { connection, owner, peer } = await pair();
    fill(connection);
    connection.end();
    connection.resetAndDestroy();
    await owner.hears('closed');
    peer.destroy();
  });

  test('a RST from the other side is a failure, once, and then the end', async () => {
    const { connection, owner, peer } = await pair();
    fill(connection);
    peer.resetAndDestroy();
    await owner.hears('closed');
    expect(owner.heard.filter((what) => what !== 'connected')).toEqual([
      expect.stringMatching(/^failed (ECONNRESET|EPIPE)$/),
      'closed',
    ]);
    expect(connection.destroyed).toBe(true);
  });

  test('writing to a socket that has been reset fails after the call', async () => {
    const { connection, owner, peer } = await pair();
    owner.isPaused = true; // so that the RST is not read
    peer.write('x');
    await eventually('paused', () => owner.received === 'x');
    peer.resetAndDestroy();
    await eventually('a failing write', () => {
      const before = owner.heard.length;
      if (!connection.destroyed) connection.write(Buffer.from('y'));
      expect(owner.heard.length).toBe(before);
      return connection.destroyed;
    });
    await owner.hears('closed');
    expect(owner.heard).toEqual([
      'connected',
      expect.stringMatching(/^failed (ECONNRESET|EPIPE)$/),
      'closed',
    ]);
  });

  test('an owner that destroys the connection while it reads hears no more bytes', async () => {
    const { connection, owner, peer } = await pair();
    owner.onRead = () => connection.destroy();
    peer.write('x');
    await owner.hears('closed');
    peer.write('y');
    expect(owner.received).toBe('x');
    expect(owner.heard).toEqual(['connected', 'closed']);
    peer.destroy();
  });

  test('a connection without an owner calls no one', async () => {
    const { connection, owner, peer } = await pair();
    connection.owner = noOwner;
    peer.write('x');
    peer.resetAndDestroy();
    await eventually('gone', () => factory.openConnections === 0);
    expect(connection.destroyed).toBe(true);
    expect(owner.heard).toEqual(['connected']);
  });
});

test('connections made before and after the switch to handles live side by side', async () => {
  factory = await factoryOf('sockets');
  const before = await pair();
  const found = await checkNodeHandles();
  if (!found.ok) throw new Error(found.problem);
  factory.useHandles(found.value);
  const after = await pair();
  expect([
    before.connection instanceof TcpHandleConnection,
    after.connection instanceof TcpHandleConnection,
  ]).toEqual([false, true]);
  expect(factory.openConnections).toBe(2);
  before.peer.write('first');
  after.peer.write('second');
  await eventually('both read', () => before.owner.received === 'first' && after.owner.received === 'second');
  for (const { connection, peer } of [before, after]) {
    connection.destroy();
    peer.destroy();
  }
  await factory.allClosed();
  for (const server of servers) server.close();
});
