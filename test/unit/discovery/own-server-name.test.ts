import { OwnServerName } from '../../../src/discovery/own-server-name.ts';
import { ownListenerCheck } from '../../../src/model/own-listener.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

function world(addresses: Readonly<Record<string, readonly string[]>> = {}) {
  const clock = new FakeClock();
  const known = { ...addresses };
  let lookups = 0;
  const name = new OwnServerName({
    clock,
    isOwnListener: ownListenerCheck([{ host: '127.0.0.1', port: 6443 }], () => []),
    lookup: (host) => {
      lookups += 1;
      const found = known[host];
      if (!found) return Promise.reject(new Error('ENOTFOUND'));
      return Promise.resolve(found.map((address) => ({ address })));
    },
  });
  return { clock, name, known, lookups: () => lookups };
}

test('a kubeconfig without a server, or with that of an API server, names nothing of ours', () => {
  const { name } = world();
  expect(name.of(undefined)).toBeUndefined();
  expect(name.of({ host: '10.0.0.1', port: 6443 })).toBeUndefined();
  expect(name.of({ host: '127.0.0.1', port: 6444 })).toBeUndefined();
});

test('the address of a listener is what clients verify', () => {
  expect(world().name.of({ host: '127.0.0.1', port: 6443 })).toBe('127.0.0.1');
});

test('a name counts once it resolves to a listener, and is resolved again only now and then', async () => {
  const { clock, name, known, lookups } = world({ 'api.example': ['10.0.0.1', '127.0.0.1'] });
  const server = { host: 'api.example', port: 6443 };
  expect(name.of(server)).toBeUndefined();
  await clock.advance(0);
  for (let times = 0; times < 50; times += 1) expect(name.of(server)).toBe('api.example');
  expect(lookups()).toBe(1);
  known['api.example'] = ['10.0.0.1'];
  await clock.advance(300_000);
  name.of(server);
  await clock.advance(0);
  expect(name.of(server)).toBeUndefined();
  expect(lookups()).toBe(2);
});

test('a name that does not resolve names nothing, and one that no longer does stays', async () => {
  const { clock, name, known } = world({ 'api.example': ['127.0.0.1'] });
  name.of({ host: 'gone.example', port: 6443 });
  await clock.advance(0);
  expect(name.of({ host: 'gone.example', port: 6443 })).toBeUndefined();
  const server = { host: 'api.example', port: 6443 };
  name.of(server);
  await clock.advance(0);
  expect(name.of(server)).toBe('api.example');
  delete known['api.example'];
  await clock.advance(300_000);
  name.of(server);
  await clock.advance(0);
  expect(name.of(server)).toBe('api.example');
});
