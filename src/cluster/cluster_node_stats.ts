/** Counters and gauges of a node. Counters only grow. */
export interface ClusterNodeStats {
  /** Envelopes that could not be read. */
  readonly envelopesInvalid: number;
  /** Envelopes of types that this version does not know. */
  readonly envelopesUnknown: number;
  /** Messages that came in and were here already. */
  readonly messagesRepeated: number;
  /** Messages that came first in answer to a request for what was missing. */
  readonly messagesRepaired: number;
  /** Messages that came in for channels without a subscriber. */
  readonly messagesUnwanted: number;
  /** Requests for missing messages. */
  readonly repairsRequested: number;
  /** Answers to other nodes' requests. */
  readonly repairsAnswered: number;
  /** Messages from behind a hole that did not fit and were asked for again. */
  readonly repairOverflows: number;
  /** Streams with a hole at this moment. */
  readonly holesOpen: number;
  /** Messages that wait behind holes at this moment. */
  readonly messagesWaiting: number;
  /** Holes that could not be filled. */
  readonly gaps: number;
  /** Channels that this node is interested in. */
  readonly interestChannels: number;
  /** Subscriptions confirmed although some node had not answered in time. */
  readonly confirmTimeouts: number;
  /** Messages that wait for acknowledgements. */
  readonly acknowledgementsPending: number;
  /** Messages whose nodes were all told as missing, as 100,000 waited for acknowledgements already. */
  readonly acknowledgementsRefused: number;
  /** Paths built anew because they were deaf. */
  readonly pathsRebuilt: number;
  /** Time in which this node did not run, in ms. */
  readonly stalledMs: number;
}
