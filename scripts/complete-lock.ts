// Completes package-lock.json with the optional platform packages that a registry mirror may
// lack, so that `npm ci` accepts the lock on every platform. Run it after any change of the
// dependencies: node scripts/complete-lock.ts
import { readFileSync, writeFileSync } from 'node:fs';

interface LockEntry {
  version?: string;
  optional?: boolean;
  dev?: boolean;
  os?: string[];
  cpu?: string[];
  optionalDependencies?: Record<string, string>;
}

const lockFile = 'package-lock.json';
const lock = JSON.parse(readFileSync(lockFile, 'utf8')) as { packages: Record<string, LockEntry> };
const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64'];

/** The entry that Node's lookup from `parent` finds for `name`, searching upwards. */
function resolves(parent: string, name: string): boolean {
  for (let base = parent; ; ) {
    if (lock.packages[`${base ? `${base}/` : ''}node_modules/${name}`]) return true;
    if (!base) return false;
    base = base.slice(0, Math.max(0, base.lastIndexOf('node_modules/'))).replace(/\/$/, '');
  }
}

let added = 0;
for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (resolves(parent, name)) continue;
    const os = systems.filter((system) => name.includes(`-${system}`));
    const cpu = processors.filter((cpu) => name.includes(`-${cpu}`)).slice(0, 1);
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(entry.dev && { dev: true }),
      optional: true,
      ...(os.length && { os }),
      ...(cpu.length && { cpu }),
    };
    added += 1;
  }
}
const root = lock.packages[''];
const sorted = Object.fromEntries(
  Object.entries(lock.packages)
    .filter(([path]) => path !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1)),
);
lock.packages = { ...(root && { '': root }), ...sorted };
writeFileSync(lockFile, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${lockFile}: ${added} platform entries added`);
