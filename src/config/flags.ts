// Settings from command-line flags.
import { type SettingKey, settingKeys, settingOf } from './settings.ts';
import type { Entry, Source } from './source.ts';

/** The texts given for each setting, in their order; only lists have more than one. */
export type Flags = { readonly [K in SettingKey]?: readonly string[] };

export function readFlags(flags: Flags): Source {
  const entries = new Map<SettingKey, Entry>();
  for (const key of settingKeys) {
    const texts = flags[key];
    const { flag, fromText, isList } = settingOf(key);
    if (!texts || !flag || !fromText) continue;
    const raw = isList ? texts.flatMap((text) => fromText(text)) : fromText(texts.at(-1) ?? '');
    entries.set(key, { raw, locate: () => flag });
  }
  return { entries, problems: [] };
}
