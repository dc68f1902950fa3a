// Every example of the docs and of --help is read by what would read it: bash, the YAML and JSON parsers, the compiler, and
// the command line. Configurations are also loaded, in docs.test.ts.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { parseSync } from '@swc/core';
import type { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import { buildProgram } from '../../src/cli/program.ts';
import { commandContext } from '../support/agent/command-context.ts';

interface Example {
  readonly where: string;
  readonly language: string;
  readonly text: string;
}

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

/** The fenced blocks of a page, without their indentation. */
function examplesOf(file: string): Example[] {
  const page = readFileSync(file, 'utf8');
  return [...page.matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm)].map(
    ([whole, indent = '', language = '', text = '']) => ({
      where: `${file}:${page.slice(0, page.indexOf(whole)).split('\n').length}`,
      language,
      text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  );
}

const examples = pages.flatMap(examplesOf);
const inLanguage = (...languages: string[]) =>
  examples.filter(({ language }) => languages.includes(language)).map((example) => [example.where, example]);

/** What is typed in an example: all of a script, the lines after `$ ` of a terminal. */
function typed({ language, text }: Example): string {
  if (language === 'sh') return text;
  return [...text.matchAll(/^\$ (.*(?:\\\n.*)*)/gm)].map(([, line]) => line).join('\n');
}

/** The arguments of each call of `fairlead` in a script. */
function callsOfFairlead(script: string): string[][] {
  const lines = script.replaceAll('\\\n', ' ').split('\n');
  const commands = lines.flatMap((line) => line.replace(/(?:^|\s)#.*/, '').split(/&&|\|\|?|;|\$\(|\)/));
  return commands
    .map((command) => command.replace(/\s\d?>.*/, '').trim())
    .filter((command) => /^(?:node \S*fairlead\.js|fairlead)(?:\s|$)/.test(command))
    .map((command) => command.split(/\s+/).slice(command.startsWith('node') ? 2 : 1));
}

function program(): Command {
  const root = buildProgram(commandContext().context, () => {});
  const quiet = (command: Command) => {
    if (command.commands.length === 0) command.action(() => {});
    for (const child of command.commands) quiet(child);
  };
  quiet(root);
  return root;
}

async function expectKnown(args: readonly string[]): Promise<void> {
  const error = await program()
    .parseAsync(args, { from: 'user' })
    .then(() => undefined)
    .catch((problem: Error & { code?: string }) =>
      problem.code === 'commander.helpDisplayed' ? undefined : problem.message,
    );
  expect({ args, error }).toEqual({ args, error: undefined });
}

test('every block says its language, and there is a check for it', () => {
  const languages = new Set(examples.map(({ language }) => language));
  expect([...languages].sort()).toEqual(['', 'console', 'json', 'sh', 'text', 'ts', 'yaml']);
  // A block without a language is a drawing.
  const drawings = examples.filter(({ language }) => language === '');
  expect(drawings.filter(({ text }) => !/[─►┌]/.test(text)).map(({ where }) => where)).toEqual([]);
});

test.each(inLanguage('sh', 'console'))('%s: bash can read it', (_, example) => {
  const { stderr, status } = spawnSync('bash', ['-n'], {
    input: typed(example as Example),
    encoding: 'utf8',
  });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
});

test.each(inLanguage('sh', 'console'))(
  '%s: its calls of fairlead are what the program takes',
  async (_, example) => {
    for (const args of callsOfFairlead(typed(example as Example))) await expectKnown(args);
  },
);

test.each(inLanguage('sh', 'console'))(
  '%s: the files of the repository that it names are there',
  (_, example) => {
    const named =
      typed(example as Example).match(/(?<![\w/.-])(?:manifests|scripts|test|bench)\/[\w./-]*[\w]/g) ?? [];
    expect(named.filter((name) => !existsSync(name))).toEqual([]);
  },
);

test.each(inLanguage('yaml'))('%s: is YAML', (_, example) => {
  const problems = parseAllDocuments((example as Example).text).flatMap(({ errors }) => errors);
  expect(problems).toEqual([]);
});

test.each(inLanguage('json'))('%s: is JSON', (_, example) => {
  expect(() => JSON.parse((example as Example).text)).not.toThrow();
});

test.each(inLanguage('ts'))('%s: is TypeScript', (_, example) => {
  expect(() => parseSync((example as Example).text, { syntax: 'typescript' })).not.toThrow();
});

test('npm scripts that the pages name exist', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  const named = pages.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/npm run (?:-s |--silent )?([\w:]+)/g)].map(
      ([, name]) => name ?? '',
    ),
  );
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test('the examples of --help are what the program takes', async () => {
  const { context, printed } = commandContext();
  const root = buildProgram(context, () => {});
  const show = (command: Command) => {
    command.outputHelp();
    for (const child of command.commands) show(child);
  };
  show(root);
  const calls = callsOfFairlead((printed().out.match(/(?<=^ {2})fairlead .*/gm) ?? []).join('\n'));
  expect(calls.length).toBeGreaterThan(20);
  for (const args of calls) await expectKnown(args);
});
