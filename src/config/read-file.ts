// Reads the configuration file, bounded, as UTF-8.
import { readFileBytes, UnreadableFile } from '../lib/read-file.ts';
import { messageOf } from '../model/error-text.ts';
import type { Problem } from './problem.ts';
import type { Source } from './source.ts';

export async function readConfigFile(path: string): Promise<Source> {
  const unreadable = (right: string): Source => {
    const problem: Problem = { source: path, path: '', right, isUnreadable: true };
    return { entries: new Map(), problems: [problem] };
  };
  let bytes: Buffer;
  try {
    // A shell's <(...) is a pipe.
    bytes = await readFileBytes(path, { mayBePipe: true });
  } catch (error) {
    return unreadable(
      `cannot be read: it ${error instanceof UnreadableFile ? error.reason : messageOf(error)}`,
    );
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return unreadable('must be UTF-8 text');
  }
  const { readYaml } = await import('./yaml-source.ts');
  return readYaml(text, path);
}
