// What a tunnel counts on in a leg, the same for both kinds: bytes, waiting writers, FINs, RSTs and failed dials.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type Endpoint, makeEndpoint } from '../../../src/model/endpoint.ts';
import { checkNodeHandles } from '../../../src/passthrough/socket/handle-check.ts';
import { HandleLeg } from '../../../src/passthrough/socket/tcp-handle-connection.ts';
import { type Leg, type LegOwner, nobody } from '../../../src/passthrough/socket/connection.ts';
import { LegMakers } from '../../../src/passthrough/socket/connection-factory.ts';
import { findNodeHandles, type TcpHandle } from '../../../src/passthrough/socket/node-handles.ts';
import { ReadBuffers } from '../../../src/passthrough/socket/read-buffers.ts';
import { collect, type LegKind, legKinds, refusingEndpoint } from '../../support/data-path.ts';
import { eventually } from '../../support/eventually.ts';

/** Keeps what it hears, in order. */
class Listening implements LegOwner {
  readonly heard: string[] = [];
  received = '';
  isPaused = false;
  onRead: ((leg: Leg) => void) | undefined;

  legConnected(): void {
    this.heard.push('connected');
  }
  legRead(leg: Leg, buffer: Buffer, byteCount: number): boolean {
    this.received += buffer.toString('latin1', 0, byteCount);
    this.onRead?.(leg);
    return !this.isPaused;
  }
  legDrained(): void {
    this.heard.push('drained');
  }
  legEnded(): void {
    this.heard.push('ended');
  }
  legFailed(_leg: Leg, error: NodeJS.ErrnoException): void {
    this.heard.push(`failed ${error.code}`);
  }
  legClosed(): void {
    this.heard.push('closed');
  }
  hears(what: string): Promise<unknown> {
    return eventually(
      () => `${what}; heard ${this.heard.join(', ')}`,
      () => this.heard.includes(what),
    );
  }
}

let makers: LegMakers;
let servers: Server[];

async function makersOf(kind: LegKind): Promise<LegMakers> {
  const made = new LegMakers(new ReadBuffers());
  if (kind === 'sockets') return made;
  const found = await checkNodeHandles();
  if (!found.ok) throw new Error(found.problem);
  made.useHandles(found.value);
  return made;
}

interface Pair {
  readonly leg: Leg;
  readonly owner: Listening;
  readonly peer: Socket;
  readonly endpoint: Endpoint;
}

/** A leg of ours and the plain socket at its other end. */
async function pair({ host = '127.0.0.1' } = {}): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  servers.push(server);
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  const owner = new Listening();
  const endpoint = makeEndpoint(host, (server.address() as AddressInfo).port);
  const leg = makers.connect(endpoint, owner);
  const peer = await accepted;
  peer.on('error', () => {});
  await owner.hears('connected');
  return { leg, owner, peer, endpoint };
}

/** Bytes that the kernel will not take while nobody reads them. */
function fill(leg: Leg): number {
  const block = Buffer.alloc(1 << 20, 'x');
  let bytes = 0;
  for (; leg.writableLength === 0; bytes += block.length) leg.write(block);
  return bytes;
}

beforeEach(() => {
  servers = [];
});

describe.each(legKinds)('a leg over %s', (kind) => {
  beforeEach(async () => {
    makers = await makersOf(kind);
  });
  afterEach(async () => {
    for (const server of servers) server.close();
    await eventually(`all legs are gone, left: ${makers.openLegs}`, () => makers.openLegs === 0);
    await makers.allClosed();
  });

  test('is of the kind that was asked for', async () => {
    const { leg } = await pair();
    expect(leg instanceof HandleLeg).toBe(kind === 'handles');
    leg.destroy();
  });

  test('knows both addresses, and sends at once what is small', async () => {
    const { leg, peer } = await pair();
    const opposite = { remoteAddress: peer.localAddress, remotePort: peer.localPort };
    expect(leg).toMatchObject({
      ...opposite,
      localAddress: peer.remoteAddress,
      localPort: peer.remotePort,
    });
    const received = collect(peer);
    peer.resume();
    leg.write(Buffer.from('a'));
    leg.write(Buffer.from('b'));
    await eventually('both bytes', () => received.bytes().toString() === 'ab');
    peer.destroy();
    leg.destroy();
    // A name that has been asked for is known for the log of the end.
    expect(leg).toMatchObject(opposite);
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
    const accepted = new Promise<Leg>((resolve) => {
      handle.onconnection = (_status: number, client: object) => resolve(makers.accept(client, nobody));
    });
    const owner = new Listening();
    const port = (server.address() as AddressInfo).port;
    const leg = makers.connect(makeEndpoint('127.0.0.1', port), owner);
    await owner.hears('connected');
    const other = await accepted;
    prototype.setNoDelay = setNoDelay;
    expect(set).toEqual([true, true]);
    leg.destroy();
    other.destroy();
  });

  test('an IPv6 endpoint is dialled as one', async () => {
    const { leg, peer } = await pair({ host: '::1' });
    expect(leg.remoteAddress).toBe('::1');
    peer.destroy();
    leg.destroy();
  });

  test('a refused dial fails and closes, in this order and once each', async () => {
    const owner = new Listening();
    const leg = makers.connect(await refusingEndpoint(), owner);
    await owner.hears('closed');
    expect(owner.heard).toEqual(['failed ECONNREFUSED', 'closed']);
    expect(leg.destroyed).toBe(true);
  });

  test('a dial that fails within the call says so after the call', async () => {
    const owner = new Listening();
    // The broadcast address: the kernel refuses the call itself.
    makers.connect(makeEndpoint('255.255.255.255', 1), owner);
    expect(owner.heard).toEqual([]);
    await owner.hears('closed');
    expect(owner.heard).toEqual([expect.stringMatching(/^failed E(NETUNREACH|ACCES)$/), 'closed']);
  });

  test('a dial that is given up is silent but for its end', async () => {
    const { leg: first, endpoint } = await pair();
    const owner = new Listening();
    const leg = makers.connect(endpoint, owner);
    leg.destroy();
    leg.destroy();
    await owner.hears('closed');
    expect(owner.heard).toEqual(['closed']);
    first.destroy();
  });

  test('a reader that pauses gets nothing more until it goes on', async () => {
    const { leg, owner, peer } = await pair();
    owner.isPaused = true;
    peer.write('one');
    await eventually('the first bytes', () => owner.received === 'one');
    peer.write('two');
    await new Promise((resolve) => peer.write('three', resolve));
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(owner.received).toBe('one');
    owner.isPaused = false;
    leg.resume();
    await eventually('the rest', () => owner.received === 'onetwothree');
    peer.destroy();
    leg.destroy();
  });

  test('a writer that waits hears once when the kernel has everything', async () => {
    const { leg, owner, peer } = await pair();
    const bytes = fill(leg);
    expect(leg.writableLength).toBeGreaterThan(0);
    leg.notifyWhenDrained();
    expect(owner.heard).toEqual(['connected']);
    let received = 0;
    peer.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    peer.resume();
    await owner.hears('drained');
    expect(leg.writableLength).toBe(0);
    await eventually('every byte', () => received === bytes);
    expect(owner.heard).toEqual(['connected', 'drained']);
    leg.write(Buffer.from('!'));
    const more = 1 + fill(leg);
    await eventually('what nobody asked about', () => received === bytes + more);
    expect(owner.heard).toEqual(['connected', 'drained']);
    peer.destroy();
    leg.destroy();
  });

  test('a FIN goes out behind the bytes that wait, and the other direction stays open', async () => {
    const { leg, owner, peer } = await pair();
    const bytes = fill(leg);
    leg.end();
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
    const { leg, owner, peer } = await pair();
    const received = collect(peer);
    peer.end();
    await owner.hears('ended');
    expect(leg.destroyed).toBe(false);
    leg.write(Buffer.from('last words'));
    leg.end();
    peer.resume();
    expect(await received.ended).toBe('end');
    expect(received.bytes().toString()).toBe('last words');
    await owner.hears('closed');
    expect(owner.heard).toEqual(['connected', 'ended', 'closed']);
  });

  test('destroySoon sends what waits, then closes', async () => {
    const { leg, owner, peer } = await pair();
    const bytes = fill(leg);
    leg.destroySoon();
    expect(leg.destroyed).toBe(false);
    const received = collect(peer);
    peer.resume();
    expect(await received.ended).toBe('end');
    expect(received.bytes().length).toBe(bytes);
    peer.end();
    await owner.hears('closed');
  });

  test.each(['at once', 'with bytes that wait'])('a reset is a RST, %s', async (when) => {
    const { leg, owner, peer } = await pair();
    const { ended } = collect(peer);
    if (when !== 'at once') {
      peer.pause();
      fill(leg);
    }
    leg.resetAndDestroy();
    expect(leg.destroyed).toBe(true);
    peer.resume();
    expect(await ended).toBe('reset');
    await owner.hears('closed');
    expect(owner.heard).toEqual(['connected', 'closed']);
  });

  test('a reset right after the end of our direction closes the socket all the same', async () => {
    const { leg, owner, peer } = await pair();
    const ended = new Promise((resolve) => peer.once('error', resolve));
    leg.end();
    leg.resetAndDestroy();
    await owner.hears('closed');
    // The FIN may be seen before the RST: what it answers then is refused.
    peer.resume();
    peer.write('anybody?');
    expect(await ended).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) });
  });

  test('a reset while bytes and the FIN wait closes the socket', async () => {
    const { leg, owner, peer } = await pair();
    fill(leg);
    leg.end();
    leg.resetAndDestroy();
    await owner.hears('closed');
    peer.destroy();
  });

  test('a RST from the other side is a failure, once, and then the end', async () => {
    const { leg, owner, peer } = await pair();
    fill(leg);
    peer.resetAndDestroy();
    await owner.hears('closed');
    expect(owner.heard.filter((what) => what !== 'connected')).toEqual([
      expect.stringMatching(/^failed (ECONNRESET|EPIPE)$/),
      'closed',
    ]);
    expect(leg.destroyed).toBe(true);
  });

  test('writing to a socket that has been reset fails after the call', async () => {
    const { leg, owner, peer } = await pair();
    owner.isPaused = true; // so that the RST is not read
    peer.write('x');
    await eventually('paused', () => owner.received === 'x');
    peer.resetAndDestroy();
    await eventually('a failing write', () => {
      const before = owner.heard.length;
      if (!leg.destroyed) leg.write(Buffer.from('y'));
      expect(owner.heard.length).toBe(before);
      return leg.destroyed;
    });
    await owner.hears('closed');
    expect(owner.heard).toEqual([
      'connected',
      expect.stringMatching(/^failed (ECONNRESET|EPIPE)$/),
      'closed',
    ]);
  });

  test('an owner that destroys the leg while it reads hears no more bytes', async () => {
    const { leg, owner, peer } = await pair();
    owner.onRead = () => leg.destroy();
    peer.write('x');
    await owner.hears('closed');
    peer.write('y');
    expect(owner.received).toBe('x');
    expect(owner.heard).toEqual(['connected', 'closed']);
    peer.destroy();
  });

  test('a leg that nobody owns any more tells nobody', async () => {
    const { leg, owner, peer } = await pair();
    leg.owner = nobody;
    peer.write('x');
    peer.resetAndDestroy();
    await eventually('gone', () => makers.openLegs === 0);
    expect(leg.destroyed).toBe(true);
    expect(owner.heard).toEqual(['connected']);
  });
});

test('legs made before and after the switch to handles live side by side', async () => {
  makers = await makersOf('sockets');
  const before = await pair();
  const found = await checkNodeHandles();
  if (!found.ok) throw new Error(found.problem);
  makers.useHandles(found.value);
  const after = await pair();
  expect([before.leg instanceof HandleLeg, after.leg instanceof HandleLeg]).toEqual([false, true]);
  expect(makers.openLegs).toBe(2);
  before.peer.write('first');
  after.peer.write('second');
  await eventually('both read', () => before.owner.received === 'first' && after.owner.received === 'second');
  for (const { leg, peer } of [before, after]) {
    leg.destroy();
    peer.destroy();
  }
  await makers.allClosed();
  for (const server of servers) server.close();
});
