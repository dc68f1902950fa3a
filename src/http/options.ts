// What can be set about the http listener's data path, with its defaults and where each number comes from.

export interface HttpOptions {
  /** TCP and TLS together may take this long; then the next candidate is tried. */
  readonly connectTimeoutMs: number;
  /** The same for the last candidate that is left to try. */
  readonly lastCandidateTimeoutMs: number;
  /** No candidate can be connected for this long: the client gets a 503. */
  readonly allDownDeadlineMs: number;
  /** Pause before a new round over the candidates, within the deadline, when every one has failed. */
  readonly retryRoundMs: number;
  /** Endpoints that one request is tried on at most, once it has been sent. */
  readonly maxSends: number;
  /** Longest body that is kept to be sent again; API servers take 3 MiB, etcd 1.5 MiB. */
  readonly maxReplayBodyBytes: number;
  /** Bytes of all such bodies together; beyond it bodies are streamed, and not sent again. */
  readonly maxReplayMemoryBytes: number;
  /** From the request for an upgrade to the 101: the API server may have to reach a kubelet in between. */
  readonly upgradeTimeoutMs: number;
  /** A tunnel of which one side has ended may stay without a byte for this long. */
  readonly halfCloseTimeoutMs: number;
  /** A request without an answer for this long asks health for a probe. */
  readonly silenceReportMs: number;
  /** Kept connections to endpoints are closed after this: before the API server's 90 s. */
  readonly idleUpstreamMs: number;
  /** Connections to one endpoint that are kept without a request on them. */
  readonly maxIdlePerEndpoint: number;
  /** Kept client connections are closed after this; Go's and the API server's own is 90 s. */
  readonly idleClientMs: number;
  readonly keepAliveDelayMs: number;
  readonly keepAliveIntervalMs: number;
  readonly keepAliveCount: number;
  /** Client connections of one listener. */
  readonly maxConnections: number;
}

export const defaultHttpOptions: HttpOptions = {
  connectTimeoutMs: 1_000,
  lastCandidateTimeoutMs: 10_000,
  allDownDeadlineMs: 2_000,
  retryRoundMs: 250,
  maxSends: 3,
  maxReplayBodyBytes: 1_048_576,
  maxReplayMemoryBytes: 33_554_432,
  upgradeTimeoutMs: 60_000,
  halfCloseTimeoutMs: 60_000,
  silenceReportMs: 500,
  idleUpstreamMs: 60_000,
  maxIdlePerEndpoint: 32,
  idleClientMs: 90_000,
  keepAliveDelayMs: 15_000,
  keepAliveIntervalMs: 5_000,
  keepAliveCount: 3,
  maxConnections: 10_000,
};

/** Header lines of a request, bytes: bearer tokens with many groups are longer than Node's 16 KiB. */
export const maxHeaderBytes = 65_536;
