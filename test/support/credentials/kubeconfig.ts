// Writes kubeconfigs for tests.
import { writeFileSync } from 'node:fs';
import { stringify } from 'yaml';

export interface KubeconfigParts {
  readonly cluster?: Readonly<Record<string, unknown>>;
  readonly user?: Readonly<Record<string, unknown>>;
  /** Replaces top-level keys. */
  readonly root?: Readonly<Record<string, unknown>>;
}

export const base64 = (text: string) => Buffer.from(text).toString('base64');

export function writeKubeconfig(
  file: string,
  { cluster = {}, user = {}, root = {} }: KubeconfigParts,
): string {
  const content = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'here',
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    ...root,
  };
  writeFileSync(file, stringify(content));
  return file;
}
