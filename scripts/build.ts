// Bundles src/main.ts into a single file, by default dist/fairlead.js. Modules behind a dynamic import()
// (pretty printer, YAML) are in it too, but run only when first used.
// Usage: node scripts/build.ts [OUTFILE]
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { build, type Plugin } from 'esbuild';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
const outfile = process.argv[2] ?? 'dist/fairlead.js';

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

rmSync(outfile, { force: true });
await build({
  entryPoints: ['src/main.ts'],
  outfile,
  bundle: true,
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
});
chmodSync(outfile, 0o755);
