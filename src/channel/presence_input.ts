import type { Millis, Wake } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";
import type { PresenceChange } from "./presence_roster.ts";
import type { CountPush, PresencePush, WatchMode } from "./presence_watchers.ts";

/** What can happen to the members of one node. `Watcher` is whatever the owner tells apart. */
export type PresenceInput<Watcher> =
  /** A connection is in a channel as a member, or has other metadata there. */
  | {
    readonly kind: "join";
    readonly connection: number;
    readonly channel: string;
    readonly member: string;
    /** JSON text; empty for none. */
    readonly meta: string;
  }
  /** A connection is no longer in a channel as a member. */
  | {
    readonly kind: "leave";
    readonly connection: number;
    readonly channel: string;
    readonly member: string;
  }
  /** A connection has ended. Its members stay for so long, should they return. */
  | { readonly kind: "disconnect"; readonly connection: number; readonly lingerMs: Millis }
  /** Somebody wants to know who is in a channel, or, without a mode, no longer. */
  | {
    readonly kind: "watch";
    readonly channel: string;
    readonly watcher: Watcher;
    readonly mode: WatchMode | undefined;
  }
  /** A node can be reached, for the first time or again. */
  | { readonly kind: "peer_up"; readonly node: NodeId }
  /** A node is down. One that said goodbye may have left members behind for a while. */
  | { readonly kind: "peer_down"; readonly node: NodeId; readonly hasLeft: boolean }
  /** A body came from a node. */
  | { readonly kind: "received"; readonly node: NodeId; readonly body: Uint8Array }
  /** This node is about to say goodbye. Members of connections stay for so long elsewhere. */
  | { readonly kind: "farewell"; readonly lingerMs: Millis }
  /** Presence ends on this node, which may go on itself. As with `farewell`, and then all is over. */
  | { readonly kind: "stop"; readonly lingerMs: Millis }
  /** There are no other nodes any more. */
  | { readonly kind: "detach" }
  | Wake;

/** What presence asks of its owner. */
export type PresenceOutput<Watcher> =
  /** Who came, changed or went, in order. */
  | { readonly kind: "changes"; readonly changes: readonly PresenceChange[] }
  | PresencePush<Watcher>
  | CountPush<Watcher>
  | {
    readonly kind: "send";
    /** The receiver, or `undefined` for every node. */
    readonly node: NodeId | undefined;
    readonly body: Uint8Array;
  }
  /** What every heartbeat from now on is to tell. */
  | { readonly kind: "digest"; readonly body: Uint8Array };

/** Counters and gauges. Counters only grow. */
export interface PresenceNodeStats {
  /** Channels that somebody in the cluster is in. */
  readonly channels: number;
  /** Members that are in at least one channel. */
  readonly members: number;
  /** Connections of members on this node, one for each channel. */
  readonly ownEntries: number;
  /** Connections of members on all nodes, one for each channel. */
  readonly entries: number;
  /** Questions to other nodes for what was missed. */
  readonly asked: number;
  /** Answers to other nodes' questions: lists of changes, and pieces of the whole. */
  readonly answered: number;
  /** Bodies that could not be read. */
  readonly bodiesInvalid: number;
  /** Bodies of types that this version does not know. */
  readonly bodiesUnknown: number;
  /** Bytes of changes that are remembered for nodes that missed some. */
  readonly toldBytes: number;
}
