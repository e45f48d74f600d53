import type { Wake } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";

/** What can happen to one connection. A wire is a connection, by a number that was told in `dial`. */
export type WireInput =
  /** The connection is open. */
  | { readonly kind: "opened"; readonly wire: number }
  /** A `dial` failed. */
  | { readonly kind: "dial_failed"; readonly wire: number; readonly cause: unknown }
  /** Bytes came, which belong to the machine from now on. */
  | { readonly kind: "bytes"; readonly wire: number; readonly chunk: Uint8Array }
  /** So many bytes wait for the server. */
  | { readonly kind: "queued"; readonly wire: number; readonly byteLength: number }
  /** The connection is over. */
  | { readonly kind: "ended"; readonly wire: number; readonly cause: unknown };

/** What can happen to a Redis backplane. */
export type RedisInput =
  | WireInput
  | {
    readonly kind: "send";
    readonly nodes: Iterable<NodeId> | undefined;
    readonly payload: Uint8Array;
    /** Set for messages that the log can repeat. */
    readonly channel: string | undefined;
  }
  | { readonly kind: "subscribe"; readonly channel: string }
  | { readonly kind: "unsubscribe"; readonly channel: string }
  | { readonly kind: "rebuild"; readonly node: NodeId }
  | { readonly kind: "discover" }
  /** Say goodbye to everybody. */
  | { readonly kind: "leave" }
  | Wake;
