import { networkInterfaces } from 'node:os';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { OwnAddresses } from '../../../src/passthrough/own-addresses.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

test('an exact address is ours while a listener has it', () => {
  const own = new OwnAddresses(new FakeClock());
  const address = { host: '127.0.0.1', port: 6443 };
  own.add(address);
  own.add(address); // a second listener shares the port
  own.remove(address);
  expect(own.includes(makeEndpoint('127.0.0.1', 6443))).toBe(true);
  expect(own.includes(makeEndpoint('127.0.0.1', 6444))).toBe(false);
  expect(own.includes(makeEndpoint('127.0.0.2', 6443))).toBe(false);
  own.remove(address);
  expect(own.includes(makeEndpoint('127.0.0.1', 6443))).toBe(false);
});

test('IPv6 is compared in its canonical form', () => {
  const own = new OwnAddresses(new FakeClock());
  own.add({ host: '::1', port: 6443 });
  expect(own.includes(makeEndpoint('0:0:0:0:0:0:0:1', 6443))).toBe(true);
});

test('a listener on all addresses owns every address of the host at its port, and no other', () => {
  const own = new OwnAddresses(new FakeClock());
  own.add({ host: '0.0.0.0', port: 6443 });
  expect(own.includes(makeEndpoint('127.0.0.5', 6443))).toBe(true);
  const [mine] = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  if (mine) expect(own.includes(makeEndpoint(mine.address, 6443))).toBe(true);
  expect(own.includes(makeEndpoint('192.0.2.1', 6443))).toBe(false);
  expect(own.includes(makeEndpoint('127.0.0.5', 6444))).toBe(false);
});
