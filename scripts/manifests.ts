// Writes src/manifest/trees/: the folders of manifests/ that `fairlead manifest` prints, rendered. A test compares.
// Usage: node scripts/manifests.ts
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderTree } from './build-parts/render-tree.ts';

/** By the name that the command has for it. */
export const folders: Readonly<Record<string, string>> = {
  'static-pod': 'static-pod',
  installer: 'daemonset-installer',
  'installer-replace-proxy': 'installer-replace-proxy',
  'point-kubelets': 'installer-point-kubelets',
  remove: 'installer-remove',
  agent: 'daemonset-agent',
  monitoring: 'monitoring',
};

/** The source file of a tree. */
export function treeSource(name: string): string {
  const objects = renderTree(join('manifests', folders[name] ?? name));
  const text = objects.map((object) => object.toString({ lineWidth: 0, directives: false })).join('---\n');
  const escaped = text.replace(/[\\`]|\$\{/g, (found) => `\\${found}`);
  return `// Generated from manifests/${folders[name]} by scripts/manifests.ts.\nexport const tree = \`${escaped}\`;\n`;
}

export const treeFile = (name: string) => `src/manifest/trees/tree-${name}.ts`;

if (import.meta.main) {
  mkdirSync('src/manifest/trees', { recursive: true });
  for (const name of Object.keys(folders)) writeFileSync(treeFile(name), treeSource(name));
}
