import type { Millis } from "../../src/core/machine.ts";
import type { NodeId, Position, Positions } from "../../src/core/node.ts";

/** One run of one node. */
export interface Life {
  readonly node: NodeId;
  readonly startedAt: Millis;
  end: "running" | "crashed" | "left";
  endedAt: Millis;
}

/** What a node told of another. */
export interface PeerChange {
  readonly at: Millis;
  readonly observer: NodeId;
  readonly node: NodeId;
  readonly isConnected: boolean;
  readonly reason: string;
}

/** A message as its publisher knows it. */
export interface Publication {
  readonly index: number;
  /** The node that the publisher is connected to. */
  readonly node: NodeId;
  readonly channel: string;
  readonly sentAt: Millis;
  readonly qos: 0 | 1;
  position: Position | undefined;
  answeredAt: Millis | undefined;
}

/** What a subscriber got, in order. */
export type Item =
  | {
    readonly kind: "message";
    readonly at: Millis;
    readonly node: NodeId;
    readonly seq: number;
    readonly publication: number;
  }
  | { readonly kind: "gap"; readonly at: Millis };

/** One connection's subscription to one channel, from its confirmation on. */
export interface Stay {
  readonly client: string;
  readonly node: NodeId;
  readonly channel: string;
  readonly requestedAt: Millis;
  readonly confirmedAt: Millis;
  /** `undefined` for broadcasts, which nobody subscribes to. */
  readonly positions: Positions | undefined;
  readonly missing: readonly NodeId[];
  endedAt: Millis;
  readonly items: Item[];
  readonly heard: Set<number>;
}

/** One connection of a member in a channel, from its confirmation on. */
export interface Attendance {
  readonly client: string;
  readonly node: NodeId;
  readonly channel: string;
  readonly member: string;
  /** The newest metadata that was confirmed, and when. */
  meta: number;
  changedAt: Millis;
  readonly joinedAt: Millis;
  endedAt: Millis;
  /** Whether it was the connection that ended, not the member that left. */
  isCutShort: boolean;
}

/** Somebody asked to be in a channel as a member no longer. */
export interface Farewell {
  readonly at: Millis;
  readonly channel: string;
  readonly member: string;
}

/** What a node told of a member. */
export interface MemberChange {
  readonly at: Millis;
  readonly observer: NodeId;
  readonly kind: "join" | "update" | "leave";
  readonly channel: string;
  readonly member: string;
}

/** A node showed members of two lives of one machine at once. */
export interface Overlap {
  readonly at: Millis;
  readonly observer: NodeId;
  readonly nodes: readonly [NodeId, NodeId];
}

/** What was done to the cluster, and when. */
export interface Disturbance {
  readonly kind: string;
  /** The machines that it may concern; none for all. */
  readonly addresses: readonly string[];
  readonly startedAt: Millis;
  endedAt: Millis;
}

/** What clients and operators saw, and nothing else: all that the checkers go by. */
export class History {
  readonly lives: Map<NodeId, Life> = new Map();
  readonly peerChanges: PeerChange[] = [];
  readonly publications: Publication[] = [];
  readonly stays: Stay[] = [];
  readonly attendances: Attendance[] = [];
  readonly farewells: Farewell[] = [];
  readonly memberChanges: MemberChange[] = [];
  readonly overlaps: Overlap[] = [];
  readonly disturbances: Disturbance[] = [];
  /** What broke a promise, as sentences. */
  readonly faults: string[] = [];
  /** Messages that subscribers got. */
  deliveredCount = 0;
}
