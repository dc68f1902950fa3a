// The options that say a configuration, for every command that takes one. Derived from the settings.
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { LoadInput } from '../config/load.ts';
import { type SettingKey, settingKeys, settingOf } from '../config/settings.ts';
import type { CommandContext } from './command-context.ts';

/** What commander hands to the action. */
export interface ConfigOptions {
  readonly config?: readonly string[];
  readonly [attribute: string]: unknown;
}

interface FlagOption {
  readonly key: SettingKey;
  readonly option: Option;
}

function flagOptions(keys: readonly SettingKey[]): FlagOption[] {
  return keys.flatMap((key) => {
    const {
      flag,
      flagAlone,
      placeholder = 'VALUE',
      description,
      isList,
      defaultNote,
      fallback,
    } = settingOf(key);
    if (!flag) return [];
    const repeated = isList ? ' Repeatable.' : '';
    const shown = defaultNote ?? (typeof fallback === 'string' ? fallback : undefined);
    // Only the first sentence: docs/config.md has the rest.
    const summary = `${description.split(/[.:;] /)[0]?.replace(/\.$/, '')}.${repeated}${shown ? ` Default: ${shown}.` : ''}`;
    if (flagAlone !== undefined) {
      const option = new Option(`${flag} [${placeholder}]`, summary).preset(flagAlone);
      return [{ key, option: option.argParser(once) }];
    }
    const option = new Option(`${flag} <${placeholder}>`, summary);
    return [{ key, option: option.argParser(isList ? collect : once) }];
  });
}

function collect(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, text];
}

function once(text: string, previous?: readonly string[]): readonly string[] {
  if (previous) throw new InvalidArgumentError('It is given twice.');
  return [text];
}

/** Adds --config and the flags of `keys`. */
export function addConfigOptions(command: Command, keys: readonly SettingKey[] = settingKeys): Command {
  const config = new Option(
    '--config <FILE>',
    'YAML file with the configuration. Default: $FAIRLEAD_CONFIG.',
  );
  command.addOption(config.argParser(once));
  for (const { option } of flagOptions(keys)) command.addOption(option);
  return command;
}

/** What the loader is to load. */
export function loadInput(options: ConfigOptions, { env, hostname }: CommandContext): LoadInput {
  const given = flagOptions(settingKeys).flatMap(({ key, option }) => {
    const texts = options[option.attributeName()];
    return texts === undefined ? [] : [[key, texts]];
  });
  return {
    env,
    hostname,
    flags: Object.fromEntries(given) as NonNullable<LoadInput['flags']>,
    ...(options.config?.[0] !== undefined && { file: options.config[0] }),
  };
}
