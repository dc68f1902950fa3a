// What a fault test tests: a load balancer on the node, Fairlead or another.

/** Where it has to run and what it has to balance. */
export interface SubjectPlace {
  /** Goes before the command, to run it on the node. */
  readonly prefix: readonly string[];
  readonly listen: { readonly host: string; readonly port: number };
  /** `host:port` of every API server. */
  readonly endpoints: readonly string[];
  /** What one that finds the others by itself is told of; absent: all of them. */
  readonly toldOf?: readonly string[];
  /** A directory of its own, removed by the caller. */
  readonly directory: string;
  /** A kubeconfig with the load balancer's credentials and the CA. */
  readonly kubeconfig: string;
  /** The same as PEM: what a load balancer without kubeconfigs asks API servers with. */
  readonly credentials: { readonly ca: string; readonly cert: string; readonly key: string };
  /** The list of endpoints is all there is to know: what the cluster says of them is not true here. */
  readonly isStatic?: boolean;
  /** Reads a URL from the node. */
  fetch(url: string): Promise<{ readonly status: number; readonly body: string }>;
}

export interface RunningSubject {
  readonly pid: number;
  /** What it has logged so far. */
  readonly log: readonly string[];
  /** Resolves when it knows the state of every endpoint. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  start(place: SubjectPlace): Promise<RunningSubject>;
}
