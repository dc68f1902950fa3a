// What health hears of a client's TLS from whole tunnels, on a fake clock without sockets.
import type { FakeConnection } from '../../support/fakes/fake-connections.ts';
import { clientHello } from '../../support/clients/client-hello.ts';
import { frozen, ConnectorWorld } from '../../support/fakes/connector-world.ts';

const serverFlight = Buffer.concat([Buffer.of(22, 3, 3, 0, 2), Buffer.alloc(2)]);
const refusal = Buffer.from(`1403030001011703030013${'ab'.repeat(19)}`, 'hex');
const finished = Buffer.concat([Buffer.of(20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 69), Buffer.alloc(69)]);
const data = Buffer.concat([Buffer.of(23, 3, 3, 0, 100), Buffer.alloc(100)]);
const name = 'kubernetes.default.svc';

interface Met {
  readonly world: ConnectorWorld;
  readonly client: FakeConnection;
  readonly endpoint: FakeConnection;
  said(): string[];
}

/** A client that has sent `hello`, and an endpoint that has answered it with `answer`. */
async function meet({
  hello = clientHello(),
  answer = serverFlight,
  replayNonTls = false,
} = {}): Promise<Met> {
  const world = new ConnectorWorld({ scripts: [frozen], replayNonTls });
  world.client.feed(hello);
  await world.clock.advance(1);
  const endpoint = world.factory.dials[0]?.connection as FakeConnection;
  if (answer.length > 0) endpoint.feed(answer);
  return { world, client: world.client, endpoint, said: () => world.clientTls };
}

test.each(['FIN', 'RST'])(
  'an alert and then the %s of the client is a refusal, told once with its name',
  async (how) => {
    const { client, endpoint, said, world } = await meet();
    client.feed(refusal);
    expect(said()).toEqual([]);
    if (how === 'FIN') client.feedFin();
    else client.fail('ECONNRESET');
    expect(said()).toEqual([`e0 refused ${name}`]);
    endpoint.feedFin();
    await world.clock.advance(10);
    expect(said()).toHaveLength(1);
    expect(endpoint.received.subarray(-refusal.length)).toEqual(refusal);
  },
);

test.each(['FIN', 'RST'])(
  'an endpoint may answer the alert with its %s before the client has closed',
  async (how) => {
    const { client, endpoint, said } = await meet();
    client.feed(refusal);
    if (how === 'FIN') endpoint.feedFin();
    else endpoint.fail('ECONNRESET');
    expect(said()).toEqual([`e0 refused ${name}`]);
    client.feedFin();
    expect(said()).toHaveLength(1);
  },
);

test('the same with a notice of closing behind the handshake', async () => {
  const { client, endpoint, said } = await meet();
  client.feed(finished);
  client.feed(refusal.subarray(6));
  endpoint.feedFin();
  expect(said()).toEqual([`e0 doubtful ${name}`]);
  client.feedFin();
  expect(said()).toHaveLength(1);
});

test.each([
  ['nothing', Buffer.alloc(0)],
  ['only its part of the handshake', finished],
])('a client that sends %s and closes is doubtful', async (_what, sent) => {
  const { client, said } = await meet();
  if (sent.length > 0) client.feed(sent);
  client.feedFin();
  expect(said()).toEqual([`e0 doubtful ${name}`]);
});

test('a client that goes on is told once, with its first data, and not followed any longer', async () => {
  const { client, endpoint, said, world } = await meet();
  client.feed(finished);
  expect(said()).toEqual([]);
  client.feed(data.subarray(0, 5));
  expect(said()).toEqual([`e0 accepted ${name}`]);
  expect(world.tunnel.clientTls).toBeUndefined();
  client.feed(data.subarray(5));
  client.feed(refusal);
  client.feedFin();
  endpoint.feedFin();
  expect(said()).toHaveLength(1);
});

test.each(['FIN', 'RST'])('an endpoint that closes first with a %s is no sign', async (how) => {
  for (const sent of [Buffer.alloc(0), finished]) {
    const { client, endpoint, said } = await meet();
    if (sent.length > 0) client.feed(sent);
    if (how === 'FIN') endpoint.feedFin();
    else endpoint.fail('ECONNRESET');
    client.feedFin();
    expect(said()).toEqual([]);
  }
});

test('our own reset or drain is no sign, and neither is what the client does then', async () => {
  for (const close of ['reset', 'close'] as const) {
    const { client, said, world } = await meet();
    client.feed(refusal);
    world.tunnel[close]('drain');
    // What is on its way from a client whose writes still wait.
    world.tunnel.connectionFailed(client, Object.assign(new Error(), { code: 'ECONNRESET' }));
    await world.clock.advance(10);
    expect(said()).toEqual([]);
  }
});

test('a client whose host has vanished has not said anything', async () => {
  const { client, said } = await meet();
  client.fail('ETIMEDOUT');
  expect(said()).toEqual([]);
});

test.each([
  ['before the server has answered', { answer: Buffer.alloc(0) }],
  ['when the server began with an alert', { answer: Buffer.of(21, 3, 3, 0, 2, 2, 40) }],
  ['with early data', { hello: clientHello({ withEarlyData: true }) }],
  ['with another protocol', { hello: Buffer.from('GET / HTTP/1.1\r\n\r\n'), replayNonTls: true }],
  ['without a hello', { hello: Buffer.alloc(0) }],
])('a client that closes %s says nothing', async (_when, options) => {
  const { client, said } = await meet(options);
  client.feedFin();
  expect(said()).toEqual([]);
});

test('a resumed session is no sign that the certificate is good, and a refusal counts', async () => {
  const hello = clientHello({ preSharedKeyBytes: 100 });
  const good = await meet({ hello });
  good.client.feed(finished);
  good.client.feed(data);
  expect(good.said()).toEqual([]);
  expect(good.world.tunnel.clientTls).toBeUndefined();
  const bad = await meet({ hello });
  bad.client.feed(refusal);
  bad.client.feedFin();
  expect(bad.said()).toEqual([`e0 refused ${name}`]);
});

test('the sign is about the endpoint that answered, not the one that had the hello first', async () => {
  const world = new ConnectorWorld({ scripts: [frozen, frozen] });
  world.client.feed(clientHello());
  await world.clock.advance(1100);
  const [, second] = world.factory.dials;
  second?.connection.feed(serverFlight);
  world.client.feed(refusal);
  world.client.feedFin();
  expect(world.clientTls).toEqual([`e1 refused ${name}`]);
});

test('a client without SNI is told with the address that it dialled', async () => {
  const { client, said } = await meet({ hello: clientHello({ serverName: '' }) });
  client.feed(refusal);
  client.feedFin();
  expect(said()).toEqual([`e0 refused ${client.localAddress}`]);
});
