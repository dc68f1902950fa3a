import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  type CredentialOptions,
  loadCredentials,
  problemsOf,
  readCredentials,
  readValue,
} from '../../../src/kubernetes/load-credentials.ts';
import { FairleadError } from '../../../src/model/errors.ts';
import { base64, type KubeconfigParts, writeKubeconfig } from '../../support/credentials/kubeconfig.ts';
import { type Leaf, makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
let ca: TestCa;
let client: Leaf;
let other: Leaf;
let counter = 0;
function fresh(name: string): string {
  counter += 1;
  return `${name}-${counter}`;
}

beforeAll(async () => {
  ca = await makeCa();
  client = await ca.issue({ commonName: 'system:node:a', organizations: ['system:nodes'] });
  other = await ca.issue({ commonName: 'other' });
});

function file(content: string, name = fresh('file')): string {
  writeFileSync(join(directory, name), content);
  return join(directory, name);
}
const kubeconfig = (parts: KubeconfigParts) => writeKubeconfig(join(directory, fresh('kc')), parts);
const load = (options: CredentialOptions) => loadCredentials(options, new Set());
const loadFrom = (parts: KubeconfigParts) => load({ kubeconfig: kubeconfig(parts) });
const inlineCa = () => ({ 'certificate-authority-data': base64(ca.cert) });
const same = (pem: string | undefined, expected: string) => expect(pem?.trim()).toBe(expected.trim());

async function problemOf(options: CredentialOptions): Promise<string> {
  const error = await load(options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FairleadError);
  expect((error as FairleadError).code).toBe('KUBECONFIG_INVALID');
  return (error as FairleadError).message;
}

describe('a kubeconfig', () => {
  test('with inline data gives CA, client certificate and server', async () => {
    const user = { 'client-certificate-data': base64(client.cert), 'client-key-data': base64(client.key) };
    const { credentials, server, warnings } = await loadFrom({ cluster: inlineCa(), user });
    expect(credentials.kind).toBe('client certificate');
    same(credentials.ca, ca.cert);
    same(credentials.cert, client.cert);
    same(credentials.key, client.key);
    expect(server).toEqual({ host: '10.0.0.1', port: 6443 });
    expect(warnings).toEqual([]);
  });

  test('of kubelet: one file holds certificate and key, paths are relative', async () => {
    file(`${client.cert}\n${client.key}`, 'kubelet-client-current.pem');
    file(ca.cert, 'ca.crt');
    const files = new Set<string>();
    const { credentials } = await loadCredentials(
      {
        kubeconfig: kubeconfig({
          cluster: { 'certificate-authority': 'ca.crt' },
          user: {
            'client-certificate': 'kubelet-client-current.pem',
            'client-key': './kubelet-client-current.pem',
          },
        }),
      },
      files,
    );
    same(credentials.cert, client.cert);
    same(credentials.key, client.key);
    same(credentials.ca, ca.cert);
    expect([...files]).toEqual(expect.arrayContaining([join(directory, 'kubelet-client-current.pem')]));
  });

  test('with a token, and with a token file that wins over it', async () => {
    expect((await loadFrom({ user: { token: 'abc' } })).credentials).toEqual({ kind: 'token', token: 'abc' });
    file('from-file\n', 'token');
    const { credentials } = await loadFrom({ user: { token: 'abc', tokenFile: 'token' } });
    expect(credentials).toEqual({ kind: 'token', token: 'from-file' });
  });

  test('in JSON is a kubeconfig too', async () => {
    const text = JSON.stringify({
      'current-context': 'x',
      contexts: [{ name: 'x', context: { cluster: 'c', user: '' } }],
      clusters: [{ name: 'c', cluster: { server: 'https://[fd00::1]:6443' } }],
    });
    const { credentials, server } = await load({ kubeconfig: file(text) });
    expect(credentials.kind).toBe('none');
    expect(server).toEqual({ host: 'fd00::1', port: 6443 });
  });

  test('entries that are not in use may be broken', async () => {
    const root = {
      users: [
        { name: 'u', user: { token: 'abc' } },
        { name: 'gone', user: { 'token-file': '/does/not/exist' } },
        7,
      ],
      clusters: [{ name: 'bad' }, { name: 'c', cluster: { server: 'https://10.0.0.1:6443' } }],
    };
    expect((await loadFrom({ root })).credentials.token).toBe('abc');
  });

  test('tls-server-name is taken, an explicit server name wins', async () => {
    const path = kubeconfig({ cluster: { 'tls-server-name': 'api.example' } });
    expect((await load({ kubeconfig: path })).credentials.serverName).toBe('api.example');
    expect((await load({ kubeconfig: path, serverName: 'b' })).credentials.serverName).toBe('b');
  });

  test('an explicit identity replaces its identity as a whole, an explicit CA its CA', async () => {
    const another = await makeCa('another');
    const path = kubeconfig({ cluster: inlineCa(), user: { token: 'abc' } });
    const { credentials } = await load({
      kubeconfig: path,
      caFile: file(another.cert),
      clientCertFile: file(client.cert),
      clientKeyFile: file(client.key),
    });
    expect(credentials).toMatchObject({ kind: 'client certificate' });
    expect(credentials.token).toBeUndefined();
    same(credentials.ca, another.cert);
  });

  test.each([
    ['https://cp.example', { host: 'cp.example', port: 443 }],
    ['https://127.0.0.1:6443', { host: '127.0.0.1', port: 6443 }],
    ['https://10.0.0.1:6443/', { host: '10.0.0.1', port: 6443 }],
  ])('with server %s seeds it', async (address, expected) => {
    expect((await loadFrom({ cluster: { server: address } })).server).toEqual(expected);
  });

  test.each([
    ['http://10.0.0.1:8080', 'it is not https'],
    ['https://rancher.example/k8s/clusters/c-1', 'a path'],
    ['https://10.96.0.1:443', 'kube-proxy'],
    ['https://kubernetes.default.svc', 'kube-proxy'],
    ['nonsense', 'not a URL'],
  ])('with server %s gives credentials but no seed, and says why', async (address, why) => {
    const path = kubeconfig({ cluster: { server: address }, user: { token: 'abc' } });
    const { server, warnings, credentials } = await load({ kubeconfig: path, serviceHost: '10.96.0.1' });
    expect(server).toBeUndefined();
    expect(warnings.join()).toContain(why);
    expect(credentials.token).toBe('abc');
  });

  test('insecure-skip-tls-verify is refused without a CA, ignored with one', async () => {
    const cluster = { 'insecure-skip-tls-verify': true };
    expect(await problemOf({ kubeconfig: kubeconfig({ cluster }) })).toContain('--ca-file');
    const { warnings, credentials } = await load({
      kubeconfig: kubeconfig({ cluster }),
      caFile: file(ca.cert),
    });
    expect(warnings.join()).toContain('insecure-skip-tls-verify is ignored');
    expect(credentials.ca).toBeDefined();
  });

  test('what is not honoured is said', async () => {
    const { warnings } = await loadFrom({
      cluster: { 'proxy-url': 'socks5://127.0.0.1:1' },
      user: { username: 'a', password: 'b', as: 'root' },
    });
    expect(warnings.join()).toMatch(/proxy-url.*username.*impersonation/);
  });
});

describe('problems name the file and never what is in it', () => {
  test.each<[string, () => CredentialOptions, RegExp]>([
    ['a missing kubeconfig', () => ({ kubeconfig: join(directory, 'none') }), /none: does not exist/],
    ['a directory', () => ({ kubeconfig: directory }), /is a directory, not a file/],
    [
      'broken YAML',
      () => ({ kubeconfig: file('users:\n- token: sekret: x\n', 'bad.yaml') }),
      /bad\.yaml: not YAML .* line 2/,
    ],
    ['no mapping', () => ({ kubeconfig: file('[]') }), /not a kubeconfig/],
    [
      'no current context',
      () => ({ kubeconfig: kubeconfig({ root: { 'current-context': '' } }) }),
      /no current-context/,
    ],
    [
      'a missing context',
      () => ({ kubeconfig: kubeconfig({ root: { contexts: [] } }) }),
      /contexts has no entry named "here"/,
    ],
    [
      'a missing user',
      () => ({ kubeconfig: kubeconfig({ root: { users: null } }) }),
      /users has no entry named "u"/,
    ],
    [
      'a cluster without server',
      () => ({ kubeconfig: kubeconfig({ cluster: { server: '' } }) }),
      /server is missing/,
    ],
    [
      'a missing CA file',
      () => ({ kubeconfig: kubeconfig({ cluster: { 'certificate-authority': 'no.crt' } }) }),
      /no\.crt: does not exist/,
    ],
    [
      'a CA that is none',
      () => ({ caFile: file('sekret', 'not-a-ca') }),
      /not-a-ca contains no PEM certificate/,
    ],
    [
      'half a CA',
      () => ({ caFile: file(`${ca.cert}${ca.cert.slice(0, 300)}`, 'half-ca') }),
      /half-ca ends in the middle/,
    ],
    ['an empty token', () => ({ tokenFile: file('\n', 'empty-token') }), /empty-token is empty/],
    [
      'a token of two lines',
      () => ({ tokenFile: file('sekret\nsekret', 'two') }),
      /two does not contain a bearer token/,
    ],
    [
      'a certificate without key',
      () => ({ clientCertFile: file(client.cert, 'lone.pem') }),
      /lone\.pem contains no PEM private key/,
    ],
    [
      'a foreign key',
      () => ({ clientCertFile: file(client.cert), clientKeyFile: file(other.key, 'foreign') }),
      /foreign does not belong/,
    ],
    [
      'a key alone',
      () => ({ kubeconfig: kubeconfig({ user: { 'client-key-data': base64(client.key) } }) }),
      /no client certificate/,
    ],
    [
      'an auth-provider',
      () => ({ kubeconfig: kubeconfig({ user: { 'auth-provider': { name: 'gcp' } } }) }),
      /auth-provider "gcp".*exec plugin/,
    ],
  ])('%s', async (_, options, message) => {
    const text = await problemOf(options());
    expect(text).toMatch(message);
    expect(text).not.toContain('sekret');
    expect(text).not.toContain('PRIVATE KEY-----');
  });

  test('arbitrary kubeconfigs are read or refused, never a crash of another kind', async () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant([]), fc.constant({}));
    const part = fc.oneof(
      value,
      fc.dictionary(
        fc.constantFrom(
          'server',
          'token',
          'exec',
          'auth-provider',
          'tokenFile',
          'certificate-authority-data',
          'client-key-data',
        ),
        fc.oneof(value, fc.constant('https://1.2.3.4')),
      ),
    );
    const list = (key: string) =>
      fc.oneof(value, fc.array(fc.oneof(value, fc.record({ name: fc.constantFrom('a', 'b'), [key]: part }))));
    const any = fc.record({
      'current-context': fc.oneof(fc.constant('a'), value),
      contexts: fc.oneof(list('context'), fc.constant([{ name: 'a', context: { cluster: 'a', user: 'a' } }])),
      clusters: list('cluster'),
      users: list('user'),
    });
    const path = join(directory, 'fuzzed');
    await fc.assert(
      fc.asyncProperty(any, async (content) => {
        writeFileSync(path, JSON.stringify(content));
        try {
          await load({ kubeconfig: path });
        } catch (error) {
          expect(error).toBeInstanceOf(FairleadError);
          // The kubeconfig itself, or a file beside it that it names.
          expect((error as FairleadError).message).toContain(directory);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('the service account of a pod', () => {
  test('gives token and CA, and no endpoint', async () => {
    const serviceAccountDir = join(directory, 'sa');
    mkdirSync(serviceAccountDir);
    file('sa-token', 'sa/token');
    file(ca.cert, 'sa/ca.crt');
    const { credentials, server } = await load({ serviceAccountDir });
    expect(credentials).toMatchObject({ kind: 'token', token: 'sa-token' });
    same(credentials.ca, ca.cert);
    expect(server).toBeUndefined();
  });
  test('that is not there is a problem of each of its files, and they are looked for again', async () => {
    const files = new Set<string>();
    const serviceAccountDir = join(directory, 'no-sa');
    const found = await readCredentials({ serviceAccountDir }, files);
    expect(problemsOf(found).map(({ code }) => code)).toEqual(['CA_UNREADABLE', 'CREDENTIALS_UNREADABLE']);
    expect([...files]).toEqual(['ca.crt', 'token'].map((name) => join(serviceAccountDir, name)));
  });
});

describe('each part by itself', () => {
  /** How each part may be broken; undefined: it is well. */
  const pem = (whole: () => string) => ({
    missing: undefined,
    empty: '',
    'cut off': () => whole().slice(0, 200),
    'something else': 'sekret',
  });
  const breakages = ['missing', 'empty', 'cut off', 'something else'] as const;
  const state = fc.option(fc.constantFrom(...breakages), { nil: undefined });

  /** Writes a file, whole or broken; its path. */
  function written(how: (typeof breakages)[number] | undefined, whole: string): string {
    if (how === undefined) return file(whole);
    const broken = pem(() => whole)[how];
    return broken === undefined
      ? join(directory, fresh('none'))
      : file(typeof broken === 'string' ? broken : broken());
  }

  const origins = ['kubeconfig', 'files', 'service account'] as const;
  test('whatever is broken of CA, certificate and key, the rest is read, and each problem names its file', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...origins), state, state, state, async (origin, a, b, c) => {
        const cluster: Record<string, string> = { 'tls-server-name': 'api.example' };
        let options: CredentialOptions;
        let paths: { ca: string; identity: readonly string[] };
        if (origin === 'service account') {
          const serviceAccountDir = join(directory, fresh('sa'));
          mkdirSync(serviceAccountDir);
          const put = (name: string, how: typeof a, whole: string) => {
            const path = join(serviceAccountDir, name);
            if (how !== 'missing') writeFileSync(path, readFileSync(written(how, whole)));
            return path;
          };
          // A cut token cannot be recognised.
          const tokenState = b === 'cut off' || b === 'something else' ? undefined : b;
          paths = { ca: put('ca.crt', a, ca.cert), identity: [put('token', tokenState, 'abc')] };
          options = { serviceAccountDir };
          [b, c] = [tokenState, undefined];
        } else {
          const [caFile, certFile, keyFile] = [
            written(a, ca.cert),
            written(b, client.cert),
            written(c, client.key),
          ];
          paths = { ca: caFile, identity: [certFile, keyFile] };
          options =
            origin === 'files'
              ? { caFile, clientCertFile: certFile, clientKeyFile: keyFile, serverName: 'api.example' }
              : {
                  kubeconfig: kubeconfig({
                    cluster: { ...cluster, 'certificate-authority': caFile },
                    user: { 'client-certificate': certFile, 'client-key': keyFile },
                  }),
                };
        }
        const found = await readCredentials(options, new Set());
        expect(found.ca.state).toBe(a === undefined ? 'read' : 'unreadable');
        expect(found.identity.state).toBe(b === undefined && c === undefined ? 'read' : 'unreadable');
        if (origin === 'kubeconfig')
          expect(found.place).toEqual({
            state: 'read',
            value: { serverName: 'api.example', server: { host: '10.0.0.1', port: 6443 } },
          });
        const problems = problemsOf(found);
        expect(problems.map(({ code }) => code)).toEqual([
          ...(a === undefined ? [] : ['CA_UNREADABLE']),
          ...(b === undefined && c === undefined ? [] : ['CREDENTIALS_UNREADABLE']),
        ]);
        for (const { code, message } of problems) {
          const places = code === 'CA_UNREADABLE' ? [paths.ca] : paths.identity;
          expect(places.some((place) => message.includes(place))).toBe(true);
          expect(message).not.toContain('sekret');
        }
      }),
      { numRuns: 150 },
    );
  });

  test('an inline CA stays when the client certificate of a kubeconfig is missing or empty', async () => {
    for (const path of [join(directory, 'gone.pem'), file('', 'empty.pem')]) {
      const user = { 'client-certificate': path, 'client-key': path };
      const found = await readCredentials(
        { kubeconfig: kubeconfig({ cluster: inlineCa(), user }) },
        new Set(),
      );
      same(readValue(found.ca), ca.cert);
      expect(readValue(found.place)?.server).toEqual({ host: '10.0.0.1', port: 6443 });
      expect(problemsOf(found)).toEqual([
        {
          code: 'CREDENTIALS_UNREADABLE',
          message: expect.stringMatching(/(gone|empty)\.pem.*(does not exist|is empty)/),
        },
      ]);
    }
  });

  test('a key that does not belong to the certificate drops the identity alone', async () => {
    const user = { 'client-certificate-data': base64(client.cert), 'client-key-data': base64(other.key) };
    const found = await readCredentials({ kubeconfig: kubeconfig({ cluster: inlineCa(), user }) }, new Set());
    expect([found.ca.state, found.identity.state, found.place.state]).toEqual(['read', 'unreadable', 'read']);
  });

  test('a user that is missing leaves the CA, a cluster that is missing the user', async () => {
    const part = { cluster: inlineCa(), user: { token: 'abc' } };
    const noUser = await readCredentials(
      { kubeconfig: kubeconfig({ ...part, root: { users: [] } }) },
      new Set(),
    );
    expect([noUser.ca.state, noUser.identity.state, noUser.place.state]).toEqual([
      'read',
      'unreadable',
      'read',
    ]);
    const noCluster = await readCredentials(
      { kubeconfig: kubeconfig({ ...part, root: { clusters: [] } }) },
      new Set(),
    );
    expect([noCluster.ca.state, noCluster.place.state]).toEqual(['unreadable', 'unreadable']);
    expect(readValue(noCluster.identity)?.token).toBe('abc');
    expect(problemsOf(noCluster)).toHaveLength(1);
  });

  test('a kubeconfig that cannot be read leaves what is given explicitly', async () => {
    const found = await readCredentials(
      { kubeconfig: join(directory, 'typo.conf'), caFile: file(ca.cert), tokenFile: file('abc') },
      new Set(),
    );
    expect([found.ca.state, found.identity.state, found.place.state]).toEqual(['read', 'read', 'unreadable']);
    expect(problemsOf(found)).toEqual([
      { code: 'KUBECONFIG_UNREADABLE', message: expect.stringContaining('typo.conf: does not exist') },
    ]);
  });

  test('insecure-skip-tls-verify without a CA is no CA, and leaves the user', async () => {
    const cluster = { 'insecure-skip-tls-verify': true };
    const found = await readCredentials(
      { kubeconfig: kubeconfig({ cluster, user: { token: 'abc' } }) },
      new Set(),
    );
    expect(found.ca).toMatchObject({ state: 'unreadable', problem: { code: 'CA_MISSING' } });
    expect(found.identity.state).toBe('read');
  });
});

describe('an exec plugin', () => {
  const plugin = (script: string) => {
    const path = file(`#!/bin/sh\n${script}`, fresh('plugin'));
    chmodSync(path, 0o755);
    return path;
  };
  const exec = (script: string, extra = {}) =>
    loadFrom({
      user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin(script), ...extra } },
    });
  const credential = (status: object) =>
    `echo '${JSON.stringify({ kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', status })}'`;

  test('gives a token', async () => {
    const { credentials } = await exec(credential({ token: 'from-plugin' }));
    expect(credentials).toEqual({ kind: 'exec', token: 'from-plugin' });
  });

  test('gives a client certificate', async () => {
    const pem = file(
      JSON.stringify({ status: { clientCertificateData: client.cert, clientKeyData: client.key } }),
    );
    const { credentials } = await exec(`cat ${pem}`);
    expect(credentials.kind).toBe('exec');
    same(credentials.cert, client.cert);
  });

  test('is found relative to the kubeconfig and is told that nobody sits there', async () => {
    const path = plugin(
      'echo "{\\"status\\":{\\"token\\":\\"$(echo $KUBERNETES_EXEC_INFO | base64 -w0)\\"}}"',
    );
    const { credentials } = await loadFrom({ user: { exec: { command: `./${path.split('/').at(-1)}` } } });
    const info = JSON.parse(Buffer.from(credentials.token ?? '', 'base64').toString()) as { spec: unknown };
    expect(info.spec).toEqual({ interactive: false });
  });

  test.each([
    ['that fails', 'echo no luck >&2; exit 1', /exec plugin of user "u" failed: no luck/],
    ['that says nothing of use', credential({}), /neither a token nor a certificate/],
    ['that says no JSON', 'echo hello', /exec plugin of user "u" failed/],
    ['that never ends its words', 'yes', /exceeds 1048576 bytes/],
  ])('%s is a problem', async (_, script, message) => {
    await expect(exec(script)).rejects.toMatchObject({
      code: 'KUBECONFIG_INVALID',
      message: expect.stringMatching(message),
    });
  });

  test('that does not exist is a problem', async () => {
    await expect(loadFrom({ user: { exec: { command: '/no/such/plugin' } } })).rejects.toMatchObject({
      message: expect.stringContaining('ENOENT'),
    });
  });
});
