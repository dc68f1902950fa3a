// A `server` line of HAProxy, with what `default-server` lines before it have said. Pure.
import type { Draft } from './draft.ts';
import { type Line, parseHaproxyTime } from './haproxy-syntax.ts';
import { withoutBrackets } from '../model/host.ts';

/** What all servers of a backend say together, for settings that Fairlead has once. */
export interface CheckFacts {
  hasCheck: boolean;
  /** The check, or the connection itself, is TLS. */
  isTls: boolean;
  /** It is said what the check is verified by, or not. */
  saysVerification: boolean;
}

/** Parameters that take no value. */
const flags: ReadonlySet<string> = new Set([
  'allow-0rtt',
  'backup',
  'check',
  'check-send-proxy',
  'check-ssl',
  'check-via-socks4',
  'disabled',
  'enabled',
  'force-sslv3',
  'force-tlsv10',
  'force-tlsv11',
  'force-tlsv12',
  'force-tlsv13',
  'agent-check',
  'no-agent-check',
  'no-backup',
  'no-check',
  'no-check-ssl',
  'no-send-proxy',
  'no-send-proxy-v2',
  'no-ssl',
  'no-ssl-reuse',
  'no-sslv3',
  'no-tls-tickets',
  'no-tlsv10',
  'no-tlsv11',
  'no-tlsv12',
  'no-tlsv13',
  'no-tfo',
  'no-verifyhost',
  'non-stick',
  'send-proxy',
  'send-proxy-v2',
  'send-proxy-v2-ssl',
  'send-proxy-v2-ssl-cn',
  'ssl',
  'ssl-reuse',
  'stick',
  'tfo',
  'tls-tickets',
]);

const covered: Readonly<Record<string, string>> = {
  slowstart:
    'a recovered API server gets new tunnels after health.rise checks; existing ones return slowly (balance.rebalance.over)',
  'on-marked-down': 'tunnels to a dead API server are reset immediately',
  downinter: 'the interval for an API server that is down depends on its verdict',
  resolvers: 'names are resolved by the system every discovery.dnsInterval',
  'init-addr': 'a name that does not resolve yet is retried',
  'resolve-prefer': 'every address of a name is an endpoint',
  observe: 'refused and unanswered client connections trigger health checks',
  'on-error': 'the first bad sign is confirmed immediately',
  'error-limit': 'the first bad sign is confirmed immediately',
  'tcp-ut': 'checks and keepalive detect an endpoint that acknowledges nothing',
  'check-send-proxy': 'health checks send the same header as client connections (sendProxy)',
  enabled: 'is the default',
  'no-ssl': 'is the default',
  'no-check-ssl': 'is the default',
};

export const ownChecks = (key: string) =>
  `Fairlead's own health checks are used; --keep-checks applies this one (${key})`;

interface Parameter {
  readonly name: string;
  readonly value?: string;
  readonly line: number;
}

function parametersOf({ words, line }: Line, from: number): Parameter[] {
  const found: Parameter[] = [];
  for (let at = from; at < words.length; at += 1) {
    const name = words[at] as string;
    if (flags.has(name)) found.push({ name, line });
    else {
      at += 1;
      const value = words[at];
      found.push({ name, line, ...(value !== undefined && { value }) });
    }
  }
  return found;
}

/** The parameters of a `default-server` line. */
export const defaultParameters = (line: Line) => parametersOf(line, 1);

/** Reads the servers of one backend into the draft. */
export class Servers {
  readonly #draft: Draft;
  readonly facts: CheckFacts = { hasCheck: false, isTls: false, saysVerification: false };
  readonly #weights = new Set<string>();
  #count = 0;
  readonly #headers: Parameter[] = [];
  #headerCount = 0;
  readonly #seen = new Set<Parameter>();
  readonly #used = new Set<Parameter>();
  readonly #checkPorts = new Set<string>();
  readonly #portParameters: Parameter[] = [];
  #portCount = 0;
  #intervalLine: number | undefined;

  constructor(draft: Draft) {
    this.#draft = draft;
  }

  add(server: Line, defaults: readonly Parameter[]): void {
    const [, , addressText = ''] = server.words;
    // A later word takes the place of an earlier one.
    const merged = new Map<string, Parameter>();
    const own = parametersOf(server, 3);
    for (const parameter of [...defaults, ...own]) {
      if (parameter.name.startsWith('no-')) merged.delete(parameter.name.slice(3));
      merged.set(parameter.name, parameter);
    }
    const directive = server.words.slice(0, 3).join(' ');
    if (merged.has('disabled')) {
      this.#draft.note('changed', server.line, directive, 'is disabled and omitted');
      return;
    }
    const address = parseHaproxyAddress(addressText);
    if (address && address.host !== '*') this.#draft.endpoint(address, server.line, directive);
    else this.#draft.note('dropped', server.line, directive, 'is not HOST:PORT');
    this.#count += 1;
    const header = merged.get('send-proxy-v2') ?? merged.get('send-proxy');
    if (header) {
      this.#headers.push(header);
      this.#headerCount += 1;
    }
    for (const parameter of [...defaults, ...own]) this.#seen.add(parameter);
    for (const parameter of merged.values()) {
      this.#used.add(parameter);
      this.#parameter(parameter);
    }
  }

  /** What all servers have to say before it can be applied. */
  finish(): void {
    const draft = this.#draft;
    for (const parameter of this.#seen) {
      if (this.#used.has(parameter)) continue;
      const { name, value, line } = parameter;
      const directive = value === undefined ? name : `${name} ${value}`;
      draft.note('covered', line, directive, 'another word takes its place');
    }
    for (const { name, line } of this.#headers) {
      if (this.#headerCount < this.#count) {
        draft.note(
          'todo',
          line,
          name,
          'only some servers expect a PROXY header; Fairlead sends it to all endpoints of a pool or to none ' +
            '(sendProxy): none is sent; give these servers a pool and a listener of their own',
        );
        continue;
      }
      draft.sendProxy();
      const text = 'every connection begins with the header, version 2, which is binary (sendProxy)';
      draft.note('changed', line, name, text);
    }
    for (const { line, value = '' } of this.#portParameters) {
      const directive = `port ${value}`;
      const isOne = this.#checkPorts.size === 1 && this.#portCount === this.#count;
      if (isOne) draft.set('health.port', Number(value), line, directive);
      else
        draft.note(
          'dropped',
          line,
          directive,
          'the servers have different check ports; Fairlead has one for a pool (health.port)',
        );
    }
  }

  #own(line: number, directive: string, key: string): boolean {
    if (this.#draft.keepsChecks) return false;
    this.#draft.note('covered', line, directive, ownChecks(key));
    return true;
  }

  #parameter(parameter: Parameter): void {
    const draft = this.#draft;
    const { name, value = '', line } = parameter;
    const directive = [name, ...(parameter.value === undefined ? [] : [value])].join(' ');
    const file = (key: 'credentials.caFile' | 'credentials.serverName') =>
      draft.set(key, value, line, directive);
    switch (name) {
      case 'check':
        this.facts.hasCheck = true;
        return;
      case 'check-ssl':
        this.facts.isTls = true;
        return;
      case 'ssl':
        this.facts.isTls = true;
        draft.note(
          'todo',
          line,
          directive,
          "HAProxy opens its own TLS to the API server; Fairlead passes the client's TLS through",
        );
        return;
      case 'inter': {
        if (this.#own(line, directive, 'health.interval')) return;
        draft.setDuration('health.interval', parseHaproxyTime(value), line, directive);
        this.#intervalLine = line;
        return;
      }
      case 'fastinter':
        if (this.#own(line, directive, 'health.fastInterval')) return;
        draft.setDuration('health.fastInterval', parseHaproxyTime(value), line, directive);
        return;
      case 'rise':
      case 'fall':
        if (this.#own(line, directive, `health.${name}`)) return;
        draft.set(`health.${name}`, Number(value), line, directive);
        return;
      case 'port':
        if (this.#own(line, directive, 'health.port')) return;
        this.#checkPorts.add(value);
        this.#portParameters.push(parameter);
        this.#portCount += 1;
        return;
      case 'verify':
        this.facts.saysVerification = true;
        if (draft.isPool && !draft.keepsChecks)
          draft.note('covered', line, directive, 'a further pool is checked by a TCP connect (health.check)');
        else if (value !== 'none') draft.note('covered', line, directive, 'certificates are always verified');
        else draft.needsCa(line, directive, 'Fairlead always verifies API servers');
        return;
      case 'ca-file':
        this.facts.saysVerification = true;
        file('credentials.caFile');
        return;
      case 'crt':
        draft.set('credentials.clientCertFile', value, line, directive);
        draft.set('credentials.clientKeyFile', value, line, directive);
        return;
      case 'verifyhost':
      case 'check-sni':
        file('credentials.serverName');
        return;
      case 'send-proxy-v2':
      case 'send-proxy':
        return;
      case 'weight':
        this.#weights.add(value);
        if (this.#weights.size > 1) draft.note('dropped', line, directive, 'API servers have no weights');
        else draft.note('covered', line, directive, 'all weights are equal');
        return;
      default: {
        const known = covered[name];
        if (known !== undefined) draft.note('covered', line, directive, known);
        else draft.note('dropped', line, directive, 'has no counterpart');
      }
    }
  }

  /** Where the interval was set. */
  get intervalLine(): number | undefined {
    return this.#intervalLine;
  }
}

/** `10.0.0.1:6443`, `[fd00::1]:6443`, `ipv6@fd00::1:6443`, `:8383`, `*:8383`, `:::8081`; undefined for others. */
export function parseHaproxyAddress(text: string): { host: string; port: number } | undefined {
  const match = /^(?:ipv[46]@)?(.*?):(\d{1,5});?$/.exec(text);
  if (!match || /[@$/]/.test(match[1] ?? '')) return undefined;
  const host = withoutBrackets(match[1] ?? '');
  return { host: host === '' ? '*' : host, port: Number(match[2]) };
}
