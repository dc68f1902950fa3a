// A client like kubectl: ten times a second a new TCP and TLS connection with one request on it. It does not
// wait for the answer before it sends the next one, so that a stall is seen in full.
import { request } from 'node:http';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Tally } from './tally.ts';
import { answeredBy, deadlineMs, reasonOf, type Target } from './target.ts';

const everyMs = 100;

type Outcome =
  | { readonly ok: true; readonly server: string; readonly text: string }
  /** `wasCut`: the connection ended after the API server had sent its first bytes. */
  | { readonly ok: false; readonly reason: string; readonly wasCut: boolean };

/** One request on a connection of its own; never rejects. */
function requestOnce(
  { host, port, ...credentials }: Target,
  path: string,
  { method = 'GET', expected = 200 } = {},
): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const raw = connect({ host, port, noDelay: true });
  // The server's certificate is checked against the CA and the address: no rejectUnauthorized here.
  const secure = connectTls({ socket: raw, host, ...credentials });
  const fail = (reason: string, wasCut = false): void => {
    resolve({ ok: false, reason, wasCut });
    raw.destroy();
  };
  const ended = (error: Error): void => fail(reasonOf(error), raw.bytesRead > 0);
  const deadline = setTimeout(() => fail(`no answer within ${deadlineMs / 1000} s`), deadlineMs);
  raw.on('error', ended);
  secure.on('error', ended);
  const call = request({ host, port, path, method, createConnection: () => secure }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('error', ended);
    response.on('end', () => {
      if (response.statusCode === expected) resolve({ ok: true, server: answeredBy(response.headers), text });
      else fail(`HTTP status ${response.statusCode}: ${text.trim().slice(0, 200)}`);
    });
  });
  call.on('error', ended);
  call.end();
  return promise.finally(() => clearTimeout(deadline));
}

/** Whom the API server takes the client for, as `kubectl auth whoami` asks. */
export async function whoAmI(target: Target): Promise<string> {
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const outcome = await requestOnce(target, path, { method: 'POST', expected: 201 });
  if (!outcome.ok) throw new Error(`the first request failed: ${outcome.reason}`);
  const { status } = JSON.parse(outcome.text) as { status: { userInfo: { username: string } } };
  return status.userInfo.username;
}

export class NewConnections {
  readonly tally: Tally;
  readonly #target: Target;
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(target: Target, startedMs: number) {
    this.#target = target;
    this.tally = new Tally(startedMs);
    this.#timer = setInterval(() => {
      const one = this.#one().finally(() => this.#running.delete(one));
      this.#running.add(one);
    }, everyMs);
  }

  async #one(): Promise<void> {
    const startedMs = performance.now();
    let outcome = await this.#ask();
    // The API server died in the middle of its answer. No load balancer can finish that answer; client-go
    // sends such a GET once more, and so does this client, and the count shows it.
    if (!outcome.ok && outcome.wasCut) {
      this.tally.repeated += 1;
      outcome = await this.#ask();
    }
    const nowMs = performance.now();
    if (outcome.ok) this.tally.worked(outcome.server, nowMs - startedMs, nowMs);
    else this.tally.hasFailed(outcome.reason, nowMs);
  }

  #ask(): Promise<Outcome> {
    return requestOnce(this.#target, '/api/v1/nodes/node-1');
  }

  /** Begins no more; resolves when those under way have ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
    this.tally.stop(performance.now());
  }
}
