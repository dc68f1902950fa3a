// The endpoints that one client can still be tried on, in order: the candidates of its pick, then dials that only lost a race.
import type { Endpoint, EndpointId } from '../../model/endpoint.ts';
import type { EndpointPick } from '../../model/snapshot.ts';

const none: EndpointPick = { candidates: [], usableCount: 0 };

export class DialPlan {
  readonly #isOwnAddress: (endpoint: Endpoint) => boolean;
  #pick = none;
  #index = 0;
  /** Dials that lost a race without having failed: worth another try. Made when needed. */
  #requeued: Endpoint[] | undefined;
  /** Left out of this round: they are being tried already. */
  #underWay: ReadonlySet<EndpointId> | undefined;

  /** Endpoints that `isOwnAddress` confirms are left out: dialling them would lead back to ourselves. */
  constructor(isOwnAddress: (endpoint: Endpoint) => boolean) {
    this.#isOwnAddress = isOwnAddress;
  }

  startRound(pick: EndpointPick, underWay?: ReadonlySet<EndpointId>): void {
    this.#pick = pick;
    this.#index = 0;
    this.#requeued = undefined;
    this.#underWay = underWay;
  }

  /**
   * The next candidate, left in place. With `onlyUsable` the last resorts at the end of the pick do not count,
   * unless nothing in it is usable at all.
   */
  peek(onlyUsable: boolean): Endpoint | undefined {
    const { candidates, usableCount } = this.#pick;
    const limit = onlyUsable && usableCount > 0 ? usableCount : candidates.length;
    for (; this.#index < limit; this.#index += 1) {
      const endpoint = candidates[this.#index];
      if (endpoint && !this.#underWay?.has(endpoint.id) && !this.#isOwnAddress(endpoint)) return endpoint;
    }
    return this.#requeued?.[0];
  }

  /** Takes what `peek` has returned. */
  take(endpoint: Endpoint): void {
    if (this.#pick.candidates[this.#index] === endpoint) this.#index += 1;
    else this.#requeued?.shift();
  }

  requeue(endpoint: Endpoint): void {
    this.#requeued ??= [];
    this.#requeued.push(endpoint);
  }
}
