import type { NodeId } from "./node.ts";

/** What is published: JSON text as UTF-8, ready to be put into a frame, or bytes that are opaque. */
export interface Payload {
  /**
   * The bytes, which nobody may write to. They may be a view of far larger memory: whoever keeps
   * them for longer than a tick makes them its own.
   */
  readonly data: Uint8Array;
  /** Whether they are JSON text. */
  readonly isText: boolean;
}

/**
 * One message of one channel, as every layer sees it. Made once per node and shared.
 *
 * `(node, seq)` is its position. `prev` chains the messages of one node in one channel: it is
 * the `seq` of that node's message before this one, or 0.
 */
export interface Message extends Payload {
  /** The node that published it. */
  readonly node: NodeId;
  /** That node's counter. */
  readonly seq: number;
  /** The seq of the same node's previous message in the same channel, or 0. */
  readonly prev: number;
}

/** Messages of one channel, oldest first. */
export interface ChannelMessages {
  /** The channel. */
  readonly channel: string;
  /** The messages. */
  readonly messages: readonly Message[];
}

/** What every node is subscribed to: messages for all clients. Not a valid name for a client. */
export const BROADCAST_CHANNEL = "";
