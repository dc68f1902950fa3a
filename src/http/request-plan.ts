// The endpoints that one request can still be tried on. A fresh pick is asked for each time: health may have
// learned something while the last attempt failed.
import type { Endpoint, EndpointId } from '../model/endpoint.ts';
import type { Picker } from '../model/snapshot.ts';
import type { Clock } from '../model/clock.ts';
import type { HttpOptions } from './options.ts';

export interface RequestTarget {
  readonly endpoint: Endpoint;
  /** Nothing is left to try after it in this round. */
  readonly isLast: boolean;
}

export class RequestPlan {
  readonly #picker: Picker;
  readonly #isOwnAddress: (endpoint: Endpoint) => boolean;
  readonly #tried = new Set<EndpointId>();

  constructor(picker: Picker, isOwnAddress: (endpoint: Endpoint) => boolean) {
    this.#picker = picker;
    this.#isOwnAddress = isOwnAddress;
  }

  next(): RequestTarget | undefined {
    const { candidates } = this.#picker();
    const left = candidates.filter(
      (endpoint) => !this.#tried.has(endpoint.id) && !this.#isOwnAddress(endpoint),
    );
    const [endpoint] = left;
    if (endpoint === undefined) return undefined;
    this.#tried.add(endpoint.id);
    return { endpoint, isLast: left.length === 1 };
  }

  /** Some endpoint has not been tried in this round. */
  get hasMore(): boolean {
    const { candidates } = this.#picker();
    return candidates.some((endpoint) => !this.#tried.has(endpoint.id) && !this.#isOwnAddress(endpoint));
  }

  /** All may be tried again. */
  startRound(): void {
    this.#tried.clear();
  }
}

interface Rounds {
  readonly clock: Clock;
  readonly options: Pick<HttpOptions, 'allDownDeadlineMs' | 'retryRoundMs'>;
}

/** Everything has been tried and nothing was sent: again, for a bounded short time from `startedMs`. */
export function nextRound(
  plan: RequestPlan,
  context: Rounds,
  startedMs: number,
  then: { readonly next: () => void; readonly giveUp: () => void },
): void {
  const { clock, options } = context;
  if (startedMs + options.allDownDeadlineMs - clock.nowMs() <= options.retryRoundMs) {
    then.giveUp();
    return;
  }
  clock.schedule(options.retryRoundMs, () => {
    plan.startRound();
    if (plan.hasMore) then.next();
    else nextRound(plan, context, startedMs, then);
  });
}
