import type { Wake } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { DialerInput } from "./dialer_input.ts";

/** What can happen to a Redis backplane. */
export type RedisInput =
  | DialerInput
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
