// Reads small configuration files: bounded, regular files only, with the reason in a few words.
import { readFile, stat } from 'node:fs/promises';
import { codeOrMessage } from '../model/error-text.ts';
import { fileErrorText } from '../lib/errno.ts';

const maxBytes = 1 << 20;

/** Where a file of the node is for this process, when its file system is mounted somewhere else. */
export type Locate = (file: string) => Promise<string>;

/** The text of `file`; throws an Error that names it. A FIFO or a device would hang us and is refused. */
export async function readSmallFile(file: string, locate?: Locate): Promise<string> {
  let problem: string;
  try {
    const path = locate ? await locate(file) : file;
    const stats = await stat(path);
    if (stats.isFile() && stats.size <= maxBytes) return await readFile(path, 'utf8');
    problem = stats.isFile() ? `is larger than ${maxBytes} bytes` : 'is not a regular file';
  } catch (cause) {
    throw new Error(`${file}: ${fileErrorText(cause) ?? codeOrMessage(cause)}`, { cause });
  }
  throw new Error(`${file} ${problem}`);
}
