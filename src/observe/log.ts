// The logger: pino, JSON lines on standard output, or pretty on a terminal. Secrets are never logged, so
// nothing is redacted.
//
// Lines are written by the thread pool, not by this thread: standard output is often a pipe, and a
// reader that stops (a stuck container runtime, a paused terminal) would otherwise stop every tunnel with
// it. What the reader does not take in time is dropped beyond `maxPendingBytes`. No worker thread:
// pino's transports cost 12 MB.
import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogConfig } from '../config/config.ts';

export interface LogOptions extends LogConfig {
  /** Name of this node, in every line. */
  readonly node: string;
  readonly isTerminal: boolean;
  /** File descriptor to write to. Default: 1, standard output. */
  readonly fd?: number;
}

/** Longest backlog of a reader that does not read. */
export const maxPendingBytes = 1_048_576;

export interface Log {
  readonly logger: Logger;
  /** Writes out what is pending; a crash or a last line before the exit would lose it. */
  flush(): void;
}

export async function createLog({ level, format, node, isTerminal, fd = 1 }: LogOptions): Promise<Log> {
  const destination = pino.destination({ fd, sync: false, maxLength: maxPendingBytes });
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal);
  const stream = isPretty ? await prettyStream(destination, isTerminal) : destination;
  const logger = pino(
    {
      level,
      base: { node },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  return { logger, flush: () => destination.flushSync() };
}

async function prettyStream(destination: DestinationStream, colorize: boolean): Promise<DestinationStream> {
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({ colorize, ignore: 'node', translateTime: 'SYS:HH:MM:ss.l' });
  return { write: (line) => destination.write(pretty(line)) };
}
