import type { RedisError } from "../../errors.ts";
import type { ServerIdentity } from "./handshake.ts";
import type { RespMessage, RespValue } from "./resp.ts";

/** What a connection asks of its driver (`write`, `hangup`) and tells its owner (the rest). */
export type ConnectionOutput<Ticket> =
  | { readonly kind: "write"; readonly parts: readonly Uint8Array[] }
  /** End the connection: after what was written, or now. */
  | { readonly kind: "hangup"; readonly isGraceful: boolean }
  /** The server takes commands from now on. */
  | { readonly kind: "up"; readonly server: ServerIdentity }
  /** The answer to a command. */
  | { readonly kind: "reply"; readonly ticket: Ticket; readonly value: RespValue }
  /** A command was refused, by the server or at the bound, or nobody knows what became of it. */
  | { readonly kind: "failed"; readonly ticket: Ticket | undefined; readonly error: RedisError }
  /** A message of a channel that is subscribed to. */
  | RespMessage
  /** From now on messages of this channel come. */
  | { readonly kind: "subscribed"; readonly channel: string; readonly isSharded: boolean }
  /** From now on none come. Unasked when the channel's slot has moved to another server. */
  | {
    readonly kind: "unsubscribed";
    readonly channel: string;
    readonly isSharded: boolean;
    readonly isAsked: boolean;
  }
  /** The server refused: as a whole, so none of these channels is subscribed to. */
  | {
    readonly kind: "subscription_failed";
    readonly channels: readonly string[];
    readonly isSharded: boolean;
    readonly error: RedisError;
  }
  /** What was refused at the bound may be tried again. */
  | { readonly kind: "relieved" }
  /**
   * The connection is over: the last output, but for commands that are given to it even so. Of so
   * many commands and subscriptions nobody knows what became; those with a ticket have failed.
   */
  | { readonly kind: "down"; readonly error: RedisError; readonly unanswered: number };
