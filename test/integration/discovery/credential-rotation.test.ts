// Credentials that change under us, on real files. The clock is real and looks every few milliseconds.
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Credentials } from '../../../src/kubernetes/credentials.ts';
import type { CredentialOptions } from '../../../src/kubernetes/load-credentials.ts';
import { type CredentialWatch, watchCredentials } from '../../../src/kubernetes/watch-credentials.ts';
import { systemClock } from '../../../src/model/clock.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { writeKubeconfig } from '../../support/credentials/kubeconfig.ts';
import { type Leaf, makeCa, type TestCa } from '../../support/credentials/pki.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const root = tempDir();
let counter = 0;
const path = (name: string) => join(root, `${counter}-${name}`);

let ca: TestCa;
let first: Leaf;
let second: Leaf;
let watch: CredentialWatch | undefined;
let log = recordingLog();

beforeAll(async () => {
  ca = await makeCa();
  first = await ca.issue({ commonName: 'system:node:a' });
  second = await ca.issue({ commonName: 'system:node:a' });
});
beforeEach(() => {
  counter += 1;
  log = recordingLog();
});
afterEach(() => watch?.stop());

async function start(options: CredentialOptions, pollMs = 10) {
  const seen: Credentials[] = [];
  watch = watchCredentials(options, { clock: systemClock, random: Math.random, log, pollMs });
  watch.subscribe((next) => seen.push(next));
  await watch.started;
  return { watch, seen };
}
const pair = (leaf: Leaf) => `${leaf.cert}\n${leaf.key}\n`;
/** How Kubernetes writes files that others read: beside, then renamed. */
function replace(file: string, content: string): void {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}

test('a client certificate that rotates by symlink is published, once', async () => {
  writeFileSync(path('1.pem'), pair(first));
  writeFileSync(path('2.pem'), pair(second));
  symlinkSync(path('1.pem'), path('current.pem'));
  const { watch, seen } = await start({ clientCertFile: path('current.pem') });
  expect(watch.current.cert?.trim()).toBe(first.cert.trim());
  symlinkSync(path('2.pem'), path('next.pem'));
  renameSync(path('next.pem'), path('current.pem'));
  await eventually('the second certificate', () => watch.current.cert?.trim() === second.cert.trim());
  expect(seen).toHaveLength(2);
});

test('a file that is rewritten with the same content is no change', async () => {
  writeFileSync(path('token'), 'a');
  const { watch, seen } = await start({ tokenFile: path('token') });
  replace(path('token'), 'a\n');
  expect(await watch.reload()).toBe(false);
  replace(path('token'), 'b');
  await eventually('the new token', () => watch.current.token === 'b');
  expect(seen.map((c) => c.token)).toEqual(['a', 'b']);
});

test('a half-written pair keeps the one before, with a warning, until it is whole', async () => {
  writeFileSync(path('cert'), first.cert);
  writeFileSync(path('key'), first.key);
  const { watch, seen } = await start({ clientCertFile: path('cert'), clientKeyFile: path('key') });
  writeFileSync(path('cert'), second.cert);
  await eventually('the mismatch is noticed', () => watch.problem?.message.includes('does not belong'));
  expect(watch.current.cert?.trim()).toBe(first.cert.trim());
  writeFileSync(path('key'), second.key);
  await eventually('the whole pair', () => watch.current.cert?.trim() === second.cert.trim());
  expect(watch.problem).toBeUndefined();
  expect(seen).toHaveLength(2);
  expect(log.lines.filter((line) => line.level === 'warn')).toHaveLength(1);
});

test('credentials that vanish stay in use', async () => {
  writeFileSync(path('token'), 'a');
  const { watch } = await start({ tokenFile: path('token') });
  rmSync(path('token'));
  await eventually('the loss is noticed', () => watch.problem?.message.includes('does not exist'));
  expect(watch.current.token).toBe('a');
});

test('a kubeconfig that is not there yet is waited for, as on a node that is joining', async () => {
  const { watch } = await start({ kubeconfig: path('kubelet.conf') });
  expect(watch.current.kind).toBe('none');
  expect(watch.problem?.code).toBe('KUBECONFIG_INVALID');
  expect(watch.server).toBeUndefined();
  writeKubeconfig(path('kubelet.conf'), { user: { token: 'joined' } });
  await eventually('the kubeconfig', () => watch.current.token === 'joined');
  expect(watch.server).toEqual({ host: '10.0.0.1', port: 6443 });
});

test('a whole kubeconfig is replaced, with the files that it names', async () => {
  writeFileSync(path('a'), 'token-a');
  writeFileSync(path('b'), 'token-b');
  writeKubeconfig(path('kc'), { user: { tokenFile: path('a') } });
  const { watch } = await start({ kubeconfig: path('kc') });
  writeKubeconfig(path('kc'), { user: { tokenFile: path('b') } });
  await eventually('the other token', () => watch.current.token === 'token-b');
  writeFileSync(path('b'), 'token-c');
  await eventually('a change of the other file', () => watch.current.token === 'token-c');
});

test('a service account that appears later is taken', async () => {
  const { watch } = await start({ serviceAccountDir: root.concat('/', `${counter}-sa`) });
  expect(watch.problem?.message).toContain('token: does not exist');
  const { mkdirSync } = await import('node:fs');
  mkdirSync(path('sa'));
  writeFileSync(join(path('sa'), 'ca.crt'), ca.cert);
  writeFileSync(join(path('sa'), 'token'), 'sa');
  await eventually('the service account', () => watch.current.token === 'sa');
});

test('a reload on demand sees the change before the next look', async () => {
  writeFileSync(path('token'), 'a');
  const { watch } = await start({ tokenFile: path('token') }, 3_600_000);
  replace(path('token'), 'b');
  expect(await watch.reload()).toBe(true);
  expect(watch.current.token).toBe('b');
  replace(path('token'), 'c');
  expect(await watch.reload()).toBe(false); // within a second of the one before: not read again
});

test('an exec plugin runs once while its token lasts, again on demand', async () => {
  const plugin = path('plugin.sh');
  const runs = path('runs');
  writeFileSync(
    plugin,
    `#!/bin/sh\necho x >> ${runs}\necho "{\\"status\\":{\\"token\\":\\"t$(wc -l < ${runs} | tr -d ' ')\\"}}"\n`,
    { mode: 0o755 },
  );
  writeKubeconfig(path('kc'), { user: { exec: { command: plugin } } });
  const { watch, seen } = await start({ kubeconfig: path('kc') });
  expect(watch.current).toMatchObject({ kind: 'exec', token: 't1' });
  expect(await watch.reload()).toBe(true);
  expect(watch.current.token).toBe('t2');
  expect(seen).toHaveLength(2);
});

test('an exec plugin is asked again when what it gave has expired', async () => {
  const plugin = path('plugin.sh');
  const runs = path('runs');
  const status = '\\"token\\":\\"t$n\\",\\"expirationTimestamp\\":\\"2020-01-01T00:00:00Z\\"';
  const script = `#!/bin/sh\necho x >> ${runs}\nn=$(wc -l < ${runs} | tr -d ' ')\necho "{\\"status\\":{${status}}}"\n`;
  writeFileSync(plugin, script, { mode: 0o755 });
  writeKubeconfig(path('kc'), { user: { exec: { command: plugin } } });
  const { watch } = await start({ kubeconfig: path('kc') });
  expect(watch.current.token).toBe('t1');
  await eventually('a later token', () => watch.current.token === 't3');
});

test('nothing is published after stop', async () => {
  writeFileSync(path('token'), 'a');
  const { watch, seen } = await start({ tokenFile: path('token') });
  await watch.stop();
  await watch.stop();
  replace(path('token'), 'b');
  expect(await watch.reload()).toBe(false);
  expect(seen).toHaveLength(1);
});
