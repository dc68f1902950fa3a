// The files of a node below its root, each changed atomically (replace-file.ts), and reached without
// any link that the agent could have put there (held-path.ts).
import type { Stats } from 'node:fs';
import { lstat, readdir, rmdir } from 'node:fs/promises';
import { codeOf, messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import {
  atPlace,
  type HeldRoot,
  inDirectory,
  LinkRefused,
  NotAFile,
  type Place,
  readHeld,
} from '../lib/held-path.ts';
import {
  moveFile,
  noStep,
  type OnStep,
  removeFile,
  removeLeftovers,
  replaceFile,
} from '../lib/replace-file.ts';
import { isMissingFile } from '../lib/errno.ts';

const permissions = 0o7777;
/** Manifests, configurations and lists are a few kilobytes. */
const maxBytes = 16 << 20;
/** What every agent writes. */
const agentDirectory = '/var/lib/fairlead';

export class NodeFiles {
  readonly root: string;
  readonly #onStep: OnStep;
  #agentDirectories: readonly string[] = [agentDirectory];

  constructor(root: string, onStep: OnStep = noStep) {
    this.root = root;
    this.#onStep = onStep;
  }

  /** Where agents can write, besides the usual directory: no link is followed there. */
  distrust(directories: readonly string[]): void {
    this.#agentDirectories = [...new Set([agentDirectory, ...directories])];
  }

  /** Undefined when there is no such file. */
  async read(path: string): Promise<Buffer | undefined> {
    return this.#unlessAbsent(path, (place) => readHeld(place, maxBytes));
  }

  /** The same for a file that may be anything: whatever is not a regular file of a bounded size counts as absent. */
  async readDistrusted(path: string): Promise<Buffer | undefined> {
    return this.#unlessAbsent(path, async (place) => {
      try {
        return await readHeld(place, maxBytes);
      } catch (error) {
        if (error instanceof LinkRefused || error instanceof NotAFile) return undefined;
        throw error;
      }
    });
  }

  /** Of the link itself, where it is one in an agent's directory. */
  async stat(path: string): Promise<Stats | undefined> {
    return this.#unlessAbsent(path, (place) => lstat(place.path));
  }

  /** None when there is no such directory. */
  async list(path: string): Promise<string[]> {
    try {
      return await inDirectory(this.#held, path, (_directory, place) => readdir(place.path));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw notWritten(path, error);
    }
  }

  /** True when something had to be written. Directories are made, 0755. A link in an agent's directory is replaced. */
  async put(path: string, content: Uint8Array, mode = 0o644): Promise<boolean> {
    return this.#changing(
      path,
      async (place) => {
        if (await isAlready(place, content, mode)) return false;
        await removeLeftovers(place.path, Date.now());
        await replaceFile(place.path, content, { mode }, this.#onStep);
        return true;
      },
      { makeDirectories: true },
    );
  }

  /** True when there was one. A link in an agent's directory is removed, and not what it leads to. */
  async remove(path: string): Promise<boolean> {
    try {
      return await this.#changing(path, async (place) => {
        await lstat(place.path);
        await removeFile(place.path, this.#onStep);
        return true;
      });
    } catch (error) {
      if (isMissingFile(error instanceof FairleadError ? error.cause : error)) return false;
      throw error;
    }
  }

  /** To another file system as well: then the copy is whole before the original goes. */
  async move(from: string, to: string): Promise<void> {
    await this.#changing(from, async (source) => {
      await this.#changing(
        to,
        async (target) => {
          try {
            await moveFile(source.path, target.path, this.#onStep);
          } catch (error) {
            // Mounts of one file system count as two.
            if (codeOf(error) !== 'EXDEV') throw error;
            const [content, attributes] = [await readHeld(source, maxBytes), await lstat(source.path)];
            await replaceFile(target.path, content, attributes, this.#onStep);
            await removeFile(source.path, this.#onStep);
          }
        },
        { makeDirectories: true },
      );
    });
  }

  /** Makes a directory that only its owner, this user, may enter. */
  async makePrivate(path: string): Promise<void> {
    try {
      await inDirectory(
        this.#held,
        path,
        async (directory) => {
          const { uid, mode } = await directory.stat();
          const own = process.getuid?.() ?? 0;
          if (uid !== own) throw new Error(`it belongs to user ${uid}, not to user ${own}`);
          if ((mode & permissions) !== 0o700) await directory.chmod(0o700);
        },
        { makeDirectories: true },
      );
    } catch (error) {
      throw notWritten(path, error);
    }
  }

  /** Removes a directory if nothing is left in it. */
  async removeEmpty(path: string): Promise<void> {
    // In use, or gone already.
    await atPlace(this.#held, path, (place) => rmdir(place.path)).catch(() => {});
  }

  get #held(): HeldRoot {
    return { root: this.root, distrusted: this.#agentDirectories };
  }

  async #unlessAbsent<T>(path: string, use: (place: Place) => Promise<T>): Promise<T | undefined> {
    try {
      return await atPlace(this.#held, path, use);
    } catch (error) {
      if (isMissingFile(error)) return undefined;
      throw notWritten(path, error);
    }
  }

  async #changing<T>(
    path: string,
    change: (place: Place) => Promise<T>,
    options?: { readonly makeDirectories: boolean },
  ): Promise<T> {
    try {
      return await atPlace(this.#held, path, change, options);
    } catch (error) {
      throw error instanceof FairleadError ? error : notWritten(path, error);
    }
  }
}

function notWritten(path: string, error: unknown): FairleadError {
  const hint = codeOf(error) === 'EROFS' ? '; in a pod, mount its directory writable' : '';
  return new FairleadError('FILE_NOT_WRITTEN', `${path}: ${messageOf(error)}${hint}`, { cause: error });
}

async function isAlready(place: Place, content: Uint8Array, mode: number): Promise<boolean> {
  try {
    const present = await readHeld(place, maxBytes);
    return present.equals(content) && ((await lstat(place.path)).mode & permissions) === mode;
  } catch {
    return false; // not there, or not a file: what is wrong shows when it is replaced
  }
}
