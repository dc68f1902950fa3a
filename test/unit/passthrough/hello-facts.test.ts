import fc from 'fast-check';
import { judgeFirstFlight } from '../../../src/passthrough/tls/client-hello.ts';
import { readHelloFacts } from '../../../src/passthrough/tls/hello-facts.ts';
import { clientHello } from '../../support/clients/client-hello.ts';

const plain = { serverName: 'kubernetes.default.svc', offersSession: false };

test('the server name is read from a hello in one record or several', () => {
  for (const fragmentBytes of [16_384, 60, 3]) {
    expect(readHelloFacts(clientHello({ fragmentBytes }))).toEqual(plain);
  }
});

test('a hello without extensions has no name', () => {
  expect(readHelloFacts(clientHello({ withoutExtensions: true }))).toEqual({
    serverName: undefined,
    offersSession: false,
  });
});

test.each([
  ['API.Example.COM', 'api.example.com'],
  ['localhost', 'localhost'],
  ['a'.repeat(255), 'a'.repeat(255)],
  ['a'.repeat(256), undefined],
  ['127.0.0.1', undefined],
  ['::1', undefined],
  ['', undefined],
  ['.a', undefined],
  ['a.', undefined],
  ['a b', undefined],
  ['a\nb', undefined],
  ['a\u00e9', undefined],
  ['a"b', undefined],
])('the server name %j is reported as %j', (name, serverName) => {
  expect(readHelloFacts(clientHello({ serverName: name })).serverName).toBe(serverName);
});

test('an offer to resume a session is noticed, a hello that only asks for a ticket is not one', () => {
  expect(readHelloFacts(clientHello({ preSharedKeyBytes: 100 }))).toEqual({ ...plain, offersSession: true });
  expect(readHelloFacts(clientHello({ ticketBytes: 100 }))).toEqual({ ...plain, offersSession: true });
  expect(readHelloFacts(clientHello({ ticketBytes: 0 }))).toEqual(plain);
});

test('a name whose length lies is not read', () => {
  const hello = clientHello({ serverName: 'api' });
  const at = hello.indexOf('api');
  hello[at - 1] = 200;
  expect(readHelloFacts(hello).serverName).toBeUndefined();
});

test('no flight that is judged to be a complete hello makes it throw', () => {
  const good = clientHello();
  let completed = 0;
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const flight = Buffer.from(good);
      for (const [at, byte] of changes) flight[at] = byte;
      if (judgeFirstFlight(flight).kind !== 'complete') return;
      completed += 1;
      expect(() => readHelloFacts(flight)).not.toThrow();
    }),
    { numRuns: 5_000 },
  );
  expect(completed).toBeGreaterThan(500);
});
