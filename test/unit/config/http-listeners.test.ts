// What a listener of type http must say, and what it must not.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../../../src/config/load.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();

async function load(config: Record<string, unknown>) {
  const file = join(directory, 'fairlead.yaml');
  writeFileSync(file, JSON.stringify({ endpoints: ['10.0.0.1'], credentials: { caFile: '/ca' }, ...config }));
  return loadConfig({ file, env: {}, hostname: 'node-1' });
}

async function problems(config: Record<string, unknown>): Promise<string[]> {
  const result = await load(config);
  return result.ok ? [] : result.problems.map(({ path, right }) => `${path}: ${right}`);
}

const tls = { certFile: '/tls.crt', keyFile: '/tls.key' };
const http = { address: '127.0.0.1:6444', type: 'http', tls };

test('a certificate and its key are all that it needs', async () => {
  const result = await load({ listeners: ['127.0.0.1:6443', http] });
  expect(result.ok && result.config.listeners[1]).toMatchObject({ type: 'http', port: 6444, tls });
  expect(result.ok && result.config.requestHeader.certFile).toBeUndefined();
});

test.each([
  [{ ...http, tls: undefined }, /listeners\[0\]\.tls: is required with type http/],
  [{ ...http, tls: { certFile: '/x' } }, /listeners\[0\]\.tls\.keyFile: must be the name of a file/],
  [{ ...http, tls: { ...tls, key: 'x' } }, /listeners\[0\]\.tls/],
  [{ ...http, type: 'passthrough' }, /listeners\[0\]\.tls: has no effect with type passthrough/],
  [{ ...http, sendProxy: true }, /listeners\[0\]\.sendProxy: is for listeners of type passthrough/],
  [{ ...http, replayNonTls: true }, /listeners\[0\]\.replayNonTls: is for/],
  [{ ...http, acceptProxyFrom: ['10.0.0.0/8'] }, /listeners\[0\]\.acceptProxyFrom: is for/],
  [{ ...http, tls: { ...tls, clientCaFile: '/ca' } }, /clientCaFile: has no effect without requestHeader/],
  [{ ...http, address: '0.0.0.0:6444' }, /listeners\[0\]\.address: must be a loopback address/],
])('%j is refused', async (listener, expected) => {
  expect((await problems({ listeners: [listener] })).join('\n')).toMatch(expected);
});

test('it leads to API servers only', async () => {
  const pools = { etcd: { type: 'etcd', endpoints: ['10.0.0.1'] } };
  expect(await problems({ pools, listeners: ['127.0.0.1:6443', { ...http, pool: 'etcd' }] })).toContainEqual(
    expect.stringMatching(/listeners\[1\]\.pool: must be apiservers/),
  );
});

test('tokens go to verified API servers only, so a CA must be known', async () => {
  expect(await problems({ listeners: [http], credentials: {} })).toContainEqual(
    expect.stringMatching(/needs credentials\.caFile or credentials\.kubeconfig/),
  );
  expect(await problems({ listeners: ['127.0.0.1:6443'], credentials: {} })).toEqual([]);
});

describe('a front proxy', () => {
  const requestHeader = { certFile: '/proxy.crt', keyFile: '/proxy.key' };

  test('needs its certificate, its key and a CA for clients', async () => {
    const listeners = [{ ...http, tls: { ...tls, clientCaFile: '/client-ca' } }];
    const result = await load({ listeners, requestHeader });
    expect(result.ok && result.config.requestHeader).toEqual({
      ...requestHeader,
      usernameHeader: 'X-Remote-User',
      groupHeader: 'X-Remote-Group',
    });
  });

  test.each([
    [
      { listeners: [http], requestHeader },
      /requestHeader\.certFile: needs a listener of type http with tls\.clientCaFile/,
    ],
    [
      { listeners: [http], requestHeader: { certFile: '/x' } },
      /requestHeader\.certFile: needs requestHeader\.keyFile/,
    ],
    [
      { listeners: [http], requestHeader: { keyFile: '/x' } },
      /requestHeader\.keyFile: needs requestHeader\.certFile/,
    ],
    [
      { requestHeader: { usernameHeader: 'Authorization' } },
      /usernameHeader: must be the name of a header that begins/,
    ],
  ])('%j is refused', async (config, expected) => {
    expect((await problems(config)).join('\n')).toMatch(expected);
  });
});
