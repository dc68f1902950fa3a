// What `fairlead manifest` prints is what the folders of manifests/ are, with the parameters of the call.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { folders } from '../../scripts/manifests.ts';
import { runCli } from '../../src/cli/program.ts';
import { type KubeObject, schemaProblems } from '../support/apiserver/kubernetes-schemas.ts';
import { findKubectl } from '../support/clients/kubectl.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';

const names = Object.keys(folders);
const image = `registry.example/fairlead@sha256:${'0'.repeat(64)}`;
const otherImage = `registry.example:5000/team/fairlead:0.1.0@sha256:${'7'.repeat(64)}`;

async function run(...args: string[]) {
  let stdout = '';
  let stderr = '';
  const code = await runCli(['manifest', ...args], {
    env: {},
    hostname: 'node-1',
    version: '0.1.0',
    isTerminal: false,
    print: (text) => {
      stdout += text;
    },
    printError: (text) => {
      stderr += text;
    },
    signals: process,
  });
  return { code, stdout, stderr };
}

const documents = (text: string) => parseAllDocuments(text).map((each) => each.toJS() as KubeObject);

async function printed(...args: string[]): Promise<KubeObject[]> {
  const { code, stdout, stderr } = await run(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return documents(stdout);
}

const defaults = (name: string) => [
  name,
  ...(name === 'monitoring' ? [] : ['--image', image]),
  ...(name === 'agent' ? ['--endpoints', '10.0.0.11:6443'] : []),
];
const key = ({ kind, metadata }: KubeObject) => [kind, metadata.namespace, metadata.name].join('/');
const sorted = (objects: readonly KubeObject[]) => [...objects].sort((a, b) => (key(a) < key(b) ? -1 : 1));

const kubectl = findKubectl();
if (kubectl === undefined) skipLoudly('manifests equal what kustomize renders', 'no kubectl on PATH');
else {
  test.each(names)('%s is the folder as kustomize renders it', async (name) => {
    const args = ['kustomize', join('manifests', folders[name] ?? '')];
    const { status, stdout } = spawnSync(kubectl, args, { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(sorted(await printed(...defaults(name)))).toEqual(sorted(documents(stdout)));
  });
}

test.each(names)('%s: the schemas of the API take every object, with other parameters too', async (name) => {
  expect(await schemaProblems(await printed(...defaults(name)))).toEqual([]);
  if (name === 'monitoring') return;
  const endpoints =
    name === 'remove' ? [] : ['--endpoints', '10.9.9.1,[fd00::1]:6443', '--endpoints', 'a.b:1'];
  const other = await printed(name, '--image', otherImage, ...endpoints);
  expect(await schemaProblems(other)).toEqual([]);
  const text = JSON.stringify(other);
  expect(text).toContain(otherImage);
  expect(text).not.toContain(image);
});
