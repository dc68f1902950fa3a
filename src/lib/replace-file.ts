// Replaces a file so that whoever looks, after a crash or a power cut as well, finds the old content or the
// new one and never a part: temporary file beside it, fsync, rename, fsync of the directory.
//
// Not a package: the ones that do it (write-file-atomic, atomically) do not fsync the directory, and give
// tests no way to stop between two system calls.
import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Called before each change of the file system; a test stops there by throwing or by killing itself. */
export type OnStep = (step: Step, path: string) => void | Promise<void>;

export type Step =
  | 'create'
  | 'write'
  | 'chown'
  | 'chmod'
  | 'fsync'
  | 'rename'
  | 'fsync directory'
  | 'unlink'
  | 'write in place';

export const noStep: OnStep = () => {};

/** What a file has when its content is replaced; without an owner, this process's. */
export interface FileAttributes {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

const permissions = 0o7777;
/** Only a run that was killed leaves a temporary file, and no run takes this long. */
const leftoverAgeMs = 10 * 60_000;

/** Gives `path` this content and these attributes in one step, whether or not it exists. */
export async function replaceFile(
  path: string,
  content: Uint8Array,
  attributes: FileAttributes,
  onStep: OnStep = noStep,
): Promise<void> {
  // A leading dot: kubelet reads every other file of its static pod directory.
  const temporary = join(dirname(path), `.${basename(path)}.fairlead-${randomBytes(6).toString('hex')}.tmp`);
  try {
    await onStep('create', temporary);
    // The mode of a secret from the first moment on; `wx` follows no symlink that another user put there.
    const file = await open(temporary, 'wx', 0o600);
    try {
      await fill(file, temporary, content, attributes, onStep);
    } finally {
      await file.close();
    }
    await moveFile(temporary, path, onStep);
  } catch (error) {
    await unlink(temporary).catch(() => {}); // it may be renamed already; the first error counts
    throw error;
  }
}

async function fill(
  file: FileHandle,
  path: string,
  content: Uint8Array,
  { mode, uid, gid }: FileAttributes,
  onStep: OnStep,
): Promise<void> {
  await onStep('write', path);
  await file.writeFile(content);
  const created = await file.stat();
  const owner = { uid: uid ?? created.uid, gid: gid ?? created.gid };
  if (created.uid !== owner.uid || created.gid !== owner.gid) {
    await onStep('chown', path);
    await file.chown(owner.uid, owner.gid);
  }
  // After chown, which clears the set-id bits.
  await onStep('chmod', path);
  await file.chmod(mode & permissions);
  await onStep('fsync', path);
  await file.sync();
}

/** Renames, so that it outlasts a power cut too. */
export async function moveFile(from: string, to: string, onStep: OnStep = noStep): Promise<void> {
  await onStep('rename', to);
  await rename(from, to);
  await syncDirectory(dirname(to), onStep);
}

export async function removeFile(path: string, onStep: OnStep = noStep): Promise<void> {
  await onStep('unlink', path);
  await unlink(path);
  await syncDirectory(dirname(path), onStep);
}

async function syncDirectory(path: string, onStep: OnStep): Promise<void> {
  await onStep('fsync directory', path);
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Gives `path` other content where it cannot be replaced. Not atomic: what is equal at the start stays, and
 * the rest is written in one go and synced, so that the window is as short as it can be.
 */
export async function overwriteFile(
  path: string,
  before: Uint8Array,
  after: Uint8Array,
  onStep: OnStep = noStep,
): Promise<void> {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  const file = await open(path, 'r+');
  try {
    await onStep('write in place', path);
    await file.write(after, start, after.length - start, start);
    if (after.length < before.length) await file.truncate(after.length);
    await onStep('fsync', path);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Removes temporary files that runs which were killed have left beside `path`. */
export async function removeLeftovers(path: string, nowMs: number): Promise<void> {
  const directory = dirname(path);
  const start = `.${basename(path)}.fairlead-`;
  for (const name of await readdir(directory)) {
    if (!name.startsWith(start) || !name.endsWith('.tmp')) continue;
    const leftover = join(directory, name);
    const { mtimeMs } = await lstat(leftover).catch(() => ({ mtimeMs: nowMs }));
    if (nowMs - mtimeMs > leftoverAgeMs) await unlink(leftover).catch(() => {}); // another run was quicker
  }
}
