import { hashText } from "../core/hash.ts";
import type { Millis } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";

// Heartbeats in which two nodes may differ about the members before they compare notes.
const DIFFERING_BEATS_MAX = 3;
const PAUSE_MS = 5_000;
// With so many notes are compared at once: where all differ, they take turns.
const NODES_MAX = 8;

/** Which members this node counts, as a hash, and which nodes count others. */
export class MemberNotes {
  // Asked for by each heartbeat to and from each peer, so it is kept.
  #digest: number;
  #count = 0;
  #comparedAt = -Infinity;
  readonly #differingBeats = new Map<NodeId, number>();

  /** Starts with this node alone. */
  constructor(self: NodeId) {
    this.#digest = hashText(self);
  }

  /** Members beside this node. */
  get count(): number {
    return this.#count;
  }

  /** A hash over this node and the members: the same on all nodes that agree. */
  get digest(): number {
    return this.#digest >>> 0;
  }

  /** A node counts from now on. */
  add(node: NodeId): void {
    this.#count++;
    this.#digest ^= hashText(node);
  }

  /** A node that counted does not any more. */
  remove(node: NodeId): void {
    this.#count--;
    this.#digest ^= hashText(node);
  }

  /** A node told which members it counts. */
  compare(node: NodeId, digest: number): void {
    if (digest === this.digest) this.#differingBeats.delete(node);
    else this.#differingBeats.set(node, (this.#differingBeats.get(node) ?? 0) + 1);
  }

  /** A node is down, and what it told does not matter. */
  forget(node: NodeId): void {
    this.#differingBeats.delete(node);
  }

  /** Takes the nodes with which notes are to be compared now: those that differ longest. */
  takeDiffering(now: Millis): NodeId[] {
    if (this.#differingBeats.size === 0 || now < this.#comparedAt + PAUSE_MS) return [];
    const differing = [...this.#differingBeats]
      .filter(([, beats]) => beats >= DIFFERING_BEATS_MAX)
      .sort(([, left], [, right]) => right - left)
      .slice(0, NODES_MAX)
      .map(([node]) => node);
    if (differing.length > 0) this.#comparedAt = now;
    for (const node of differing) this.#differingBeats.delete(node);
    return differing;
  }
}
