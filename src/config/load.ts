// Loading: file, environment and flags over the defaults, every problem of all of them at once.
import * as v from 'valibot';
import type { Config } from './config.ts';
import { type CrossCheck, crossChecks, endpointsCheck, type Facts } from './cross-checks.ts';
import { poolChecks } from './pool-checks.ts';
import { httpChecks } from './http-checks.ts';
import { configFileVariable, type Environment, readEnvironment } from './environment.ts';
import { type Flags, readFlags } from './flags.ts';
import { formatPath, type PathSegment, type Problem, showValue } from './problem.ts';
import { readConfigFile } from './read-file.ts';
import { toConfig } from './resolve.ts';
import { type SettingKey, settingKeys, settingOf, type Values } from './settings.ts';
import type { Entry, Source } from './source.ts';
import { suggest } from './suggest.ts';

export interface LoadInput {
  /** The file that --config names. */
  readonly file?: string;
  readonly flags?: Flags;
  readonly env: Environment;
  readonly hostname: string;
  /** Refuse a configuration that names no API server and no way to find one. Default true. */
  readonly mustFindEndpoints?: boolean;
}

export interface Loaded {
  readonly config: Config;
  readonly values: Values;
  /** Where each value was said: `default`, `fairlead.yaml:3:13`, `FAIRLEAD_LOG_LEVEL`, `--listen`. */
  readonly sources: { readonly [K in SettingKey]: string };
  readonly file?: string;
}

export type LoadResult =
  | ({ readonly ok: true } & Loaded)
  | {
      readonly ok: false;
      readonly problems: readonly Problem[];
      /** The values that are good by themselves. */
      readonly values: Partial<Values>;
    };

/** The configuration file in use: --config, else FAIRLEAD_CONFIG. */
export function configFile({ file, env }: Pick<LoadInput, 'file' | 'env'>): string | undefined {
  return file ?? env[configFileVariable];
}

const defaultSource = 'default';

async function readFileSource(file: string): Promise<Source> {
  if (file !== '') return readConfigFile(file);
  const right = 'must name the configuration file, or be unset';
  const problem = { source: `--config or ${configFileVariable}`, path: '', right, isUnreadable: true };
  return { entries: new Map(), problems: [problem] };
}

/** The defaults of the settings that are not given. */
function readDefaults(host: LoadInput, said: ReadonlySet<SettingKey>): Source {
  const entries = new Map<SettingKey, Entry>();
  for (const key of settingKeys) {
    if (said.has(key)) continue;
    const { fallback, hostDefault } = settingOf(key);
    const { raw, from } = hostDefault?.(host) ?? { raw: fallback, from: defaultSource };
    if (raw !== undefined) entries.set(key, { raw, locate: () => from });
  }
  return { entries, problems: [] };
}

interface Checked {
  readonly value: unknown;
  readonly entry: Entry;
}

/**
 * Checks what one source says: good values go to `checked`, the settings with a bad one to `bad` (even if
 * a higher source overrides them), and everything that is wrong is returned.
 */
function check(source: Source, checked: Map<SettingKey, Checked>, bad: Set<SettingKey>): Problem[] {
  const problems = [...source.problems];
  for (const [key, entry] of source.entries) {
    const result = v.safeParse(settingOf(key).schema, entry.raw);
    if (result.success) {
      checked.set(key, { value: result.output, entry });
      continue;
    }
    bad.add(key);
    for (const issue of result.issues) {
      const within = (issue.path ?? []).map(({ key: segment }) => segment as PathSegment);
      const input: unknown = issue.input;
      const { choices } = settingOf(key);
      const suggestion = choices && typeof input === 'string' ? suggest(input, choices) : undefined;
      problems.push({
        source: entry.locate(within),
        path: formatPath([key, ...within]),
        right: issue.message,
        found: showValue(input),
        ...(suggestion && { suggestion }),
      });
    }
  }
  return problems;
}

/** Runs the checks between settings on those that are good; blames a value that was given. */
function crossCheck(
  input: LoadInput,
  checked: ReadonlyMap<SettingKey, Checked>,
  bad: ReadonlySet<SettingKey>,
) {
  const values = valuesOf(checked);
  const sourceOf = (key: SettingKey) => checked.get(key)?.entry.locate() ?? defaultSource;
  const facts: Facts = {
    isGiven: (key) => sourceOf(key) !== defaultSource,
    isInCluster: input.env.KUBERNETES_SERVICE_HOST !== undefined,
  };
  const run = ({ reads, check }: CrossCheck): Problem[] => {
    if (reads.some((key) => bad.has(key))) return [];
    return [...check(values, facts)].map(({ keys, within = [], ...problem }) => {
      const blamed = keys.find(facts.isGiven) ?? (keys[0] as SettingKey);
      const path = blamed === keys[0] ? within : [];
      const source = checked.get(blamed)?.entry.locate(path) ?? defaultSource;
      return { source, path: formatPath([blamed, ...path]), ...problem };
    });
  };
  return {
    between: [...crossChecks, ...poolChecks, ...httpChecks].flatMap(run),
    endpoints: run(endpointsCheck),
  };
}

function valuesOf(checked: ReadonlyMap<SettingKey, Checked>): Values {
  return Object.fromEntries(settingKeys.map((key) => [key, checked.get(key)?.value])) as unknown as Values;
}

/** By line and column, for the problems of one file. */
const byPlace = (a: Problem, b: Problem) => a.source.localeCompare(b.source, 'en', { numeric: true });

/** Loads the configuration. Never rejects; whatever is wrong is in `problems`, in the order of the sources. */
export async function loadConfig(input: LoadInput): Promise<LoadResult> {
  const file = configFile(input);
  return loadSources(
    input,
    [
      ...(file === undefined ? [] : [await readFileSource(file)]),
      readEnvironment(input.env),
      readFlags(input.flags ?? {}),
    ],
    file,
  );
}

/** Checks what sources say together, from the least to the most important one. Of `input`, only the host's facts count. */
export function loadSources(input: LoadInput, sources: readonly Source[], file?: string): LoadResult {
  const problems: Problem[] = [];
  const checked = new Map<SettingKey, Checked>();
  const bad = new Set<SettingKey>();
  const said = new Set(sources.flatMap(({ entries }) => [...entries.keys()]));
  for (const source of [readDefaults(input, said), ...sources]) {
    problems.push(...check(source, checked, bad).sort(byPlace));
  }
  // The settings of an unreadable file are unknown.
  if (!problems.some(({ isUnreadable }) => isUnreadable)) {
    const { between, endpoints } = crossCheck(input, checked, bad);
    problems.push(...between);
    // A misspelt name may have been meant to say it.
    if (problems.length === 0 && input.mustFindEndpoints !== false) problems.push(...endpoints);
  }
  const values = valuesOf(checked);
  if (problems.length > 0) return { ok: false, problems, values };

  const origins = Object.fromEntries(
    settingKeys.map((key) => [key, checked.get(key)?.entry.locate() ?? defaultSource]),
  ) as Loaded['sources'];
  return {
    ok: true,
    config: toConfig(values),
    values,
    sources: origins,
    ...(file !== undefined && { file }),
  };
}
