// Writes the parts of docs/*.md that are derived from the code, between <!-- generated: NAME --> and
// <!-- /generated: NAME -->. test/unit/docs.test.ts fails when one of them is out of date.
// Usage: node scripts/docs.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { exitCodes } from '../src/cli/exit-codes.ts';
import { buildProgram } from '../src/cli/program.ts';
import { listenerSettings } from '../src/config/listener-setting.ts';
import { poolSettings } from '../src/config/pool-setting.ts';
import type { Setting } from '../src/config/setting.ts';
import { envName, settingKeys, settingOf } from '../src/config/settings.ts';
import { checks } from '../src/doctor/finding.ts';
import { errorKinds } from '../src/model/errors.ts';
import { problemKinds } from '../src/model/problems.ts';
import type { Command, Option } from 'commander';

export interface GeneratedPart {
  readonly file: string;
  readonly name: string;
  render(): string;
}

export const generatedParts: readonly GeneratedPart[] = [
  { file: 'docs/config.md', name: 'settings', render: renderSettings },
  { file: 'docs/config.md', name: 'listener', render: () => renderMembers(listenerSettings) },
  { file: 'docs/config.md', name: 'pool', render: () => renderMembers(poolSettings) },
  { file: 'docs/config.md', name: 'pool defaults', render: renderPoolDefaults },
  { file: 'docs/cli.md', name: 'commands', render: renderCommands },
  { file: 'docs/cli.md', name: 'exit codes', render: renderExitCodes },
  { file: 'docs/errors.md', name: 'errors', render: renderErrors },
  { file: 'docs/errors.md', name: 'problems', render: renderProblems },
  { file: 'docs/doctor.md', name: 'checks', render: renderChecks },
];

/** `text` with the part `name` replaced by `body`; throws where the markers are missing. */
export function withPart(text: string, name: string, body: string): string {
  const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- /generated: ${name} -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the markers of "${name}" are missing`);
  return `${text.slice(0, from + begin.length)}\n\n${body.trim()}\n\n${text.slice(to)}`;
}

/** A table with its columns aligned, as the formatter wants it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [first = [], ...rest] = cells;
  return [line(first), line(widths.map((width) => '-'.repeat(width))), ...rest.map(line)].join('\n');
}

const code = (text: string) => `\`${text}\``;

function defaultOf({ fallback, defaultNote }: Setting<unknown>): string {
  if (fallback === undefined) return defaultNote ?? 'not set';
  return code(typeof fallback === 'string' ? fallback : JSON.stringify(fallback));
}

function renderSettings(): string {
  const sections = new Map<string, string[][]>();
  for (const key of settingKeys) {
    const setting = settingOf(key);
    const { type, description, flag, fromText, scope, applies } = setting;
    const section = key.includes('.') ? (key.split('.')[0] ?? '') : '';
    const names = [fromText ? code(envName(key)) : 'file only', ...(flag ? [code(flag)] : [])];
    const row = [code(key), type, defaultOf(setting), names.join(', '), scope, applies, description];
    sections.set(section, [...(sections.get(section) ?? []), row]);
  }
  const head = ['setting', 'value', 'default', 'environment, flag', 'scope', 'takes effect at', 'meaning'];
  return [...sections]
    .map(([section, rows]) => `### ${section || 'Top level'}\n\n${table(head, rows)}`)
    .join('\n\n');
}

/** What a listener or a pool says of itself. */
function renderMembers(settings: Readonly<Record<string, Setting<unknown>>>): string {
  const rows = Object.entries(settings).map(([name, setting]) => {
    const { type, description } = setting;
    return [code(name), type, defaultOf(setting), description];
  });
  return table(['member', 'value', 'default', 'meaning'], rows);
}

/** The defaults of pools other than that of the API servers, where they are not the top level's values. */
function renderPoolDefaults(): string {
  const rows = settingKeys.flatMap((key) => {
    const { scope, poolDefault } = settingOf(key);
    if (scope !== 'pool' || !poolDefault) return [];
    const shown = (type: 'etcd' | 'tcp') => {
      if (!Object.hasOwn(poolDefault, type)) return 'top level';
      const value = poolDefault[type];
      if (value === undefined) return 'not set';
      return code(typeof value === 'string' ? value : JSON.stringify(value));
    };
    return [[code(key), shown('etcd'), shown('tcp')]];
  });
  return table(['setting', 'default with `type: etcd`', 'default with `type: tcp`'], rows);
}

function renderExitCodes(): string {
  return table(
    ['code', 'meaning'],
    Object.values(exitCodes).map(({ code: exitCode, meaning }) => [String(exitCode), meaning]),
  );
}

function renderCommands(): string {
  let printed = '';
  const program = buildProgram(
    {
      env: {},
      hostname: 'host',
      version: '',
      isTerminal: false,
      print: (text) => {
        printed += text;
      },
      printError: () => {},
      signals: process,
    },
    () => {},
  );
  const all = [...withChildren(program, [program.name()])];
  const shared = sharedOptions(all.map(({ command }) => command));
  const isShared = (option: Option) => shared.some((other) => spelling(other) === spelling(option));
  const parts = all.map(({ command, names }) => {
    const own = command.createHelp().visibleOptions(command);
    const taken = own.filter(isShared);
    printed = '';
    command
      .configureHelp({ visibleOptions: () => own.filter((option) => !isShared(option)) })
      .configureOutput({ getOutHelpWidth: () => 100 })
      .outputHelp();
    const note =
      taken.length === 0
        ? ''
        : `\n\nIt also takes ${taken.length === shared.length ? 'the' : `${taken.map(({ long }) => `\`${long}\``).join(' and ')} of the`} [configuration flags](#configuration-flags).`;
    return `### ${names.join(' ')}\n\n\`\`\`text\n${printed.trim()}\n\`\`\`${note}`;
  });
  const rows = shared.map((option) => [code(option.flags), option.description]);
  return [
    `### Configuration flags\n\nEvery command that loads the agent's configuration takes these flags; its \`--help\` lists them too.\n\n${table(['flag', 'meaning'], rows)}`,
    ...parts,
  ].join('\n\n');
}

function* withChildren(
  command: Command,
  names: readonly string[],
): Generator<{ command: Command; names: readonly string[] }> {
  yield { command, names };
  for (const child of command.commands) yield* withChildren(child, [...names, child.name()]);
}

const spelling = ({ flags, description }: Option) => `${flags}\n${description}`;

/** The flags of `run` that set something in the configuration and that other commands spell alike. */
function sharedOptions(commands: readonly Command[]): Option[] {
  const run = commands.find((command) => command.name() === 'run');
  const others = commands.filter((command) => command !== run).flatMap(({ options }) => options);
  return (run?.options ?? []).filter((option) =>
    others.some((other) => spelling(other) === spelling(option)),
  );
}

function renderErrors(): string {
  return table(
    ['code', 'category', 'safe to retry', 'what happened', 'what to do'],
    Object.entries(errorKinds).map(([name, { origin, isRetrySafe, summary, fix }]) => [
      code(name),
      origin,
      isRetrySafe ? 'yes' : 'no',
      summary,
      fix,
    ]),
  );
}

function renderProblems(): string {
  const rows = Object.entries(problemKinds).map(([name, { summary, fix }]) => [code(name), summary, fix]);
  return table(['code', 'what is missing', 'what to do'], rows);
}

function renderChecks(): string {
  const rows = Object.entries(checks).map(([name, { looksAt, why }]) => [code(name), looksAt, why]);
  return table(['check', 'what is looked at', 'why it matters'], rows);
}

if (import.meta.main) {
  for (const { file, name, render } of generatedParts) {
    writeFileSync(file, withPart(readFileSync(file, 'utf8'), name, render()));
  }
}
