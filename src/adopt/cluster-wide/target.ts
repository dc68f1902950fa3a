// What can be pointed for the whole cluster, as `fairlead cluster point` sees it.
import type { HostPort } from '../../model/endpoint.ts';
import type { KubeApi } from '../../kubernetes/kube-api.ts';
import type { ObjectChange, ObjectRef } from './object-change.ts';

export interface Wanted {
  readonly address: HostPort;
  /** The URL of `address`. */
  readonly server: string;
  /** Which of the names every API server's certificate is good for; rejects with SERVER_UNVERIFIED. */
  readonly verifiedName: (
    candidates: readonly string[],
  ) => Promise<{ readonly name: string; readonly warnings: readonly string[] }>;
  /** A name that was given, instead of one that is found. */
  readonly tlsServerName?: string;
  /** Instead of the usual one. */
  readonly namespace?: string;
  /** What would be refused is a warning. */
  readonly isForced: boolean;
}

export interface ClusterTarget {
  /** Rejects with CLUSTER_REFUSED; changes nothing. */
  plan(api: KubeApi, wanted: Wanted): Promise<readonly ObjectChange[]>;
  planUndo(api: KubeApi, namespace?: string): Promise<readonly ObjectChange[]>;
  /** Those that read the object at their start. */
  readers(changes: readonly ObjectChange[]): readonly ObjectRef[];
  /** What is to be known about it, for people. */
  readonly notes: readonly string[];
}
