// What can be set about the http listener's data path, and where each number comes from. Some of it comes from the settings
// `dial` and `tunnels` under the same names, which have the defaults (agent/options.ts); the rest is fixed, and shorter
// in tests.

/** Fixed: not a setting. */
export const fixedHttpOptions = {
  /** Pause before a new round over the candidates, within the deadline, when every one has failed. */
  retryRoundMs: 250,
  /** Endpoints that one request is tried on at most, once it has been sent. */
  maxSends: 3,
  /** Longest body that is kept to be sent again; API servers take 3 MiB, etcd 1.5 MiB. */
  maxReplayBodyBytes: 1_048_576,
  /** Bytes of all such bodies together; beyond it bodies are streamed, and not sent again. */
  maxReplayMemoryBytes: 33_554_432,
  /** From the request for an upgrade to the 101: the API server may have to reach a kubelet in between. */
  upgradeTimeoutMs: 60_000,
  /** A request without an answer for this long asks health for a probe. */
  silenceReportMs: 500,
  /** Kept connections to endpoints are closed after this: before the API server's 90 s. */
  idleUpstreamMs: 60_000,
  /** Connections to one endpoint that are kept without a request on them. */
  maxIdlePerEndpoint: 32,
  /** Kept client connections are closed after this; Go's and the API server's own is 90 s. */
  idleClientMs: 90_000,
};

export type FixedHttpOptions = Readonly<typeof fixedHttpOptions>;

/** What the settings give. */
export interface HttpSettings {
  /** TCP and TLS together may take this long; then the next candidate is tried. */
  readonly firstFlightTimeoutMs: number;
  /** The same for the last candidate that is left to try. */
  readonly lastCandidateTimeoutMs: number;
  /** No candidate can be connected for this long: the client gets a 503. */
  readonly allDownDeadlineMs: number;
  /** A tunnel of which one side has ended may stay without a byte for this long. */
  readonly halfCloseTimeoutMs: number;
  readonly keepAliveDelayMs: number;
  readonly keepAliveIntervalMs: number;
  readonly keepAliveCount: number;
  /** Client connections of one listener. */
  readonly maxConnections: number;
}

export interface HttpOptions extends HttpSettings, FixedHttpOptions {}

/** Header lines of a request, bytes: bearer tokens with many groups are longer than Node's 16 KiB. */
export const maxHeaderBytes = 65_536;
