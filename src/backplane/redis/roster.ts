import { type Millis, NO_OUTPUTS } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { PathLoss } from "../backplane.ts";
import { HERE_WANTS, type HereWants } from "./packet.ts";

/** What the roster decides. */
export type RosterOutput =
  | { readonly kind: "up"; readonly node: { readonly id: NodeId; readonly name: string } }
  | { readonly kind: "down"; readonly node: NodeId; readonly loss: PathLoss }
  | { readonly kind: "gone"; readonly node: NodeId }
  /** Say that this node is there: to one node, or to all. */
  | { readonly kind: "tell"; readonly to: NodeId | undefined; readonly wants: HereWants };

/** What a look at who is there for a node has found. */
export interface Look {
  /** How many connections. */
  readonly count: number;
  /** Whether any sign of life would have counted, and not the connection alone that listens. */
  readonly isThorough: boolean;
  /** When it was asked for. */
  readonly askedAt: Millis;
}

interface Peer {
  readonly id: NodeId;
  readonly name: string;
  isUp: boolean;
  /** Checks in a row that found nobody listening for it. */
  absences: number;
  firstAbsentAt: Millis;
  /** How often it was reported as gone. */
  reports: number;
  /** When it was last asked to come back. */
  askedAt: Millis;
}

/** How often it is looked whether the others still listen. */
export const ABSENCE_CHECK_MS = 150;
/** A node whose subscription was absent for so long, at each look, is gone: its process or its link. */
export const ABSENCE_MS = 300;
const ANNOUNCE_MS = 5_000;
const ASK_AGAIN_MS = 1_000;
const REPORTS_MAX = 10;
/** Nodes that left and may still be heard of by an older packet. */
const LEFT_MAX = 1_000;
const STRANGERS_MAX = 1_000;

/**
 * Who is there, from what the nodes publish about themselves and from who listens.
 *
 * A node that can be heard asks all others to say that they are there, and tells them that what
 * was sent to it before may be lost. From then on it says every few seconds that it is there, so
 * that one that missed it learns of it. A node that is heard and not known is asked who it is.
 *
 * ```text
 *      heard of             goodbye | nobody listens for it | the way to it is broken
 *  ----------------> up ---------------------------------------------------------------> lost
 *                     ^------------------------ heard of again -----------------------------'
 * ```
 */
export class Roster {
  readonly #self: NodeId;
  readonly #trustAfterMs: Millis;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #left = new Set<NodeId>();
  readonly #strangers = new Map<NodeId, Millis>();
  #outputs: RosterOutput[] = [];
  #isHeard = false;
  #trustedFrom: Millis = Infinity;
  #announceAt: Millis = Infinity;

  /**
   * Starts unheard.
   *
   * @param self This node.
   * @param trustAfterMs How long absence proves nothing after a break, since everybody subscribes
   *     anew: longer than the longest pause before a connection is tried again.
   */
  constructor(self: NodeId, trustAfterMs: Millis) {
    this.#self = self;
    this.#trustAfterMs = trustAfterMs;
  }

  /** Nodes that can be reached. */
  get upCount(): number {
    let count = 0;
    for (const peer of this.#peers.values()) if (peer.isUp) count++;
    return count;
  }

  /** The nodes that can be reached. */
  get upNodes(): NodeId[] {
    return [...this.#peers.values()].filter(({ isUp }) => isUp).map(({ id }) => id);
  }

  /** Whether a node can be reached. */
  isUp(node: NodeId): boolean {
    return this.#peers.get(node)?.isUp ?? false;
  }

  /** Returns and forgets the decisions so far, oldest first. */
  take(): RosterOutput[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  /** This node's subscriptions are all there: it can be heard, and hears. */
  opened(now: Millis): void {
    this.#isHeard = true;
    this.#trustedFrom = now + this.#trustAfterMs;
    this.#announceAt = now + ANNOUNCE_MS;
    this.#tell(undefined, HERE_WANTS.renewal);
  }

  /** This node hears or is heard no longer. */
  closed(): void {
    this.#isHeard = false;
    for (const peer of this.#peers.values()) {
      peer.absences = 0;
      this.#lose(peer);
    }
  }

  /** Everybody subscribes anew, as something between them changed: absence proves nothing yet. */
  distrust(now: Millis): void {
    this.#trustedFrom = Math.max(this.#trustedFrom, now + this.#trustAfterMs);
    for (const peer of this.#peers.values()) peer.absences = 0;
  }

  /** A node said that it is there. */
  here(node: NodeId, name: string, wants: HereWants): void {
    if (!this.#isHeard || node === this.#self || this.#left.has(node)) return;
    this.#strangers.delete(node);
    const known = this.#peers.get(node);
    if (known?.isUp === true && wants === HERE_WANTS.renewal) {
      known.isUp = false;
      this.#outputs.push({ kind: "down", node, loss: "lost" });
    }
    const isNews = known?.isUp !== true;
    if (isNews) this.#rise(known ?? this.#meet(node, name));
    if (isNews || wants !== HERE_WANTS.nothing) this.#tell(node, HERE_WANTS.nothing);
  }

  /** A node said goodbye. */
  goodbye(node: NodeId): void {
    const peer = this.#peers.get(node);
    this.#peers.delete(node);
    this.#left.add(node);
    if (this.#left.size > LEFT_MAX) this.#left.delete(this.#left.values().next().value!);
    if (peer?.isUp) this.#outputs.push({ kind: "down", node, loss: "left" });
    else if (peer !== undefined) this.#outputs.push({ kind: "gone", node });
  }

  /**
   * A payload came from a node.
   *
   * @returns Whether it may be handed on. If not, the node is asked who it is, and everything that
   *     it has told so far must be told again.
   */
  heard(node: NodeId, now: Millis): boolean {
    const peer = this.#peers.get(node);
    if (peer?.isUp === true) return true;
    if (!this.#isHeard || this.#left.has(node)) return false;
    const askedAt = this.#strangers.get(node) ?? -Infinity;
    if (now < askedAt + ASK_AGAIN_MS) return false;
    if (this.#strangers.size >= STRANGERS_MAX) this.#strangers.clear();
    this.#strangers.set(node, now);
    this.#tell(node, HERE_WANTS.renewal);
    return false;
  }

  /** The way to a node is to be built anew. */
  rebuild(node: NodeId, now: Millis): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    this.#lose(peer);
    peer.askedAt = now;
    this.#tell(node, HERE_WANTS.renewal);
  }

  /** Compares notes with all nodes about who is there. */
  discover(): void {
    if (this.#isHeard) this.#tell(undefined, HERE_WANTS.answer);
  }

  /** The nodes of which it is to be found out who listens for them; none while absence proves nothing. */
  suspects(now: Millis): NodeId[] {
    if (!this.#isHeard || now < this.#trustedFrom) return [];
    return [...this.#peers.keys()];
  }

  /** Whether nobody listened for a node at the last look: the next one is for any sign of life. */
  isAbsent(node: NodeId): boolean {
    return (this.#peers.get(node)?.absences ?? 0) > 0;
  }

  /** It was found out who is there for a node. */
  looked(node: NodeId, { count, isThorough, askedAt }: Look): void {
    const peer = this.#peers.get(node);
    if (peer === undefined || !this.#isHeard || askedAt < this.#trustedFrom) return;
    if (count > 0) {
      peer.absences = 0;
      return;
    }
    if (peer.absences === 0) peer.firstAbsentAt = askedAt;
    peer.absences++;
    if (!isThorough || askedAt < peer.firstAbsentAt + ABSENCE_MS) return;
    // Told again at each look: others may have spoken for it who had not looked yet.
    if (peer.isUp) this.#outputs.push({ kind: "down", node, loss: "refused" });
    else this.#outputs.push({ kind: "gone", node });
    peer.isUp = false;
    peer.reports++;
    if (peer.reports >= REPORTS_MAX) this.#peers.delete(node);
  }

  /** Looks at the time. */
  tick(now: Millis): void {
    if (!this.#isHeard) return;
    if (now >= this.#announceAt) {
      this.#announceAt = now + ANNOUNCE_MS;
      this.#tell(undefined, HERE_WANTS.nothing);
    }
    for (const peer of this.#peers.values()) {
      if (peer.isUp || now < peer.askedAt + ASK_AGAIN_MS) continue;
      peer.askedAt = now;
      this.#tell(peer.id, HERE_WANTS.answer);
    }
  }

  #meet(id: NodeId, name: string): Peer {
    const peer: Peer = {
      id,
      name,
      isUp: false,
      absences: 0,
      firstAbsentAt: -Infinity,
      reports: 0,
      askedAt: -Infinity,
    };
    this.#peers.set(id, peer);
    return peer;
  }

  #rise(peer: Peer): void {
    peer.isUp = true;
    peer.absences = 0;
    peer.reports = 0;
    const { id, name } = peer;
    this.#outputs.push({ kind: "up", node: { id, name } });
  }

  #lose(peer: Peer): void {
    if (!peer.isUp) return;
    peer.isUp = false;
    this.#outputs.push({ kind: "down", node: peer.id, loss: "lost" });
  }

  #tell(to: NodeId | undefined, wants: HereWants): void {
    this.#outputs.push({ kind: "tell", to, wants });
  }
}
