// The Fairlead configuration that an import puts together, with the line that each setting comes from, and
// the notes on everything that could not be applied as it is.
import * as v from 'valibot';
import { stringify } from 'yaml';
import { formatDuration } from '../config/duration.ts';
import { loadSources } from '../config/load.ts';
import { sectionLines } from '../config/paths.ts';
import { readYaml } from '../config/yaml-source.ts';
import { isLoopback, isWildcard } from '../model/host.ts';
import { defaultPoolName } from '../config/pool-setting.ts';
import { type SettingKey, settingKeys, settingOf } from '../config/settings.ts';
import { formatHostPort, type HostPort, type Parsed, parseHostPort } from '../model/endpoint.ts';
import {
  allowFromOf,
  type DraftListener,
  type ListenerOptions,
  mergeListener,
  overlaps,
} from './draft-listener.ts';
import { DraftNotes, type Note, type NoteKind } from './draft-notes.ts';

export interface Imported {
  /** A configuration file. */
  readonly yaml: string;
  readonly notes: readonly Note[];
}

/** Where a value, or one item of a list, comes from; no lines: not from the file. */
type Origin = readonly number[];

interface Value {
  readonly raw: unknown;
  /** One for the value, or one for each item of a list. */
  readonly origins: readonly Origin[];
  readonly directive: string;
}

/** One address among others of a host: it may move from host to host. */
const isVirtual = (host: string) => !isLoopback(host) && !isWildcard(host);

const writtenOrigin = (lines: Origin = []) => (lines.length === 0 ? '' : ` # line ${lines.join(', ')}`);

export interface ImportOptions {
  /** What the notes and the file call the other file. */
  readonly name: string;
  /** Kubeconfig to take credentials and CA from. */
  readonly kubeconfig?: string;
  /** Apply the health checks of the file, where Fairlead's own would be used. */
  readonly keepChecks?: boolean;
}

/** What the drafts of all pools of one file share. */
interface Shared {
  readonly options: ImportOptions;
  readonly notes: DraftNotes;
  readonly listeners: DraftListener[];
  readonly pools: Draft[];
}

export class Draft {
  readonly #shared: Shared;
  /** Undefined for the API servers, which the top level describes. */
  readonly #pool: { readonly name: string; readonly line: number; readonly root: Draft } | undefined;
  readonly #values = new Map<SettingKey, Value>();
  readonly #endpoints: { text: string; line: number; directive: string }[] = [];
  #sendsProxy = false;

  constructor(options: ImportOptions, pool?: { name: string; line: number; root: Draft }) {
    this.#pool = pool;
    this.#shared = pool ? pool.root.#shared : { options, notes: new DraftNotes(), listeners: [], pools: [] };
    const { kubeconfig } = options;
    if (!pool && kubeconfig !== undefined)
      this.#values.set('credentials.kubeconfig', { raw: kubeconfig, origins: [], directive: '' });
  }

  /** A further pool of endpoints, under a name like `wanted`. */
  pool(wanted: string, line: number): Draft {
    const { options, pools } = this.#shared;
    const plain = wanted
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .slice(0, 50)
      .replace(/^-|-$/g, '');
    const base = plain === '' || plain === defaultPoolName ? 'pool' : plain;
    const names = new Set(pools.map((pool) => pool.#pool?.name));
    let name = base;
    for (let count = 2; names.has(name); count += 1) name = `${base}-${count}`;
    const pool = new Draft(options, { name, line, root: this.#pool?.root ?? this });
    pools.push(pool);
    return pool;
  }

  get isPool(): boolean {
    return this.#pool !== undefined;
  }

  get keepsChecks(): boolean {
    return this.#shared.options.keepChecks === true;
  }

  note(kind: NoteKind, line: number | undefined, directive: string, text: string): void {
    this.#shared.notes.add(kind, line, directive, text);
  }

  has(key: SettingKey): boolean {
    return this.#home(key).#values.has(key);
  }

  /** The draft that holds a setting: what pools cannot say is the process's. */
  #home(key: SettingKey): Draft {
    return this.#pool && settingOf(key).scope === 'process' ? this.#pool.root : this;
  }

  /** Sets a value as YAML would have it; one that the setting does not take is dropped, with a note. */
  set(
    key: SettingKey,
    raw: unknown,
    line: number,
    directive: string,
    origins: readonly Origin[] = [[line]],
  ): boolean {
    const result = v.safeParse(settingOf(key).schema, raw);
    if (result.success) this.#home(key).#values.set(key, { raw, origins, directive });
    else this.note('dropped', line, directive, `${key} ${result.issues[0].message}`);
    return result.success;
  }

  raw(key: SettingKey): unknown {
    return this.#values.get(key)?.raw;
  }

  /** What a duration is now: as it was set, else its default. */
  durationMs(key: SettingKey): number {
    const { schema, fallback } = settingOf(key);
    const raw = this.#values.get(key)?.raw ?? this.#pool?.root.raw(key) ?? fallback;
    return v.parse(schema, raw) as number;
  }

  setDuration(key: SettingKey, durationMs: number | undefined, line: number, directive: string): boolean {
    if (durationMs !== undefined) return this.set(key, formatDuration(durationMs), line, directive);
    this.note('dropped', line, directive, 'is not a valid time');
    return false;
  }

  endpoint({ host, port }: HostPort, line: number, directive: string): void {
    const text = formatHostPort({ host, port });
    const parsed = parseHostPort(text);
    if (!parsed.ok) this.note('dropped', line, directive, `is not a usable endpoint: ${parsed.problem}`);
    else if (this.#endpoints.some((known) => known.text === text))
      this.note('covered', line, directive, 'is listed already');
    else this.#endpoints.push({ text, line, directive });
  }

  /** A listener; one that other hosts can reach has to be allowed explicitly. */
  listener({ host, port }: HostPort, line: number, directive: string, options: ListenerOptions = {}): void {
    const own = host === 'localhost' ? '127.0.0.1' : host;
    const text = formatHostPort({ host: own, port });
    const result = v.safeParse(settingOf('listeners').schema, [text]);
    if (!result.success) {
      this.note('dropped', line, directive, `is not an address to listen on: ${result.issues[0].message}`);
      return;
    }
    const { access, acceptProxyFrom } = options;
    const added: DraftListener = {
      host: own,
      port,
      directive,
      pool: this.#pool?.name,
      lines: [line, ...(access?.lines ?? [])],
      acceptProxyFrom,
      allowFrom: access && allowFromOf(access, line, directive, this.#shared.notes),
    };
    const { listeners, notes } = this.#shared;
    if (!mergeListener(listeners, added, notes)) listeners.push(added);
  }

  #noteReach({ host, lines: [line = 0], directive }: DraftListener): void {
    if (isLoopback(host)) return;
    this.set('allowNonLoopback', true, line, directive);
    const reached = 'other hosts can reach this address, which Fairlead allows only with allowNonLoopback';
    this.note('changed', line, directive, reached);
    if (!isVirtual(host)) return;
    const waits = 'if the host does not have the address (a VIP), Fairlead waits for it (waitForAddress)';
    this.note('changed', line, directive, waits);
  }

  /** Every connection to a server of this pool begins with a PROXY header. */
  sendProxy(): void {
    this.#sendsProxy = true;
  }

  /** Fairlead verifies API servers where the other proxy did not, and needs a CA for it. */
  needsCa(line: number | undefined, directive: string, text: string): void {
    const hasCa = this.#shared.options.kubeconfig !== undefined;
    const how = hasCa
      ? 'using the CA of the kubeconfig'
      : 'configure the CA (--kubeconfig, or credentials.caFile)';
    this.note(hasCa ? 'changed' : 'todo', line, directive, `${text}: ${how}`);
  }

  /** The health port of the proxy becomes the admin server's, which stays on loopback. */
  admin({ host, port }: HostPort, line: number, directive: string): void {
    const own = isLoopback(host) && host !== 'localhost' ? host : '127.0.0.1';
    if (this.has('admin')) {
      this.note('covered', line, directive, 'the admin server has only one address');
      return;
    }
    const isTaken = this.#shared.listeners.some((listener) => overlaps(listener, { host: own, port }));
    if (isTaken) {
      this.note(
        'todo',
        line,
        directive,
        `a listener has port ${port}: give the admin server another (admin)`,
      );
      return;
    }
    if (!this.set('admin', formatHostPort({ host: own, port }), line, directive)) return;
    const moved = own === host ? '' : `only on ${own}, so that a probe needs "host: ${own}"; `;
    this.note(
      'changed',
      line,
      directive,
      `${moved}check readiness with /readyz, because /healthz answers 200 regardless of the API servers`,
    );
  }

  get hasEndpoints(): boolean {
    return this.#endpoints.length > 0;
  }

  get hasListeners(): boolean {
    return this.#shared.listeners.some(({ pool }) => pool === this.#pool?.name);
  }

  #listenerItem({ host, port, pool, lines, acceptProxyFrom, allowFrom }: DraftListener) {
    const sendsProxy = [this, ...this.#shared.pools].some(
      (draft) => draft.#pool?.name === pool && draft.#sendsProxy,
    );
    const said = {
      ...(pool !== undefined && { pool }),
      ...(isVirtual(host) && { waitForAddress: true }),
      ...(allowFrom && { allowFrom }),
      ...(acceptProxyFrom && { acceptProxyFrom }),
      ...(sendsProxy && { sendProxy: true }),
    };
    const text = formatHostPort({ host, port });
    return { lines, raw: Object.keys(said).length === 0 ? text : { address: text, ...said } };
  }

  /** The configuration and its notes. One that `config check` would refuse is not printed. */
  finish(): Parsed<Imported> {
    this.#dropUnusedPools();
    for (const listener of this.#shared.listeners) this.#noteReach(listener);
    const listeners = this.#shared.listeners.map((listener) => this.#listenerItem(listener));
    this.#values.set('listeners', {
      raw: listeners.map(({ raw }) => raw),
      origins: listeners.map(({ lines }) => lines),
      directive: '',
    });
    const notes = this.#shared.notes.sorted();
    const yaml = `# Generated by fairlead import from ${this.#shared.options.name}.\n${this.#sections('').join('\n')}\n`;
    const loaded = loadSources({ env: {}, hostname: 'node' }, [readYaml(yaml, 'result')]);
    if (loaded.ok) return { ok: true, value: { yaml, notes } };
    const problems = loaded.problems.map(({ path, right }) => `${path}: ${right}`);
    return { ok: false, problem: `the result would not be a good configuration: ${problems.join('; ')}` };
  }

  #dropUnusedPools(): void {
    const { pools } = this.#shared;
    for (const pool of pools.filter(({ hasEndpoints }) => !hasEndpoints)) {
      const { listeners } = this.#shared;
      for (const listener of listeners.filter((other) => other.pool === pool.#pool?.name)) {
        listeners.splice(listeners.indexOf(listener), 1);
        const [line] = listener.lines;
        this.note('dropped', line, listener.directive, 'leads to no server that could be used');
      }
    }
    for (const pool of pools.filter(({ hasListeners }) => !hasListeners)) {
      pools.splice(pools.indexOf(pool), 1);
      const text = 'no listener leads to its pool';
      for (const { line, directive } of pool.#endpoints) this.note('dropped', line, directive, text);
      for (const { origins, directive } of pool.#values.values()) {
        for (const line of origins.flat()) this.note('dropped', line, directive, 'its pool is left out');
      }
    }
  }

  /** As `config print` writes it, with the place of each value in the other file. */
  #sections(margin: string): string[] {
    if (this.#endpoints.length > 0) {
      this.#values.set('endpoints', {
        raw: this.#endpoints.map(({ text }) => text),
        origins: this.#endpoints.map(({ line }) => [line]),
        directive: '',
      });
    }
    const written: string[] = [];
    let previous: string | undefined;
    for (const key of settingKeys) {
      if (key === 'pools' && this.#shared.pools.length > 0 && !this.#pool) {
        written.push('pools:');
        for (const pool of this.#shared.pools) written.push(...pool.#poolSection());
        previous = key;
      }
      const value = this.#values.get(key);
      if (!value) continue;
      written.push(...sectionLines(previous, key).map((line) => `${margin}${line}`));
      previous = key;
      const names = key.split('.');
      const leaf = names.at(-1);
      const indent = `${margin}${'  '.repeat(names.length - 1)}`;
      const { raw, origins } = value;
      if (Array.isArray(raw)) {
        written.push(`${indent}${leaf}:`);
        for (const [index, item] of raw.entries()) {
          written.push(`${indent}  - ${JSON.stringify(item)}${writtenOrigin(origins[index])}`);
        }
      } else {
        const text = stringify(raw, { lineWidth: 0 }).trimEnd();
        written.push(`${indent}${leaf}: ${text}${writtenOrigin(origins[0])}`);
      }
    }
    return written;
  }

  #poolSection(): string[] {
    const { name, line } = this.#pool ?? { name: '', line: 0 };
    return [`  ${stringify(name).trimEnd()}:${writtenOrigin([line])}`, ...this.#sections('    ')];
  }
}
