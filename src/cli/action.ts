// What the tree of commands is made of.
import type { CommandContext } from './command-context.ts';

/** What a command does: its options (with its arguments as `arguments`), to an exit code. */
export type Action = (options: never, context: CommandContext) => Promise<number>;

/** An action that is loaded when its command runs. */
export type LazyAction = (load: () => Promise<Action>) => (...given: unknown[]) => Promise<void>;
