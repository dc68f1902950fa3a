// From an nginx stream proxy in front of API servers (Kubespray's nginx-proxy and its like) to a Fairlead
// configuration. Every directive is applied or named in a note. Pure.
import type { Parsed } from '../model/endpoint.ts';
import { Draft, type Imported, type ImportOptions } from './draft.ts';
import { type Directive, parseNginx, parseNginxTime } from './nginx-syntax.ts';
import { withoutBrackets } from '../model/host.ts';

const shown = ({ name, args }: Directive) => [name, ...args].join(' ');

/** Directives whose purpose Fairlead serves without being told. */
const covered: Readonly<Record<string, string>> = {
  worker_processes: 'Fairlead is one process',
  worker_rlimit_nofile: 'the limit of tunnels follows from the limit of open files of the process',
  worker_connections: 'the limit of tunnels follows from the limit of open files; tunnels.max sets another',
  multi_accept: 'the runtime accepts as many as there are',
  use: 'the runtime chooses',
  accept_mutex: 'there is one process',
  proxy_connect_timeout: 'the next API server is dialled beside a slow one after dial.raceDelay (250ms)',
  proxy_next_upstream: 'the next API server is tried before the client notices',
  proxy_next_upstream_tries: 'every API server is tried',
  proxy_next_upstream_timeout: 'dial.allDownDeadline bounds all attempts together',
  proxy_socket_keepalive: 'both sides of a tunnel have TCP keepalive (tunnels.keepAliveDelay)',
  tcp_nodelay: 'always on',
  access_log: 'tunnels are counted in the metrics and logged at debug level',
  resolver: 'names are resolved by the system, again every discovery.dnsInterval',
  stub_status: '/metrics and /status of the admin server show it',
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

class NginxImport {
  readonly #draft: Draft;

  constructor(options: ImportOptions) {
    this.#draft = new Draft(options);
  }

  run(directives: readonly Directive[]): Parsed<Imported> {
    const streams = directives.filter(({ name }) => name === 'stream');
    for (const directive of directives) this.#top(directive);
    const stream = streams.flatMap(({ block }) => block ?? []);
    const problem = this.#stream(stream);
    if (problem !== undefined) return { ok: false, problem };
    this.#draft.needsCa(
      undefined,
      'health checks',
      'there are none; Fairlead asks /readyz over verified TLS',
    );
    return { ok: true, value: this.#draft.finish() };
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
      this.#drop(directive, 'is not followed: import the whole file (nginx -T prints it)');
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
    const passOf = (server: Directive) => server.block?.find(({ name }) => name === 'proxy_pass')?.args[0];
    const main = servers.find((server) => passOf(server) !== undefined);
    const target = main && passOf(main);
    if (!main || target === undefined) return 'it has no stream server with a proxy_pass';

    for (const directive of shared) this.#proxyDirective(directive);
    for (const server of servers) {
      if (passOf(server) === target) for (const child of server.block ?? []) this.#serverDirective(child);
      else
        this.#drop(
          server,
          'goes elsewhere: Fairlead relays to one set of API servers; run another one for it',
        );
    }
    const upstream = upstreams.get(target);
    for (const other of upstreams.values()) {
      if (other !== upstream) this.#drop(other, 'is not used by what is imported');
    }
    if (upstream) this.#upstream(upstream);
    else {
      const pass = main.block?.find(({ name }) => name === 'proxy_pass') as Directive;
      const address = parseListen(target);
      if (address) this.#draft.endpoint(address, pass.line, shown(pass));
    }
    if (!this.#draft.hasEndpoints) return `proxy_pass ${target} leads to no API server that could be used`;
    return this.#draft.hasListeners
      ? undefined
      : 'its stream server listens on no address that could be used';
  }

  #serverDirective(directive: Directive): void {
    const { name, args, line } = directive;
    if (name === 'proxy_pass') return;
    if (name !== 'listen') {
      this.#proxyDirective(directive);
      return;
    }
    const [first = '', ...options] = args;
    const address = parseListen(first);
    if (options.includes('udp') || !address) {
      this.#drop(directive, 'is no TCP address');
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
    const rest = options.filter((option) => option !== 'ssl');
    this.#draft.listener(address, line, shown(directive));
    for (const option of rest) this.#draft.note('dropped', line, `listen ... ${option}`, noCounterpart);
  }

  #proxyDirective(directive: Directive): void {
    const { name, args, line } = directive;
    if (name === 'proxy_timeout') {
      this.#draft.setDuration('tunnels.idleTimeout', parseNginxTime(args[0] ?? ''), line, shown(directive));
      this.#draft.note(
        'changed',
        line,
        shown(directive),
        'applied as tunnels.idleTimeout; it is off by default, as keepalive finds vanished hosts and a quiet watch is no fault',
      );
    } else if (name === 'include')
      this.#drop(directive, 'is not followed: import the whole file (nginx -T prints it)');
    else if (name === 'error_log') this.#errorLog(directive);
    else this.#drop(directive);
  }

  #upstream({ block = [], line: upstreamLine }: Directive): void {
    let policy: { value: string; line: number; directive: string } | undefined;
    for (const directive of block) {
      const { name, line } = directive;
      if (name === 'server') this.#upstreamServer(directive);
      else if (name === 'least_conn')
        policy = { value: 'least-connections', line, directive: shown(directive) };
      else if (['hash', 'random', 'least_time', 'ip_hash'].includes(name)) {
        policy = { value: 'rendezvous', line, directive: shown(directive) };
        this.#draft.note(
          'changed',
          line,
          shown(directive),
          'every node keeps to its own API server (balance.policy: rendezvous)',
        );
      } else this.#drop(directive);
    }
    // nginx takes turns when nothing is said.
    const { value, line, directive } = policy ?? {
      value: 'round-robin',
      line: upstreamLine,
      directive: 'upstream',
    };
    this.#draft.set('balance.policy', value, line, directive);
  }

  #upstreamServer(directive: Directive): void {
    const { args, line } = directive;
    const [first = '', ...options] = args;
    const text = `server ${first}`;
    const address = parseListen(first);
    if (options.includes('down')) {
      this.#draft.note('changed', line, shown(directive), 'is marked down and left out');
      return;
    }
    if (address && !first.startsWith('unix:')) this.#draft.endpoint(address, line, text);
    else this.#drop(directive, 'is no HOST:PORT');
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
