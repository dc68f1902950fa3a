// The setting `pools`: pools of endpoints by name. What a pool may say is a part of the table of settings (those with
// scope `pool`), with the same names and checks, so that table is passed in; poolSettings has what it says besides.
import * as v from 'valibot';
import { setValueAt } from './paths.ts';
import type { PathSegment } from './problem.ts';
import {
  choice,
  endpointListSchema,
  integer,
  type Notes,
  optional,
  type Setting,
  type SettingValue,
  text,
} from './setting.ts';
import { suggest } from './suggest.ts';
import { isRecord } from '../lib/guards.ts';

/** The pool of the API servers, which the settings at the top level describe. */
export const defaultPoolName = 'apiservers';

const perPool = { scope: 'pool', applies: 'reload' } as const;

export const poolSettings = {
  type: choice({
    ...perPool,
    description:
      'Type of the endpoints. `tcp`: checked by a TCP connect. `etcd`: checked by `GET /health` over TLS, which must report that etcd is healthy.',
    default: 'tcp',
    of: ['etcd', 'tcp'],
  }),
  follow: optional(
    text({
      ...perPool,
      description: 'Instead of endpoints: the discovered hosts of the API servers, with `port`.',
      type: defaultPoolName,
      right: `${defaultPoolName}, the only pool that can be followed`,
      check: (value) => value === defaultPoolName,
    }),
  ),
  port: optional(
    integer({
      ...perPool,
      description: 'Port to dial on the hosts of `follow`.',
      min: 1,
      max: 65_535,
    }),
  ),
} satisfies Record<string, Setting<unknown>>;

/** One pool as it was written: what it leaves out is filled in by resolve.ts. */
export interface PoolValue {
  readonly type: SettingValue<typeof poolSettings.type>;
  readonly follow?: string;
  readonly port?: number;
  /** By setting, `health.interval`; checked. */
  readonly own: Readonly<Record<string, unknown>>;
}

export type PoolValues = Readonly<Record<string, PoolValue>>;

type SettingTable = Readonly<Record<string, Setting<never>>>;

const nameRight = 'must be named with lower-case letters, digits and dashes';

interface Found {
  readonly path: readonly PathSegment[];
  readonly message: string;
  readonly input: unknown;
}

class PoolReader {
  readonly found: Found[] = [];
  /** What a pool may say. */
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
    const { type = poolSettings.type.fallback, follow, port, ...rest } = raw;
    const head: Record<string, unknown> = {};
    this.#setting('type', ['type'], poolSettings.type.schema, type, head);
    if (follow !== undefined) this.#setting('follow', ['follow'], poolSettings.follow.schema, follow, head);
    if (port !== undefined) this.#setting('port', ['port'], poolSettings.port.schema, port, head);
    const own: Record<string, unknown> = {};
    this.#walk(rest, [], type === 'etcd' ? 2379 : undefined, own);
    if (follow === undefined && port !== undefined)
      this.#complain(
        ['port'],
        'must not be set without follow; write the ports of other endpoints after their hosts',
        port,
      );
    if (follow !== undefined && port === undefined)
      this.#complain(['port'], 'must be the port to dial on the followed hosts', undefined);
    if (follow !== undefined && 'endpoints' in own)
      this.#complain(
        ['endpoints'],
        'must not be set together with follow; remove one of them',
        rest.endpoints,
      );
    const hasEndpoints = Array.isArray(rest.endpoints) && rest.endpoints.length > 0;
    if (follow === undefined && !hasEndpoints && !('endpoints' in rest))
      this.#complain(
        ['endpoints'],
        'must list at least one endpoint, unless the pool follows another',
        undefined,
      );
    return { ...(head as Omit<PoolValue, 'own'>), own };
  }

  #walk(
    raw: Readonly<Record<string, unknown>>,
    at: readonly string[],
    endpointPort: number | undefined,
    own: Record<string, unknown>,
  ): void {
    const keys = Object.keys(this.#table);
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
        const more = at.length === 0 ? Object.keys(poolSettings) : [];
        const near = suggest(name, [...more, ...siblings]);
        const hint = near === undefined ? '' : `; did you mean ${near}?`;
        this.#complain(path, `must be removed: it is not a setting of a pool${hint}`, value);
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
  const table = Object.fromEntries(
    Object.entries(settings as SettingTable).filter(([, { scope }]) => scope === 'pool'),
  );
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
              ? `must have another name: ${defaultPoolName} is the pool of the top-level endpoints`
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
  for (const [key, { write }] of Object.entries(table)) {
    if (Object.hasOwn(own, key)) setValueAt(written, key, write(own[key] as never));
  }
  return written;
}
