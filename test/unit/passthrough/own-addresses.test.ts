import { networkInterfaces } from 'node:os';
import { makeEndpoint } from '../../../src/model/endpoint.ts';
import { cachedHostAddresses, OwnAddresses } from '../../../src/passthrough/own-addresses.ts';
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

test('where the system does not tell the addresses the last ones hold, and it is logged once', async () => {
  const clock = new FakeClock();
  const warnings: object[] = [];
  let isRefused = true;
  const read = () => {
    if (isRefused) throw new Error('uv_interface_addresses returned Unknown system error 97');
    return ['10.0.0.7'];
  };
  const addresses = cachedHostAddresses(clock, { warn: (fields) => warnings.push(fields) }, read);
  const own = new OwnAddresses(clock, addresses);
  own.add({ host: '0.0.0.0', port: 6443 });
  expect(own.includes(makeEndpoint('10.0.0.7', 6443))).toBe(false);
  await clock.advance(60_000);
  expect(own.includes(makeEndpoint('127.0.0.5', 6443))).toBe(true);
  expect(addresses().size).toBe(0);
  expect(warnings).toEqual([{ reason: expect.stringContaining('error 97') }]);
  isRefused = false;
  await clock.advance(60_000);
  expect(own.includes(makeEndpoint('10.0.0.7', 6443))).toBe(true);
  isRefused = true;
  await clock.advance(60_000);
  expect(own.includes(makeEndpoint('10.0.0.7', 6443))).toBe(true);
  expect(warnings).toHaveLength(2);
});
