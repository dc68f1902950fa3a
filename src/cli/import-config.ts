// `fairlead import`: a Fairlead configuration out of another proxy's.
import { basename } from 'node:path';
import { formatNote } from '../import/draft-notes.ts';
import { sectionKeywords } from '../import/haproxy-syntax.ts';
import { readFileText } from '../lib/read-file.ts';
import { messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import { exitCodes } from './exit-codes.ts';
import type { CommandContext } from './command-context.ts';

type ProxyKind = 'nginx' | 'haproxy';

interface ImportOptions {
  readonly arguments: readonly [string];
  readonly type?: ProxyKind;
  readonly kubeconfig?: string;
  readonly keepChecks?: boolean;
}

const loaders = {
  nginx: async () => (await import('../import/nginx.ts')).importNginx,
  haproxy: async () => (await import('../import/haproxy.ts')).importHaproxy,
} as const;

export async function importConfig(options: ImportOptions, context: CommandContext): Promise<number> {
  const [file] = options.arguments;
  const text = await readFileText(file, { mayBePipe: true }).catch((cause: unknown) => {
    throw new FairleadError('CONFIG_UNREADABLE', messageOf(cause), { cause });
  });
  const kind = options.type ?? detectProxy(text);
  const name = basename(file);
  const result = (await loaders[kind]())(text, {
    name,
    ...(options.kubeconfig !== undefined && { kubeconfig: options.kubeconfig }),
    ...(options.keepChecks && { keepChecks: true }),
  });
  if (!result.ok) {
    throw new FairleadError(
      'CONFIG_INVALID',
      `${file} cannot be imported as ${kind} configuration: ${result.problem}`,
    );
  }
  const { yaml, notes } = result.value;
  context.print(yaml);
  for (const note of notes) context.printError(`${formatNote(name, note)}\n`);
  return exitCodes.ok.code;
}

/** HAProxy's files begin with a section; nginx's have no such words at the top. */
export function detectProxy(text: string): ProxyKind {
  const [first = ''] = text.replace(/^(\s*#[^\n]*\n|\s+)*/, '').split(/[\s;{]/, 1);
  return sectionKeywords.has(first) ? 'haproxy' : 'nginx';
}
