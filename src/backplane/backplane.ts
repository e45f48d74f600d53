/**
 * The backplane contract: moves bytes between nodes and says who can be reached.
 *
 * A backplane may lose, delay or repeat what it carries. It knows nothing of channels' content,
 * positions or membership: loss repair and the decision who is dead sit above it, once, for every
 * engine. One suite (`tests/contract/backplane_contract.ts`) holds every engine to this.
 *
 * @module
 */

import type { NodeId } from "../core/node.ts";
import { ClusterError } from "../errors.ts";

/** What the other nodes may know of a node. */
export interface NodeIdentity {
  /** The node, in this incarnation. */
  readonly id: NodeId;
  /** The operator's name for it. */
  readonly name: string;
  /** Where this backplane reaches it, as `"host:port"`; empty where an address has no meaning. */
  readonly address: string;
}

/** Why a node can no longer be reached over a backplane. */
export type PathLoss =
  /** It said goodbye. */
  | "left"
  /** Its process is gone: a new connection to it was refused or reset. */
  | "refused"
  /** The way to it is lost, and nothing is known of the node itself. */
  | "lost";

/** How a backplane feels. */
export type BackplaneState =
  /** Everything that it needs is there. */
  | "up"
  /** It has lost what it runs on (such as the Redis server) and tries to get it back. */
  | "down";

/** How a start ended that did not fail. */
export type BackplaneStart =
  /** Others can reach this node. */
  | { readonly state: "up" }
  /**
   * What it runs on cannot be had now, and time may mend that. It goes on trying until it is
   * stopped, may be used in the meantime, and reports `up` once it has what it needs.
   */
  | { readonly state: "down"; readonly reason: Error };

/**
 * What a backplane reports. Its methods MUST NOT throw.
 *
 * For each node: `up`, then `received`, then `down`; never two of `up` or of `down` in a row.
 * Bytes handed to `received` belong to the handler.
 */
export interface BackplaneHandler {
  /** A node can be reached from now on. */
  up(node: NodeIdentity): void;
  /** A node cannot be reached any more. Bytes sent to it since its last sign of life may be lost. */
  down(node: NodeId, loss: PathLoss): void;
  /** A node that was reported down as `lost` is now known to be dead. */
  gone(node: NodeId): void;
  /** A payload came from a node, in the order in which that node sent it. */
  received(node: NodeId, payload: Uint8Array): void;
  /** Payloads to a node were dropped at a bound: what the log can repeat must be offered again. */
  dropped(node: NodeId): void;
  /** Payloads published to the channel do reach this node from now on. Answers `subscribe`. */
  subscribed(channel: string): void;
  /** The backplane itself went up or down. */
  state(state: BackplaneState): void;
  /** Something failed and was dealt with: a refused peer, a broken frame. For logs and counters. */
  fault(error: Error): void;
}

/** Counters and gauges of a backplane, by name. Counters only grow. */
export type BackplaneStats = Readonly<Record<string, number>>;

/** One engine that links nodes. */
export interface Backplane {
  /** The engine: `"mesh"`, `"redis"`, `"local"`. */
  readonly name: string;
  /** Whether other nodes are expected: peers are configured, or the engine always has some. */
  readonly expectsPeers: boolean;
  /**
   * How long it may have lost what it runs on without knowing it, in ms; 0 where it runs on nothing.
   * Meanwhile the silence of others proves nothing, so nobody may be declared down sooner.
   */
  readonly lossNoticeMs: number;
  /**
   * Starts the engine. Resolves when it can be reached by others, or is known not to be for a while;
   * connecting to them goes on.
   *
   * @param id This node.
   * @param name The operator's name for it.
   * @param handler Takes what happens, from now until `stop` has resolved. The reason of a start
   *     that left it `down` is not reported to it as well.
   * @returns Whether it is up. Who has no use for one that is down stops it.
   * @throws {Error} If somebody has to fix what is wrong: a port in use, a wrong password. The
   *     message says what. It starts once: later, or once it was stopped, it rejects with a
   *     `ClusterError` whose code is `stopped`.
   */
  start(id: NodeId, name: string, handler: BackplaneHandler): Promise<BackplaneStart>;
  /**
   * Sends a payload to some nodes, soon: payloads of one tick leave in one write per node.
   *
   * Nodes that cannot be reached are passed over. Order per node is kept; by an engine that spreads
   * channels over several servers, per node and channel. The payload belongs to the backplane from
   * now on.
   *
   * @param nodes The receivers, or `undefined` for every node.
   * @param payload What to send.
   * @param channel Set when it is a message that the log can repeat: the channel's name. The
   *     backplane may drop it at a bound, and an engine with channels may send it just once.
   */
  send(nodes: Iterable<NodeId> | undefined, payload: Uint8Array, channel?: string): void;
  /** Asks that payloads published to a channel reach this node; answered by `subscribed`. */
  subscribe(channel: string): void;
  /** Takes back `subscribe`. */
  unsubscribe(channel: string): void;
  /** Drops the path to a node, which hears nothing or is not heard, and builds a new one. */
  rebuild(node: NodeId): void;
  /**
   * Compares notes about who is in the cluster: with these nodes, which know others than this one
   * does, or with all, if that costs no more.
   */
  discover(nodes: readonly NodeId[]): void;
  /** Counters and gauges, for `stats()`. */
  stats(): BackplaneStats;
  /** Says goodbye, sends what is queued and ends everything, within a second. Idempotent. */
  stop(): Promise<void>;
}

/** What an engine says that is started again: it would take away what its first node stands on. */
export function startedAgain(engine: string): ClusterError {
  const message = `Cannot start ${engine}: it was started before, and each cluster needs its own`;
  return new ClusterError("stopped", message);
}

/** What an engine says that is stopped before it has started. */
export function stoppedEarly(engine: string): ClusterError {
  return new ClusterError("stopped", `Cannot start ${engine}: it was stopped`);
}
