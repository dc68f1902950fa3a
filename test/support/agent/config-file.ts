// A configuration file that changes while the agent reads it.
import { renameSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';

/** Replaces `file` in one step, as a careful writer does: beside it, then renamed. Text stays as it is, anything else becomes YAML. */
export function replaceConfig(file: string, content: unknown): void {
  const text = typeof content === 'string' ? content : stringify(content);
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}
