// What can be set about the data path. Most of it comes from the settings `dial` and `tunnels` under the same names
// (agent/options.ts), which have the defaults; the rest is fixed, and shorter in tests.

/** Fixed: not a setting. */
export const fixedPassthroughOptions = {
  /** Pause before a new round over the candidates, within the deadline, when every one has failed. */
  retryRoundMs: 500,
  /** The endpoint's silence after the client's bytes that asks for a probe. */
  silenceReportMs: 500,
  /** A tunnel without a byte for this long may be closed without hurting a request in progress. */
  quietMs: 1000,
};

type FixedOptions = Readonly<typeof fixedPassthroughOptions>;

export interface PassthroughOptions extends FixedOptions {
  /** The next candidate is dialled beside one that has not connected for this long (RFC 8305 says 250 ms). */
  readonly raceDelayMs: number;
  /** No candidate has accepted TCP for this long: the client is reset, so that it can do its own backing off. */
  readonly allDownDeadlineMs: number;
  /** Dials of the whole process that have not connected yet. */
  readonly maxHalfOpenDials: number;
  /** A written first flight without a byte back for this long is tried on the next candidate as well. */
  readonly firstFlightTimeoutMs: number;
  /** How long the last candidate may take to its first byte. */
  readonly lastCandidateTimeoutMs: number;
  /** Replays, percent of new tunnels, on top of `replayMinPerSecond`. */
  readonly replayBudgetPercent: number;
  readonly replayMinPerSecond: number;
  /** Clients at once over all listeners; at this number room is made as process-load.ts says. See tunnel-limit.ts. */
  readonly maxTunnels: number;
  /** A tunnel on which no byte has moved for this long is ended; 0: never. Watches are quiet for minutes. */
  readonly idleTimeoutMs: number;
  /** The same for a tunnel of which one side has sent its FIN. */
  readonly halfCloseTimeoutMs: number;
  /** Keepalive of both connections: a vanished host is noticed after delay + interval x count. */
  readonly keepAliveDelayMs: number;
  readonly keepAliveIntervalMs: number;
  readonly keepAliveCount: number;
}
