// HAProxy's HTTP checks as Fairlead's: `option httpchk`, and sequences of http-check connect, send and expect
// (configuration manual, 5.2 and the keyword pages; what the first `send` and the last one without an
// `expect` mean was tried out on HAProxy 2.6). Pure.
import { formatStatuses, type StatusRange } from '../config/statuses.ts';
import type { Draft } from './draft.ts';
import type { Line } from './haproxy-syntax.ts';

interface Step {
  method: string;
  path: string;
  readonly line: number;
  readonly directive: string;
  /** Statuses that every `expect` so far lets pass. */
  accepted: ReadonlySet<number>;
  /** The lines of its `expect` rules. */
  readonly expectLines: number[];
}

const anyStatus: ReadonlySet<number> = new Set(Array.from({ length: 500 }, (_, index) => 100 + index));
const defaultStatuses = new Set([...anyStatus].filter((status) => status >= 200 && status < 400));

export const shownLine = ({ words }: Line) => words.join(' ');

/** Takes the check over; `option` is the `option httpchk` line, `rules` the `http-check` lines behind it. */
export function importHttpCheck(draft: Draft, option: Line, rules: readonly Line[]): void {
  const [, , ...args] = option.words;
  // One argument is a path, two are a method and a path; without a method it is OPTIONS.
  const [method, path] = args.length >= 2 ? [args[0], args[1]] : [undefined, args[0]];
  const implicit = (from: Line): Step => ({
    method: method ?? 'OPTIONS',
    path: path ?? '/',
    line: from.line,
    directive: shownLine(from),
    accepted: anyStatus,
    expectLines: [],
  });
  if (args.length > 2)
    draft.note(
      'dropped',
      option.line,
      args.slice(2).join(' '),
      'the check uses HTTP/1.1, with the endpoint as its Host',
    );

  const steps: Step[] = [];
  for (const rule of rules) {
    const [, action, ...words] = rule.words;
    if (action === 'send') {
      const step = implicit(rule);
      readSend(draft, rule, words, step);
      steps.push(step);
    } else if (action === 'expect') {
      if (steps.length === 0) steps.push(implicit(option));
      readExpect(draft, rule, words, steps.at(-1) as Step);
    } else if (action === 'connect') {
      if (words.every((word) => word === 'ssl'))
        draft.note('covered', rule.line, shownLine(rule), 'every check goes to the endpoint');
      for (const word of words) {
        if (word !== 'ssl')
          draft.note(
            'dropped',
            rule.line,
            shownLine(rule),
            `"${word}": every check goes to the endpoint itself`,
          );
      }
    } else draft.note('dropped', rule.line, shownLine(rule), 'has no counterpart');
  }
  if (steps.length === 0) steps.push(implicit(option));
  const last = steps.at(-1) as Step;
  if (last.expectLines.length === 0) last.accepted = defaultStatuses;
  writeSteps(draft, steps);
}

function readSend(draft: Draft, rule: Line, words: readonly string[], step: Step): void {
  for (let at = 0; at < words.length; at += 1) {
    const [word, value = ''] = [words[at], words[at + 1]];
    if (word === 'meth') step.method = value;
    else if (word === 'uri') step.path = value;
    else if (word === 'ver') draft.note('covered', rule.line, `ver ${value}`, 'the check uses HTTP/1.1');
    else draft.note('dropped', rule.line, shownLine(rule), `"${word}": the check is a plain GET`);
    at += word === 'hdr' ? 2 : 1;
  }
}

function readExpect(draft: Draft, rule: Line, words: readonly string[], step: Step): void {
  const rest = [...words];
  // Options that change how a result is counted or logged.
  while (
    /^(min-recv|comment|ok-status|error-status|tout-status|on-success|on-error|status-code)$/.test(
      rest[0] ?? '',
    )
  ) {
    const [name, value] = rest.splice(0, 2);
    draft.note('dropped', rule.line, `${name} ${value}`, 'has no counterpart');
  }
  const isNegated = rest[0] === '!';
  if (isNegated) rest.shift();
  const [kind, pattern = ''] = rest;
  const matches =
    kind === 'status' ? matchStatuses(pattern) : kind === 'rstatus' ? matchExpression(pattern) : undefined;
  if (!matches) {
    draft.note('dropped', rule.line, shownLine(rule), 'only the status of the answer is checked');
    return;
  }
  step.expectLines.push(rule.line);
  step.accepted = new Set([...step.accepted].filter((status) => matches(status) !== isNegated));
}

/** `200`, `200-399`, `200,301-399`. */
function matchStatuses(text: string): ((status: number) => boolean) | undefined {
  const ranges: StatusRange[] = [];
  for (const part of text.split(',')) {
    const match = /^(\d{3})(?:-(\d{3}))?$/.exec(part);
    if (!match) return undefined;
    ranges.push({ from: Number(match[1]), to: Number(match[2] ?? match[1]) });
  }
  return (status) => ranges.some(({ from, to }) => status >= from && status <= to);
}

/** A regular expression on the three digits: there are few enough to try all. */
function matchExpression(text: string): ((status: number) => boolean) | undefined {
  // Anything longer, or with nested repetition, is not a pattern for three digits.
  if (text.length > 64 || /[+*}]\)?[+*{]/.test(text)) return undefined;
  try {
    const expression = new RegExp(text);
    return (status) => expression.test(String(status));
  } catch {
    return undefined;
  }
}

function rangesOf(accepted: ReadonlySet<number>): StatusRange[] {
  const ranges: { from: number; to: number }[] = [];
  for (const status of [...accepted].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last.to === status - 1) last.to = status;
    else ranges.push({ from: status, to: status });
  }
  return ranges;
}

function writeSteps(draft: Draft, steps: readonly Step[]): void {
  for (const { method, line, directive } of steps) {
    if (method === 'GET') continue;
    const why = method === 'OPTIONS' || method === 'HEAD' ? `; API servers answer ${method} with 403` : '';
    draft.note('changed', line, directive, `the check is a GET, not ${method}${why}`);
  }
  const [first] = steps;
  const expected = ({ accepted }: Step) => formatStatuses(rangesOf(accepted));
  for (const step of steps) {
    if (step.accepted.size > 0) continue;
    draft.note('dropped', step.line, step.directive, 'no status could match');
    return;
  }
  if (steps.length === 1 && first) {
    draft.set('health.path', first.path, first.line, first.directive);
    const { line, directive, expectLines } = first;
    const origin = expectLines.length > 0 ? expectLines : [line];
    draft.set('health.expectStatus', expected(first), line, directive, [origin]);
    if (first.path === '/healthz') {
      draft.note(
        'changed',
        first.line,
        first.directive,
        '/healthz does not fail while an API server shuts down; /readyz does (health.path: /readyz)',
      );
    }
  } else if (first) {
    const list = steps.map((step) => ({ path: step.path, expectStatus: expected(step) }));
    const origins = steps.map(({ line, expectLines }) => [line, ...expectLines]);
    draft.set('health.steps', list, first.line, first.directive, origins);
  }
}
