import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { PeerChange } from "./history.ts";

/** Which node was connected with which, as each of them told. */
export class PeerViews {
  readonly #changes = new Map<string, PeerChange[]>();

  constructor(changes: readonly PeerChange[]) {
    for (const change of changes) {
      const key = `${change.observer} ${change.node}`;
      const list = this.#changes.get(key);
      if (list === undefined) this.#changes.set(key, [change]);
      else list.push(change);
    }
  }

  /** Whether an observer was connected with a node during all of a time, or is the node. */
  wasConnected(observer: NodeId, node: NodeId, from: Millis, to: Millis): boolean {
    let isConnected = observer === node;
    for (const change of this.#changes.get(`${observer} ${node}`) ?? []) {
      if (change.at > to) break;
      if (change.at >= from) return false;
      isConnected = change.isConnected;
    }
    return isConnected;
  }

  /** Whether an observer connected with a node within a time. */
  metBetween(observer: NodeId, node: NodeId, from: Millis, to: Millis): boolean {
    return (this.#changes.get(`${observer} ${node}`) ?? []).some((change) =>
      change.isConnected && change.at > from && change.at <= to
    );
  }
}
