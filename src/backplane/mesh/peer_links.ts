import type { Millis } from "../../core/machine.ts";
import type { LinkEntry } from "./mesh_peer.ts";

/** What a change among the links of a pair means for what they carry. */
export type LinkChange =
  /** Nothing is lost. */
  | "unharmed"
  /** A link carries on, but what was on the way may be lost. */
  | "renewed"
  /** No link is left. */
  | "lost";

// How long the other side may take to let go of a link.
const YIELD_MS = 3_000;

/**
 * The links between this node and one peer: mostly one, and never more than two.
 *
 * A dialler that has a link already gives up when it learns whom it dialled. So a second link comes
 * in for one of two reasons. Either the first is broken on the other side, which says so or had
 * dialled the first one too: the newer one takes its place. Or both sides dialled at the same
 * moment, and each has its own link first. Then the one that the smaller node id dialled is kept:
 *
 * ```text
 * smaller                                     larger
 *   retire, over the link that came in   ->   sends over the kept link from now on
 *                                        <-   retire, over the other
 *   holds what comes over the kept one
 *   until then; closes the other
 * ```
 *
 * Nothing is lost, and nothing overtakes what was sent before it.
 */
export class PeerLinks {
  readonly #isSmaller: boolean;
  readonly #heldBytesMax: number;
  #first: LinkEntry | undefined;
  #second: LinkEntry | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  /** Starts without any. `isSmaller` tells whether this node's id is the smaller of the two. */
  constructor(isSmaller: boolean, heldBytesMax: number) {
    this.#isSmaller = isSmaller;
    this.#heldBytesMax = heldBytesMax;
  }

  /** The link to send over. */
  get first(): LinkEntry | undefined {
    return this.#first;
  }

  /** Another one, of which one of the two will go. */
  get second(): LinkEntry | undefined {
    return this.#second;
  }

  /** Whether a link that comes in takes the place of all others, as they are broken. */
  isSuccessor(added: LinkEntry): boolean {
    const first = this.#first;
    if (first === undefined) return false;
    return first.dialled === undefined || this.#second !== undefined ||
      added.link.predecessor === first.link.token;
  }

  /** Adds the first link, or the second of two that were dialled at the same moment. */
  add(added: LinkEntry, now: Millis): LinkChange {
    const first = this.#first;
    if (first === undefined) {
      this.#first = added;
      return "renewed";
    }
    if (this.#isSmaller) this.#retire(added, first, now);
    else if (first.link.isRetiredByPeer) this.#retire(first, added, now);
    else {
      // The other side will say so, when it has both.
      this.#second = added;
      first.yieldUntil = now + YIELD_MS;
    }
    return "unharmed";
  }

  /** The peer sends no more over a link. Returns whether it is to be closed. */
  retired(entry: LinkEntry, now: Millis): boolean {
    if (entry !== this.#first && entry !== this.#second) return false;
    if (entry.link.hasRetired) return true;
    // Without another, the one that the peer prefers is not open here yet.
    if (this.#second !== undefined) {
      this.#retire(entry, entry === this.#first ? this.#second : this.#first!, now);
    }
    return false;
  }

  /** Forgets a link that has ended. */
  remove(entry: LinkEntry, isInOrder: boolean): LinkChange {
    if (entry === this.#second) {
      this.#second = undefined;
      return isInOrder ? "unharmed" : "renewed";
    }
    if (entry !== this.#first) return "unharmed";
    // Over one that has retired nothing more may be sent.
    if (this.#second === undefined || this.#second.link.hasRetired) return "lost";
    this.#first = this.#second;
    this.#second = undefined;
    return "renewed";
  }

  /** Forgets all links and returns them. */
  clear(): LinkEntry[] {
    const entries = [this.#first, this.#second].filter((entry) => entry !== undefined);
    this.#first = this.#second = undefined;
    this.#dropHeld();
    return entries;
  }

  /** Holds a payload back, if what was sent before it may still come over another link. */
  hold(entry: LinkEntry, payload: Uint8Array): boolean {
    if (this.#second === undefined || entry !== this.#first || !this.#isWaiting) return false;
    this.#held.push(payload);
    this.#heldBytes += payload.byteLength;
    // A peer that never says the word must not fill the memory.
    if (this.#heldBytes > this.#heldBytesMax) this.#second.yieldUntil = -Infinity;
    return true;
  }

  /** Returns and forgets what was held back, once nothing older can come. */
  release(): Uint8Array[] {
    return this.#held.length === 0 || this.#isWaiting ? [] : this.#dropHeld();
  }

  get #isWaiting(): boolean {
    const second = this.#second;
    return second !== undefined && this.#isSmaller && !second.link.isRetiredByPeer;
  }

  #dropHeld(): Uint8Array[] {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  #retire(old: LinkEntry, kept: LinkEntry, now: Millis): void {
    this.#first = kept;
    this.#second = old;
    kept.yieldUntil = Infinity;
    old.yieldUntil = now + YIELD_MS;
    old.link.retire();
  }
}
