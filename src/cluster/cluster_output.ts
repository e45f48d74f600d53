import type { Message } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";
import type { DownReason } from "./membership.ts";

/** What a node asks of its owner. */
export type ClusterOutput =
  | {
    readonly kind: "send";
    /** The receivers, or `undefined` for all. */
    readonly nodes: Iterable<NodeId> | undefined;
    readonly payload: Uint8Array;
    /** Set for messages, which the log can repeat. */
    readonly channel: string | undefined;
    /** The backplane to use, or `undefined` for each. */
    readonly path: number | undefined;
  }
  | { readonly kind: "listen"; readonly channel: string; readonly wanted: boolean }
  | { readonly kind: "rebuild"; readonly path: number; readonly node: NodeId }
  | { readonly kind: "discover"; readonly nodes: readonly NodeId[] }
  /** Messages of another node, in order, none twice. */
  | {
    readonly kind: "deliver";
    readonly channel: string;
    readonly messages: readonly Message[];
  }
  | {
    readonly kind: "rebase";
    readonly channel: string;
    readonly node: NodeId;
    readonly seq: number;
  }
  | { readonly kind: "gap"; readonly channel: string; readonly node: NodeId }
  /** Read the log, and answer with `log`. */
  | {
    readonly kind: "read";
    readonly to: NodeId;
    readonly channel: string;
    readonly node: NodeId;
    readonly after: number;
    readonly limit: number;
  }
  | { readonly kind: "confirmed"; readonly ticket: unknown; readonly missing: readonly NodeId[] }
  | {
    readonly kind: "acknowledged";
    readonly ticket: unknown;
    readonly nodes: readonly NodeId[];
    readonly missing: readonly NodeId[];
  }
  | { readonly kind: "peer_connected"; readonly node: NodeId; readonly name: string }
  | {
    readonly kind: "peer_disconnected";
    readonly node: NodeId;
    readonly name: string;
    readonly reason: DownReason;
  }
  /** A node can be reached, for the first time or again: the parts tell it where they stand. */
  | { readonly kind: "peer_up"; readonly node: NodeId }
  /** A node is down, whether it counted or not. Nothing comes from it until it is up again. */
  | { readonly kind: "peer_down"; readonly node: NodeId; readonly reason: DownReason }
  /** A part on another node says something, by itself or in a heartbeat. */
  | {
    readonly kind: "part_received";
    readonly part: number;
    readonly node: NodeId;
    /** A view of larger memory: not to be kept. */
    readonly body: Uint8Array;
  }
  | { readonly kind: "deaf"; readonly isDeaf: boolean }
  /** A peer sent bytes that are no envelope: its path is built anew. */
  | { readonly kind: "fault"; readonly node: NodeId; readonly path: number };
