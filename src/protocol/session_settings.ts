import type { Millis } from "../core/machine.ts";
import type { RateLimit } from "./token_bucket.ts";

/** What a session needs to know, checked and complete. One object for all clients of a server. */
export interface SessionSettings extends RateLimit {
  /** Whether a client must prove who it is, with a token in `hello`. */
  readonly tokenRequired: boolean;
  /** Whether the application is asked before a subscribe, publish or broadcast. */
  readonly authorizes: boolean;
  /** Whether clients may broadcast. */
  readonly allowsBroadcast: boolean;
  /** Whether there are members, and whether the application is asked before one joins or changes. */
  readonly presence: "none" | "open" | "admitted";
  /** Largest message, in bytes. */
  readonly messageBytesMax: number;
  /** Most channels of one client. */
  readonly channelsMax: number;
  /** Messages that a client may send in a second, over time. 0: as many as it likes. */
  readonly messagesPerSecondMax: number;
  /** Messages that a client may send at once. */
  readonly messagesBurstMax: number;
  /** After how long without a message a client is disconnected, in ms. 0: never. */
  readonly idleTimeoutMs: Millis;
  /** How long a client that must send a token may take until it is accepted, in ms. */
  readonly helloTimeoutMs: Millis;
  /** Frames that may wait while the application decides on an earlier request. */
  readonly waitingFramesMax: number;
  /** Characters and bytes that may wait while the application decides. */
  readonly waitingBytesMax: number;
}

/** The settings of a server that was told nothing: open to all, without a rate limit. */
export const DEFAULT_SESSION_SETTINGS: SessionSettings = Object.freeze({
  tokenRequired: false,
  authorizes: false,
  allowsBroadcast: false,
  presence: "none",
  messageBytesMax: 1_048_576,
  channelsMax: 1_000,
  messagesPerSecondMax: 0,
  messagesBurstMax: 1_000,
  idleTimeoutMs: 0,
  helloTimeoutMs: 10_000,
  waitingFramesMax: 4_096,
  waitingBytesMax: 4_194_304,
});
