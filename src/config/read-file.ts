// Reads the configuration file, bounded, as UTF-8.
import { createReadStream } from 'node:fs';
import type { Problem } from './problem.ts';
import type { Source } from './source.ts';
import { fileErrorText } from '../lib/errno.ts';
import { messageOf } from '../model/error-text.ts';

/** A configuration is a few kilobytes; /dev/zero and the wrong file are not. */
export const maxFileBytes = 1_048_576;

export async function readConfigFile(path: string): Promise<Source> {
  const unreadable = (right: string): Source => {
    const problem: Problem = { source: path, path: '', right, isUnreadable: true };
    return { entries: new Map(), problems: [problem] };
  };
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(path, { end: maxFileBytes })) chunks.push(chunk as Buffer);
  } catch (error) {
    return unreadable(`cannot be read: it ${fileErrorText(error) ?? `gives ${messageOf(error)}`}`);
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length > maxFileBytes) return unreadable(`must be at most ${maxFileBytes} bytes long`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return unreadable('must be UTF-8 text');
  }
  const { readYaml } = await import('./yaml-source.ts');
  return readYaml(text, path);
}
