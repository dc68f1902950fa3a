// What a command may use of its process. Passed in, so that commands run in tests without one.
import type { Environment } from '../config/environment.ts';

export interface CommandContext {
  readonly env: Environment;
  readonly hostname: string;
  readonly version: string;
  /** Standard output is a terminal. */
  readonly isTerminal: boolean;
  print(text: string): void;
  printError(text: string): void;
  readonly signals: Pick<NodeJS.Process, 'on' | 'off'>;
}
