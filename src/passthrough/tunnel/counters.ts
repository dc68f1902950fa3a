// Plain numbers of the data path as a whole, read by metrics; per-endpoint ones are in endpoint-record.ts.

/** Why a client or both sides of a tunnel were closed by something else than their own FINs. */
export type CloseReason =
  /** The client sent a RST or vanished. */
  | 'client'
  /** The endpoint sent a RST or vanished. */
  | 'endpoint'
  /** No candidate accepted TCP within the deadline. */
  | 'all-down'
  /** Candidates accepted TCP, but none answered the first flight. */
  | 'no-answer'
  /** More clients than `maxTunnels`, of all listeners or of one, or more of their bytes than may be held. */
  | 'limit'
  /** Ended to make room for others: the oldest without an answer, or the one that has stalled for longest. */
  | 'evicted'
  /** The client's address is in none of the listener's networks. */
  | 'not-allowed'
  /** A client that must begin with a PROXY header did not. */
  | 'proxy-header'
  /** The dial came back to ourselves. */
  | 'loop'
  /** Health judged the endpoint dead. */
  | 'dead'
  /** The client's bytes stayed unanswered by a refusing endpoint. */
  | 'unanswered'
  | 'drain'
  | 'rebalance'
  | 'idle'
  | 'half-closed'
  | 'stop';

export interface DataPathCounters {
  /** Clients accepted, refused ones not included. */
  accepted: number;
  /** Clients that could not be accepted, for want of descriptors. */
  acceptFailures: number;
  /** First flights sent to a further endpoint beside a silent one. */
  replays: number;
  /** Replays put off because the budget was spent. */
  replaysDenied: number;
  /** Clients moved on after a close or reset before the first byte. */
  movedOn: number;
  /** Dials put off because too many were half open. */
  dialsDelayed: number;
  readonly closed: Record<CloseReason, number>;
}

export function zeroCounters(): DataPathCounters {
  return {
    accepted: 0,
    acceptFailures: 0,
    replays: 0,
    replaysDenied: 0,
    movedOn: 0,
    dialsDelayed: 0,
    closed: {
      client: 0,
      endpoint: 0,
      'all-down': 0,
      'no-answer': 0,
      limit: 0,
      evicted: 0,
      'not-allowed': 0,
      'proxy-header': 0,
      loop: 0,
      dead: 0,
      unanswered: 0,
      drain: 0,
      rebalance: 0,
      idle: 0,
      'half-closed': 0,
      stop: 0,
    },
  };
}
