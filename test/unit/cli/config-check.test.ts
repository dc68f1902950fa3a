// What `fairlead config check` says of the files that a configuration names on this host.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeKubeconfig } from '../../support/credentials/kubeconfig.ts';
import { makeCa } from '../../support/credentials/pki.ts';
import { runCommand } from '../../support/agent/command-context.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();
const path = (name: string) => join(directory, name);

async function check(text: string) {
  writeFileSync(path('fairlead.yaml'), text);
  const { code, out, err } = await runCommand(['config', 'check', '--config', path('fairlead.yaml')]);
  return { code, out, warnings: err.split('\n').filter(Boolean) };
}

test('a mistyped kubeconfig is named with the line, the setting and what to do; the exit code stays 0', async () => {
  const { code, out, warnings } = await check(`credentials:\n  kubeconfig: ${path('kubelet.cnf')}\n`);
  expect(warnings).toEqual([
    expect.stringMatching(
      /^warning: .*fairlead\.yaml:2:15: credentials\.kubeconfig: .*kubelet\.cnf: does not exist\. Check the path/,
    ),
  ]);
  expect({ code, out }).toEqual({
    code: 0,
    out: `${path('fairlead.yaml')} is valid, except for one file that it names.\n`,
  });
});

test('every kind of file is looked at, in every pool, and each is named once', async () => {
  const ca = await makeCa();
  writeFileSync(path('empty.crt'), '');
  writeFileSync(path('token'), 'abc');
  const leaf = await ca.issue({ commonName: 'lone' });
  writeFileSync(path('lone.crt'), leaf.cert);
  const { code, warnings } = await check(`
listeners:
  - 127.0.0.1:6443
  - { address: "127.0.0.1:2379", pool: etcd }
  - { address: "127.0.0.1:6444", type: http, tls: { certFile: ${path('no-serving.crt')}, keyFile: ${path('no-serving.key')} } }
endpoints: [10.0.0.1:6443]
credentials: { caFile: ${path('empty.crt')}, tokenFile: ${path('token')} }
discovery: { cacheFile: ${path('no/such/directory/endpoints.json')} }
pools:
  etcd:
    type: etcd
    endpoints: [10.0.0.1:2379]
    credentials: { caFile: ${path('empty.crt')}, clientCertFile: ${path('lone.crt')}, clientKeyFile: ${path('gone.key')} }
`);
  const shown = warnings.map((line) => line.replace(/^warning: .*?fairlead\.yaml:\d+:\d+: /, ''));
  expect(shown).toEqual([
    expect.stringMatching(/^credentials\.caFile: .*empty\.crt is empty.*Restore the file/),
    expect.stringMatching(
      /^discovery\.cacheFile: .*directory .*no\/such\/directory does not exist\. Create it/,
    ),
    expect.stringMatching(/^pools\.etcd\.credentials\.clientCertFile: .*gone\.key: does not exist/),
    expect.stringMatching(/^listeners\[2\]\.tls: .*no-serving\.crt.*fairlead cert/),
  ]);
  expect(code).toBe(0);
});

test('what a kubeconfig names is looked at as well, and its exec plugin is not run', async () => {
  const ran = path('ran');
  const plugin = path('plugin.sh');
  writeFileSync(plugin, `#!/bin/sh\ntouch ${ran}\n`);
  chmodSync(plugin, 0o755);
  const file = writeKubeconfig(path('plugin.conf'), {
    cluster: { 'certificate-authority': 'no-ca.crt' },
    user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin } },
  });
  const { warnings } = await check(`credentials: { kubeconfig: ${file} }\n`);
  expect(warnings).toEqual([
    expect.stringMatching(
      /credentials\.kubeconfig: .*no-ca\.crt: does not exist \(named in .*plugin\.conf\)/,
    ),
  ]);
  await expect(import('node:fs').then(({ existsSync }) => existsSync(ran))).resolves.toBe(false);
});

test('files that are all there are no news', async () => {
  const ca = await makeCa();
  writeFileSync(path('ca.crt'), ca.cert);
  mkdirSync(path('state'));
  const { code, out, warnings } = await check(
    `endpoints: [cp1]\ncredentials: { caFile: ${path('ca.crt')} }\ndiscovery: { cacheFile: ${path('state/e.json')} }\n`,
  );
  expect({ code, warnings, out }).toEqual({
    code: 0,
    warnings: [],
    out: `${path('fairlead.yaml')} is valid.\n`,
  });
});
