import type { Millis } from "../core/machine.ts";

/** What the cluster cores need to know, checked and complete. */
export interface ClusterSettings {
  /** How often a node proves that it is there, over each path to each peer, in ms. */
  readonly heartbeatMs: Millis;
  /** After how much silence a path counts as deaf and is built anew, in ms. */
  readonly deafMs: Millis;
  /** After how much silence a node is declared down, in ms. */
  readonly nodeTimeoutMs: Millis;
  /** How long a subscription waits for the other nodes, in ms. */
  readonly confirmTimeoutMs: Millis;
  /** How long interest in a channel outlives its last subscriber, in ms. */
  readonly interestLingerMs: Millis;
}

/** How often the cluster cores look at the time: the grain of all their time limits. */
export const TICK_MS = 250;

/** How long others may take to speak for a node whose process seems gone. */
export const PROBE_MS = 300;

/** How long a repair may stay unanswered before it is asked for again. */
export const REPAIR_RETRY_MS = 500;

/** Repairs without an answer, after which the messages count as lost if their node is down. */
export const REPAIR_ATTEMPTS_MAX = 4;

/** Messages that wait for the ones before them, per stream. More are asked for again. */
export const REPAIR_WAITING_MAX = 1_024;

/** Messages in one answer to a repair request. */
export const REPAIR_BATCH_MESSAGES = 512;

/** Payload in one envelope of messages, in bytes: one large message may exceed it. */
export const MESSAGES_BYTES_MAX = 1_048_576;

/** Versions of a peer's interest whose beginnings are told apart: past these, the oldest are one. */
export const DEBTS_MAX = 100;

/** How long the place in a lost node's streams is kept, should it return. */
export const PARK_MS = 600_000;

/** Names in one piece of an interest: about 300 KB at most. */
export const INTEREST_PIECE_CHANNELS = 1_000;

/** Channels in one heartbeat or acknowledgement: what does not fit travels in another. */
export const HEARTBEAT_HEADS_MAX = 10_000;

/** Channels whose newest seq a node remembers for the others. */
export const HEADS_MAX = 200_000;

/** Messages that wait for acknowledgements: what a busy node publishes while a peer stands still. */
export const ACKNOWLEDGEMENTS_MAX = 100_000;
