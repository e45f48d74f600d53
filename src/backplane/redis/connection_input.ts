import type { Wake } from "../../core/machine.ts";
import type { RedisCommand } from "./command_writer.ts";
import type { SubscriptionVerb } from "./subscription_verb.ts";

/** What can happen to a connection. */
export type ConnectionInput<Ticket> =
  /** Bytes came. The connection owns them. */
  | { readonly kind: "bytes"; readonly chunk: Uint8Array }
  /** The connection is over. */
  | { readonly kind: "ended"; readonly cause: unknown }
  /** So many bytes wait for the server to take them. */
  | { readonly kind: "queued"; readonly byteLength: number }
  /**
   * Sends a command once the connection is up, at the end of the tick. Its bytes MUST NOT change.
   * Answered by `reply` or `failed`; without a ticket by `failed` only. Not for what changes the
   * order of answers or the protocol: subscriptions have an input of their own.
   */
  | {
    readonly kind: "command";
    readonly command: RedisCommand;
    readonly ticket: Ticket | undefined;
  }
  /**
   * Answered by `subscribed` or `unsubscribed` for each channel, or by `subscription_failed`.
   * Never refused at the bound; ignored while the connection is not up, as nothing outlives it.
   */
  | {
    readonly kind: "subscription";
    readonly verb: SubscriptionVerb;
    readonly channels: readonly string[];
  }
  /** Sends what waits and ends the connection. What is not answered fails. */
  | { readonly kind: "close" }
  | Wake;
