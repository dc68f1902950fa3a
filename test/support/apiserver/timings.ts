// How long the phases of an API server's life take: short for tests, or as measured on real ones.
import type { StoreCheckTimings } from './store-check.ts';

export interface Timings {
  /** TCP is accepted this long before the first HTTP answer. */
  readonly silentMs: number;
  /** Then everybody but system:masters gets 403, as the RBAC rules are not loaded. */
  readonly forbiddenMs: number;
  /** Then /readyz is 500, as the start-up hooks are not done. */
  readonly hooksMs: number;
  /** From ready to the entry in EndpointSlice default/kubernetes. */
  readonly registerMs: readonly [number, number];
  /** Lease of that entry, and how often each server looks at all of them. */
  readonly leaseMs: number;
  readonly reconcileMs: number;
  readonly bookmarkMs: number;
  /** Idle HTTP/1.1 connections are closed after this. */
  readonly idleMs: number;
  /** Requests that the store leaves without an answer end in 504 after this. */
  readonly requestMs: number;
  /** Longest life of a stopping process whose watches are still open. */
  readonly drainMs: number;
  readonly storeCheck: StoreCheckTimings;
}

/** For tests: everything that is not waited for in a test is over at once. */
export const fastTimings: Timings = {
  silentMs: 0,
  forbiddenMs: 0,
  hooksMs: 0,
  registerMs: [0, 0],
  leaseMs: 15_000,
  reconcileMs: 10_000,
  bookmarkMs: 60_000,
  idleMs: 90_000,
  requestMs: 34_000,
  drainMs: 60_000,
  storeCheck: { timeoutMs: 50, recoveryMs: [0, 0] },
};

/** Measured on kube-apiserver v1.36.2, three of them over one etcd. */
export const realisticTimings: Timings = {
  ...fastTimings,
  silentMs: 800,
  forbiddenMs: 120,
  hooksMs: 1_000,
  registerMs: [100, 3_300],
  storeCheck: { timeoutMs: 2_000, recoveryMs: [11_000, 16_000] },
};
