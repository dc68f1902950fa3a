// Paths below a root directory, for a process that is root and shares directories with processes that it does not trust.
// Every directory on the way is opened, one at a time, and held; the last name is then used below the descriptor
// (/proc/self/fd/N/NAME, as Node has no openat). So nothing that is renamed or linked meanwhile changes what is reached.
//
// Symbolic links are followed, below the root, where only root writes: in a directory that is not distrusted, and if they
// belong to root or to this user. In a distrusted directory no link is followed, whoever owns it: a container that
// is shut in has uid 0 as well.
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readlink } from 'node:fs/promises';
import { sep } from 'node:path';
import { codeOf } from '../model/error-text.ts';
import { isMissingFile } from './errno.ts';

/** As the kernel (MAXSYMLINKS). */
const maxLinks = 40;
const openDirectory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Without O_NONBLOCK a named pipe would block the reader forever. */
const openFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A link where none may be. */
export class LinkRefused extends Error {}
/** Something else than a regular file of a bounded size. */
export class NotAFile extends Error {}

export interface HeldRoot {
  readonly root: string;
  /** Directories that others can write, as seen from the root. */
  readonly distrusted: readonly string[];
}

interface Held {
  readonly directory: FileHandle;
  /** As seen from the root, links resolved. */
  readonly path: string;
  readonly isDistrusted: boolean;
}

/** `path` below the descriptor of its directory, for system calls while `use` runs. */
export interface Place {
  readonly path: string;
  readonly isDistrusted: boolean;
}

/**
 * Runs `use` with the place of `path`. The last name may be a link in a distrusted directory only: `use` must not follow
 * it. Missing directories are made (0755) or reported as ENOENT. Rejects with LinkRefused, or as the system does.
 */
export async function atPlace<T>(
  held: HeldRoot,
  path: string,
  use: (place: Place) => Promise<T>,
  { makeDirectories = false } = {},
): Promise<T> {
  const walk = await Walk.start(held);
  try {
    const name = await walk.enter(path, { makeDirectories, isDirectory: false });
    return await use({ path: walk.below(name), isDistrusted: walk.here.isDistrusted });
  } finally {
    await walk.close();
  }
}

/** The same for a directory itself, which is opened: `/proc/self/fd/N`. */
export async function inDirectory<T>(
  held: HeldRoot,
  path: string,
  use: (directory: FileHandle, place: Place) => Promise<T>,
  { makeDirectories = false } = {},
): Promise<T> {
  const walk = await Walk.start(held);
  try {
    await walk.enter(path, { makeDirectories, isDirectory: true });
    const { directory, isDistrusted } = walk.here;
    return await use(directory, { path: `/proc/self/fd/${directory.fd}`, isDistrusted });
  } finally {
    await walk.close();
  }
}

/** Reads a regular file of at most `maxBytes`. */
export async function readHeld({ path }: Place, maxBytes: number): Promise<Buffer> {
  let file: FileHandle;
  try {
    file = await open(path, openFile);
  } catch (error) {
    if (codeOf(error) === 'ELOOP') throw new LinkRefused('it is a symbolic link');
    // A socket.
    if (codeOf(error) === 'ENXIO') throw new NotAFile('it is not a regular file');
    throw error;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new NotAFile('it is not a regular file');
    if (stats.size > maxBytes) throw new NotAFile(`it is larger than ${maxBytes} bytes`);
    // It may grow while it is read.
    const buffer = Buffer.alloc(stats.size);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

const identityOf = async (directory: FileHandle): Promise<string> => {
  const { dev, ino } = await directory.stat();
  return `${dev}:${ino}`;
};

class Walk {
  readonly #stack: Held[];
  readonly #distrusted: ReadonlySet<string>;

  private constructor(root: Held, distrusted: ReadonlySet<string>) {
    this.#stack = [root];
    this.#distrusted = distrusted;
  }

  static async start({ root, distrusted }: HeldRoot): Promise<Walk> {
    const found = new Set<string>();
    // The outer ones first: a link within one must not decide where another is.
    for (const path of [...distrusted].sort((a, b) => a.length - b.length)) {
      const walk = await Walk.#at(root, found);
      try {
        await walk.enter(path, { makeDirectories: false, isDirectory: true });
        found.add(await identityOf(walk.here.directory));
      } catch (error) {
        // It does not exist yet. A link in another one of them: refused when it is used.
        if (!(error instanceof LinkRefused) && !isMissingFile(error)) throw error;
      } finally {
        await walk.close();
      }
    }
    return Walk.#at(root, found);
  }

  static async #at(root: string, distrusted: ReadonlySet<string>): Promise<Walk> {
    // The root itself is the caller's choice, links and all.
    const directory = await open(root, constants.O_RDONLY | constants.O_DIRECTORY);
    const isDistrusted = distrusted.has(await identityOf(directory));
    return new Walk({ directory, path: '', isDistrusted }, distrusted);
  }

  get here(): Held {
    return this.#stack.at(-1) as Held;
  }

  below(name: string): string {
    return `/proc/self/fd/${this.here.directory.fd}/${name}`;
  }

  async close(): Promise<void> {
    for (const { directory } of this.#stack.splice(0)) await directory.close();
  }

  /** Enters all directories of `path`; the name that is left, none with `isDirectory`. */
  async enter(
    path: string,
    { makeDirectories, isDirectory }: { readonly makeDirectories: boolean; readonly isDirectory: boolean },
  ): Promise<string> {
    let pending = namesOf(path);
    let links = 0;
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      if (name === '..') {
        if (this.#stack.length > 1) await this.#stack.pop()?.directory.close();
        continue;
      }
      const isLast = pending.length === 0 && !isDirectory;
      if (isLast && this.here.isDistrusted) return name;
      const link = await this.#linkAt(name, { isLast });
      if (link !== undefined) {
        links += 1;
        if (links > maxLinks) throw new LinkRefused(`${path}: too many symbolic links, or a loop of them`);
        if (link.startsWith(sep)) for (const { directory } of this.#stack.splice(1)) await directory.close();
        pending = [...namesOf(link), ...pending];
        continue;
      }
      if (isLast) return name;
      await this.#push(name, makeDirectories);
    }
    if (!isDirectory) throw new NotAFile('it is a directory');
    return '';
  }

  /** Where a link leads that may be followed. */
  async #linkAt(name: string, { isLast }: { readonly isLast: boolean }): Promise<string | undefined> {
    const at = this.below(name);
    const { path, isDistrusted } = this.here;
    let link: string;
    try {
      link = await readlink(at);
    } catch (error) {
      const code = codeOf(error);
      // EINVAL: not a link. ENOENT: the caller finds out, if nothing is made.
      if (code === 'EINVAL' || code === 'ENOENT') return undefined;
      throw error;
    }
    if (isDistrusted && !isLast) {
      const message = `${path}/${name} is a symbolic link, in a directory that the agent can write: remove it`;
      throw new LinkRefused(message);
    }
    const { uid } = await lstat(at);
    if (uid !== 0 && uid !== process.getuid?.()) {
      throw new LinkRefused(`${path}/${name} is a symbolic link of user ${uid}: only root's are followed`);
    }
    return link;
  }

  async #push(name: string, makeDirectories: boolean): Promise<void> {
    const at = this.below(name);
    const { path, isDistrusted } = this.here;
    const enter = () => open(at, openDirectory);
    let directory: FileHandle;
    try {
      directory = await enter().catch(async (error: unknown) => {
        if (codeOf(error) !== 'ENOENT' || !makeDirectories) throw error;
        await mkdir(at, 0o755);
        return enter();
      });
    } catch (error) {
      // It became one since it was looked at.
      if (codeOf(error) === 'ELOOP') throw new LinkRefused(`${path}/${name} is a symbolic link`);
      throw error;
    }
    const held = { directory, path: `${path}/${name}`, isDistrusted };
    this.#stack.push(held);
    if (!isDistrusted && this.#distrusted.has(await identityOf(directory)))
      this.#stack[this.#stack.length - 1] = { ...held, isDistrusted: true };
  }
}

const namesOf = (path: string): string[] => path.split(sep).filter((name) => name !== '' && name !== '.');
