// What an API server that answers, and fails, is likely to suffer from. Pure.
//
// /readyz names its failing checks. Most are the API server's own affair; etcd and key services are shared, so that
// one failing server may only be the first to notice. kube-apiserver asks etcd at most once a second, waits 2 s for
// it, and meanwhile answers from the last result (k8s.io/apiserver/pkg/storage/storagebackend/factory/etcd3.go):
// servers of one lost etcd are seen to fail up to seconds apart, and the first sign is a /readyz that hangs.

/** `shared`: the same may befall every API server in the next moments. */
export type Sickness = 'own' | 'shared';

/** The part of a probe's result that is read. */
interface Found {
  readonly kind: 'answered' | 'refused' | 'broken' | 'silent';
  readonly layer?: number;
  readonly isExpected?: boolean;
  readonly status?: number;
  readonly failing?: readonly string[];
  readonly text?: string;
}

const ownCheck = /^(ping|log|informer-sync|autoregister-completion|shutdown|poststarthook\/.+)$/;

/** Undefined for a result that is not an answer of a sick API server. */
export function sicknessOf(found: Found): Sickness | undefined {
  const { kind, layer, isExpected, status = 0, failing = [], text } = found;
  if (kind === 'silent') return layer === 7 ? 'shared' : undefined;
  if (kind !== 'answered' || isExpected) return undefined;
  // What etcd says of itself (a missing leader, no space).
  if (text !== undefined) return 'shared';
  if (status < 500) return undefined;
  return failing.every((name) => ownCheck.test(name)) ? 'own' : 'shared';
}

/** It is stopping as kube-apiserver does: it serves what it has, and ends it itself. */
export function isStopping(failing: readonly string[]): boolean {
  return failing.includes('shutdown');
}
