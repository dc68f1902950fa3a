// Reads small files: bounded, and only what a read cannot hang on. Each failure says what is wrong in a few words.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { codeOf, codeOrMessage } from '../model/error-text.ts';
import { ByteAccumulator } from './byte-accumulator.ts';
import { fileErrorText } from './errno.ts';

/** Ample for a configuration, a kubeconfig, a certificate chain or a manifest. */
export const maxFileBytes = 1_048_576;
const stepBytes = 65_536;

/** Where a file of the node is for this process, when its file system is mounted somewhere else. */
export type Locate = (file: string) => Promise<string>;

export interface ReadFileOptions {
  readonly maxBytes?: number;
  readonly locate?: Locate;
  /** Pipes and devices too, which the user has named outright: reading waits for whoever writes. */
  readonly mayBePipe?: boolean;
}

/** Why a file was not read. The message begins with the file; `reason` is the rest. */
export class UnreadableFile extends Error {
  readonly reason: string;
  /** The system's code: `ENOENT`. */
  readonly code: string | undefined;

  constructor(file: string, reason: string, cause?: unknown) {
    super(`${file}: ${reason}`, { cause });
    this.reason = reason;
    this.code = codeOf(cause);
  }
}

/** The bytes of `file`; rejects with an UnreadableFile. */
export async function readFileBytes(file: string, options: ReadFileOptions = {}): Promise<Buffer> {
  const { maxBytes = maxFileBytes, locate, mayBePipe = false } = options;
  let handle: FileHandle | undefined;
  try {
    const path = locate ? await locate(file) : file;
    handle = await open(path, flagsFor(mayBePipe));
    checkKind(file, await handle.stat(), mayBePipe);
    const bytes = new ByteAccumulator(maxBytes);
    const step = Buffer.allocUnsafe(stepBytes);
    for (;;) {
      // One byte more than fits, to see whether the file is longer. Not the size that stat says: in /proc it is 0.
      const wanted = Math.min(stepBytes, maxBytes - bytes.length + 1);
      const { bytesRead } = await handle.read(step, 0, wanted);
      if (bytesRead === 0) return bytes.bytes();
      if (!bytes.append(step.subarray(0, bytesRead))) throw tooLarge(file, maxBytes);
    }
  } catch (error) {
    throw unreadable(file, error);
  } finally {
    await handle?.close();
  }
}

export async function readFileText(file: string, options?: ReadFileOptions): Promise<string> {
  return (await readFileBytes(file, options)).toString('utf8');
}

/** The same without waiting, for what must be known before anything else happens. Throws an UnreadableFile. */
export function readFileTextSync(file: string, maxBytes = maxFileBytes): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, flagsFor(false));
    checkKind(file, fstatSync(descriptor), false);
    const bytes = new ByteAccumulator(maxBytes);
    const step = Buffer.allocUnsafe(stepBytes);
    for (;;) {
      const bytesRead = readSync(descriptor, step, 0, Math.min(stepBytes, maxBytes - bytes.length + 1), null);
      if (bytesRead === 0) return bytes.text();
      if (!bytes.append(step.subarray(0, bytesRead))) throw tooLarge(file, maxBytes);
    }
  } catch (error) {
    throw unreadable(file, error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Opening a FIFO waits for its writer, in a thread that everything else needs, unless O_NONBLOCK is given. */
function flagsFor(mayBePipe: boolean): number {
  return mayBePipe ? constants.O_RDONLY : constants.O_RDONLY | constants.O_NONBLOCK;
}

interface Kind {
  isFile(): boolean;
  isDirectory(): boolean;
}

function checkKind(file: string, kind: Kind, mayBePipe: boolean): void {
  if (kind.isFile()) return;
  if (kind.isDirectory()) throw new UnreadableFile(file, 'is a directory, not a file');
  if (!mayBePipe) throw new UnreadableFile(file, 'is not a regular file');
}

function tooLarge(file: string, maxBytes: number): UnreadableFile {
  return new UnreadableFile(file, `is larger than ${maxBytes} bytes; name a smaller file`);
}

function unreadable(file: string, error: unknown): UnreadableFile {
  if (error instanceof UnreadableFile) return error;
  return new UnreadableFile(file, fileErrorText(error) ?? codeOrMessage(error), error);
}
