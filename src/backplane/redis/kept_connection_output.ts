import type { Millis } from "../../core/machine.ts";
import type { RedisError } from "../../errors.ts";
import type { ConnectionOutput } from "./connection_output.ts";

/** What a kept connection asks of its driver, and tells its owner. */
export type KeptConnectionOutput<Ticket> =
  /** Open a connection under this number. */
  | { readonly kind: "dial"; readonly connection: number }
  | { readonly kind: "write"; readonly connection: number; readonly parts: readonly Uint8Array[] }
  | { readonly kind: "hangup"; readonly connection: number; readonly isGraceful: boolean }
  /**
   * The server cannot be reached for now, and is dialled again after a pause: after `up`, or when
   * an attempt failed. What was sent and not answered has failed before.
   */
  | { readonly kind: "down"; readonly error: RedisError; readonly retryInMs: Millis | undefined }
  /** The rest is what the connection says. `subscribed` comes again after each reconnection. */
  | Extract<
    ConnectionOutput<Ticket>,
    {
      readonly kind:
        | "up"
        | "reply"
        | "failed"
        | "message"
        | "subscribed"
        | "unsubscribed"
        | "subscription_failed"
        | "relieved";
    }
  >;
