// One connection to one endpoint that health checks run over. It owns its socket; whoever made it closes
// it. Between checks the open connection is a sensor: `onLost` tells of a FIN or RST within a millisecond.
import { X509Certificate } from 'node:crypto';
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import {
  connect as connectTls,
  type ConnectionOptions,
  type DetailedPeerCertificate,
  type PeerCertificate,
  TLSSocket,
} from 'node:tls';
import { ByteAccumulator } from '../lib/byte-accumulator.ts';
import { localProxyHeader } from '../model/proxy-header.ts';
import type { Endpoint } from '../model/endpoint.ts';
import { certificateFault } from '../model/certificate-fault.ts';
import { type ServingCertificate, servingCertificate } from './certificate.ts';
import type { ProbeResult } from './verdict.ts';
import { connectionErrorText, socketFailure } from '../lib/errno.ts';

/** What a probe shows of itself, and what it trusts. Read afresh for every new connection. */
export interface ProbeCredentials {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
  /** Sent as SNI; the certificate must carry it. */
  readonly serverName?: string;
}

export interface CheckStep {
  /** Path and query of the GET. */
  readonly path: string;
  isExpected(status: number): boolean;
  /** What the body of an answer says is wrong; absent: the body is not looked at. */
  bodyProblem?(body: string): string | undefined;
  /** Asked in its place, from then on, where the path is not known (404). */
  readonly whenMissing?: CheckStep;
}

export interface ProbeTarget {
  readonly endpoint: Endpoint;
  readonly credentials: ProbeCredentials;
  /** The token of now, in place of that of `credentials`: it rotates more often than connections should. */
  token?(): string | undefined;
  /** Sent as SNI in place of `credentials.serverName`; what the certificate must carry stays as it is. */
  readonly sni?: string;
  /**
   * False where nothing is known to verify with: then certificates are not looked at, and nothing secret
   * is sent either.
   */
  readonly isVerified: boolean;
  /** Why not, in a few words, where the configuration asks for it. */
  readonly unverified?: string;
  /** An answer came whose certificate was verified. */
  onVerified?(): void;
  /** `tcp`: a connection is all that is asked for, and `steps` is not read. */
  readonly check: 'https' | 'http' | 'tcp';
  /** The endpoint wants a PROXY protocol header in front of everything. */
  readonly sendProxy?: boolean;
  /** Asked one after the other; the first unexpected answer ends the check. */
  readonly steps: readonly CheckStep[];
  readonly userAgent: string;
  checkIdentity(certificate: PeerCertificate): Error | undefined;
}

/** How far a check has come: what it waits for. */
export type ProbePhase = 'connecting' | 'handshaking' | 'requesting';

/**
 * A result for the verdict, or `lost`: a kept connection closed under the request (says nothing: ask on a
 * fresh one), or `void`: our own shortage, which says nothing about the endpoint.
 */
export type CheckResult =
  | ProbeResult
  | { readonly kind: 'lost' }
  | { readonly kind: 'void'; readonly text: string };

export interface RunningCheck {
  readonly phase: ProbePhase;
  /** Ends the check and its connection; `done` is not called any more. */
  abort(): void;
}

/** Longest answer that is read, bytes: `/readyz?verbose` of a real API server is about 1.5 KB. */
const maxAnswerBytes = 65_536;
/** 100 Continue and the like, which an API server does not send to these requests. */
const maxInformational = 16;

/** Names in `[-]name failed: reason withheld` lines. */
export function failingChecks(body: string): string[] {
  return [...body.matchAll(/^\[-\](\S+)/gm)].map((match) => match[1] ?? '');
}

const errorText = (error: Error) => connectionErrorText(error).split('\n')[0]?.slice(0, 200) ?? 'failed';

function classify(error: NodeJS.ErrnoException, phase: ProbePhase, isReused: boolean): CheckResult {
  const code = error.code ?? '';
  const failure = socketFailure(code);
  if (failure === 'exhausted') return { kind: 'void', text: code };
  if (isReused && !code.startsWith('HPE_')) return { kind: 'lost' };
  if (failure === 'refused') return { kind: 'refused' };
  if (failure === 'unreachable' || failure === 'timeout')
    return { kind: 'silent', layer: 4, text: 'unreachable' };
  const certificate = certificateFault(error);
  if (certificate) return { kind: 'broken', layer: 6, ...certificate };
  if (phase === 'connecting') return { kind: 'broken', layer: 4, text: errorText(error) };
  if (phase === 'requesting' && !code.startsWith('ERR_SSL')) {
    return { kind: 'broken', layer: 7, text: code.startsWith('HPE_') ? 'not HTTP' : errorText(error) };
  }
  return { kind: 'broken', layer: 6, text: errorText(error) };
}

type Answer = { readonly kind: 'answer'; readonly status: number; readonly body: string } | CheckResult;

interface Progress {
  phase: ProbePhase;
  /** Ends what is under way. */
  stop(): void;
}

export class ProbeConnection {
  readonly #target: ProbeTarget;
  readonly #agent: HttpsAgent | HttpAgent;
  readonly #steps: CheckStep[];
  #socket: Socket | undefined;
  /** The connection below, where a header goes first. */
  #raw: Socket | undefined;
  #isRunning = false;
  #isClosed = false;
  #isUsed = false;
  /** The idle connection was closed by the endpoint. Called at most once. */
  onLost: (() => void) | undefined;
  /** Time from the first packet to the TCP connection, milliseconds; undefined before. */
  connectMs: number | undefined;
  /** What the endpoint has shown; undefined before the handshake, and where its chain does not verify. */
  certificate: ServingCertificate | undefined;

  constructor(target: ProbeTarget) {
    this.#target = target;
    this.#steps = [...target.steps];
    if (target.check !== 'https') {
      this.#agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
      if (target.sendProxy) this.#sendHeaderFirst((socket) => socket);
      return;
    }
    const { ca, cert, key, serverName } = target.credentials;
    const { isVerified } = target;
    this.#agent = new HttpsAgent({
      keepAlive: true,
      maxSockets: 1,
      // A resumed session would skip the certificate that a fresh connection is to look at.
      maxCachedSessions: 0,
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
      rejectUnauthorized: isVerified,
      servername: target.sni ?? serverName ?? '',
      checkServerIdentity: (_, certificate) => {
        const { raw } = certificate as DetailedPeerCertificate;
        this.certificate = servingCertificate(new X509Certificate(raw));
        return target.checkIdentity(certificate);
      },
      ...(ca !== undefined && { ca }),
      ...(isVerified && cert !== undefined && key !== undefined && { cert, key }),
    });
    if (target.sendProxy)
      this.#sendHeaderFirst((socket, options) => connectTls({ ...options, socket } as ConnectionOptions));
  }

  /** Connections of the agent begin with the header; `wrap` makes of one what the request goes over. */
  #sendHeaderFirst(wrap: (socket: Socket, options: object) => Socket): void {
    this.#agent.createConnection = (
      options: object,
      callback?: (error: Error | null, socket: Socket) => void,
    ) => {
      const { host, port } = this.#target.endpoint;
      const socket = connect({ host, port });
      this.#raw = socket;
      const startedMs = performance.now();
      socket.once('error', (error) => callback?.(error, socket));
      socket.once('connect', () => {
        this.connectMs = performance.now() - startedMs;
        socket.write(localProxyHeader);
        callback?.(null, wrap(socket, options));
      });
      return undefined;
    };
  }

  /** Open, idle and used before: the next check goes over the same connection. */
  get isKept(): boolean {
    return this.#isUsed && !this.#isClosed && !this.#isRunning;
  }

  /** Runs the check once; `done` is called exactly once unless aborted. One check at a time. */
  run(done: (result: CheckResult) => void): RunningCheck {
    if (this.#isRunning || this.#isClosed) throw new Error('probe connection is busy or closed');
    this.#isRunning = true;
    let isDone = false;
    const progress: Progress = { phase: this.#isUsed ? 'requesting' : 'connecting', stop: () => {} };
    const finish = (result: CheckResult): void => {
      if (isDone) return;
      isDone = true;
      this.#isRunning = false;
      // Node has ended every connection whose certificate it could not verify.
      const { check, isVerified: isChecked, unverified, onVerified } = this.#target;
      const isVerified = check === 'https' && isChecked;
      if (result.kind === 'answered' && !this.#isClosed) this.#isUsed = true;
      else this.close();
      if (result.kind !== 'answered') {
        done(result);
        return;
      }
      if (isVerified) onVerified?.();
      const isDoubtful = check === 'https' && unverified !== undefined;
      done({ ...result, ...(isVerified && { isVerified }), ...(isDoubtful && { unverified }) });
    };
    if (this.#target.check === 'tcp') this.#connectOnly(progress, finish);
    else this.#ask(progress, 0, finish);
    return {
      get phase() {
        return progress.phase;
      },
      abort: () => {
        if (isDone) return;
        isDone = true;
        this.#isRunning = false;
        progress.stop();
        this.close();
      },
    };
  }

  close(): void {
    this.#isClosed = true;
    this.onLost = undefined;
    this.#agent.destroy();
    this.#socket?.destroy();
    this.#raw?.destroy();
  }

  #connectOnly(progress: Progress, finish: (result: CheckResult) => void): void {
    const { host, port } = this.#target.endpoint;
    const socket = connect({ host, port });
    this.#socket = socket;
    const startedMs = performance.now();
    progress.stop = () => socket.destroy();
    socket.on('error', (error) => finish(classify(error, progress.phase, false)));
    socket.once('connect', () => {
      this.connectMs = performance.now() - startedMs;
      // Without the header the endpoint would log a broken connection.
      if (this.#target.sendProxy) socket.write(localProxyHeader);
      this.close();
      finish({ kind: 'answered', isExpected: true });
    });
  }

  /** Asks step `index` and those after it. */
  #ask(progress: Progress, index: number, finish: (result: CheckResult) => void): void {
    const step = this.#steps[index];
    if (!step) throw new Error('a check needs at least one step');
    this.#get(step.path, progress, (answer) => {
      if (answer.kind !== 'answer') return finish(answer);
      const { status, body } = answer;
      if (status === 404 && step.whenMissing) {
        this.#steps[index] = step.whenMissing;
        return this.#isClosed ? finish({ kind: 'lost' }) : this.#ask(progress, index, finish);
      }
      const text = step.bodyProblem?.(body);
      if (text !== undefined) return finish({ kind: 'answered', isExpected: false, status, text });
      if (step.isExpected(status)) {
        if (index + 1 < this.#steps.length) return this.#ask(progress, index + 1, finish);
        return finish({ kind: 'answered', isExpected: true, status });
      }
      const failing = failingChecks(body);
      if (failing.length > 0 || status < 500 || this.#isClosed) {
        return finish({ kind: 'answered', isExpected: false, status, failing });
      }
      const verbose = `${step.path}${step.path.includes('?') ? '&' : '?'}verbose`;
      this.#get(verbose, progress, (more) => {
        const names = more.kind === 'answer' ? failingChecks(more.body) : [];
        finish({ kind: 'answered', isExpected: false, status, failing: names });
      });
    });
  }

  #get(path: string, progress: Progress, onAnswer: (answer: Answer) => void): void {
    const { host, port } = this.#target.endpoint;
    let isReused = false;
    let isDone = false;
    const done = (answer: Answer): void => {
      if (isDone) return;
      isDone = true;
      onAnswer(answer);
    };
    const ask = this.#target.check === 'http' ? httpRequest : httpsRequest;
    const request = ask({ agent: this.#agent, host, port, path, headers: this.#headers() });
    progress.stop = () => request.destroy();
    request.on('socket', (socket) => {
      isReused = this.#isUsed;
      this.#watch(socket, progress);
    });
    request.on('error', (error) => done(classify(error, progress.phase, isReused)));
    // An unrequested 101 ends the request without an error and without a response.
    request.on('close', () => done({ kind: 'broken', layer: 7, text: 'no answer to the request' }));
    let informational = 0;
    // A flood of them keeps the event loop so busy that the deadline, which is void when the loop is late, never comes.
    request.on('information', () => {
      informational += 1;
      if (informational <= maxInformational) return;
      request.destroy();
      done({ kind: 'broken', layer: 7, text: 'informational answers without end' });
    });
    request.on('response', (response: IncomingMessage) => {
      const body = new ByteAccumulator(maxAnswerBytes);
      response.on('data', (chunk: Buffer) => {
        if (body.append(chunk)) return;
        response.destroy();
        done({ kind: 'broken', layer: 7, text: `answer exceeds ${maxAnswerBytes} bytes` });
      });
      response.on('error', (error) => done(classify(error, 'requesting', false)));
      response.on('end', () => {
        done({
          kind: 'answer',
          status: response.statusCode ?? 0,
          body: body.text('latin1'),
        });
      });
    });
    request.end();
  }

  #headers(): Record<string, string> {
    const {
      isVerified,
      check,
      credentials: { token: first },
    } = this.#target;
    const token = this.#target.token ? this.#target.token() : first;
    return {
      accept: 'text/plain, */*;q=0.1',
      'user-agent': this.#target.userAgent,
      // Over plain HTTP nothing secret is sent.
      ...(isVerified && check === 'https' && token !== undefined && { authorization: `Bearer ${token}` }),
    };
  }

  #watch(socket: Socket, progress: Progress): void {
    if (this.#socket === socket) return;
    this.#socket = socket;
    const startedMs = performance.now();
    const isPlain = this.#target.check === 'http';
    if (this.#raw) progress.phase = isPlain ? 'requesting' : 'handshaking';
    socket.once('connect', () => {
      this.connectMs = performance.now() - startedMs;
      progress.phase = isPlain ? 'requesting' : 'handshaking';
    });
    socket.once('secureConnect', () => {
      progress.phase = 'requesting';
      if (this.certificate || !(socket instanceof TLSSocket)) return;
      const shown = socket.getPeerX509Certificate();
      if (shown) this.certificate = servingCertificate(shown);
    });
    socket.once('close', () => {
      this.#isClosed = true;
      if (this.#isRunning) return;
      const { onLost } = this;
      this.onLost = undefined;
      onLost?.();
    });
  }
}
