// Reads the variables of a Kubespray inventory that decide who talks to which API server address. Pure.
//
// Group variables are Ansible's: YAML 1.1 (`yes` is true), values may refer to other variables in Jinja.
// Plain references are followed; any other expression needs Ansible, and is a problem if the variable matters.
import { isIP } from 'node:net';
import { LineCounter, parseDocument } from 'yaml';
import { type Problem, showValue } from '../../config/problem.ts';
import { canonicalHost } from '../../model/endpoint.ts';
import { messageOf } from '../../model/error-text.ts';
import { isRecord, isString } from '../../lib/guards.ts';
import { withoutBrackets } from '../../model/host.ts';

export interface VarsFile {
  readonly name: string;
  readonly text: string;
}

/** What the inventory says; a member that it does not say is absent. */
export interface KubesprayVars {
  /** `loadbalancer_apiserver`, with `apiserver_loadbalancer_domain_name`. */
  readonly lb?: { readonly address?: string; readonly port?: number };
  readonly domainName?: string;
  readonly localhost?: boolean;
  readonly type?: string;
  /** nsp: `loadbalancer_apiserver_port`. */
  readonly localPort?: number;
  readonly healthPort?: number;
  /** sp: `kube_apiserver_port`. */
  readonly securePort?: number;
  readonly bindAddress?: string;
  readonly firstControlPlane?: string;
  readonly hasAnonymousAuth?: boolean;
  readonly extraSans?: readonly string[];
  readonly etcd: EtcdVars;
}

export interface EtcdVars {
  readonly accessAddresses?: string;
  readonly clientUrl?: string;
  readonly certAltNames?: readonly string[];
  readonly certAltIps?: readonly string[];
}

export type VarsResult =
  | { readonly ok: true; readonly value: KubesprayVars }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Kubespray's own defaults that other values refer to. */
const knownDefaults: Readonly<Record<string, unknown>> = {
  kube_apiserver_port: 6443,
  cluster_name: 'cluster.local',
  dns_domain: '{{ cluster_name }}',
};

const maxAliasCount = 100;
const maxReferences = 20;

interface Variable {
  readonly value: unknown;
  readonly source: string;
}

/** Reads the files; a later one overrides an earlier one, variable by variable, as Ansible's groups do. */
export function readVars(files: readonly VarsFile[]): VarsResult {
  const problems: Problem[] = [];
  const variables = new Map<string, Variable>();
  for (const file of files) readFile(file, variables, problems);
  const reader = new Reader(variables, problems);
  const lbValue = reader.raw('loadbalancer_apiserver');
  const value: KubesprayVars = defined({
    lb: reader.balancer(lbValue),
    domainName: reader.host('apiserver_loadbalancer_domain_name'),
    localhost: reader.boolean('loadbalancer_apiserver_localhost'),
    type: reader.text('loadbalancer_apiserver_type', 'nginx or haproxy', (text) =>
      /^(nginx|haproxy)$/.test(text),
    ),
    localPort: reader.port('loadbalancer_apiserver_port'),
    healthPort: reader.port('loadbalancer_apiserver_healthcheck_port'),
    securePort: reader.port('kube_apiserver_port'),
    bindAddress: reader.text('kube_apiserver_bind_address', 'an IP address', (text) => isIP(text) !== 0),
    firstControlPlane: reader.host('first_kube_control_plane_address'),
    hasAnonymousAuth: reader.boolean('kube_api_anonymous_auth'),
    extraSans: reader.list('supplementary_addresses_in_ssl_keys'),
    etcd: defined({
      accessAddresses: reader.text('etcd_access_addresses', 'URLs separated by commas', () => true),
      clientUrl: reader.text('etcd_client_url', 'a URL', () => true),
      certAltNames: reader.list('etcd_cert_alt_names'),
      certAltIps: reader.list('etcd_cert_alt_ips'),
    }),
  });
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value };
}

function defined<T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function readFile({ name, text }: VarsFile, variables: Map<string, Variable>, problems: Problem[]): void {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: '1.1',
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const at = (offset: number | undefined) =>
    offset === undefined ? name : `${name}:${lines.linePos(offset).line}`;
  const unreadable = (source: string, right: string) => {
    problems.push({ source, path: '', right, isUnreadable: true });
  };
  for (const { code, pos } of document.errors) unreadable(at(pos[0]), `not valid YAML: ${code}`);
  if (document.errors.length > 0) return;
  let values: unknown;
  try {
    values = document.toJS({ maxAliasCount });
  } catch (error) {
    unreadable(name, `not usable YAML: ${messageOf(error)}`);
    return;
  }
  // A file of comments only.
  if (values === null) return;
  if (!isRecord(values)) {
    unreadable(name, 'must be a map of variables, such as "kube_apiserver_port: 6443"');
    return;
  }
  const contents = document.contents as unknown as {
    items: { key: { value: unknown; range?: readonly number[] } }[];
  };
  const offsets = new Map(contents.items.map(({ key }) => [String(key?.value), key?.range?.[0]]));
  for (const [key, value] of Object.entries(values)) {
    variables.set(key, { value, source: at(offsets.get(key)) });
  }
}

class Reader {
  readonly #variables: ReadonlyMap<string, Variable>;
  readonly #problems: Problem[];

  constructor(variables: ReadonlyMap<string, Variable>, problems: Problem[]) {
    this.#variables = variables;
    this.#problems = problems;
  }

  #refuse(name: string, right: string, found?: unknown): undefined {
    const source = this.#variables.get(name.split('.')[0] ?? name)?.source ?? 'the inventory';
    this.#problems.push({
      source,
      path: name,
      right,
      ...(found !== undefined && { found: showValue(found) }),
    });
  }

  /** The value with plain references followed; undefined when it is absent or cannot be known. */
  raw(name: string): unknown {
    const variable = this.#variables.get(name);
    return variable && this.#rendered(name, variable.value, 0);
  }

  #rendered(name: string, value: unknown, depth: number): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#rendered(name, item, depth));
    if (isRecord(value)) {
      return Object.fromEntries(
        Object.entries(value).map(([key, member]) => [key, this.#rendered(`${name}.${key}`, member, depth)]),
      );
    }
    if (typeof value !== 'string' || !/\{[{%]/.test(value)) return value;
    const refused = () =>
      this.#refuse(name, 'must be a plain value: only Ansible can evaluate this expression', value);
    if (depth >= maxReferences) return refused();
    const whole = /^\{\{\s*(\w+)\s*\}\}$/.exec(value)?.[1];
    if (whole !== undefined) {
      const target = this.#variables.get(whole)?.value ?? knownDefaults[whole];
      return target === undefined ? refused() : this.#rendered(name, target, depth + 1);
    }
    let isKnown = true;
    const text = value.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, key: string) => {
      const target = this.#rendered(name, this.#variables.get(key)?.value ?? knownDefaults[key], depth + 1);
      if (target === undefined || typeof target === 'object') isKnown = false;
      return String(target);
    });
    return isKnown && !/\{[{%]/.test(text) ? text : refused();
  }

  text(name: string, what: string, isGood: (text: string) => boolean): string | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value === 'string' && value !== '' && isGood(value)) return value;
    return this.#refuse(name, `must be ${what}`, value);
  }

  /** A name or an address, without the brackets that an IPv6 address may have been given. */
  host(name: string, value: unknown = this.raw(name)): string | undefined {
    if (value === undefined) return undefined;
    const bare = isString(value) ? withoutBrackets(value) : '';
    if (isIP(bare) !== 0 || /^(?![\d.]+$)[\w.-]+$/.test(bare)) return canonicalHost(bare);
    return this.#refuse(name, 'must be a DNS name or an IP address', value);
  }

  port(name: string, value: unknown = this.raw(name)): number | undefined {
    if (value === undefined) return undefined;
    const port = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
    return this.#refuse(name, 'must be a port from 1 to 65535', value);
  }

  boolean(name: string): boolean | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === 'boolean') return value;
    return this.#refuse(
      name,
      'must be true or false without quotes (Jinja treats any other text as true)',
      value,
    );
  }

  list(name: string): readonly string[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const isGood = Array.isArray(value) && value.every(isString);
    return isGood ? value : this.#refuse(name, 'must be a list of names or addresses', value);
  }

  balancer(value: unknown): KubesprayVars['lb'] {
    const name = 'loadbalancer_apiserver';
    if (value === undefined && !this.#variables.has(name)) return undefined;
    if (!isRecord(value)) {
      return this.#refuse(name, 'must be a map with address and port, or be omitted', value ?? 'nothing');
    }
    const { address, port } = value;
    return defined({ address: this.host(`${name}.address`, address), port: this.port(`${name}.port`, port) });
  }
}
