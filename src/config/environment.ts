// Settings from environment variables. The environment is passed in.
import type { Problem } from './problem.ts';
import { type SettingKey, envName, settingKeys, settingOf } from './settings.ts';
import type { Entry, Source } from './source.ts';
import { suggest } from './suggest.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Names the configuration file, as --config does. */
export const configFileVariable = 'FAIRLEAD_CONFIG';

/**
 * kubelet gives every container variables for each Service of its namespace. A Service called
 * `fairlead` or `fairlead-...` must not stop the agent, so these are not ours.
 */
const serviceLink =
  /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
const serviceLinkUrl = /^(tcp|udp|sctp):\/\//;

function isForeign(name: string, value: string): boolean {
  if (name.startsWith('FAIRLEAD_TEST_')) return true;
  return serviceLink.test(name) || (name.endsWith('_PORT') && serviceLinkUrl.test(value));
}

export function readEnvironment(env: Environment): Source {
  const entries = new Map<SettingKey, Entry>();
  const problems: Problem[] = [];
  const keys = new Map(settingKeys.map((key) => [envName(key), key]));
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('FAIRLEAD_') || text === undefined || name === configFileVariable) continue;
    const key = keys.get(name);
    if (!key) {
      if (isForeign(name, text)) continue;
      const suggestion = suggest(name, [...keys.keys(), configFileVariable]);
      problems.push({
        source: name,
        path: '',
        right: 'is not a Fairlead variable',
        ...(suggestion && { suggestion }),
      });
      continue;
    }
    const { fromText } = settingOf(key);
    if (!fromText) {
      problems.push({ source: name, path: key, right: 'can only be set in the configuration file' });
    } else if (text === '') {
      problems.push({ source: name, path: key, right: 'must have a value, or be unset', found: '""' });
    } else {
      entries.set(key, { raw: fromText(text), locate: () => name });
    }
  }
  return { entries, problems };
}
