import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../support/agent/command-context.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();

function varsFile(text: string): string {
  const file = join(directory, `${Math.random()}.yml`);
  writeFileSync(file, text);
  return file;
}

const run = (text: string, role: string, ...more: readonly string[]) =>
  runCommand(['endpoint', '--vars', varsFile(text), '--role', role, ...more]);

test('standard output is the address alone, for scripts; traps are warnings', async () => {
  expect(await run('kube_apiserver_port: 7443\nloadbalancer_apiserver_port: 8443', 'worker')).toEqual({
    code: 0,
    out: 'https://localhost:8443\n',
    err: expect.stringMatching(/^warning: kube-proxy .* \(kube-proxy-dead-port\)\n$/),
  });
  expect(await run('kube_apiserver_bind_address: 0.0.0.0', 'control-plane')).toMatchObject({
    out: 'https://127.0.0.1:6443\n',
    err: expect.stringContaining('Kubespray itself writes https://0.0.0.0:6443'),
  });
});

test('JSON has the traps by name, and etcd', async () => {
  const text = 'etcd_access_addresses: https://10.0.0.1:2379\n';
  const { out } = await run(text, 'external', '--first-control-plane', 'fd00::1', '--json');
  expect(JSON.parse(out)).toMatchObject({
    role: 'external',
    endpoints: ['https://[fd00::1]:6443'],
    warnings: [{ trap: 'ipv6-brackets' }],
    etcd: { accessAddresses: ['https://10.0.0.1:2379'] },
  });
});

test("the role etcd prints etcd's addresses", async () => {
  const url = 'https://etcd.example.com:2379';
  expect(await run(`etcd_client_url: ${url}`, 'etcd')).toMatchObject({ code: 0, out: `${url}\n` });
  expect(await run('{}', 'etcd')).toMatchObject({ code: 2, err: expect.stringContaining('set none of') });
});

test.each([
  ['kube_apiserver_port: x', 'worker', [], 'kube_apiserver_port: must be a port'],
  ['loadbalancer_apiserver_localhost: false', 'worker', [], '--first-control-plane'],
  ['{}', 'external', ['--first-control-plane', '10.0.0'], '--first-control-plane: "10.0.0" is neither'],
  ['{}', 'anybody', [], "'--role <ROLE>' argument 'anybody' is invalid"],
  ['etcd_client_url: x', 'worker', [], 'etcd_client_url must be URLs'],
])('%s for %s %j is bad usage: %s', async (text, role, more, problem) => {
  expect(await run(text, role, ...more)).toMatchObject({ code: 2, err: expect.stringContaining(problem) });
});

test('a file that is missing is named', async () => {
  const result = await runCommand(['endpoint', '--vars', '/nowhere/all.yml', '--role', 'worker']);
  expect(result).toMatchObject({ code: 2, err: expect.stringContaining('/nowhere/all.yml: does not exist') });
});
