// From an HAProxy in front of API servers (Kubespray's localhost proxy, the external one of its HA document,
// and their like) to a Fairlead configuration. Every directive is applied or named in a note. Pure.
import type { Parsed } from '../model/endpoint.ts';
import { Draft, type Imported, type ImportOptions } from './draft.ts';
import { everyAddress, intersection } from './address-set.ts';
import { isClosedText, type ListenerAccess } from './draft.ts';
import { type Access, readAccess } from './haproxy-access.ts';
import { importHttpCheck, shownLine } from './haproxy-check.ts';
import { defaultParameters, ownChecks, parseHaproxyAddress, Servers } from './haproxy-server.ts';
import { type Line, parseHaproxy, parseHaproxyTime, type Section } from './haproxy-syntax.ts';

/** Directives whose purpose Fairlead serves without being told, by their first words. */
const covered: readonly (readonly [start: string, text: string])[] = [
  ['mode tcp', 'Fairlead relays TCP'],
  [
    'option log-health-checks',
    'every change of a verdict is logged, with its reason; each check with health.logChecks',
  ],
  ['option redispatch', 'after a refused or failed dial the next API server is tried'],
  ['retries', 'every API server is tried within dial.allDownDeadline'],
  ['timeout connect', 'after dial.raceDelay (250ms) the next API server is dialled in parallel'],
  ['timeout queue', 'there is no queue: a client is connected or reset'],
  ['option tcpka', 'both sides of a tunnel have TCP keepalive (tunnels.keepAliveDelay)'],
  ['option clitcpka', 'both sides of a tunnel have TCP keepalive (tunnels.keepAliveDelay)'],
  ['option srvtcpka', 'both sides of a tunnel have TCP keepalive (tunnels.keepAliveDelay)'],
  ['option dontlognull', 'connections are logged at debug level only'],
  ['option tcplog', 'tunnels are counted in the metrics and logged at debug level'],
  ['option httplog', 'tunnels are counted in the metrics and logged at debug level'],
  ['log ', 'logs go to standard output, as JSON lines'],
  ['stats ', 'see /metrics and /status of the admin server'],
  ['nbthread', 'Fairlead is one process with one thread for its tunnels'],
  ['nbproc', 'Fairlead is one process'],
  ['daemon', 'Fairlead stays in the foreground'],
  ['option tcp-check', 'Fairlead asks each endpoint itself (health.check)'],
  ['option ssl-hello-chk', 'Fairlead asks each endpoint itself (health.check)'],
  ['tcp-check ', 'Fairlead asks each endpoint itself (health.check)'],
  ['tcp-request inspect-delay', 'the relay does not look into what clients send'],
  ['monitor-uri', 'the admin server answers /livez, /readyz and /healthz'],
];

const noCounterpart = 'has no counterpart';
/** The default of health.interval. */
const ownIntervalMs = 2_000;

const policies: Readonly<Record<string, string>> = {
  leastconn: 'least-connections',
  roundrobin: 'round-robin',
  'static-rr': 'round-robin',
};

/** A proxy section with the `defaults` that hold for it. */
interface Proxy {
  readonly section: Section;
  readonly defaults: readonly Line[];
}

const is = ({ words }: Line, ...start: readonly string[]) =>
  start.every((word, index) => words[index] === word);

class HaproxyImport {
  readonly #draft: Draft;
  readonly #done = new Set<Line>();
  /** Lines of defaults or sections that a later one overrides, in some section at least. */
  readonly #overridden = new Set<Line>();
  readonly #used = new Set<Line>();
  /** Lines about checks that a section does not use, with the reason; another section may use them. */
  readonly #idleChecks = new Map<Line, string>();
  readonly #usedChecks = new Set<Line>();
  #maxLine: Line | undefined;
  /** Times that have been dealt with. */
  readonly #timed = new Set<Line>();

  constructor(options: ImportOptions) {
    this.#draft = new Draft(options);
  }

  run(sections: readonly Section[]): Parsed<Imported> {
    const proxies = proxiesOf(sections);
    const frontends = proxies.filter(({ section }) => /^(frontend|listen)$/.test(section.keyword));
    const backends = new Map<Proxy, Proxy[]>();
    for (const proxy of frontends) {
      const backend = backendOf(proxy, proxies);
      if (backend) backends.set(backend, [...(backends.get(backend) ?? []), proxy]);
    }
    // The API servers are those that are asked on their usual port; else the first ones.
    const backend = [...backends.keys()].find(hasApiServers) ?? [...backends.keys()][0];
    const main = backend && backends.get(backend)?.[0];
    if (!main || !backend) return { ok: false, problem: 'it has no frontend or listen section with servers' };

    const used = new Set<Section>();
    for (const [target, front] of [
      [backend, backends.get(backend) ?? []] as const,
      ...[...backends].filter(([other]) => other !== backend),
    ]) {
      const { name, line } = target.section;
      const draft = target === backend ? this.#draft : this.#draft.pool(name, line);
      for (const proxy of front) this.#frontend(proxy, target, draft);
      this.#backend(target, draft);
      for (const proxy of front) this.#idleTimeout(proxy, target);
      for (const { section } of [...front, target]) used.add(section);
      if (target !== backend && !draft.hasEndpoints) {
        for (const { section } of [...front, target]) used.delete(section);
      }
    }
    for (const proxy of frontends) if (!used.has(proxy.section)) this.#health(proxy);
    for (const line of this.#overridden) {
      if (!this.#used.has(line))
        this.#draft.note('covered', line.line, shownLine(line), 'another line overrides it');
    }
    for (const [line, text] of this.#idleChecks) {
      if (!this.#usedChecks.has(line)) this.#draft.note('dropped', line.line, shownLine(line), text);
    }
    this.#rest(sections, used);
    if (!this.#draft.hasEndpoints)
      return { ok: false, problem: `${title(backend.section)} has no usable server` };
    if (!this.#draft.hasListeners)
      return { ok: false, problem: `${title(main.section)} binds no usable address` };
    return this.#draft.finish();
  }

  /** The line that counts: the last one of the section, else of its defaults. Both are dealt with by that. */
  #find({ section, defaults }: Proxy, ...start: readonly string[]): Line | undefined {
    const [own, inherited] = [section.lines, defaults].map((lines) =>
      lines.filter((line) => is(line, ...start)),
    );
    const found = own?.at(-1) ?? inherited?.at(-1);
    for (const line of [...(own ?? []), ...(inherited ?? [])]) {
      this.#done.add(line);
      if (line === found) this.#used.add(line);
      else this.#overridden.add(line);
    }
    return found && this.#isSwitchedOff(section, start) ? undefined : found;
  }

  /** `no option redispatch`. */
  #isSwitchedOff(section: Section, start: readonly string[]): boolean {
    const off = section.lines.find((line) => is(line, 'no', ...start));
    if (off) this.#done.add(off);
    return off !== undefined;
  }

  #all({ section, defaults }: Proxy, keyword: string): Line[] {
    const found = [...defaults, ...section.lines].filter((line) => is(line, keyword));
    for (const line of found) this.#done.add(line);
    return found;
  }

  #frontend(proxy: Proxy, backend: Proxy, draft: Draft): void {
    const { section } = proxy;
    const access = this.#access(proxy, backend);
    for (const bind of this.#all(proxy, 'bind')) this.#bind(bind, access, draft);
    for (const line of section.lines) {
      const isDefault = is(line, 'default_backend');
      if (isDefault) this.#done.add(line);
    }
    const mode = this.#find(proxy, 'mode');
    if (mode) this.#mode(mode);
    this.#maxConnections(this.#find(proxy, 'maxconn'));
  }

  #mode(mode: Line): void {
    if (mode.words[1] === 'tcp') this.#cover(mode);
    else {
      const text = 'Fairlead relays TCP and does not change its content';
      this.#draft.note('changed', mode.line, shownLine(mode), text);
    }
  }

  /** The rules of a frontend and of where it leads: a client has to pass both. */
  #access(front: Proxy, backend: Proxy): ListenerAccess {
    const linesOf = ({ section, defaults }: Proxy) => [...defaults, ...section.lines];
    const places = front.section === backend.section ? [front] : [front, backend];
    const found = places.map((place) => readAccess(linesOf(place), backend.section.name));
    for (const access of found) this.#noteAccess(access);
    places.forEach((place, index) => {
      for (const line of linesOf(place).filter((candidate) => is(candidate, 'acl'))) {
        if (!found[index]?.acls.has(line.words[1] ?? '')) continue;
        this.#done.add(line);
        this.#draft.note('covered', line.line, shownLine(line), 'the rules that use it have been read');
      }
    });
    return {
      allowed: found.reduce((sum, { allowed }) => intersection(sum, allowed), everyAddress),
      lines: found.flatMap(({ applied }) => applied.map(({ line }) => line)),
      isClosed: found.some(({ unexpressed }) => unexpressed.length > 0),
    };
  }

  #noteAccess({ applied, idle, unexpressed }: Access): void {
    for (const line of [...applied, ...idle]) this.#done.add(line);
    for (const line of idle)
      this.#draft.note(
        'covered',
        line.line,
        shownLine(line),
        'has no effect here: nothing is rejected by it',
      );
    for (const { line, why } of unexpressed) {
      this.#done.add(line);
      this.#draft.note('todo', line.line, shownLine(line), `cannot be expressed: ${why}; ${isClosedText}`);
    }
  }

  #bind(bind: Line, access: ListenerAccess, draft: Draft): void {
    const [, list = '', ...words] = bind.words;
    const directive = `bind ${list}`;
    const options = words.filter((word) => word !== 'accept-proxy');
    const takesHeaders = options.length < words.length;
    if (takesHeaders) {
      this.#draft.note(
        'changed',
        bind.line,
        'accept-proxy',
        'accepted from every address, as in HAProxy (acceptProxyFrom); restrict it to the networks of the senders',
      );
    }
    // Rules about connections see the sender of the header, allowFrom the client that the header names.
    const seesOther = takesHeaders && access.lines.length > 0;
    // What only clients of one interface, or with a certificate of one CA, could reach.
    const limits = options.filter((option) => /^(interface|verify|namespace|uid|gid|mode)$/.test(option));
    if (options[options.indexOf('verify') + 1] === 'none') limits.splice(limits.indexOf('verify'), 1);
    if (seesOther || limits.length > 0) {
      const what = limits.length > 0 ? limits.join(', ') : 'accept-proxy with rules about addresses';
      draft.note('todo', bind.line, directive, `${what} cannot be expressed: ${isClosedText}`);
    }
    const said = {
      access: { ...access, isClosed: access.isClosed || seesOther || limits.length > 0 },
      ...(takesHeaders && { acceptProxyFrom: ['0.0.0.0/0', '::/0'] }),
    };
    for (const text of list.split(',')) {
      const address = parseHaproxyAddress(text);
      if (address) {
        const host = address.host === '*' ? '0.0.0.0' : address.host;
        draft.listener({ host, port: address.port }, bind.line, directive, said);
        // An IPv6 wildcard that takes IPv4 clients as well.
        if (host === '::' && !options.includes('v6only'))
          draft.listener({ host: '0.0.0.0', port: address.port }, bind.line, directive, said);
      } else draft.note('dropped', bind.line, directive, `"${text}" is not IP:PORT`);
    }
    if (options.includes('ssl')) {
      this.#draft.note(
        'todo',
        bind.line,
        shownLine(bind),
        'HAProxy terminates TLS here; Fairlead passes it through to the API server',
      );
    } else if (options.length > 0) this.#draft.note('dropped', bind.line, options.join(' '), noCounterpart);
  }

  #maxConnections(line: Line | undefined): void {
    if (!line) return;
    if (line === this.#maxLine) return;
    if (this.#draft.has('tunnels.max'))
      this.#draft.note('covered', line.line, shownLine(line), 'tunnels.max is set already');
    else if (this.#draft.set('tunnels.max', Number(line.words[1]), line.line, shownLine(line)))
      this.#maxLine = line;
  }

  #backend(proxy: Proxy, draft: Draft): void {
    const mode = this.#find(proxy, 'mode');
    if (mode) this.#mode(mode);
    const balance = this.#find(proxy, 'balance');
    const policy = policies[balance?.words[1] ?? 'roundrobin'];
    const [line, directive] = balance
      ? [balance.line, shownLine(balance)]
      : [proxy.section.line, title(proxy.section)];
    draft.set('balance.policy', policy ?? 'rendezvous', line, directive);
    if (!policy)
      this.#draft.note(
        'changed',
        line,
        directive,
        'every node has its own preferred API server (balance.policy: rendezvous)',
      );
    this.#servers(proxy, draft);
  }

  #servers(proxy: Proxy, draft: Draft): void {
    const servers = new Servers(draft);
    const defaults = this.#all(proxy, 'default-server').flatMap(defaultParameters);
    for (const server of this.#all(proxy, 'server')) servers.add(server, defaults);
    servers.finish();
    const { hasCheck, isTls, saysVerification } = servers.facts;
    const httpchk = this.#find(proxy, 'option', 'httpchk');
    const rules = this.#all(proxy, 'http-check');
    const timeout = this.#find(proxy, 'timeout', 'check');
    for (const line of [httpchk, ...(httpchk ? rules : []), timeout])
      if (line && hasCheck) this.#usedChecks.add(line);
    if (hasCheck && !httpchk) {
      for (const rule of rules) this.#idleChecks.set(rule, 'HAProxy ignores it without option httpchk');
    }
    if (hasCheck && !draft.keepsChecks) {
      this.#ownChecks(draft, saysVerification, [
        [httpchk, 'health.check, health.path'],
        ...(httpchk ? rules : []).map((rule) => [rule, 'health.expectStatus, health.steps'] as const),
        [timeout, 'health.timeout'],
      ]);
      return;
    }
    if (!hasCheck) {
      if (!draft.isPool)
        draft.needsCa(
          undefined,
          'health checks',
          'none are configured; Fairlead requests /readyz over verified TLS',
        );
      for (const line of [httpchk, ...rules, timeout]) {
        if (line) this.#idleChecks.set(line, 'no server has check enabled');
      }
      return;
    }
    if (httpchk) {
      importHttpCheck(draft, httpchk, rules);
      if (draft.isPool) draft.set('health.check', 'https', httpchk.line, shownLine(httpchk));
      if (!isTls && draft.has('health.port'))
        draft.set('health.check', 'http', httpchk.line, shownLine(httpchk));
      else if (!isTls) draft.note('changed', httpchk.line, shownLine(httpchk), 'the check uses verified TLS');
    } else {
      this.#handshakeOnly(proxy, isTls, draft);
    }
    this.#timing(servers, timeout, draft);
  }

  /** The checks of the file are named; those of Fairlead notice a failure sooner. */
  #ownChecks(
    draft: Draft,
    saysVerification: boolean,
    lines: readonly (readonly [Line | undefined, string])[],
  ): void {
    for (const [line, key] of lines) {
      if (line) this.#draft.note('covered', line.line, shownLine(line), ownChecks(key));
    }
    if (draft.isPool) return;
    const text =
      'Fairlead asks /readyz of each API server every 2 s, which notices a failure and a shutdown sooner; ' +
      '--keep-checks applies those of this file';
    this.#draft.note('changed', undefined, 'health checks', text);
    if (!saysVerification)
      draft.needsCa(
        undefined,
        'verification',
        'the checks of this file verify nothing; Fairlead verifies API servers',
      );
  }

  /** A check that asks no question: a connection, or a TLS handshake. */
  #handshakeOnly({ section }: Proxy, isTls: boolean, draft: Draft): void {
    const { line } = section;
    if (isTls) {
      this.#draft.note(
        'changed',
        line,
        title(section),
        'HAProxy checks only a TLS handshake; Fairlead requests /readyz',
      );
      return;
    }
    draft.set('health.check', 'tcp', line, title(section));
    this.#draft.note(
      'changed',
      line,
      title(section),
      'HAProxy checks only a connection, which a frozen API server also accepts; remove health.check to request /readyz',
    );
  }

  /** Fairlead wants timeout and fast interval within the interval, and that within the standby interval. */
  #timing(servers: Servers, timeout: Line | undefined, draft: Draft): void {
    if (timeout) {
      const ms = parseHaproxyTime(timeout.words[2] ?? '');
      draft.setDuration('health.timeout', ms, timeout.line, shownLine(timeout));
    }
    const intervalMs = draft.durationMs('health.interval');
    const line = servers.intervalLine ?? timeout?.line ?? 0;
    for (const key of ['health.timeout', 'health.fastInterval'] as const) {
      if (draft.durationMs(key) <= intervalMs) continue;
      const own = key === 'health.timeout' ? (timeout?.line ?? line) : line;
      draft.setDuration(key, intervalMs, own, key);
      draft.note('changed', own, key, 'cannot exceed the interval, and is set to it');
    }
    if (draft.durationMs('health.standbyInterval') < intervalMs) {
      draft.setDuration('health.standbyInterval', intervalMs, line, 'inter');
    }
    if (servers.intervalLine !== undefined && intervalMs > ownIntervalMs) {
      const advice =
        "is applied (--keep-checks); Fairlead's own interval of 2 s finds a dead API server sooner and costs it " +
        'less, as the connection is kept';
      draft.note('changed', line, 'inter', advice);
    }
  }

  /** HAProxy ends a tunnel when either side has been idle for its time, unless `timeout tunnel` says another. */
  #idleTimeout(front: Proxy, backend: Proxy): void {
    const [client, server, tunnel] = [
      this.#find(front, 'timeout', 'client'),
      this.#find(backend, 'timeout', 'server'),
      this.#find(backend, 'timeout', 'tunnel') ?? this.#find(front, 'timeout', 'tunnel'),
    ];
    const timed = (tunnel ? [tunnel] : [client, server]).flatMap((line) => {
      const ms = line && parseHaproxyTime(line.words[2] ?? '');
      return line && ms !== undefined ? [{ line, ms }] : [];
    });
    if (this.#draft.has('tunnels.idleTimeout')) {
      for (const line of [client, server, tunnel]) {
        if (!line || this.#timed.has(line)) continue;
        this.#timed.add(line);
        const text = 'tunnels.idleTimeout is one time for all pools, and is set already';
        this.#draft.note('dropped', line.line, shownLine(line), text);
      }
    }
    const shortest = timed.sort((a, b) => a.ms - b.ms).find(({ line }) => !this.#timed.has(line));
    const isFirst = !this.#draft.has('tunnels.idleTimeout');
    for (const line of [client, server, tunnel]) {
      if (!line || this.#timed.has(line)) continue;
      this.#timed.add(line);
      if (line === shortest?.line) continue;
      const isTime = parseHaproxyTime(line.words[2] ?? '') !== undefined;
      const why = isTime ? 'the shorter timeout (or timeout tunnel) applies' : 'is not a valid time';
      this.#draft.note(isTime ? 'covered' : 'dropped', line.line, shownLine(line), why);
    }
    if (
      isFirst &&
      shortest &&
      this.#draft.setDuration(
        'tunnels.idleTimeout',
        shortest.ms,
        shortest.line.line,
        shownLine(shortest.line),
      )
    ) {
      this.#draft.note(
        'changed',
        shortest.line.line,
        shownLine(shortest.line),
        'applied as tunnels.idleTimeout; it is off by default, because keepalive detects vanished hosts and a quiet watch is normal',
      );
    }
    const half = [this.#find(front, 'timeout', 'client-fin'), this.#find(backend, 'timeout', 'server-fin')];
    for (const line of half) {
      if (!line || this.#timed.has(line)) continue;
      this.#timed.add(line);
      if (this.#draft.has('tunnels.halfCloseTimeout')) {
        const text = 'tunnels.halfCloseTimeout is one time for all pools, and is set already';
        this.#draft.note('covered', line.line, shownLine(line), text);
      } else
        this.#draft.setDuration(
          'tunnels.halfCloseTimeout',
          parseHaproxyTime(line.words[2] ?? ''),
          line.line,
          shownLine(line),
        );
    }
  }

  /** A frontend that answers health checks itself. */
  #health(proxy: Proxy): void {
    const { section } = proxy;
    const monitor = section.lines.find((line) => is(line, 'monitor-uri'));
    if (!monitor) return;
    for (const line of section.lines) {
      const address = is(line, 'bind') ? parseHaproxyAddress(line.words[1] ?? '') : undefined;
      if (address) {
        this.#done.add(line);
        const host = address.host === '*' ? '0.0.0.0' : address.host;
        this.#draft.admin({ host, port: address.port }, line.line, shownLine(line));
      } else if (is(line, 'mode')) {
        this.#done.add(line);
        this.#draft.note('covered', line.line, shownLine(line), 'the admin server uses HTTP');
      }
    }
  }

  #cover(line: Line): void {
    const text = shownLine(line);
    const known = covered.find(([start]) => `${text} `.startsWith(start.endsWith(' ') ? start : `${start} `));
    if (known) this.#draft.note('covered', line.line, text, known[1]);
    else if (is(line, 'acl'))
      this.#draft.note('dropped', line.line, text, `${noCounterpart}: no rule about clients uses it`);
    else this.#draft.note('dropped', line.line, text, noCounterpart);
  }

  /** Everything that nothing above has dealt with. */
  #rest(sections: readonly Section[], used: ReadonlySet<Section>): void {
    for (const section of sections) {
      const isProxy = /^(frontend|backend|listen)$/.test(section.keyword);
      const isHealth = section.lines.some((line) => is(line, 'monitor-uri'));
      const isForeign = isProxy
        ? !used.has(section) && !isHealth
        : !/^(global|defaults)$/.test(section.keyword);
      if (isForeign) {
        this.#draft.note(
          'dropped',
          section.line,
          title(section),
          'has no counterpart: no listener that is imported leads to it',
        );
      }
      for (const line of section.lines) {
        if (line.hasVariables)
          this.#draft.note(
            'todo',
            line.line,
            shownLine(line),
            'environment variables are not expanded: write their values',
          );
        if (this.#done.has(line)) continue;
        if (section.keyword === 'global' && is(line, 'maxconn')) this.#maxConnections(line);
        else if (isForeign)
          this.#draft.note('dropped', line.line, shownLine(line), `belongs to ${title(section)}`);
        else this.#cover(line);
      }
    }
  }
}

/** The port of kube-apiserver. */
const hasApiServers = ({ section }: Proxy) =>
  section.lines.some((line) => is(line, 'server') && parseHaproxyAddress(line.words[2] ?? '')?.port === 6443);

const title = ({ keyword, name }: Section) => (name === '' ? keyword : `${keyword} ${name}`);

/** Each proxy with its defaults: the ones it names, else the last ones before it. */
function proxiesOf(sections: readonly Section[]): Proxy[] {
  const named = new Map<string, readonly Line[]>();
  let latest: readonly Line[] = [];
  const proxies: Proxy[] = [];
  for (const section of sections) {
    const inherited = section.from === undefined ? undefined : named.get(section.from);
    if (section.keyword === 'defaults') {
      latest = [...(inherited ?? []), ...section.lines];
      if (section.name !== '') named.set(section.name, latest);
    } else if (/^(frontend|backend|listen)$/.test(section.keyword)) {
      proxies.push({ section, defaults: inherited ?? latest });
    }
  }
  return proxies;
}

/** Where a frontend leads when no condition holds; a `listen` section leads to itself. */
function backendOf({ section, defaults }: Proxy, proxies: readonly Proxy[]): Proxy | undefined {
  const hasServers = (candidate: Proxy | undefined) =>
    candidate?.section.lines.some((line) => is(line, 'server')) ? candidate : undefined;
  if (section.keyword === 'listen') return hasServers(proxies.find((proxy) => proxy.section === section));
  const lines = [...defaults, ...section.lines];
  const always = lines.find((line) => is(line, 'use_backend') && line.words.length === 2);
  const wanted = (always ?? lines.findLast((line) => is(line, 'default_backend')))?.words[1];
  return hasServers(
    proxies.find((proxy) => proxy.section.keyword !== 'frontend' && proxy.section.name === wanted),
  );
}

export function importHaproxy(text: string, options: ImportOptions): Parsed<Imported> {
  const parsed = parseHaproxy(text);
  return parsed.ok ? new HaproxyImport(options).run(parsed.value) : parsed;
}
