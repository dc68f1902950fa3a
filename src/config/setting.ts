// The kinds of settings: what each takes from YAML, from text (environment, flags), and how it is
// written again. One `Setting` carries everything that the loader, the flags, `config print`, the reload, the types and
// docs/config.md need to know, so that they cannot disagree.
import { isIP } from 'node:net';
import * as v from 'valibot';
import {
  canonicalHost,
  formatHostPort,
  type HostPort,
  type Parsed,
  parseHostPort,
} from '../model/endpoint.ts';
import { parseNetwork } from '../model/network.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { looksSecret } from './problem.ts';
import { isRecord } from '../lib/guards.ts';

/** When a changed value takes effect: at the next reload, or only when the agent is started again. */
export type Applies = 'reload' | 'restart';

/**
 * What a value holds for: the process; a pool, which may have its own in place of the top level's; a listener.
 */
export type Scope = 'process' | 'pool' | 'listener';

/** What a row of a table says of a setting, whatever its kind. */
export interface Notes {
  readonly description: string;
  readonly scope: Scope;
  readonly applies: Applies;
  /** Command-line flag, `--listen`; absent: environment and file only. */
  readonly flag?: string;
  /** What the help calls the flag's value; each kind has a word of its own. */
  readonly placeholder?: string;
  /** The text that the flag stands for when it is given without a value. */
  readonly flagAlone?: string;
  readonly defaultNote?: string;
  /** A default that the host gives, and where it is from; it comes before the default of the table. */
  readonly hostDefault?: (host: Host) => { readonly raw: string; readonly from: string } | undefined;
  /**
   * The default in pools other than that of the API servers, by their type, as YAML would have it. A type that is left
   * out has the top level's value.
   */
  readonly poolDefault?: PoolDefault;
}

export type PoolDefault = { readonly [Type in 'etcd' | 'tcp']?: unknown };

/** What a default may depend on. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
}

export interface Setting<T> extends Notes {
  /** What docs and help call the value: `duration`, `HOST:PORT`. */
  readonly type: string;
  /** The unit of the value, which follows the setting's name in `Config`: `raceDelayMs`. */
  readonly unit?: string;
  /** The default as it would be written in YAML; undefined: there is none, or `defaultNote` says it. */
  readonly fallback: unknown;
  /** Takes a YAML value, yields what the program uses. The message of an issue is what would be right. */
  readonly schema: v.GenericSchema<unknown, T>;
  /** Text to the YAML value it stands for; absent: cannot be given as text. */
  readonly fromText?: (text: string) => unknown;
  /** Lists take a flag several times. */
  readonly isList: boolean;
  /** The words that a choice takes: for suggestions. */
  readonly choices?: readonly string[];
  /** The members of the maps in a list, where it may have maps. */
  readonly itemKeys?: readonly string[];
  /** The YAML value for `value`, such that reading it gives `value` again. */
  write(value: T): unknown;
}

export type SettingValue<S> = S extends Setting<infer T> ? T : never;

/** A schema out of a parser: its problem becomes the issue's message. */
export function parsed<I, T>(parse: (input: I) => Parsed<T>) {
  return v.rawTransform<I, T>(({ dataset, addIssue, NEVER }) => {
    const result = parse(dataset.value);
    if (result.ok) return result.value;
    addIssue({ message: `must be ${result.problem}` });
    return NEVER;
  });
}

export type Optional<T> = Setting<T | undefined>;

/** Makes a setting without a default one whose absence is a value. It keeps its unit. */
export function optional<S extends Setting<unknown>>(
  setting: S,
): Optional<SettingValue<S>> & Pick<S, 'unit'> {
  const schema = setting.schema as v.GenericSchema<unknown, SettingValue<S>>;
  return {
    ...setting,
    schema: v.optional(schema),
    write: (value) => (value === undefined ? undefined : setting.write(value)),
  };
}

const same = (text: string): unknown => text;

/** Text that `check` accepts. */
export function text(
  notes: Notes & { default?: string; type?: string; right?: string; check?: (text: string) => boolean },
): Setting<string> {
  const { default: fallback, type = 'text', right = 'text without line breaks', check, ...rest } = notes;
  const message = `must be ${right}`;
  return {
    placeholder: 'NAME',
    ...rest,
    type,
    fallback,
    schema: v.pipe(
      v.string(message),
      // A control character in a name or path is always an accident: a quoted escape, a file's content.
      v.check((value) => value !== '' && !/\p{Cc}/u.test(value) && value.length <= 4096, message),
      v.check((value) => check?.(value) ?? true, message),
    ),
    fromText: same,
    isList: false,
    write: same,
  };
}

/** The name of a file. Whether it exists is not asked here: it may appear later. */
export function file(notes: Notes): Optional<string> {
  const right = 'the name of a file, not its content';
  return optional(
    text({ placeholder: 'FILE', ...notes, type: 'file', right, check: (value) => !looksSecret(value) }),
  );
}

export function choice<const T extends string>(notes: Notes & { default: T; of: readonly T[] }): Setting<T> {
  const { default: fallback, of, ...rest } = notes;
  return {
    ...rest,
    type: of.join(', '),
    fallback,
    choices: of,
    schema: v.picklist(of, `must be one of ${of.join(', ')}`),
    fromText: same,
    isList: false,
    write: (value) => value,
  };
}

const booleanText: Record<string, boolean> = { true: true, false: false };
const textToBoolean = (value: string): unknown => booleanText[value] ?? value;

export function boolean(notes: Notes & { default: boolean }): Setting<boolean> {
  const { default: fallback, ...rest } = notes;
  return {
    placeholder: 'true|false',
    ...rest,
    type: 'true, false',
    fallback,
    schema: v.boolean('must be true or false'),
    fromText: textToBoolean,
    isList: false,
    write: (value) => value,
  };
}

export function autoBoolean(notes: Notes): Setting<'auto' | boolean> {
  return {
    ...notes,
    type: 'auto, true, false',
    fallback: 'auto',
    schema: v.union([v.literal('auto'), v.boolean()], 'must be one of auto, true, false'),
    fromText: textToBoolean,
    isList: false,
    write: (value) => value,
  };
}

export function integer(notes: Notes & { default?: number; min: number; max: number }): Setting<number> {
  const { default: fallback, min, max, ...rest } = notes;
  const message = `must be a whole number from ${min} to ${max}`;
  return {
    ...rest,
    type: `${min} to ${max}`,
    fallback,
    schema: v.pipe(
      v.number(message),
      v.check((value) => Number.isInteger(value) && value >= min && value <= max, message),
    ),
    fromText: (value) => (/^\d+$/.test(value) ? Number(value) : value),
    isList: false,
    write: (value) => value,
  };
}

/** Milliseconds, written with a unit. With `off`, that word is written for 0; with `forever`, that one for Infinity. */
export function duration(
  notes: Notes & { default: string; min: string; max?: string; off?: boolean; forever?: boolean },
): Setting<number> & { readonly unit: 'Ms' } {
  const { default: fallback, min, max = '1d', off = false, forever = false, ...rest } = notes;
  const [minMs, maxMs] = [min, max].map((bound) => v.parse(v.pipe(v.string(), parsed(parseDuration)), bound));
  const words = [...(off ? [', or off'] : []), ...(forever ? [', or forever'] : [])].join('');
  const message = `must be a duration with its unit, such as 250ms, 2s or 10m, from ${min} to ${max}${words}`;
  return {
    placeholder: 'DURATION',
    ...rest,
    unit: 'Ms',
    type: `duration, ${min} to ${max}${words}`,
    fallback,
    schema: v.pipe(
      v.string(message),
      v.rawTransform<string, number>(({ dataset, addIssue, NEVER }) => {
        if (off && dataset.value === 'off') return 0;
        if (forever && dataset.value === 'forever') return Number.POSITIVE_INFINITY;
        const result = parseDuration(dataset.value);
        if (result.ok && result.value >= (minMs ?? 0) && result.value <= (maxMs ?? 0)) return result.value;
        addIssue({ message });
        return NEVER;
      }),
    ),
    fromText: same,
    isList: false,
    write: (value) =>
      off && value === 0 ? 'off' : value === Number.POSITIVE_INFINITY ? 'forever' : formatDuration(value),
  };
}

/** An address to bind: an IP literal with a port; port 0 takes any free one. */
export function bindAddress(input: unknown): Parsed<HostPort> {
  const right = 'an IP address and a port, such as 127.0.0.1:6443 or [::1]:6443';
  if (typeof input !== 'string') return { ok: false, problem: right };
  const result = parseHostPort(input, { allowPortZero: true });
  if (!result.ok) return { ok: false, problem: `${right} (${result.problem})` };
  if (isIP(result.value.host) === 0) {
    return {
      ok: false,
      problem: `${right} (a name such as ${result.value.host} can resolve to several addresses)`,
    };
  }
  return result;
}

export function address(notes: Notes): Setting<HostPort> {
  return {
    placeholder: 'HOST:PORT',
    ...notes,
    type: 'HOST:PORT',
    fallback: undefined,
    schema: v.pipe(v.unknown(), parsed(bindAddress)),
    fromText: same,
    isList: false,
    write: formatHostPort,
  };
}

/**
 * An address to bind, or false for none. An IPv4 address may be in brackets too, for those who write the
 * brackets around an address of which they do not know the family (`[$(HOST_IP)]:6441` in a pod).
 */
export function bindAddressOrOff(notes: Notes & { default: string | false }): Setting<HostPort | false> {
  const { default: fallback, ...rest } = notes;
  return {
    placeholder: 'HOST:PORT',
    ...rest,
    type: 'HOST:PORT, false',
    fallback,
    schema: v.pipe(
      v.unknown(),
      parsed((input): Parsed<HostPort | false> => {
        if (input === false) return { ok: true, value: false };
        const text = typeof input === 'string' ? input.replace(/^\[([\d.]+)\]/, '$1') : input;
        const result = bindAddress(text);
        return result.ok ? result : { ok: false, problem: `false or ${result.problem}` };
      }),
    ),
    fromText: textToBoolean,
    isList: false,
    write: (value) => value && formatHostPort(value),
  };
}

export const splitList = (value: string): unknown => value.split(',').map((item) => item.trim());

/** Endpoints: IP literals or DNS names. `defaultPort` is taken where none is written. */
export function endpointListSchema(defaultPort?: number) {
  const port = defaultPort ?? 2379;
  const right = `HOST:PORT, such as 10.0.0.1:${port}, [fd00::5]:${port} or cp1.example:${port}`;
  return v.array(
    v.pipe(
      v.string(`must be ${right}`),
      parsed((input: string) => {
        const result = parseHostPort(input, defaultPort === undefined ? {} : { defaultPort });
        return result.ok ? result : { ok: false, problem: `${right} (${result.problem})` };
      }),
    ),
    `must be a list of ${right}`,
  );
}

/** Addresses of API servers; the port is 6443 where none is written. */
export function endpointList(notes: Notes): Setting<readonly HostPort[]> {
  return {
    placeholder: 'HOST:PORT,...',
    ...notes,
    type: 'list of HOST:PORT',
    fallback: [],
    schema: endpointListSchema(6443),
    fromText: splitList,
    isList: true,
    write: (value) => value.map(formatHostPort),
  };
}

/** Networks of clients. */
export function networkList(notes: Notes): Optional<readonly string[]> {
  const message = 'must be a list of networks such as 10.0.0.0/8 or fd00::/8, or of IP addresses';
  return optional<Setting<readonly string[]>>({
    ...notes,
    type: 'list of networks',
    fallback: undefined,
    schema: v.pipe(
      v.array(v.pipe(v.string(message), parsed(parseNetwork)), message),
      v.minLength(1, 'must name at least one network; omit it to have the default'),
    ),
    fromText: splitList,
    isList: true,
    write: (value) => [...value],
  });
}

/** DNS names and IP addresses, as clients verify them in certificates. */
export function nameList(notes: Notes): Setting<readonly string[]> {
  const right = 'DNS names or IP addresses without ports, such as api.example or 127.0.0.1';
  return {
    ...notes,
    type: 'list of names',
    fallback: [],
    schema: v.array(
      v.pipe(
        v.string(`must be ${right}`),
        parsed((input: string) => {
          if (isIP(input)) return { ok: true, value: canonicalHost(input) };
          const result = /[:[]/.test(input) ? undefined : parseHostPort(input, { defaultPort: 1 });
          return result?.ok ? { ok: true, value: result.value.host } : { ok: false, problem: right };
        }),
      ),
      `must be a list of ${right}`,
    ),
    fromText: splitList,
    isList: true,
    write: (value) => [...value],
  };
}

/** Fills in `key` where a map lacks it, so that its own check says what would be right. */
export const withKey = (key: string) => (item: unknown) =>
  isRecord(item) ? { [key]: undefined, ...item } : item;
