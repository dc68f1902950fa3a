// Builds the program, by default into dist: fairlead.js and what it loads (scripts/build-parts/bundles.ts), with the
// licences of what is in it beside it.
// Whoever starts it meanwhile gets a whole program: the entry point is replaced last and in one step. Files of earlier
// builds stay for an hour, for processes that have yet to load them.
// Usage: node scripts/build.ts [DIR [METAFILE]]   METAFILE: what went into the bundles, as esbuild says it
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { entryPoint, makeBundles, partsDirectory } from './build-parts/bundles.ts';

const keptMs = 3_600_000;
const [, , given = 'dist', metafileName] = process.argv;
const directory = resolve(given);

const { files, metafile } = await makeBundles();
mkdirSync(join(directory, partsDirectory), { recursive: true });
const work = mkdtempSync(join(directory, '.build-'));
try {
  for (const [name, content] of files) {
    const file = join(work, 'file');
    writeFileSync(file, content);
    chmodSync(file, name === entryPoint ? 0o755 : 0o644);
    renameSync(file, join(directory, name));
  }
} finally {
  rmSync(work, { recursive: true });
}
for (const name of readdirSync(join(directory, partsDirectory))) {
  if (files.has(`${partsDirectory}/${name}`)) continue;
  const file = join(directory, partsDirectory, name);
  if (statSync(file).mtimeMs < Date.now() - keptMs) rmSync(file);
}
if (metafileName !== undefined) writeFileSync(metafileName, JSON.stringify(metafile));
