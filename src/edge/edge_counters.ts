/** What happened at one way in, counted. The numbers only grow. */
export interface EdgeCounters {
  /** Sockets that were given a handler. */
  readonly accepted: number;
  /** Requests that were answered with an HTTP error, by these rules or by the application. */
  readonly refused: number;
  /** Connections closed because the client broke the protocol or a limit. */
  readonly protocolErrors: number;
  /** Connections closed because the client did not read. */
  readonly slowConsumers: number;
  /** Connections dropped because the client gave no sign of life. */
  readonly unanswered: number;
  /** Calls of the application that failed: a judgement that threw, a plain request likewise. */
  readonly failures: number;
}

/** Counters that start at 0, for whoever counts. */
export class EdgeTally implements EdgeCounters {
  /** See {@linkcode EdgeCounters.accepted}. */
  accepted = 0;
  /** See {@linkcode EdgeCounters.refused}. */
  refused = 0;
  /** See {@linkcode EdgeCounters.protocolErrors}. */
  protocolErrors = 0;
  /** See {@linkcode EdgeCounters.slowConsumers}. */
  slowConsumers = 0;
  /** See {@linkcode EdgeCounters.unanswered}. */
  unanswered = 0;
  /** See {@linkcode EdgeCounters.failures}. */
  failures = 0;
}
