// What people read is plain technical English: the words below are private or translated ones, each with what to say instead.
import { readdirSync, readFileSync } from 'node:fs';
import { parseSync } from '@swc/core';
import type { Command } from 'commander';
import { buildProgram } from '../../src/cli/program.ts';
import { commandContext } from '../support/agent/command-context.ts';

const banned: readonly (readonly [word: RegExp, instead: string])[] = [
  [/\bmend(s|ed|ing)?\b/i, 'fix'],
  [/\b(take|takes|took|taken|taking) (\w+ )?over\b/i, 'adopt, replace, apply'],
  [/\b(give|gives|gave|given|giving) (\w+ )?back\b/i, 'restore, return'],
  [/\b(take|takes|took|taken|taking) (it |them )?back\b/i, 'revert'],
  [/\b(tell|tells|told) apart\b/i, 'distinguish'],
  [/(?<!\bthere )\b(is|are|was|were) no (?!longer\b|more than\b|less than\b)/i, 'is not a'],
  [/\b(that|those) which\b/i, 'the one that, what'],
  [/\b(somebody|nobody|anybody|everybody)\b/i, 'another process, no client, any user'],
  [/\ball the same\b/i, 'anyway'],
  [/\bit goes(?! through| to| into)\b/i, 'it is removed, it leaves'],
  [/\bthe same twice\b/i, 'reproducible'],
  [/\bfor ever\b/i, 'forever, without a limit'],
  [/\bnot at all\b/i, 'not'],
  [/\basked again\b/i, 'retried'],
  [/\b(goes|go|going|went) on\b(?! the)/i, 'continues'],
  [/\bbeforehand\b/i, 'in advance'],
  [/\b(and|or) its kin\b/i, 'and similar'],
  [/\bamiss\b/i, 'wrong'],
  [/\bso many\b/i, 'that many'],
  [/\blast word\b/i, 'last update'],
  [/\bdoes not hold together\b/i, 'is inconsistent'],
  [/\b(wants|want) (a|an|one|more|another|only)\b/i, 'needs, requires'],
  [/\bno more\b(?=\W*$|[.,;:)])/i, 'no longer, only'],
  [/\bhas to have\b/i, 'needs'],
  [/\bunless somebody\b/i, 'unless'],
  [/\b(it|that|this) is so\b/i, 'say what'],
  [/\bas ever\b/i, 'as before'],
  [/\bever more seldom\b/i, 'at growing intervals'],
  [/\bnow and then\b/i, 'occasionally, every N s'],
];

/** Words of others that the list would find: keepalived's setting for the user of its scripts. */
const allowed = ['script_user nobody'];

const findings = (text: string): string[] =>
  text.split('\n').flatMap((line, index) =>
    banned.flatMap(([word, instead]) => {
      const found = word.exec(allowed.reduce((text, exact) => text.replaceAll(exact, ''), line));
      return found ? [`${index + 1}: "${found[0]}" (${instead}): ${line.trim().slice(0, 120)}`] : [];
    }),
  );

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'CODE_OF_CONDUCT.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

test.each(pages)('%s is in plain English', (page) => {
  expect(findings(readFileSync(page, 'utf8'))).toEqual([]);
});

test('--help of every command is in plain English', () => {
  const { context, printed } = commandContext();
  const show = (command: Command) => {
    command.outputHelp();
    for (const child of command.commands) show(child);
  };
  show(buildProgram(context, () => {}));
  expect(printed().out.length).toBeGreaterThan(5000);
  expect(findings(printed().out)).toEqual([]);
});

const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => `src/${file}`);

/** The texts of a source: its string and template literals of two words and more. */
function textsOf(file: string): string {
  const found: string[] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { type, value, cooked } = node as { type?: string; value?: unknown; cooked?: unknown };
    const text = type === 'StringLiteral' ? value : type === 'TemplateElement' ? cooked : undefined;
    if (typeof text === 'string' && text.trim().includes(' ')) found.push(text.replaceAll('\n', ' '));
    Object.values(node).forEach(visit);
  };
  visit(parseSync(readFileSync(file, 'utf8'), { syntax: 'typescript', target: 'es2024' }).body);
  return found.join('\n');
}

test('errors, findings and log messages are in plain English', () => {
  const marks = sources.flatMap((file) => findings(textsOf(file)).map((mark) => `${file}:${mark}`));
  expect(marks).toEqual([]);
});

/** What comments may not say either; they may use the rest of the list where a term of the code does. */
const bannedInComments = banned.filter(([word]) =>
  /mend|told|apart|which|nobody|same twice|all the same|for ever|asked again|amiss|last word|hold together|beforehand/.test(
    word.source,
  ),
);

test('comments are in plain English', () => {
  const comment = /^\s*(?:\/\/|\/?\*)|\s\/\/ /;
  const marks = sources.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line, index) => {
        const found = comment.test(line) && bannedInComments.find(([word]) => word.test(line));
        return found ? [`${file}:${index + 1}: ${found[1]}: ${line.trim()}`] : [];
      }),
  );
  expect(marks).toEqual([]);
});

test('the list finds what it is meant to find, and leaves the rest alone', () => {
  expect(findings('the agent takes it over; nobody is there')).toHaveLength(2);
  expect(findings('there is no longer an endpoint')).toEqual([]);
});
