// wrk as load generator: one thread, closed loop (each connection asks again when it has its answer).
import { fileURLToPath } from 'node:url';
import { formatHostPort, type HostPort } from '../../src/model/endpoint.ts';
import { pinned, runToEnd } from '../processes.ts';

const script = fileURLToPath(new URL('./wrk.lua', import.meta.url));

export interface WrkResult {
  readonly requests: number;
  /** Read, those of answers that were not complete at the end included. */
  readonly bytes: number;
  readonly durationUs: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  /** Failed connects, reads and writes, and time-outs. */
  readonly socketErrors: number;
  /** Answers with a status of 400 or more. */
  readonly badStatus: number;
}

export interface WrkLoad {
  readonly scheme: 'https' | 'http';
  readonly address: HostPort;
  readonly connections: number;
  readonly seconds: number;
  readonly cpu: string | undefined;
  /** A new connection for each request. */
  readonly closes?: boolean;
  /** File whose bytes are sent instead of a request, each on a new connection; its answer is a status 400. */
  readonly helloFile?: string;
  /** What is asked for instead of the small body. */
  readonly path?: string;
  /** Each request is an upload of this size, answered when all of it has come. */
  readonly uploadMiB?: number;
}

function isResult(value: unknown): value is WrkResult {
  return typeof value === 'object' && value !== null && 'requests' in value && 'badStatus' in value;
}

/** Runs the load; fails when a connection failed, nothing was answered or an answer was not the expected one. */
export async function wrk(load: WrkLoad): Promise<WrkResult> {
  const result = await runOnce(load);
  // On a very busy machine one second is over before many TLS handshakes are: not an error, but no figure.
  const isTooShort = result.requests === 0 && result.socketErrors === 0;
  return checked(load, isTooShort ? await runOnce({ ...load, seconds: load.seconds * 10 }) : result);
}

function checked({ address, helloFile }: WrkLoad, result: WrkResult): WrkResult {
  const wanted = helloFile === undefined ? 0 : result.requests;
  if (result.requests === 0 || result.socketErrors > 0 || result.badStatus !== wanted) {
    const where = formatHostPort(address);
    throw new Error(`wrk against ${where}: not every request was answered well: ${JSON.stringify(result)}`);
  }
  return result;
}

async function runOnce(load: WrkLoad): Promise<WrkResult> {
  const { scheme, address, connections, seconds, cpu, closes = false, helloFile, uploadMiB } = load;
  const command = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script];
  if (closes) command.push('-H', 'Connection: close');
  command.push(`${scheme}://${formatHostPort(address)}${load.path ?? '/small'}`);
  const variables = [
    ...(helloFile === undefined ? [] : [`FAIRLEAD_BENCH_HELLO=${helloFile}`]),
    ...(uploadMiB === undefined ? [] : [`FAIRLEAD_BENCH_UPLOAD_MIB=${uploadMiB}`]),
  ];
  const withEnv = variables.length ? ['env', ...variables, ...command] : command;
  const output = await runToEnd(pinned(cpu, withEnv), { withinMs: (seconds + 60) * 1_000 });
  const line = /^RESULT (.*)$/m.exec(output)?.[1];
  const result: unknown = line === undefined ? undefined : JSON.parse(line);
  if (!isResult(result)) throw new Error(`wrk printed no result:\n${output}`);
  return result;
}
