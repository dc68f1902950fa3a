// A client like kubelet: one HTTP/2 connection for everything, as long as it lasts. It renews its Lease four times a
// second and watches it; each renewal carries the next number, so that the watch can tell whether an event is
// missing. When the connection ends it opens a new one, repeats the write and continues the watch where it was.
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { Tally } from './tally.ts';
import { answeredBy, deadlineMs, reasonOf, type Target } from './target.ts';

const everyMs = 250;
const retryMs = 50;
const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const lease = `${leases}/node-1`;

interface Answer {
  readonly status: number;
  readonly server: string;
  readonly text: string;
}

interface LeaseObject {
  readonly metadata: { readonly resourceVersion: string };
  readonly spec?: { readonly leaseTransitions?: number };
}

export class LongConnection {
  readonly tally: Tally;
  /** HTTP/2 connections opened so far. */
  connections = 0;
  /** Events of the watch, and how often it had to be opened again. */
  events = 0;
  missed = 0;
  resumed = 0;
  /** Who answered last. */
  server: string | undefined;
  readonly #target: Target;
  readonly #stopping = new AbortController();
  #session: ClientHttp2Session | undefined;
  #hasEnded = false;
  #written = 0;
  #seen = 0;
  #revision = '';
  #longestQuietMs = 0;
  #lastEventMs = performance.now();
  #watchStream: ClientHttp2Stream | undefined;
  #writing: Promise<void> | undefined;
  #watching: Promise<void> | undefined;

  constructor(target: Target, startedMs: number) {
    this.#target = target;
    this.tally = new Tally(startedMs);
  }

  /** The longest time between two events of the watch. */
  longestQuietMs(nowMs: number): number {
    return Math.max(this.#longestQuietMs, nowMs - this.#lastEventMs);
  }

  async start(): Promise<void> {
    const body = { metadata: { name: 'node-1' }, spec: { holderIdentity: 'node-1', leaseTransitions: 0 } };
    const { text, status } = await this.#call('POST', leases, body);
    if (status !== 201) throw new Error(`creating the Lease: HTTP status ${status}: ${text}`);
    this.#revision = (JSON.parse(text) as LeaseObject).metadata.resourceVersion;
    this.#lastEventMs = performance.now();
    this.#watching = this.#watch();
    this.#writing = this.#write();
  }

  /** Writes no more; resolves when the watch has seen everything, or has not within two seconds. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#writing;
    this.tally.stop(performance.now());
    for (let i = 0; i < 40 && this.#seen < this.#written; i += 1) await sleep(retryMs);
    this.missed += this.#written - this.#seen;
    this.#hasEnded = true;
    this.#watchStream?.destroy();
    await this.#watching;
    this.#session?.destroy();
  }

  async #write(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedMs = performance.now();
      await this.#renew(this.#written + 1);
      const leftMs = startedMs + everyMs - performance.now();
      if (leftMs > 0) await sleep(leftMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Renews the Lease; a write whose connection is cut is sent again until the deadline, as kubelet does. */
  async #renew(number: number): Promise<void> {
    const startedMs = performance.now();
    const untilMs = startedMs + deadlineMs;
    const body = { spec: { leaseTransitions: number } };
    for (let isFirst = true; ; isFirst = false) {
      if (!isFirst) this.tally.repeated += 1;
      let reason: string;
      try {
        const { status, server } = await this.#call('PATCH', lease, body);
        const nowMs = performance.now();
        if (status === 200) {
          this.#written = number;
          this.server = server;
          this.tally.worked(server, nowMs - startedMs, nowMs);
          return;
        }
        reason = `HTTP status ${status}`;
      } catch (error) {
        reason = reasonOf(error);
      }
      if (performance.now() >= untilMs || this.#stopping.signal.aborted) {
        this.tally.hasFailed(reason, performance.now());
        return;
      }
      await sleep(retryMs);
    }
  }

  async #watch(): Promise<void> {
    for (let isFirst = true; !this.#hasEnded; isFirst = false) {
      if (!isFirst) this.resumed += 1;
      const query = `watch=true&allowWatchBookmarks=true&resourceVersion=${this.#revision}`;
      await this.#follow(`${leases}?${query}&fieldSelector=metadata.name%3Dnode-1`).catch(() => {});
      if (!this.#hasEnded) await sleep(retryMs);
    }
  }

  /** Reads one watch to its end. */
  async #follow(path: string): Promise<void> {
    const stream = this.#open().request({ ':path': path });
    this.#watchStream = stream;
    let rest = '';
    stream.setEncoding('utf8');
    for await (const chunk of stream as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#event(JSON.parse(line) as { type: string; object: LeaseObject });
    }
  }

  #event({ type, object }: { type: string; object: LeaseObject }): void {
    if (type === 'ERROR') throw new Error('the watch was refused');
    this.#revision = object.metadata.resourceVersion;
    const number = object.spec?.leaseTransitions;
    if (type !== 'MODIFIED' || number === undefined || number <= this.#seen) return;
    this.missed += number - this.#seen - 1;
    this.#seen = number;
    this.events += 1;
    const nowMs = performance.now();
    this.#longestQuietMs = Math.max(this.#longestQuietMs, nowMs - this.#lastEventMs);
    this.#lastEventMs = nowMs;
  }

  /** The connection, a new one when the last has ended or is told to go away. */
  #open(): ClientHttp2Session {
    const current = this.#session;
    if (current && !current.closed && !current.destroyed) return current;
    const { host, port, ca, cert, key } = this.#target;
    const session = connect(`https://${host}:${port}`, { ca, cert, key });
    // Every stream of it reports the error too.
    session.on('error', () => {});
    this.connections += 1;
    this.#session = session;
    return session;
  }

  async #call(method: string, path: string, body: unknown): Promise<Answer> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const stream = this.#open().request({ ':method': method, ':path': path, 'content-type': type });
    const deadline = setTimeout(
      () => stream.destroy(new Error(`no answer within ${deadlineMs / 1000} s`)),
      deadlineMs,
    );
    try {
      return await answerOf(stream, JSON.stringify(body));
    } finally {
      clearTimeout(deadline);
    }
  }
}

function answerOf(stream: ClientHttp2Stream, body: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  let [text, status, server] = ['', 0, '?'];
  stream.setEncoding('utf8');
  stream.on('response', (headers) => {
    status = headers[':status'] ?? 0;
    server = answeredBy(headers);
  });
  stream.on('data', (chunk: string) => {
    text += chunk;
  });
  stream.on('error', reject);
  let hasEnded = false;
  stream.on('end', () => {
    hasEnded = status !== 0;
  });
  stream.on('close', () => {
    if (hasEnded) resolve({ status, server, text });
    else reject(new Error('the connection was cut'));
  });
  stream.end(body);
  return promise;
}
