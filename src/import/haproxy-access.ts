// Who may connect, from HAProxy's rules: `tcp-request ... accept|reject`, `http-request allow|deny`, `block` and
// conditional `use_backend`, with their ACLs. Only the source address counts for Fairlead (`allowFrom`); a rule that
// asks anything else makes the listener closed, so that nothing becomes open that was closed. Pure.
import {
  type AddressSet,
  allowedBy,
  complement,
  everyAddress,
  intersection,
  networkSet,
  noAddress,
  union,
} from './address-set.ts';
import type { Line } from './haproxy-syntax.ts';

export interface Access {
  readonly allowed: AddressSet;
  /** Rules that `allowed` expresses. */
  readonly applied: readonly Line[];
  /** Rules that cannot be expressed: the listener has to be closed. */
  readonly unexpressed: readonly { readonly line: Line; readonly why: string }[];
  /** Rules without effect, as nothing is rejected after them. */
  readonly idle: readonly Line[];
  /** The names of ACLs that rules of access use. */
  readonly acls: ReadonlySet<string>;
}

const rejecting = /^(reject|deny|silent-drop|tarpit|auth|return|redirect)$/;
const accepting = /^(accept|allow)$/;

interface Rule {
  readonly line: Line;
  readonly ruleset: string;
  readonly allows: boolean;
  readonly condition: readonly string[];
}

/** `reject if ...` as a rule; undefined where the line is not about access. */
export function accessRule(line: Line): Rule | undefined {
  const [keyword = '', second = '', third = ''] = line.words;
  const isStaged = keyword === 'tcp-request';
  const action = keyword === 'block' ? 'deny' : isStaged ? third : second;
  const isRuleset = isStaged || keyword === 'http-request' || keyword === 'block';
  if (!isRuleset || !(rejecting.test(action) || accepting.test(action))) return undefined;
  const at = line.words.findIndex((word) => word === 'if' || word === 'unless');
  return {
    line,
    ruleset: isStaged ? `tcp ${second}` : 'http',
    allows: accepting.test(action),
    condition: at < 0 ? [] : line.words.slice(at),
  };
}

/** Source addresses of a test such as `src 10.0.0.0/8 fd00::/8`; undefined where it asks anything else. */
function testSet(words: readonly string[]): AddressSet | undefined {
  const [criterion = '', ...rest] = words;
  if (criterion === 'always_true') return everyAddress;
  if (criterion === 'always_false') return noAddress;
  if (criterion !== 'src') return undefined;
  const values = rest[0] === '-m' && rest[1] === 'ip' ? rest.slice(2) : rest;
  let found = noAddress;
  for (const value of values.filter((word) => word !== '--' && word !== '-n')) {
    const set = networkSet(value);
    if (!set) return undefined;
    found = union(found, set);
  }
  return found;
}

const predefined: Readonly<Record<string, readonly string[]>> = {
  TRUE: ['always_true'],
  FALSE: ['always_false'],
  LOCALHOST: ['src', '127.0.0.0/8', '::1'],
};

class Conditions {
  readonly used = new Set<string>();
  readonly #acls: readonly Line[];

  constructor(acls: readonly Line[]) {
    this.#acls = acls;
  }

  /** The clients that a condition holds for: `if A !B || { src 10.0.0.0/8 }`. */
  read([keyword, ...words]: readonly string[]): AddressSet | undefined {
    if (keyword === undefined) return everyAddress;
    let all: AddressSet | undefined = noAddress;
    let term: AddressSet | undefined = everyAddress;
    const both = (
      a: AddressSet | undefined,
      b: AddressSet | undefined,
      join: (a: AddressSet, b: AddressSet) => AddressSet,
    ) => (a && b ? join(a, b) : undefined);
    let isNegated = false;
    for (let at = 0; at < words.length; at += 1) {
      let word = words[at] as string;
      if (word === '||' || word === 'or') {
        all = both(all, term, union);
        term = everyAddress;
        continue;
      }
      while (word.startsWith('!')) {
        isNegated = !isNegated;
        word = word.slice(1);
      }
      if (word === '') continue;
      let set: AddressSet | undefined;
      if (word === '{') {
        const end = words.indexOf('}', at);
        set = testSet(words.slice(at + 1, end < 0 ? undefined : end));
        at = end < 0 ? words.length : end;
      } else set = this.#named(word);
      term = both(term, set && (isNegated ? complement(set) : set), intersection);
      isNegated = false;
    }
    const holds = both(all, term, union);
    return keyword === 'unless' ? holds && complement(holds) : holds;
  }

  #named(name: string): AddressSet | undefined {
    this.used.add(name);
    const own = this.#acls.filter(({ words }) => words[1] === name).map(({ words }) => words.slice(2));
    const tests = own.length > 0 ? own : [predefined[name] ?? []];
    // Several ACLs of one name: any of them.
    return tests.reduce<AddressSet | undefined>((sum, words) => {
      const set = testSet(words);
      return sum && set && union(sum, set);
    }, noAddress);
  }
}

/** `lines` are those of a frontend or a backend, with its defaults. `ownBackend` is where the frontend leads. */
export function readAccess(lines: readonly Line[], ownBackend: string): Access {
  const conditions = new Conditions(lines.filter(({ words }) => words[0] === 'acl'));
  const rulesets = new Map<string, Rule[]>();
  const unexpressed: { line: Line; why: string }[] = [];
  const [applied, idle]: [Line[], Line[]] = [[], []];
  for (const line of lines) {
    const rule = line.hasVariables ? undefined : accessRule(line);
    if (rule) rulesets.set(rule.ruleset, [...(rulesets.get(rule.ruleset) ?? []), rule]);
    else if (line.hasVariables && accessRule(line))
      unexpressed.push({ line, why: 'environment variables are not filled in' });
    else if (line.words[0] === 'use_backend') {
      if (line.words[1] === ownBackend) idle.push(line);
      else unexpressed.push({ line, why: 'a listener leads to one pool, whatever its clients ask for' });
    }
  }
  let allowed = everyAddress;
  for (const rules of rulesets.values()) {
    if (rules.every(({ allows }) => allows)) {
      idle.push(...rules.map(({ line }) => line));
      continue;
    }
    const sets: { allows: boolean; set: AddressSet }[] = [];
    for (const { line, allows, condition } of rules) {
      const set = conditions.read(condition);
      if (set) {
        sets.push({ allows, set });
        applied.push(line);
      } else unexpressed.push({ line, why: 'Fairlead knows only the address of a client' });
    }
    allowed = intersection(allowed, allowedBy(sets));
  }
  return { allowed, applied, unexpressed, idle, acls: conditions.used };
}
