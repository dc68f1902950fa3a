// Whether a request that has failed on one endpoint may be tried on another. Pure; nothing of an answer has been
// sent to the client when it is asked.
import { isIdempotent } from './request-check.ts';

export type Failure =
  /** No connection came about, so the endpoint has not seen the request. */
  | { readonly kind: 'unsent' }
  /** It may have been executed. */
  | { readonly kind: 'unanswered' }
  /** 503 from an API server that is going: `isRefused` when its words say that it executed nothing. */
  | { readonly kind: 'stopping'; readonly isRefused: boolean };

export interface Attempts {
  readonly method: string;
  /** The whole body is kept. */
  readonly isReplayable: boolean;
  /** Endpoints that the request has been sent to. */
  readonly sends: number;
  readonly maxSends: number;
  /** A 503 has been retried already. */
  readonly hasMovedOn: boolean;
}

export function mayRetry(failure: Failure, attempts: Attempts): boolean {
  const { method, isReplayable, sends, maxSends, hasMovedOn } = attempts;
  if (!isReplayable || sends >= maxSends) return false;
  switch (failure.kind) {
    case 'unsent':
      return true;
    case 'unanswered':
      return isIdempotent(method);
    case 'stopping':
      return !hasMovedOn && (failure.isRefused || isIdempotent(method));
  }
}

/** The filter of kube-apiserver that counts requests under way says so when it takes no more (waitgroup.go). */
export function saysShuttingDown(body: string): boolean {
  return /apiserver is shutting down/i.test(body);
}
