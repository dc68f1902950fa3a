// Plain numbers of the http listeners, read by metrics and status. Labels are bounded: verbs by a list, codes by
// what HTTP has, endpoints by what discovery knows.
import type { EndpointId } from '../model/endpoint.ts';

export type RetryReason = 'unsent' | 'unanswered' | 'stopping';

export interface RequestCount {
  readonly verb: string;
  /** `0`: the client left before an answer. */
  readonly code: string;
  /** Empty: answered without an endpoint. */
  readonly endpoint: EndpointId;
  readonly count: number;
}

const knownCodes = new Set([
  0, 101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410,
  412, 413, 415, 416, 421, 422, 429, 431, 500, 501, 502, 503, 504, 505, 507,
]);

/** An unknown code counts by its class. */
export function codeLabel(code: number): string {
  return knownCodes.has(code) ? String(code) : `${Math.floor(code / 100)}xx`;
}

export class RequestCounters {
  /** Requests and upgraded connections that have not ended. */
  inFlight = 0;
  readonly retries: Record<RetryReason, number> = { unsent: 0, unanswered: 0, stopping: 0 };
  /** Answers that ended early because the endpoint did. */
  cut = 0;
  /** Endpoint, then verb and code. */
  readonly #counts = new Map<EndpointId, Map<string, number>>();

  count(verb: string, code: number, endpoint: EndpointId): void {
    let counts = this.#counts.get(endpoint);
    if (counts === undefined) {
      counts = new Map();
      this.#counts.set(endpoint, counts);
    }
    const key = `${verb} ${codeLabel(code)}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }

  forget(endpoint: EndpointId): void {
    this.#counts.delete(endpoint);
  }

  requests(): RequestCount[] {
    return [...this.#counts].flatMap(([endpoint, counts]) =>
      [...counts].map(([key, count]) => {
        const [verb = '', code = ''] = key.split(' ');
        return { verb, code, endpoint, count };
      }),
    );
  }
}
