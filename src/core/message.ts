import type { NodeId } from "./node.ts";

/** A published payload: a string is JSON text, ready to be put into a frame; bytes are opaque. */
export type Payload = string | Uint8Array;

/**
 * One message of one channel, as every layer sees it. Made once per node and shared.
 *
 * `(node, seq)` is its position. `prev` chains the messages of one node in one channel: it is
 * the `seq` of that node's message before this one, or 0.
 */
export interface Message {
  /** The node that published it. */
  readonly node: NodeId;
  /** That node's counter. */
  readonly seq: number;
  /** The seq of the same node's previous message in the same channel, or 0. */
  readonly prev: number;
  /** What was published. */
  readonly data: Payload;
}

/** What every node is subscribed to: messages for all clients. Not a valid name for a client. */
export const BROADCAST_CHANNEL = "";
