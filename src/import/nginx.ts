// From an nginx stream proxy in front of API servers (Kubespray's nginx-proxy and its like) to a Fairlead
// configuration. Every directive is applied or named in a note. Pure.
import type { Parsed } from '../model/endpoint.ts';
import { allowedBy, everyAddress, networkSet, noAddress } from './address-set.ts';
import { Draft, type Imported, type ImportOptions } from './draft.ts';
import { isClosedText, type ListenerAccess } from './draft-listener.ts';
import { type Directive, parseNginx, parseNginxTime } from './nginx-syntax.ts';
import { withoutBrackets } from '../model/host.ts';

const shown = ({ name, args }: Directive) => [name, ...args].join(' ');

/** Directives whose purpose Fairlead serves without being told. */
const covered: Readonly<Record<string, string>> = {
  worker_processes: 'Fairlead is one process',
  worker_rlimit_nofile: 'the tunnel limit is derived from the open file limit of the process',
  worker_connections: 'the tunnel limit is derived from the open file limit; tunnels.max overrides it',
  multi_accept: 'the runtime accepts all pending connections',
  use: 'the runtime chooses',
  accept_mutex: 'there is one process',
  proxy_connect_timeout: 'after dial.raceDelay (250ms) the next API server is dialled in parallel',
  proxy_next_upstream: 'the next API server is tried without the client noticing',
  proxy_next_upstream_tries: 'every API server is tried',
  proxy_next_upstream_timeout: 'dial.allDownDeadline bounds all attempts together',
  proxy_socket_keepalive: 'both sides of a tunnel have TCP keepalive (tunnels.keepAliveDelay)',
  tcp_nodelay: 'always on',
  access_log: 'tunnels are counted in the metrics and logged at debug level',
  resolver: 'names are resolved by the system every discovery.dnsInterval',
  stub_status: 'see /metrics and /status of the admin server',
  zone: 'there is one process',
};

const noCounterpart = 'has no counterpart';

/** nginx's levels, from chatty to silent. */
const logLevels: Readonly<Record<string, string>> = {
  debug: 'debug',
  info: 'info',
  notice: 'info',
  warn: 'warn',
  error: 'error',
  crit: 'error',
  alert: 'error',
  emerg: 'error',
};

/** Servers that lead to the same place in the same way. */
interface Group {
  readonly target: string;
  readonly sendsProxy: boolean;
  readonly servers: Directive[];
}

const isAccess = ({ name }: Directive) => name === 'allow' || name === 'deny';

const argOf = (block: readonly Directive[], wanted: string) =>
  block.find(({ name }) => name === wanted)?.args[0];

/** The port of kube-apiserver. */
const hasApiServers = (target: string, upstream: Directive | undefined) =>
  [
    target,
    ...(upstream?.block ?? []).filter(({ name }) => name === 'server').map(({ args }) => args[0] ?? ''),
  ].some((text) => parseListen(text)?.port === 6443);

class NginxImport {
  readonly #draft: Draft;

  constructor(options: ImportOptions) {
    this.#draft = new Draft(options);
  }

  run(directives: readonly Directive[]): Parsed<Imported> {
    // A file that a stream block includes has its servers at the top.
    const isFragment = directives.some(
      ({ name, block }) => name === 'server' && block?.some((child) => child.name === 'proxy_pass'),
    );
    if (!isFragment) for (const directive of directives) this.#top(directive);
    const stream = isFragment
      ? directives
      : directives.flatMap(({ name, block }) => (name === 'stream' ? (block ?? []) : []));
    const problem = this.#stream(stream);
    if (problem !== undefined) return { ok: false, problem };
    this.#draft.needsCa(
      undefined,
      'health checks',
      'none are configured; Fairlead requests /readyz over verified TLS',
    );
    return this.#draft.finish();
  }

  #drop(directive: Directive, text = noCounterpart): void {
    const { name, line, block } = directive;
    const known =
      covered[name] ??
      (name === 'location' && block?.some((child) => child.name === 'stub_status')
        ? covered.stub_status
        : undefined);
    if (known !== undefined && text === noCounterpart)
      this.#draft.note('covered', line, shown(directive), known);
    else this.#draft.note('dropped', line, shown(directive), text);
    for (const child of block ?? []) this.#drop(child, text);
  }

  #top(directive: Directive): void {
    const { name, args, line, block } = directive;
    if (name === 'stream') return;
    if (name === 'events') for (const child of block ?? []) this.#drop(child);
    else if (name === 'http') for (const child of block ?? []) this.#http(child);
    else if (name === 'worker_shutdown_timeout') {
      this.#draft.setDuration('shutdown.grace', parseNginxTime(args[0] ?? ''), line, shown(directive));
    } else if (name === 'error_log') this.#errorLog(directive);
    else if (name === 'include')
      this.#drop(directive, 'is not followed: import the complete configuration (nginx -T prints it)');
    else this.#drop(directive);
  }

  #errorLog(directive: Directive): void {
    const { args, line } = directive;
    const level = logLevels[args[1] ?? 'error'];
    if (level === undefined) {
      this.#drop(directive);
      return;
    }
    this.#draft.set('log.level', level, line, shown(directive));
    if (args[0] !== 'stderr') {
      this.#draft.note('changed', line, shown(directive), 'logs go to standard output');
    }
  }

  /** Of http only a server that answers health checks means something. */
  #http(directive: Directive): void {
    const { name, block } = directive;
    if (name !== 'server') {
      this.#drop(directive);
      return;
    }
    const children = block ?? [];
    const isHealth = (child: Directive) =>
      child.name === 'location' &&
      (child.block ?? []).some((inner) => inner.name === 'return' && inner.args[0] === '200');
    const hasHealth = children.some(isHealth);
    for (const child of children) {
      const address = child.name === 'listen' && hasHealth ? parseListen(child.args[0] ?? '') : undefined;
      if (address) this.#draft.admin(address, child.line, shown(child));
      else if (isHealth(child)) {
        const known = 'the admin server answers /livez, /readyz and /healthz';
        this.#draft.note('covered', child.line, shown(child), known);
        for (const inner of child.block ?? []) this.#draft.note('covered', inner.line, shown(inner), known);
      } else this.#drop(child);
    }
  }

  #stream(directives: readonly Directive[]): string | undefined {
    const upstreams = new Map<string, Directive>();
    const servers: Directive[] = [];
    const shared: Directive[] = [];
    for (const directive of directives) {
      if (directive.name === 'upstream') upstreams.set(directive.args[0] ?? '', directive);
      else if (directive.name === 'server') servers.push(directive);
      else shared.push(directive);
    }
    const groups = new Map<string, Group>();
    for (const server of servers) {
      const target = argOf(server.block ?? [], 'proxy_pass');
      if (target === undefined) continue;
      const sendsProxy =
        (argOf(server.block ?? [], 'proxy_protocol') ?? argOf(shared, 'proxy_protocol')) === 'on';
      const key = `${target} ${sendsProxy}`;
      const group = groups.get(key) ?? { target, sendsProxy, servers: [] };
      group.servers.push(server);
      groups.set(key, group);
    }
    const all = [...groups.values()];
    // The API servers are those that are asked on their usual port; else the first ones.
    const main = all.find(({ target }) => hasApiServers(target, upstreams.get(target))) ?? all[0];
    if (!main) return 'it has no stream server with a proxy_pass';

    for (const directive of shared) if (!isAccess(directive)) this.#proxyDirective(directive);
    const ofAll = shared.filter(isAccess);
    let isInherited = false;
    for (const group of [main, ...all.filter((other) => other !== main)]) {
      const [first] = group.servers;
      const draft = group === main ? this.#draft : this.#draft.pool(group.target, first?.line ?? 0);
      if (group.sendsProxy) draft.sendProxy();
      for (const server of group.servers) {
        const block = server.block ?? [];
        const own = block.filter(isAccess);
        isInherited ||= own.length === 0;
        const access = this.#access(own.length > 0 ? own : ofAll, [...block, ...shared]);
        for (const child of block) this.#serverDirective(child, draft, access);
      }
      this.#target(group, upstreams.get(group.target), draft);
    }
    for (const directive of isInherited ? [] : ofAll)
      this.#drop(directive, 'every server has rules of its own, which take its place');
    for (const server of servers) {
      if (argOf(server.block ?? [], 'proxy_pass') === undefined)
        this.#drop(server, 'it has no proxy_pass, so it leads nowhere');
    }
    for (const [name, upstream] of upstreams) {
      if (!all.some(({ target }) => target === name)) this.#drop(upstream, 'no server leads to it');
    }
    if (!this.#draft.hasEndpoints) return `proxy_pass ${main.target} has no usable API server`;
    return this.#draft.hasListeners ? undefined : 'its stream server has no usable listen address';
  }

  #target({ target, servers }: Group, upstream: Directive | undefined, draft: Draft): void {
    if (upstream) this.#upstream(upstream, draft);
    else {
      const address = parseListen(target);
      for (const pass of servers.flatMap(({ block }) => block ?? [])) {
        if (pass.name !== 'proxy_pass') continue;
        if (address) draft.endpoint(address, pass.line, shown(pass));
        else this.#drop(pass, 'leads to no address that is known here');
      }
    }
  }

  /** `allow` and `deny` in their order. An include may hold more of them. */
  #access(rules: readonly Directive[], around: readonly Directive[]): ListenerAccess {
    const read = rules.map(({ name, args: [text = ''] }) => ({
      allows: name === 'allow',
      set: text === 'all' ? everyAddress : text === 'unix:' ? noAddress : networkSet(text),
    }));
    const unread = rules.filter((_, index) => read[index]?.set === undefined);
    const hidden = around.filter(({ name }) => /^(include|js_access|ssl_verify_client)$/.test(name));
    const closing = [...unread, ...hidden.filter(({ args }) => args[0] !== 'off')];
    for (const rule of closing)
      this.#draft.note(
        'todo',
        rule.line,
        shown(rule),
        `who may connect is not known from it: ${isClosedText}`,
      );
    const known = read.flatMap(({ allows, set }) => (set ? [{ allows, set }] : []));
    return {
      allowed: allowedBy(known),
      lines: rules.flatMap(({ line }, index) => (read[index]?.set ? [line] : [])),
      isClosed: closing.length > 0,
    };
  }

  #serverDirective(directive: Directive, draft: Draft, access: ListenerAccess): void {
    const { name, args, line } = directive;
    if (name === 'proxy_pass' || isAccess(directive)) return;
    if (name !== 'listen') {
      this.#proxyDirective(directive);
      return;
    }
    const [first = '', ...options] = args;
    const address = parseListen(first);
    if (options.includes('udp') || !address) {
      this.#drop(directive, 'is not a TCP address');
      return;
    }
    if (options.includes('ssl')) {
      this.#draft.note(
        'todo',
        line,
        shown(directive),
        'nginx terminates TLS here; Fairlead passes it through to the API server',
      );
    }
    const takesHeaders = options.includes('proxy_protocol');
    // The rules see the sender of the header, allowFrom the client that the header names.
    const seesOther = takesHeaders && access.lines.length > 0;
    if (takesHeaders) {
      const text = 'from every address (acceptProxyFrom): name the networks of the senders';
      this.#draft.note('changed', line, 'listen ... proxy_protocol', text);
    }
    if (seesOther)
      this.#draft.note(
        'todo',
        line,
        'listen ... proxy_protocol',
        `its allow and deny are about the sender of the header: ${isClosedText}`,
      );
    const rest = options.filter((option) => option !== 'ssl' && option !== 'proxy_protocol');
    draft.listener(address, line, shown(directive), {
      access: { ...access, isClosed: access.isClosed || seesOther },
      ...(takesHeaders && { acceptProxyFrom: ['0.0.0.0/0', '::/0'] }),
    });
    for (const option of rest) this.#draft.note('dropped', line, `listen ... ${option}`, noCounterpart);
  }

  #proxyDirective(directive: Directive): void {
    const { name, args, line } = directive;
    if (name === 'proxy_timeout') {
      if (this.#draft.has('tunnels.idleTimeout')) {
        this.#drop(directive, 'tunnels.idleTimeout is one time for all pools, and is set already');
        return;
      }
      const ms = parseNginxTime(args[0] ?? '');
      if (!this.#draft.setDuration('tunnels.idleTimeout', ms, line, shown(directive))) return;
      this.#draft.note(
        'changed',
        line,
        shown(directive),
        'applied as tunnels.idleTimeout; it is off by default, because keepalive detects vanished hosts and a quiet watch is normal',
      );
    } else if (name === 'proxy_protocol') {
      const text =
        args[0] === 'on'
          ? 'every connection begins with the header, version 2, which is binary (sendProxy)'
          : 'is the default';
      this.#draft.note(args[0] === 'on' ? 'changed' : 'covered', line, shown(directive), text);
    } else if (name === 'proxy_ssl' && args[0] === 'on') {
      const text = 'nginx speaks TLS to the API server itself; Fairlead passes the TLS of the client through';
      this.#draft.note('todo', line, shown(directive), text);
    } else if (name === 'include') {
      const text = 'is not followed: import the complete configuration (nginx -T prints it)';
      this.#draft.note('todo', line, shown(directive), text);
    } else if (name === 'error_log') this.#errorLog(directive);
    else this.#drop(directive);
  }

  #upstream({ block = [], line: upstreamLine }: Directive, draft: Draft): void {
    let policy: { value: string; line: number; directive: string } | undefined;
    for (const directive of block) {
      const { name, line } = directive;
      if (name === 'server') this.#upstreamServer(directive, draft);
      else if (name === 'least_conn')
        policy = { value: 'least-connections', line, directive: shown(directive) };
      else if (['hash', 'random', 'least_time', 'ip_hash'].includes(name)) {
        policy = { value: 'rendezvous', line, directive: shown(directive) };
        this.#draft.note(
          'changed',
          line,
          shown(directive),
          'every node has its own preferred API server (balance.policy: rendezvous)',
        );
      } else this.#drop(directive);
    }
    // nginx takes turns when nothing is said.
    const { value, line, directive } = policy ?? {
      value: 'round-robin',
      line: upstreamLine,
      directive: 'upstream',
    };
    draft.set('balance.policy', value, line, directive);
  }

  #upstreamServer(directive: Directive, draft: Draft): void {
    const { args, line } = directive;
    const [first = '', ...options] = args;
    const text = `server ${first}`;
    const address = parseListen(first);
    if (options.includes('down')) {
      this.#draft.note('changed', line, shown(directive), 'is marked down and omitted');
      return;
    }
    if (address && !first.startsWith('unix:')) draft.endpoint(address, line, text);
    else this.#drop(directive, 'is not HOST:PORT');
    for (const option of options) {
      const [name = ''] = option.split('=');
      const isHealth = ['max_fails', 'fail_timeout', 'slow_start'].includes(name);
      if (isHealth)
        this.#draft.note('covered', line, `server ... ${option}`, 'health checks decide (health.*)');
      else this.#draft.note('dropped', line, `server ... ${option}`, noCounterpart);
    }
  }
}

/** `127.0.0.1:6443`, `[::1]:6443`, `*:6443`, `6443`; undefined for sockets and variables. */
function parseListen(text: string): { host: string; port: number } | undefined {
  const match = /^(?:(\[[^\]]*\]|[^:[\]$]+):)?(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const host = withoutBrackets(match[1] ?? '0.0.0.0');
  return { host: host === '*' ? '0.0.0.0' : host, port: Number(match[2]) };
}

export function importNginx(text: string, options: ImportOptions): Parsed<Imported> {
  const parsed = parseNginx(text);
  return parsed.ok ? new NginxImport(options).run(parsed.value) : parsed;
}
