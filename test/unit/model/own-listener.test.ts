import { ownListenerCheck } from '../../../src/model/own-listener.ts';
import { makeEndpoint, parseHostPort } from '../../../src/model/endpoint.ts';

function isOwn(listeners: string[], endpoint: string, local: string[] = []): boolean {
  const parse = (text: string) => {
    const parsed = parseHostPort(text);
    if (!parsed.ok) throw new Error(parsed.problem);
    return parsed.value;
  };
  const { host, port } = parse(endpoint);
  return ownListenerCheck(listeners.map(parse), () => local)(makeEndpoint(host, port));
}

test.each([
  ['the same address and port', ['127.0.0.1:6443'], '127.0.0.1:6443', []],
  ['an IPv4 address written as IPv6', ['127.0.0.1:6443'], '[::ffff:127.0.0.1]:6443', []],
  ['the other name of localhost', ['127.0.0.1:6443'], '[::1]:6443', []],
  ['the unspecified address, which leads to this host', ['127.0.0.1:6443'], '0.0.0.0:6443', []],
  ['any loopback address of a listener on every address', ['0.0.0.0:6443'], '127.0.0.9:6443', []],
  ['an address of this host, listener on every address', ['0.0.0.0:6443'], '10.0.0.7:6443', ['10.0.0.7']],
  ['an IPv4 address of this host, listener on [::]', ['[::]:6443'], '10.0.0.7:6443', ['10.0.0.7']],
  ['an IPv6 address of this host', ['[::]:6443'], '[fd00::7]:6443', ['fd00:0::7']],
  ['one of several listeners', ['127.0.0.1:1', '10.0.0.7:6443'], '10.0.0.7:6443', []],
])('refuses %s', (_, listeners, endpoint, local) => {
  expect(isOwn(listeners, endpoint, local)).toBe(true);
});

test.each([
  ['another port', ['127.0.0.1:6443'], '127.0.0.1:6444', []],
  ['a local API server beside a loopback listener', ['127.0.0.1:6443'], '10.0.0.7:6443', ['10.0.0.7']],
  ['another loopback address', ['127.0.0.1:6443'], '127.0.0.2:6443', []],
  ['another host, listener on every address', ['0.0.0.0:6443'], '10.0.0.8:6443', ['10.0.0.7']],
  ['an IPv6 address, listener on every IPv4 address', ['0.0.0.0:6443'], '[fd00::7]:6443', ['fd00::7']],
])('takes %s', (_, listeners, endpoint, local) => {
  expect(isOwn(listeners, endpoint, local)).toBe(false);
});
