// The logger: pino, JSON lines on standard output, or pretty on a terminal. Secrets are never logged, so
// nothing is redacted.
//
// Lines are written by the thread pool, not by this thread: standard output is often a pipe, and a
// reader that stops (a stuck container runtime, a paused terminal) would otherwise stop every tunnel with
// it. What the reader does not take in time is dropped beyond `maxPendingBytes`. No worker thread:
// pino's transports cost 12 MB.
import { type DestinationStream, type Logger, pino } from 'pino';

export interface LogOptions {
  /** One of pino's levels, or `silent`. */
  readonly level: string;
  /** `auto`: pretty on a terminal, JSON otherwise. */
  readonly format: 'auto' | 'json' | 'pretty';
  /** Name of this node, in every line. */
  readonly node: string;
  readonly isTerminal: boolean;
  /** File descriptor to write to. Default: 1, standard output. */
  readonly fd?: number;
}

/** Longest backlog of a reader that does not read. */
export const maxPendingBytes = 1_048_576;
/** Longest wait for such a reader when the process ends. */
const closeTimeoutMs = 1_000;

export interface Log {
  readonly logger: Logger;
  /** Writes out what is pending; what is logged afterwards is lost. Idempotent. */
  close(): Promise<void>;
}

export async function createLog({ level, format, node, isTerminal, fd = 1 }: LogOptions): Promise<Log> {
  let isExiting = false;
  const destination = pino.destination({
    fd,
    sync: false,
    maxLength: maxPendingBytes,
    // A process that crashes writes its last lines synchronously, and must not wait forever to do so.
    retryEAGAIN: () => !isExiting,
  });
  // A disk that is full, a reader that is gone: lines are lost, and the agent keeps running. Without a listener pino
  // throws what is not EPIPE. What could not be written is tried again with the next line.
  destination.on('error', () => {});
  process.prependOnceListener('exit', () => {
    isExiting = true;
  });

  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal);
  const shape = isPretty ? await prettyShape(isTerminal) : (line: string) => line;
  let closed: Promise<void> | undefined;
  const stream: DestinationStream = {
    write(line) {
      if (!closed) destination.write(shape(line));
    },
  };
  const logger = pino(
    {
      level,
      base: { node },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );

  const close = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        destination.destroy();
        resolve();
      }, closeTimeoutMs);
      destination.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      // Not flushSync(): it would overtake the line that the thread pool is writing.
      destination.end();
    });
  return {
    logger,
    close() {
      closed ??= close();
      return closed;
    },
  };
}

async function prettyShape(colorize: boolean): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  return prettyFactory({ colorize, ignore: 'node', translateTime: 'SYS:HH:MM:ss.l' });
}
