// Bundles src/main.ts into a single file, by default dist/fairlead.js. Modules behind a dynamic import()
// (pretty printer, YAML) are in it too, but run only when first used.
// The old file is replaced in one step, so that whoever starts it meanwhile gets a whole one.
// Usage: node scripts/build.ts [OUTFILE [METAFILE]]   METAFILE: what went into the bundle, as esbuild says it
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
const [, , outfile = 'dist/fairlead.js', metafile] = process.argv;

/**
 * Loads Node's own modules by require(), when they are first needed. An `import` of them stands at the top
 * of the bundle and reads every export, and with that the lazy ones: `node:http` then loads all of
 * undici for its WebSocket, `node:crypto` all of WebCrypto. Measured: a quarter of the start-up, and 4 MB.
 */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /.*/ }, ({ path, kind }) =>
      kind === 'import-statement' && isBuiltin(path) ? { path, namespace: 'builtin' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

const directory = dirname(outfile);
mkdirSync(directory, { recursive: true });
const work = mkdtempSync(join(directory, '.build-'));
const built = join(work, basename(outfile));
const options: BuildOptions = {
  entryPoints: ['src/main.ts'],
  outfile: built,
  bundle: true,
  metafile: metafile !== undefined,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minifySyntax: true,
  legalComments: 'linked',
  define: { FAIRLEAD_VERSION: JSON.stringify(version) },
  plugins: [lazyBuiltins],
  banner: {
    js: [
      '#!/usr/bin/env node',
      "import { createRequire as __createRequire } from 'node:module';",
      'const require = __createRequire(import.meta.url);',
    ].join('\n'),
  },
};
try {
  const result = await build(options);
  if (metafile !== undefined) writeFileSync(metafile, JSON.stringify(result.metafile));
  chmodSync(built, 0o755);
  for (const name of readdirSync(work)) renameSync(join(work, name), join(directory, name));
} finally {
  rmSync(work, { recursive: true });
}
