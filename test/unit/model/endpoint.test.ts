import { parseHostPort } from '../../../src/model/endpoint.ts';

describe('parseHostPort', () => {
  test.each([
    ['10.0.0.1:6443', { host: '10.0.0.1', port: 6443 }],
    ['[FD00::0:5]:6443', { host: 'fd00::5', port: 6443 }],
    ['fd00::5', { host: 'fd00::5', port: 6443 }],
    ['cp1.example', { host: 'cp1.example', port: 6443 }],
  ])('reads %s', (text, value) => {
    expect(parseHostPort(text, { defaultPort: 6443 })).toEqual({ ok: true, value });
  });

  test.each([
    ['fd00::5:99999:1:2:3:4:5:6', 'brackets'],
    ['10.0.0.1:0', 'from 1 to 65535'],
    ['10.0.0.1:65536', 'from 1 to 65535'],
    ['10.0.0.256:6443', 'neither an IP address nor a DNS name'],
    ['[10.0.0.1]:6443', 'not an IPv6 address'],
    ['a b:1', 'neither'],
    [':6443', 'neither'],
  ])('refuses %s and says why', (text, problem) => {
    expect(parseHostPort(text)).toEqual({ ok: false, problem: expect.stringContaining(problem) });
  });
});
