import type { Millis, Wake } from "../core/machine.ts";
import type { ChannelMessages, Message } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";

/** What can happen to a node among others. A `path` is a backplane, by its place in the list. */
export type ClusterInput =
  | {
    readonly kind: "path_up";
    readonly path: number;
    readonly node: { readonly id: NodeId; readonly name: string };
  }
  | {
    readonly kind: "path_down";
    readonly path: number;
    readonly node: NodeId;
    readonly loss: "left" | "refused" | "lost";
  }
  | { readonly kind: "path_gone"; readonly path: number; readonly node: NodeId }
  | {
    readonly kind: "received";
    readonly path: number;
    readonly node: NodeId;
    readonly payload: Uint8Array;
  }
  /** A path dropped messages to a node: offer them again. */
  | { readonly kind: "dropped"; readonly node: NodeId }
  /** A backplane delivers the channel to this node. */
  | { readonly kind: "listening"; readonly path: number; readonly channel: string }
  /** A backplane as a whole went down. */
  | { readonly kind: "path_lost"; readonly path: number }
  /** It is back. */
  | { readonly kind: "path_found"; readonly path: number }
  /** A local subscriber wants the channel, and to know when every node knows. */
  | { readonly kind: "subscribe"; readonly channel: string; readonly ticket: unknown }
  | { readonly kind: "unsubscribe"; readonly channel: string }
  /** This node's messages of a tick. */
  | { readonly kind: "announce"; readonly channels: readonly ChannelMessages[] }
  /** The publisher wants to know who holds a message. Comes before its `announce`. */
  | {
    readonly kind: "acknowledge";
    readonly channel: string;
    readonly seq: number;
    readonly ticket: unknown;
    readonly timeoutMs: Millis;
  }
  | LogAnswer
  /** An attached part says something to a node, or to all. The body belongs to the cluster. */
  | {
    readonly kind: "part_send";
    readonly part: number;
    readonly node: NodeId | undefined;
    readonly body: Uint8Array;
  }
  /** What every heartbeat from now on tells of an attached part. */
  | { readonly kind: "part_digest"; readonly part: number; readonly body: Uint8Array }
  /** This node is about to stop: whoever waits is told what is known. */
  | { readonly kind: "leave" }
  | Wake;

/** What the log holds, in answer to a `read`. */
export interface LogAnswer {
  readonly kind: "log";
  readonly to: NodeId;
  readonly channel: string;
  readonly node: NodeId;
  readonly messages: readonly Message[];
  readonly floor: number;
  readonly head: number;
}
