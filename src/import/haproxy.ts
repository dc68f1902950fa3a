// From an HAProxy in front of API servers (Kubespray's localhost proxy, the external one of its HA document,
// and their like) to a Fairlead configuration. Every directive is applied or named in a note. Pure.
import type { Parsed } from '../model/endpoint.ts';
import { everyAddress, intersection } from './address-set.ts';
import { Draft, type Imported, type ImportOptions } from './draft.ts';
import { isClosedText, type ListenerAccess } from './draft-listener.ts';
import { type Access, readAccess } from './haproxy-access.ts';
import { shownLine } from './haproxy-check.ts';
import { Checks } from './haproxy-checks.ts';
import { noCounterpart, noteOn } from './haproxy-covered.ts';
import { is, LineUse, type ProxySection } from './haproxy-lines.ts';
import { backendOf, hasApiServers, proxiesOf, title } from './haproxy-proxies.ts';
import { parseHaproxyAddress } from './haproxy-server.ts';
import { type Line, parseHaproxy, type Section } from './haproxy-syntax.ts';
import { Timeouts } from './haproxy-timeouts.ts';

const policies: Readonly<Record<string, string>> = {
  leastconn: 'least-connections',
  roundrobin: 'round-robin',
  'static-rr': 'round-robin',
};

class HaproxyImport {
  readonly #draft: Draft;
  readonly #lines = new LineUse();
  readonly #checks = new Checks(this.#lines);
  readonly #timeouts: Timeouts;
  #maxLine: Line | undefined;

  constructor(options: ImportOptions) {
    this.#draft = new Draft(options);
    this.#timeouts = new Timeouts(this.#draft, this.#lines);
  }

  run(sections: readonly Section[]): Parsed<Imported> {
    const proxies = proxiesOf(sections);
    const frontends = proxies.filter(({ section }) => /^(frontend|listen)$/.test(section.keyword));
    const backends = new Map<ProxySection, ProxySection[]>();
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
      for (const proxy of front) this.#timeouts.apply(proxy, target);
      for (const { section } of [...front, target]) used.add(section);
      if (target !== backend && !draft.hasEndpoints) {
        for (const { section } of [...front, target]) used.delete(section);
      }
    }
    for (const proxy of frontends) if (!used.has(proxy.section)) this.#health(proxy);
    for (const line of this.#lines.onlyOverridden)
      this.#draft.note('covered', line.line, shownLine(line), 'another line overrides it');
    for (const [line, text] of this.#checks.idle)
      this.#draft.note('dropped', line.line, shownLine(line), text);
    this.#rest(sections, used);
    if (!this.#draft.hasEndpoints)
      return { ok: false, problem: `${title(backend.section)} has no usable server` };
    if (!this.#draft.hasListeners)
      return { ok: false, problem: `${title(main.section)} binds no usable address` };
    return this.#draft.finish();
  }

  #frontend(proxy: ProxySection, backend: ProxySection, draft: Draft): void {
    const { section } = proxy;
    const access = this.#access(proxy, backend);
    for (const bind of this.#lines.all(proxy, 'bind')) this.#bind(bind, access, draft);
    for (const line of section.lines) {
      const isDefault = is(line, 'default_backend');
      if (isDefault) this.#lines.done(line);
    }
    const mode = this.#lines.find(proxy, 'mode');
    if (mode) this.#mode(mode);
    this.#maxConnections(this.#lines.find(proxy, 'maxconn'));
  }

  #mode(mode: Line): void {
    if (mode.words[1] === 'tcp') this.#cover(mode);
    else {
      const text = 'Fairlead relays TCP and does not change its content';
      this.#draft.note('changed', mode.line, shownLine(mode), text);
    }
  }

  /** The rules of a frontend and of where it leads: a client has to pass both. */
  #access(front: ProxySection, backend: ProxySection): ListenerAccess {
    const linesOf = ({ section, defaults }: ProxySection) => [...defaults, ...section.lines];
    const places = front.section === backend.section ? [front] : [front, backend];
    const found = places.map((place) => readAccess(linesOf(place), backend.section.name));
    for (const access of found) this.#noteAccess(access);
    places.forEach((place, index) => {
      for (const line of linesOf(place).filter((candidate) => is(candidate, 'acl'))) {
        if (!found[index]?.acls.has(line.words[1] ?? '')) continue;
        this.#lines.done(line);
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
    for (const line of [...applied, ...idle]) this.#lines.done(line);
    for (const line of idle)
      this.#draft.note(
        'covered',
        line.line,
        shownLine(line),
        'has no effect here: nothing is rejected by it',
      );
    for (const { line, why } of unexpressed) {
      this.#lines.done(line);
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

  #backend(proxy: ProxySection, draft: Draft): void {
    const mode = this.#lines.find(proxy, 'mode');
    if (mode) this.#mode(mode);
    const balance = this.#lines.find(proxy, 'balance');
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
    this.#checks.apply(proxy, draft);
  }

  /** A frontend that answers health checks itself. */
  #health(proxy: ProxySection): void {
    const { section } = proxy;
    const monitor = section.lines.find((line) => is(line, 'monitor-uri'));
    if (!monitor) return;
    for (const line of section.lines) {
      const address = is(line, 'bind') ? parseHaproxyAddress(line.words[1] ?? '') : undefined;
      if (address) {
        this.#lines.done(line);
        const host = address.host === '*' ? '0.0.0.0' : address.host;
        this.#draft.admin({ host, port: address.port }, line.line, shownLine(line));
      } else if (is(line, 'mode')) {
        this.#lines.done(line);
        this.#draft.note('covered', line.line, shownLine(line), 'the admin server uses HTTP');
      }
    }
  }

  #cover(line: Line): void {
    const { kind, text } = noteOn(line);
    this.#draft.note(kind, line.line, shownLine(line), text);
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
        if (this.#lines.isDone(line)) continue;
        if (section.keyword === 'global' && is(line, 'maxconn')) this.#maxConnections(line);
        else if (isForeign)
          this.#draft.note('dropped', line.line, shownLine(line), `belongs to ${title(section)}`);
        else this.#cover(line);
      }
    }
  }
}

export function importHaproxy(text: string, options: ImportOptions): Parsed<Imported> {
  const parsed = parseHaproxy(text);
  return parsed.ok ? new HaproxyImport(options).run(parsed.value) : parsed;
}
