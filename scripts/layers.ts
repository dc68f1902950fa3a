// Which folder of src may import which: the table "Where things are" in docs/architecture.md, as data. The linter's
// rules are generated from it: `node scripts/layers.ts` rewrites them in biome.json; a test compares and checks every
// import by itself as well.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';

export interface Layer {
  /** `health`, `passthrough/tunnel`, or `main.ts`: below src. */
  readonly name: string;
  readonly mayImport: readonly string[];
  /** Not there yet: its place is taken. */
  readonly isPlanned: boolean;
}

const row = /^\| `src\/([^`]+?)\/?` +\| (.*) \| (.*?) *\|$/;

/** The rows of the table, top to bottom. Throws with the line when one names a folder that has no row. */
export function readLayers(markdown: string): Layer[] {
  const layers = markdown.split('\n').flatMap((line): Layer[] => {
    const match = row.exec(line);
    if (!match) return [];
    const [, name = '', what = '', imports = ''] = match;
    const mayImport = imports === 'nothing' ? [] : imports.split(', ');
    return [{ name, mayImport, isPlanned: what.startsWith('(planned)') }];
  });
  const names = new Set(layers.map(({ name }) => name));
  for (const { name, mayImport } of layers) {
    const unknown = mayImport.find((other) => !names.has(other));
    if (unknown !== undefined) throw new Error(`src/${name} may import ${unknown}, which has no row`);
  }
  return layers;
}

/** The layer of a file below src, such as `health/verdict.ts`: that of the innermost folder with a row. */
export function layerOf(file: string, layers: readonly Layer[]): Layer | undefined {
  const inside = layers.filter(({ name }) => file === name || file.startsWith(`${name}/`));
  return inside.sort((a, b) => b.name.length - a.name.length)[0];
}

/** `FILE imports OTHER`, for each import of `file` that the table does not allow. */
export function forbiddenImports(file: string, text: string, layers: readonly Layer[]): string[] {
  const from = layerOf(file, layers);
  if (!from) return [`${file} is in no folder of the table`];
  const specifiers = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g);
  return [...specifiers].flatMap(([, specifier = '']) => {
    const target = normalize(join(dirname(file), specifier));
    const to = layerOf(target, layers);
    const isAllowed = to && (to.name === from.name || from.mayImport.includes(to.name));
    return isAllowed ? [] : [`${file} imports ${target}`];
  });
}

/** Matches what a file in `from` writes to import something in `to`. */
function patternOf(to: string, from: string): string {
  const parent = dirname(from);
  if (parent !== '.' && to === parent) return '../*.ts';
  if (parent !== '.' && dirname(to) === parent) return `../${basename(to)}/**`;
  return to.endsWith('.ts') ? `**/${to}` : `**/${to}/**`;
}

/** The override of the linter's configuration for each layer. */
export function lintOverrides(layers: readonly Layer[]): object[] {
  return layers
    .filter(({ name }) => name !== 'main.ts')
    .map(({ name, mayImport }) => {
      const forbidden = layers.filter((other) => other.name !== name && !mayImport.includes(other.name));
      // A folder's pattern holds for the rooms in it: it stays out where one of them may be imported.
      const patterns = forbidden
        .filter((other) => ![name, ...mayImport].some((allowed) => allowed.startsWith(`${other.name}/`)))
        .map((other) => patternOf(other.name, name));
      const message = `src/${name} may import ${mayImport.join(', ') || 'nothing'}: see the table in docs/architecture.md.`;
      const inner = layers.filter((other) => other.name.startsWith(`${name}/`));
      return {
        includes: [`src/${name}/**`, ...inner.map((other) => `!src/${other.name}/**`)],
        linter: {
          rules: {
            style: {
              noRestrictedImports: {
                level: 'error',
                options: { patterns: [{ group: patterns, message }] },
              },
            },
          },
        },
      };
    });
}

/** All TypeScript files below src. */
export function sourceFiles(): string[] {
  return readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
}

if (import.meta.main) {
  const layers = readLayers(readFileSync('docs/architecture.md', 'utf8'));
  const config = JSON.parse(readFileSync('biome.json', 'utf8'));
  writeFileSync('biome.json', JSON.stringify({ ...config, overrides: lintOverrides(layers) }, null, 2));
  execFileSync('biome', ['format', '--write', 'biome.json'], { stdio: 'inherit' });
}
