// The setting `groups`: groups of endpoints by name. What a group may say is a part of the table of settings,
// with the same names and checks, so the table is passed in.
import * as v from 'valibot';
import { type GroupType, defaultGroupName } from './config.ts';
import type { PathSegment } from './problem.ts';
import { endpointListSchema, type Notes, type Setting } from './setting.ts';
import { suggest } from './suggest.ts';

/** One group as it was written: what it leaves out is filled in by resolve.ts. */
export interface GroupValue {
  readonly type: Exclude<GroupType, 'apiservers'>;
  readonly follow?: string;
  readonly port?: number;
  /** By setting, `health.interval`; checked. */
  readonly own: Readonly<Record<string, unknown>>;
}

export type GroupValues = Readonly<Record<string, GroupValue>>;

type SettingTable = Readonly<Record<string, Setting<never>>>;

const types = ['etcd', 'tcp'] as const;
const nameRight = 'must be named with lower-case letters, digits and dashes';

/** The settings that a group may have of its own. */
export function isGroupSetting(key: string): boolean {
  return (
    /^(endpoints$|credentials\.|health\.|balance\.|drain\.)/.test(key) ||
    ['discovery.dnsInterval', 'discovery.cacheFile', 'tunnels.idleTimeout'].includes(key)
  );
}

interface Found {
  readonly path: readonly PathSegment[];
  readonly message: string;
  readonly input: unknown;
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

class GroupReader {
  readonly found: Found[] = [];
  readonly #table: SettingTable;
  readonly #name: string;

  constructor(table: SettingTable, name: string) {
    this.#table = table;
    this.#name = name;
  }

  read(raw: unknown): GroupValue | undefined {
    if (!isMap(raw)) {
      this.#complain([], 'must be a map with type, endpoints or follow, credentials, health, balance', raw);
      return undefined;
    }
    const { type = 'tcp', follow, port, ...rest } = raw;
    if (!types.includes(type as (typeof types)[number]))
      this.#complain(['type'], `must be one of ${types.join(', ')}`, type);
    if (follow !== undefined && follow !== defaultGroupName)
      this.#complain(['follow'], `must be ${defaultGroupName}, whose hosts are taken`, follow);
    const isPort = Number.isInteger(port) && (port as number) >= 1 && (port as number) <= 65_535;
    if (port !== undefined && !isPort)
      this.#complain(['port'], 'must be a whole number from 1 to 65535', port);
    const own: Record<string, unknown> = {};
    this.#walk(rest, [], type === 'etcd' ? 2379 : undefined, own);
    if (follow === undefined && port !== undefined)
      this.#complain(['port'], 'must come with follow; other endpoints are written with their ports', port);
    if (follow !== undefined && port === undefined)
      this.#complain(['port'], 'must say on which port the followed hosts are dialled', undefined);
    if (follow !== undefined && 'endpoints' in own)
      this.#complain(['endpoints'], 'must not be given with follow: one of the two', rest.endpoints);
    const hasEndpoints = Array.isArray(rest.endpoints) && rest.endpoints.length > 0;
    if (follow === undefined && !hasEndpoints && !('endpoints' in rest))
      this.#complain(
        ['endpoints'],
        'must list at least one endpoint, unless the group follows another',
        undefined,
      );
    return {
      type: type as GroupValue['type'],
      ...(follow !== undefined && { follow: follow as string }),
      ...(port !== undefined && { port: port as number }),
      own,
    };
  }

  #walk(
    raw: Readonly<Record<string, unknown>>,
    at: readonly string[],
    endpointPort: number | undefined,
    own: Record<string, unknown>,
  ): void {
    const keys = Object.keys(this.#table).filter(isGroupSetting);
    for (const [name, value] of Object.entries(raw)) {
      const path = [...at, name];
      const key = path.join('.');
      if (keys.includes(key)) {
        const schema = key === 'endpoints' ? endpointListSchema(endpointPort) : this.#table[key]?.schema;
        if (schema) this.#setting(key, path, schema, value, own);
      } else if (keys.some((known) => known.startsWith(`${key}.`))) {
        if (isMap(value)) this.#walk(value, path, endpointPort, own);
        else if (value !== null) this.#complain(path, 'must be a map', value);
      } else {
        const siblings = keys.flatMap((known) =>
          known.startsWith(at.map((part) => `${part}.`).join('')) ? [known.split('.')[at.length] ?? ''] : [],
        );
        const more = at.length === 0 ? ['type', 'follow', 'port'] : [];
        const near = suggest(name, [...more, ...siblings]);
        const hint = near === undefined ? '' : `; did you mean ${near}?`;
        this.#complain(path, `must be left out: it is no setting of a group${hint}`, value);
      }
    }
  }

  #setting(
    key: string,
    path: readonly string[],
    schema: v.GenericSchema<unknown, unknown>,
    value: unknown,
    own: Record<string, unknown>,
  ): void {
    const result = v.safeParse(schema, value ?? undefined);
    if (result.success && value !== null && value !== undefined) own[key] = result.output;
    else if (result.success) this.#complain(path, 'must have a value', value);
    else {
      for (const issue of result.issues) {
        const within = (issue.path ?? []).map(({ key: segment }) => segment as PathSegment);
        this.#complain([...path, ...within], issue.message, issue.input);
      }
    }
  }

  #complain(path: readonly PathSegment[], message: string, input: unknown): void {
    this.found.push({ path: [this.#name, ...path], message, input });
  }
}

export function groupMap(notes: Notes & { settings: object }): Setting<GroupValues> {
  const { settings, ...rest } = notes;
  const table = settings as SettingTable;
  return {
    ...rest,
    type: 'map of groups',
    fallback: {},
    schema: v.pipe(
      v.unknown(),
      v.rawTransform<unknown, GroupValues>(({ dataset, addIssue, NEVER }) => {
        const raw = dataset.value;
        if (!isMap(raw)) {
          addIssue({ message: 'must be a map of groups by name' });
          return NEVER;
        }
        const groups: Record<string, GroupValue> = {};
        let isGood = true;
        for (const [name, value] of Object.entries(raw)) {
          const reader = new GroupReader(table, name);
          const group = reader.read(value);
          if (group && reader.found.length === 0) groups[name] = group;
          const isName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name) && name !== defaultGroupName;
          const right =
            name === defaultGroupName
              ? `must have another name: ${defaultGroupName} are the endpoints of the top level`
              : nameRight;
          const nameProblem = isName ? [] : [{ path: [name], message: right, input: name }];
          for (const { path, message, input } of [...nameProblem, ...reader.found]) {
            isGood = false;
            addIssue({ message, input, path: issuePath(raw, path) });
          }
        }
        return isGood ? groups : NEVER;
      }),
    ),
    isList: false,
    write: (value) =>
      Object.fromEntries(Object.entries(value).map(([name, group]) => [name, writeGroup(table, group)])),
  };
}

/** valibot wants more of a path than the loader reads. */
function issuePath(input: object, path: readonly PathSegment[]) {
  const items = path.map((key) => ({
    type: 'unknown' as const,
    origin: 'value' as const,
    input,
    key,
    value: undefined,
  }));
  return items as [(typeof items)[number], ...typeof items];
}

function writeGroup(table: SettingTable, { own, ...head }: GroupValue): unknown {
  const written: Record<string, unknown> = { ...head };
  for (const key of Object.keys(table)) {
    if (!Object.hasOwn(own, key)) continue;
    const segments = key.split('.');
    const name = segments.pop() ?? key;
    let section = written;
    for (const segment of segments) {
      section[segment] ??= {};
      section = section[segment] as Record<string, unknown>;
    }
    section[name] = table[key]?.write(own[key] as never);
  }
  return written;
}
