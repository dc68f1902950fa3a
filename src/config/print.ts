// The effective configuration for people and scripts: YAML that can be used as a file again, with the
// source of each value as a comment, or JSON. Loaded only by `config print`.
import { stringify } from 'yaml';
import { unusedSettings } from './cross-checks.ts';
import type { Loaded } from './load.ts';
import { sectionLines, setValueAt } from './paths.ts';
import { type SettingKey, settingKeys, settingOf } from './settings.ts';
import { isRecord } from '../lib/guards.ts';

/** A value as YAML would have it; undefined when there is none, or when it has no effect. */
function written({ values }: Pick<Loaded, 'values'>, key: SettingKey): unknown {
  return unusedSettings(values).has(key) ? undefined : settingOf(key).write(values[key]);
}

/** A scalar on one line, as YAML would write it. */
const inline = (value: unknown) => stringify(value, { lineWidth: 0 }).trimEnd();

export function printYaml(loaded: Loaded): string {
  const unused = unusedSettings(loaded.values);
  const lines: string[] = [];
  let previous: string | undefined;
  for (const key of settingKeys) {
    lines.push(...sectionLines(previous, key));
    previous = key;
    const names = key.split('.');
    const name = names.at(-1);
    const indent = '  '.repeat(names.length - 1);
    const value = written(loaded, key);
    if (value === undefined) {
      lines.push(`${indent}# ${name}: ${unused.get(key) ?? 'not set'}`);
    } else if (Array.isArray(value) && value.length > 0) {
      lines.push(`${indent}${name}: # ${loaded.sources[key]}`);
      for (const item of value) lines.push(`${indent}  - ${JSON.stringify(item)}`);
    } else if (isRecord(value) && Object.keys(value).length > 0) {
      lines.push(`${indent}${name}: # ${loaded.sources[key]}`);
      for (const line of inline(value).split('\n')) lines.push(`${indent}  ${line}`);
    } else {
      lines.push(`${indent}${name}: ${inline(value)} # ${loaded.sources[key]}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** `config`: as the file would have it; `sources`: where each setting was said. */
export function printJson(loaded: Loaded): string {
  const config: Record<string, unknown> = {};
  const sources: Record<string, string> = {};
  for (const key of settingKeys) {
    const value = written(loaded, key);
    if (value === undefined) continue;
    sources[key] = loaded.sources[key];
    setValueAt(config, key, value);
  }
  return `${JSON.stringify({ config, sources }, null, 2)}\n`;
}
