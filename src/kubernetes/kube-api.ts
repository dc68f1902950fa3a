// The few requests that installing needs of the cluster's API, sent to the first API server that answers. Not
// @kubernetes/client-node: its generated clients cost the installer's pod, which is on every node, 38 MB.
import { isDeepStrictEqual } from 'node:util';
import type { Credentials } from './credentials.ts';
import { readJson } from '../lib/bounded-json.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import type { ApiSession } from './api-session.ts';
import { type Answer, askApiServer, askOver, commandSession } from './ask-api-server.ts';

export type KubeObject = Readonly<Record<string, unknown>> & {
  readonly metadata?: {
    readonly name?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
};

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  /** A merge patch, for PATCH. */
  readonly contentType?: string;
}

export interface ApiAnswer {
  readonly status: number;
  readonly object: KubeObject;
}

export interface ApiOptions {
  /** Tried in this order. */
  readonly servers: readonly HostPort[];
  readonly credentials: Credentials;
  readonly userAgent: string;
}

export const mergePatch = 'application/merge-patch+json';

/** 5,000 nodes in pages of 20, twice over: a server that always has one more page does not keep us forever. */
const maxPages = 500;

export class KubeApi {
  #options: ApiOptions;
  readonly #read: (() => Promise<ApiOptions>) | undefined;
  /** The one that answered last goes first: a dead one costs its time-out once, not for every request. */
  #last = 0;
  /** Reads of one API server share connections, which close by themselves once they are idle. */
  #sessions = new Map<HostPort, ApiSession>();

  /** `read` reads the options again: tokens, CAs and API servers change while a process stays. */
  constructor(options: ApiOptions, read?: () => Promise<ApiOptions>) {
    this.#options = options;
    this.#read = read;
  }

  /** The cluster's CA, PEM, as the credentials have it now. */
  get ca(): string | undefined {
    return this.#options.credentials.ca;
  }

  /** The API server that answered last, or the first one that will be asked. */
  get server(): HostPort | undefined {
    return this.#options.servers[this.#last] ?? this.#options.servers[0];
  }

  /** True when something is another one now. What cannot be read leaves what there is. */
  async renew(): Promise<boolean> {
    const read = await this.#read?.().catch(() => undefined);
    if (!read || isDeepStrictEqual(read, this.#options)) return false;
    this.#options = read;
    this.#sessions = new Map();
    return true;
  }

  /** Rejects with API_REFUSED when no API server answers; every status is an answer. */
  async ask(request: ApiRequest): Promise<ApiAnswer> {
    let answer = await this.#askAny(request);
    // A token has run out, or a CA or an address has changed.
    const isRefused = answer.ok ? answer.status === 401 : true;
    if (isRefused && (await this.renew())) answer = await this.#askAny(request);
    if (answer.ok) return answer;
    throw new FairleadError('API_REFUSED', `no API server answers: ${answer.problem}`);
  }

  async #askAny(
    request: ApiRequest,
  ): Promise<({ readonly ok: true } & ApiAnswer) | { readonly ok: false; readonly problem: string }> {
    const { servers, credentials, userAgent } = this.#options;
    const problems: string[] = [];
    for (let offset = 0; offset < servers.length; offset += 1) {
      const index = (this.#last + offset) % servers.length;
      const endpoint = servers[index] as HostPort;
      // A write must not meet a connection that the server is closing: whether it was done would not be known.
      const isRead = request.body === undefined && (request.method ?? 'GET') === 'GET';
      const answer = isRead
        ? await this.#askKept(endpoint, request)
        : await askApiServer({ ...request, endpoint, credentials, userAgent });
      if (answer.ok) {
        this.#last = index;
        return { ok: true, status: answer.status, object: parseObject(answer.body) };
      }
      problems.push(`${formatHostPort(endpoint)}: ${answer.problem}`);
    }
    return { ok: false, problem: problems.join('; ') || 'no API server is known' };
  }

  #askKept(endpoint: HostPort, request: ApiRequest): Promise<Answer> {
    const { credentials, userAgent } = this.#options;
    const session = this.#sessions.get(endpoint) ?? commandSession({ endpoint, credentials, userAgent });
    this.#sessions.set(endpoint, session);
    return askOver(session, request);
  }

  /** Every object of a list, read in pages, each of which has to fit into one answer. */
  async list(path: string, pageSize: number): Promise<KubeObject[]> {
    const items: KubeObject[] = [];
    let next = '';
    for (let page = 0; page < maxPages; page += 1) {
      const more = next === '' ? '' : `&continue=${encodeURIComponent(next)}`;
      const list = await this.must({
        path: `${path}${path.includes('?') ? '&' : '?'}limit=${pageSize}${more}`,
      });
      if (Array.isArray(list.items)) items.push(...(list.items as KubeObject[]));
      next = (list.metadata as { continue?: string } | undefined)?.continue ?? '';
      if (next === '') return items;
    }
    throw new FairleadError('API_REFUSED', `GET ${path}: more than ${maxPages} pages of ${pageSize}`);
  }

  /** The object, or undefined when there is none; rejects with API_REFUSED for anything else. */
  async find(path: string): Promise<KubeObject | undefined> {
    const { status, object } = await this.ask({ path });
    if (status === 404) return undefined;
    if (status !== 200) throw refusal('GET', path, { status, object });
    return object;
  }

  /** Rejects with API_REFUSED unless the answer is a success. */
  async must(request: ApiRequest): Promise<KubeObject> {
    const answer = await this.ask(request);
    if (answer.status >= 200 && answer.status < 300) return answer.object;
    throw refusal(request.method ?? 'GET', request.path, answer);
  }
}

export function refusal(method: string, path: string, { status, object }: ApiAnswer): FairleadError {
  const message = typeof object.message === 'string' ? object.message : 'without a reason';
  return new FairleadError('API_REFUSED', `${method} ${path}: ${status}: ${message}`);
}

function parseObject(text: string): KubeObject {
  const reading = readJson(text);
  if (!reading.ok) return { message: text.slice(0, 200) };
  const { value } = reading;
  return typeof value === 'object' && value !== null ? (value as KubeObject) : {};
}

/** Of the agents, the installer and what they are to have. */
export const installNamespace = 'fairlead-system';
/**
 * Of what installers write: reports, turns and the halt. Apart from the other, because the token of every node may
 * change what is here, and what the others install as root comes from there.
 */
export const reportsNamespace = 'fairlead-reports';

export const configMapPath = (namespace: string, name = '') =>
  `/api/v1/namespaces/${namespace}/configmaps${name && `/${name}`}`;
export const leasePath = (namespace: string, name = '') =>
  `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases${name && `/${name}`}`;
