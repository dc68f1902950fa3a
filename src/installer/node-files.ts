// The files of a node below its root, each changed in one step or not at all (replace-file.ts).
import type { Stats } from 'node:fs';
import { mkdir, readFile, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf, messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import { resolveBelow } from '../lib/below-root.ts';
import {
  moveFile,
  noStep,
  type OnStep,
  removeFile,
  removeLeftovers,
  replaceFile,
} from '../lib/replace-file.ts';

const permissions = 0o7777;

export class NodeFiles {
  readonly root: string;
  readonly #onStep: OnStep;

  constructor(root: string, onStep: OnStep = noStep) {
    this.root = root;
    this.#onStep = onStep;
  }

  /** Undefined when there is no such file. */
  async read(path: string): Promise<Buffer | undefined> {
    return this.#unlessAbsent(path, (target) => readFile(target));
  }

  async stat(path: string): Promise<Stats | undefined> {
    return this.#unlessAbsent(path, (target) => stat(target));
  }

  /** True when something had to be written. Directories are made, 0755. */
  async put(path: string, content: Uint8Array, mode = 0o644): Promise<boolean> {
    return this.#changing(path, async (target) => {
      const [present, attributes] = [await this.read(path), await this.stat(path)];
      const isSame =
        present !== undefined &&
        attributes !== undefined &&
        present.equals(content) &&
        (attributes.mode & permissions) === mode;
      if (isSame) return false;
      await mkdir(dirname(target), { recursive: true });
      await removeLeftovers(target, Date.now());
      await replaceFile(target, content, { mode }, this.#onStep);
      return true;
    });
  }

  /** True when there was one. */
  async remove(path: string): Promise<boolean> {
    return this.#changing(path, async (target) => {
      if ((await this.stat(path)) === undefined) return false;
      await removeFile(target, this.#onStep);
      return true;
    });
  }

  /** Within one file system. */
  async move(from: string, to: string): Promise<void> {
    await this.#changing(from, async (source) => {
      const target = await resolveBelow(this.root, to);
      await mkdir(dirname(target), { recursive: true });
      await moveFile(source, target, this.#onStep);
    });
  }

  /** Removes a directory if nothing is left in it. */
  async removeEmpty(path: string): Promise<void> {
    await rmdir(await resolveBelow(this.root, path)).catch(() => {}); // in use, or gone already
  }

  async #unlessAbsent<T>(path: string, use: (target: string) => Promise<T>): Promise<T | undefined> {
    try {
      return await use(await resolveBelow(this.root, path));
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw new FairleadError('FILE_NOT_WRITTEN', `${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  async #changing<T>(path: string, change: (target: string) => Promise<T>): Promise<T> {
    try {
      return await change(await resolveBelow(this.root, path));
    } catch (error) {
      if (error instanceof FairleadError) throw error;
      throw new FairleadError('FILE_NOT_WRITTEN', `${path}: ${messageOf(error)}`, { cause: error });
    }
  }
}
