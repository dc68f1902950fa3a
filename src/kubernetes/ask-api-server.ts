// One request to one API server, over verified TLS, with the agent's credentials.
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Credentials } from './credentials.ts';
import { identityOptions } from './server-identity.ts';
import type { HostPort } from '../model/endpoint.ts';
import { connectionErrorText } from '../model/certificate-fault.ts';

export interface Question {
  readonly endpoint: HostPort;
  readonly credentials: Credentials;
  readonly path: string;
  /** Sent as JSON, with POST where no method is given. */
  readonly body?: unknown;
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Of the body; application/json by default. */
  readonly contentType?: string;
  readonly userAgent: string;
  readonly timeoutMs?: number;
}

export type Answer =
  | {
      readonly ok: true;
      readonly status: number;
      readonly body: string;
      /** The server's clock, and ours at the middle of the exchange, milliseconds. */
      readonly dateMs?: number;
      readonly ourMs: number;
      /** How long the exchange took. */
      readonly tookMs: number;
    }
  | { readonly ok: false; readonly problem: string };

const defaultTimeoutMs = 5_000;
const maxBodyBytes = 4 << 20;

/** Never rejects. */
export function askApiServer(question: Question): Promise<Answer> {
  const { endpoint, credentials, path, body, method, userAgent, timeoutMs = defaultTimeoutMs } = question;
  const { contentType = 'application/json' } = question;
  const { ca, cert, key, token, serverName } = credentials;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const startedMs = Date.now();
  return new Promise((resolve) => {
    const failed = (problem: string) => {
      clearTimeout(timer);
      resolve({ ok: false, problem });
    };
    const asking = request({
      ...endpoint,
      ...identityOptions(endpoint, serverName),
      path,
      method: method ?? (text === undefined ? 'GET' : 'POST'),
      agent: false,
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      headers: {
        accept: 'application/json, */*',
        'user-agent': userAgent,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(text !== undefined && {
          'content-type': contentType,
          'content-length': Buffer.byteLength(text),
        }),
      },
    });
    const timer = setTimeout(() => {
      asking.destroy();
      failed(`no answer within ${timeoutMs / 1000} s`);
    }, timeoutMs);
    asking.on('error', (error) => failed(connectionErrorText(error)));
    asking.on('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxBodyBytes) asking.destroy(new Error('the answer does not end'));
        else chunks.push(chunk);
      });
      response.on('error', (error) => failed(connectionErrorText(error)));
      response.on('end', () => {
        clearTimeout(timer);
        const endedMs = Date.now();
        const dateMs = Date.parse(response.headers.date ?? '');
        resolve({
          ok: true,
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString('utf8'),
          ourMs: (startedMs + endedMs) / 2,
          tookMs: endedMs - startedMs,
          ...(Number.isFinite(dateMs) && { dateMs }),
        });
      });
    });
    asking.end(text);
  });
}
