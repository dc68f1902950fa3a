// The setting `pools`: pools of endpoints by name. What a pool may say is a part of the table of settings,
// with the same names and checks, so the table is passed in.
import * as v from 'valibot';
import { type PoolType, defaultPoolName } from './config.ts';
import type { PathSegment } from './problem.ts';
import { endpointListSchema, type Notes, type Setting } from './setting.ts';
import { suggest } from './suggest.ts';
import { isRecord } from '../lib/guards.ts';

/** One pool as it was written: what it leaves out is filled in by resolve.ts. */
export interface PoolValue {
  readonly type: Exclude<PoolType, 'apiservers'>;
  readonly follow?: string;
  readonly port?: number;
  /** By setting, `health.interval`; checked. */
  readonly own: Readonly<Record<string, unknown>>;
}

export type PoolValues = Readonly<Record<string, PoolValue>>;

type SettingTable = Readonly<Record<string, Setting<never>>>;

const types = ['etcd', 'tcp'] as const;
const nameRight = 'must be named with lower-case letters, digits and dashes';

/** The settings that a pool may have of its own. */
export function isPoolSetting(key: string): boolean {
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

class PoolReader {
  readonly found: Found[] = [];
  readonly #table: SettingTable;
  readonly #name: string;

  constructor(table: SettingTable, name: string) {
    this.#table = table;
    this.#name = name;
  }

  read(raw: unknown): PoolValue | undefined {
    if (!isRecord(raw)) {
      this.#complain([], 'must be a map with type, endpoints or follow, credentials, health, balance', raw);
      return undefined;
    }
    const { type = 'tcp', follow, port, ...rest } = raw;
    if (!types.includes(type as (typeof types)[number]))
      this.#complain(['type'], `must be one of ${types.join(', ')}`, type);
    if (follow !== undefined && follow !== defaultPoolName)
      this.#complain(['follow'], `must be ${defaultPoolName}, whose hosts are taken`, follow);
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
        'must list at least one endpoint, unless the pool follows another',
        undefined,
      );
    return {
      type: type as PoolValue['type'],
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
    const keys = Object.keys(this.#table).filter(isPoolSetting);
    for (const [name, value] of Object.entries(raw)) {
      const path = [...at, name];
      const key = path.join('.');
      if (keys.includes(key)) {
        const schema = key === 'endpoints' ? endpointListSchema(endpointPort) : this.#table[key]?.schema;
        if (schema) this.#setting(key, path, schema, value, own);
      } else if (keys.some((known) => known.startsWith(`${key}.`))) {
        if (isRecord(value)) this.#walk(value, path, endpointPort, own);
        else if (value !== null) this.#complain(path, 'must be a map', value);
      } else {
        const siblings = keys.flatMap((known) =>
          known.startsWith(at.map((part) => `${part}.`).join('')) ? [known.split('.')[at.length] ?? ''] : [],
        );
        const more = at.length === 0 ? ['type', 'follow', 'port'] : [];
        const near = suggest(name, [...more, ...siblings]);
        const hint = near === undefined ? '' : `; did you mean ${near}?`;
        this.#complain(path, `must be left out: it is no setting of a pool${hint}`, value);
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

export function poolMap(notes: Notes & { settings: object }): Setting<PoolValues> {
  const { settings, ...rest } = notes;
  const table = settings as SettingTable;
  return {
    ...rest,
    type: 'map of pools',
    fallback: {},
    schema: v.pipe(
      v.unknown(),
      v.rawTransform<unknown, PoolValues>(({ dataset, addIssue, NEVER }) => {
        const raw = dataset.value;
        if (!isRecord(raw)) {
          addIssue({ message: 'must be a map of pools by name' });
          return NEVER;
        }
        const pools: Record<string, PoolValue> = {};
        let isGood = true;
        for (const [name, value] of Object.entries(raw)) {
          const reader = new PoolReader(table, name);
          const pool = reader.read(value);
          if (pool && reader.found.length === 0) pools[name] = pool;
          const isName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name) && name !== defaultPoolName;
          const right =
            name === defaultPoolName
              ? `must have another name: ${defaultPoolName} are the endpoints of the top level`
              : nameRight;
          const nameProblem = isName ? [] : [{ path: [name], message: right, input: name }];
          for (const { path, message, input } of [...nameProblem, ...reader.found]) {
            isGood = false;
            addIssue({ message, input, path: issuePath(raw, path) });
          }
        }
        return isGood ? pools : NEVER;
      }),
    ),
    isList: false,
    write: (value) =>
      Object.fromEntries(Object.entries(value).map(([name, pool]) => [name, writePool(table, pool)])),
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

function writePool(table: SettingTable, { own, ...head }: PoolValue): unknown {
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
