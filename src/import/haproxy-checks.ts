// The servers of a backend and their checks. By default the checks are Fairlead's own, and those of the file are named.
import type { Draft } from './draft.ts';
import { importHttpCheck, shownLine } from './haproxy-check.ts';
import type { LineUse, ProxySection } from './haproxy-lines.ts';
import { title } from './haproxy-proxies.ts';
import { defaultParameters, ownChecks, Servers } from './haproxy-server.ts';
import { type Line, parseHaproxyTime } from './haproxy-syntax.ts';

/** The default of health.interval. */
const ownIntervalMs = 2_000;

export class Checks {
  readonly #lines: LineUse;
  /** Lines about checks that a section does not use, with the reason; another section may use them. */
  readonly #idleChecks = new Map<Line, string>();
  readonly #usedChecks = new Set<Line>();

  constructor(lines: LineUse) {
    this.#lines = lines;
  }

  /** Lines that no section uses, and why. */
  get idle(): (readonly [Line, string])[] {
    return [...this.#idleChecks].filter(([line]) => !this.#usedChecks.has(line));
  }

  apply(proxy: ProxySection, draft: Draft): void {
    const servers = new Servers(draft);
    const defaults = this.#lines.all(proxy, 'default-server').flatMap(defaultParameters);
    for (const server of this.#lines.all(proxy, 'server')) servers.add(server, defaults);
    servers.finish();
    const { hasCheck, isTls, saysVerification } = servers.facts;
    const httpchk = this.#lines.find(proxy, 'option', 'httpchk');
    const rules = this.#lines.all(proxy, 'http-check');
    const timeout = this.#lines.find(proxy, 'timeout', 'check');
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
      if (line) draft.note('covered', line.line, shownLine(line), ownChecks(key));
    }
    if (draft.isPool) return;
    const text =
      'Fairlead asks /readyz of each API server every 2 s, which notices a failure and a shutdown sooner; ' +
      '--keep-checks applies those of this file';
    draft.note('changed', undefined, 'health checks', text);
    if (!saysVerification)
      draft.needsCa(
        undefined,
        'verification',
        'the checks of this file verify nothing; Fairlead verifies API servers',
      );
  }

  /** A check that asks no question: a connection, or a TLS handshake. */
  #handshakeOnly({ section }: ProxySection, isTls: boolean, draft: Draft): void {
    const { line } = section;
    if (isTls) {
      draft.note(
        'changed',
        line,
        title(section),
        'HAProxy checks only a TLS handshake; Fairlead requests /readyz',
      );
      return;
    }
    draft.set('health.check', 'tcp', line, title(section));
    draft.note(
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
}
