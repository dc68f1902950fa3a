// What `scripts/build.ts` writes, made in memory. Two bundles:
//
// - the agent, one file. A process that runs for months reads its program once, at its start, and needs nothing of the
//   directory afterwards, whatever an upgrade does to it. Modules behind a dynamic import() are in the file too, but
//   run only when first used.
// - the tools, a file a command and files that they share. A command loads what it needs, so that a library
//   of one costs the others nothing.
//
// Names carry a hash of the content: an entry point always finds the files that were built with it.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, relative, resolve } from 'node:path';
import { type BuildOptions, build, type Metafile, type OutputFile, type Plugin } from 'esbuild';
import { bundledPackages, type LockedPackage } from '../image/sbom.ts';
import { makeNotices } from './notices.ts';
import { oneByte } from './one-byte.ts';

export interface Bundles {
  /** By path below the directory; the entry point is the last, as it names the others. */
  readonly files: ReadonlyMap<string, Uint8Array | string>;
  /** What went into them, as esbuild says it. */
  readonly metafile: Metafile;
}

export const entryPoint = 'fairlead.js';
/** Where everything else is. */
export const partsDirectory = 'lib';
export const noticesFile = 'THIRD-PARTY-NOTICES';

/**
 * Takes from Node's own modules only what is used of them. An \`import\` of them reads every export, and with that the lazy
 * ones: \`node:http\` then loads all of undici for its WebSocket, \`node:crypto\` all of WebCrypto (60 ms and 17 MiB).
 * Each importing file has its own small module, so that none of them becomes a file that many share.
 */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /.*/ }, ({ path, kind, importer }) => {
      if (kind !== 'import-statement' || !isBuiltin(path)) return undefined;
      // Of the path, not a count: the order in which esbuild asks differs from build to build.
      const mark = createHash('sha256').update(relative('.', importer)).digest('hex').slice(0, 8);
      return { path, suffix: `?${mark}`, namespace: 'builtin', sideEffects: false };
    });
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => {
      const names = Object.keys(process.getBuiltinModule(path) as object).filter(
        (name) => name !== 'default',
      );
      // esbuild leaves out those that nothing imports.
      return {
        contents: [
          `const all = /* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(path)});`,
          'export default all;',
          ...names.map((name) => `export const ${name} = /* @__PURE__ */ (() => all.${name})();`),
        ].join('\n'),
      };
    });
  },
};

/**
 * Gives a package that is loaded by import() the exports that it has in Node. Split in files, esbuild gives a CommonJS package
 * its default export alone, and `const { parse } = await import('yaml')` would be undefined in the bundle only.
 */
const lazyPackages: Plugin = {
  name: 'lazy-packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
      kind === 'dynamic-import' && !isBuiltin(path) ? { path, namespace: 'lazy' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'lazy' }, async ({ path }) => {
      const names = Object.keys((await import(path)) as object).filter((name) =>
        /^(?!default$)[\w$]+$/.test(name),
      );
      return {
        contents: `export { ${names.join(', ')} } from ${JSON.stringify(path)};`,
        resolveDir: process.cwd(),
      };
    });
  },
};

/** Leads dynamic imports of a source file to the file that it has become. */
function builtElsewhere(places: Readonly<Record<string, string>>): Plugin {
  return {
    name: 'built-elsewhere',
    setup({ onResolve }) {
      onResolve({ filter: /\.ts$/ }, ({ path, kind }) => {
        const place = kind === 'dynamic-import' ? places[path] : undefined;
        return place === undefined ? undefined : { path: place, external: true };
      });
    },
  };
}

function optionsFor(directory: string, version: string): BuildOptions & { write: false; metafile: true } {
  return {
    outdir: directory,
    write: false,
    metafile: true,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minifySyntax: true,
    legalComments: 'external',
    define: { FAIRLEAD_VERSION: JSON.stringify(version) },
    banner: {
      js: [
        "import { createRequire as __createRequire } from 'node:module';",
        'const require = __createRequire(import.meta.url);',
      ].join('\n'),
    },
  };
}

/** The names in it depend on where esbuild would write, so that is the same wherever the files go. */
export async function makeBundles(): Promise<Bundles> {
  const directory = resolve('dist');
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const shared = optionsFor(directory, version);
  const names = `${partsDirectory}/[name]-[hash]`;
  const parts = { ...shared, splitting: true, entryNames: names, chunkNames: names };
  const agent = await build({
    ...parts,
    entryPoints: { agent: 'src/cli/agent-program.ts' },
    plugins: [lazyPackages, lazyBuiltins],
  });
  const agentFile = nameOf(agent, 'src/cli/agent-program.ts');
  const tools = await build({
    ...parts,
    entryPoints: { tools: 'src/cli/program.ts' },
    // `run` is among the commands for its help.
    plugins: [builtElsewhere({ './run.ts': `./${agentFile}` }), lazyPackages, lazyBuiltins],
  });
  const places = {
    './cli/agent-program.ts': `./${partsDirectory}/${agentFile}`,
    './cli/program.ts': `./${partsDirectory}/${nameOf(tools, 'src/cli/program.ts')}`,
  };
  const entry = await build({
    ...shared,
    entryPoints: { [basename(entryPoint, '.js')]: 'src/main.ts' },
    plugins: [builtElsewhere(places), lazyBuiltins],
  });

  const builds = [agent, tools, entry];
  const metafile = {
    inputs: Object.assign({}, ...builds.map((result) => result.metafile.inputs)) as Metafile['inputs'],
    outputs: Object.assign({}, ...builds.map((result) => result.metafile.outputs)) as Metafile['outputs'],
  };
  const { packages: locked } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const outputs = builds.flatMap(({ outputFiles }) => outputFiles);
  const isLegal = ({ path }: OutputFile) => path.endsWith('.LEGAL.txt');
  const comments = [...new Set(outputs.filter(isLegal).map(({ text }) => text))].sort();
  const notices = makeNotices(bundledPackages(Object.keys(metafile.inputs), locked), comments);
  const programs = outputs.filter((output) => !isLegal(output));
  return {
    files: new Map<string, Uint8Array | string>([
      [noticesFile, notices],
      // For a copy that no package.json of a parent directory covers; without it Node parses everything twice.
      ['package.json', '{"type":"module"}\n'],
      ...programs.map(({ path, text }) => [relative(directory, path), oneByte(text)] as const),
    ]),
    metafile,
  };
}

function nameOf({ metafile }: { readonly metafile: Metafile }, entry: string): string {
  const found = Object.entries(metafile.outputs).find(([, { entryPoint: of }]) => of === entry);
  if (!found) throw new Error(`esbuild made nothing of ${entry}`);
  return basename(found[0]);
}
