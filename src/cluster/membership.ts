import { Batch } from "../core/batch.ts";
import type { Millis } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";
import { MemberNotes } from "./member_notes.ts";
import { type ClusterSettings, PROBE_MS, TICK_MS } from "./settings.ts";

/** Why a node is declared down. */
export type DownReason =
  /** It said goodbye. */
  | "left"
  /** Its process is gone. */
  | "died"
  /** Nobody has heard it for the node timeout. */
  | "timed_out";

/** What the membership decides. */
export type MembershipOutput =
  /** A node is new here: tell it everything. */
  | { readonly kind: "greet"; readonly node: NodeId }
  /** A node counts from now on. */
  | { readonly kind: "connected"; readonly node: NodeId; readonly name: string }
  /** A node is down. `wasConnected` tells whether it counted. */
  | {
    readonly kind: "down";
    readonly node: NodeId;
    readonly name: string;
    readonly reason: DownReason;
    readonly wasConnected: boolean;
  }
  | HeartbeatDue
  /** Ask the other nodes whether they hear this one. */
  | { readonly kind: "probe"; readonly node: NodeId }
  /** A path is deaf: build it anew. */
  | { readonly kind: "rebuild"; readonly path: number; readonly node: NodeId }
  /** These nodes know others than this one does. */
  | { readonly kind: "discover"; readonly nodes: readonly NodeId[] }
  /** This node went deaf, or hears again. */
  | { readonly kind: "deaf"; readonly isDeaf: boolean };

/** It is time for a heartbeat to one node over one path. */
export interface HeartbeatDue {
  readonly kind: "heartbeat";
  readonly node: NodeId;
  readonly path: number;
}

/** A node as the operator sees it. */
export interface PeerView {
  /** The node. */
  readonly id: NodeId;
  /** The operator's name for it. */
  readonly name: string;
  /** `syncing` until it counts; `suspect` while nothing is heard of it or no path leads to it. */
  readonly state: "syncing" | "connected" | "suspect";
  /** The backplanes over which it can be reached, by their place in the list. */
  readonly paths: readonly number[];
  /** How long it has been silent, in ms. */
  readonly silentMs: Millis;
}

/** What one node says of another when it is asked. */
export interface Testimony {
  /** Who says it. */
  readonly from: NodeId;
  /** Of whom. */
  readonly node: NodeId;
  /** How long ago it heard the node, or `undefined` when no path of its leads there. */
  readonly heardAgoMs: Millis | undefined;
}

/** One way to a peer: over one backplane. */
interface Path {
  isUp: boolean;
  heardAt: Millis;
  rebuiltAt: Millis;
}

interface Peer {
  readonly id: NodeId;
  readonly name: string;
  readonly paths: (Path | undefined)[];
  isConnected: boolean;
  /** Set while its process is found gone: when it counts as dead, and who says so too. */
  dying: { at: Millis; readonly deniedBy: Set<NodeId> } | undefined;
  probedAt: Millis;
  /** When another node says that it last heard this one. */
  vouchedAt: Millis;
  /** When it said goodbye over some path. */
  leftAt: Millis;
}

// A node says goodbye over all its paths within a second, and some may take another to carry it.
const GOODBYE_MS = 2_000;
// A wake that comes this much late means that this node was not running.
const STALL_MS = 3 * TICK_MS;

/**
 * Decides who is in the cluster, from what the paths report and what the others say.
 *
 * ```text
 *   path up           interest known
 *  ---------> syncing ---------------> connected
 *                |                        |
 *                +---- left | died | timed out ----> (forgotten)
 * ```
 *
 * A node is declared down at once when it says goodbye; when its process was found gone and no
 * other node has a path to it, or `PROBE_MS` after one last said that it has; and after `nodeTimeoutMs`
 * of silence, which others who hear it can prolong to twice that. Time in which this node itself
 * did not run counts for nobody (P14), nor does silence while the only backplane that leads to a
 * node is down as a whole (P8).
 */
export class Membership {
  readonly #settings: ClusterSettings;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #lostPaths = new Set<number>();
  readonly #notes: MemberNotes;
  readonly #outputs = new Batch<MembershipOutput>();
  #observedAt: Millis;
  #beatAt: Millis;
  #isDeaf = false;
  #stalledMs = 0;

  /** Starts alone. */
  constructor(self: NodeId, settings: ClusterSettings, now: Millis) {
    this.#settings = settings;
    this.#observedAt = now;
    this.#beatAt = now + settings.heartbeatMs;
    this.#notes = new MemberNotes(self);
  }

  /** Whether this node fails to hear what it should hear (P13). */
  get isDeaf(): boolean {
    return this.#isDeaf;
  }

  /** Whether nodes are kept though nothing can be known of them: their backplane is down (P8). */
  get isStale(): boolean {
    for (const peer of this.#peers.values()) if (this.#isExcused(peer)) return true;
    return false;
  }

  /** Total time in which this node did not run, in ms. */
  get stalledMs(): Millis {
    return this.#stalledMs;
  }

  /** Nodes that count, this one not included. */
  get connectedCount(): number {
    return this.#notes.count;
  }

  /** Every node that is not down, counting or not. */
  get nodes(): Iterable<NodeId> {
    return this.#peers.keys();
  }

  /** A hash over this node and those that count: the same on all nodes that agree. */
  get digest(): number {
    return this.#notes.digest;
  }

  /** Whether a node is known and not down. */
  has(node: NodeId): boolean {
    return this.#peers.has(node);
  }

  /** Whether a path leads to a node at this moment. */
  isReachable(node: NodeId): boolean {
    return this.#peers.get(node)?.paths.some((path) => path?.isUp === true) ?? false;
  }

  /** The nodes that are not down, for people. */
  view(now: Millis): PeerView[] {
    return [...this.#peers.values()].map((peer) => ({
      id: peer.id,
      name: peer.name,
      state: this.#stateOf(peer, now),
      paths: peer.paths.flatMap((path, index) => path?.isUp === true ? [index] : []),
      silentMs: now - heardAt(peer),
    }));
  }

  /** Returns and forgets the decisions so far, oldest first. */
  take(): MembershipOutput[] {
    return this.#outputs.take();
  }

  /** Takes note of the time, before anything else is told: a long pause is this node's own fault. */
  observe(now: Millis): void {
    const pause = now - this.#observedAt;
    this.#observedAt = now;
    if (pause < STALL_MS) return;
    this.#stalledMs += pause;
    for (const peer of this.#peers.values()) {
      if (peer.dying !== undefined) peer.dying.at += pause;
      for (const path of peer.paths) {
        if (path === undefined) continue;
        path.heardAt += pause;
        path.rebuiltAt += pause;
      }
    }
  }

  /** A backplane as a whole went down: nobody's silence over it proves anything. */
  pathLost(path: number): void {
    this.#lostPaths.add(path);
    for (const peer of this.#peers.values()) {
      const state = peer.paths[path];
      if (state !== undefined) state.isUp = false;
      if (this.#isExcused(peer)) peer.dying = undefined;
    }
  }

  /** A backplane is back: whoever was reached over it has its full time to show that it is there. */
  pathFound(path: number, now: Millis): void {
    if (!this.#lostPaths.delete(path)) return;
    for (const peer of this.#peers.values()) {
      const state = peer.paths[path];
      if (state !== undefined) state.heardAt = now;
    }
  }

  /** A path to a node is there. */
  pathUp(path: number, node: { id: NodeId; name: string }, now: Millis): void {
    this.#succeed(node);
    let peer = this.#peers.get(node.id);
    if (peer === undefined) this.#peers.set(node.id, peer = createPeer(node));
    peer.dying = undefined;
    peer.paths[path] = createPath(now);
    this.#outputs.push({ kind: "greet", node: node.id });
  }

  // A process that was found gone, and whose name is here again, needs no witness: it was restarted.
  #succeed(successor: { readonly id: NodeId; readonly name: string }): void {
    for (const peer of [...this.#peers.values()]) {
      if (peer.name !== successor.name || peer.id === successor.id) continue;
      if (peer.dying !== undefined) this.#down(peer, "died");
    }
  }

  /** A path to a node is gone. */
  pathDown(path: number, node: NodeId, loss: "left" | "refused" | "lost", now: Millis): void {
    const peer = this.#peers.get(node);
    const state = peer?.paths[path];
    if (peer === undefined || state === undefined) return;
    state.isUp = false;
    if (loss === "left") peer.leftAt = now;
    // One backplane may be given up while another still leads to the node; but where that ends
    // right behind it, its goodbye was lost.
    if (now < peer.leftAt + GOODBYE_MS && !this.isReachable(node)) return this.#down(peer, "left");
    if (loss === "refused") this.#refused(peer, now);
  }

  /** A node to which a path was lost is known to be dead. */
  pathGone(path: number, node: NodeId, now: Millis): void {
    const peer = this.#peers.get(node);
    if (peer?.paths[path]?.isUp === false) this.#refused(peer, now);
  }

  /** Something came from a node over a path. */
  heard(path: number, node: NodeId, now: Millis): void {
    const state = this.#peers.get(node)?.paths[path];
    if (state !== undefined) state.heardAt = now;
  }

  /** A node told in its heartbeat which members it knows. */
  compare(node: NodeId, membersDigest: number): void {
    if (this.#peers.has(node)) this.#notes.compare(node, membersDigest);
  }

  /** A node's interest is known, and so it counts. */
  synced(node: NodeId): void {
    const peer = this.#peers.get(node);
    if (peer === undefined || peer.isConnected) return;
    peer.isConnected = true;
    this.#notes.add(node);
    this.#outputs.push({ kind: "connected", node, name: peer.name });
  }

  /** Another node answered a probe. */
  testimony(answer: Testimony, now: Millis): void {
    const { from, node, heardAgoMs } = answer;
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    if (heardAgoMs === undefined) return this.#deny(peer, from);
    peer.vouchedAt = Math.max(peer.vouchedAt, now - heardAgoMs);
    if (peer.dying === undefined) return;
    // A path that leads to a dead process breaks soon, so the witness is asked until it does.
    peer.dying.at = now + PROBE_MS;
    peer.dying.deniedBy.delete(from);
  }

  // When nobody is left who could speak for a node whose process is gone, there is nothing to wait for.
  #deny(peer: Peer, witness: NodeId): void {
    const { dying } = peer;
    if (dying === undefined) return;
    dying.deniedBy.add(witness);
    for (const other of this.#peers.values()) {
      const canSpeak = other !== peer && other.dying === undefined && this.isReachable(other.id);
      if (canSpeak && !dying.deniedBy.has(other.id)) return;
    }
    this.#down(peer, "died");
  }

  /** What this node can say of another: how long ago it was heard, or `undefined` without a path. */
  testify(node: NodeId, now: Millis): Millis | undefined {
    const peer = this.#peers.get(node);
    if (peer === undefined || !this.isReachable(node)) return undefined;
    return now - heardAt(peer);
  }

  /** Looks at the time. To be called every `TICK_MS`. */
  tick(now: Millis): void {
    const isBeatDue = now >= this.#beatAt;
    if (isBeatDue) this.#beatAt = now + this.#settings.heartbeatMs;
    for (const peer of [...this.#peers.values()]) {
      if (isBeatDue) this.#beat(peer);
      this.#judge(peer, now);
    }
    this.#judgeSelf(now);
    const nodes = this.#notes.takeDiffering(now);
    if (nodes.length > 0) this.#outputs.push({ kind: "discover", nodes });
  }

  #beat(peer: Peer): void {
    peer.paths.forEach((path, index) => {
      if (path?.isUp) this.#outputs.push({ kind: "heartbeat", node: peer.id, path: index });
    });
  }

  #judge(peer: Peer, now: Millis): void {
    peer.paths.forEach((path, index) => {
      if (path?.isUp === true) this.#judgePath(peer, path, index, now);
    });
    if (peer.dying !== undefined) {
      if (now >= peer.dying.at) return this.#down(peer, "died");
      this.#probe(peer, now);
    }
    const { deafMs, heartbeatMs } = this.#settings;
    const silentMs = now - heardAt(peer);
    if (silentMs < deafMs / 2 || this.#isExcused(peer)) return;
    if (now >= peer.probedAt + heartbeatMs / 2) this.#probe(peer, now);
    // A tick early, so that it is never a tick late.
    const limitMs = this.#settings.nodeTimeoutMs - TICK_MS;
    // Others may prolong a life, but a node that stays out of reach is down for this one.
    const isVouched = this.#isHeardByOthers(peer) && now - peer.vouchedAt < limitMs &&
      silentMs < 2 * limitMs;
    if (silentMs >= limitMs && !isVouched) this.#down(peer, "timed_out");
  }

  // Its backplane is down, and no other has ever led to it. Where one has, that one decides.
  #isExcused(peer: Peer): boolean {
    if (this.#lostPaths.size === 0) return false;
    return peer.paths.every((path, index) => path === undefined || this.#lostPaths.has(index));
  }

  // Nodes hear the same heartbeat at slightly different times; only a later one proves anything.
  #isHeardByOthers(peer: Peer): boolean {
    return peer.vouchedAt > heardAt(peer) + 1.5 * this.#settings.heartbeatMs;
  }

  #judgePath(peer: Peer, path: Path, index: number, now: Millis): void {
    const limitMs = this.#settings.deafMs - TICK_MS;
    if (now - path.heardAt < limitMs || now - path.rebuiltAt < limitMs) return;
    path.rebuiltAt = now;
    this.#outputs.push({ kind: "rebuild", path: index, node: peer.id });
  }

  #judgeSelf(now: Millis): void {
    const isDeaf = this.#hearsTooLittle(now);
    if (isDeaf === this.#isDeaf) return;
    this.#isDeaf = isDeaf;
    this.#outputs.push({ kind: "deaf", isDeaf });
  }

  // Deaf is who hears nobody though somebody is there, or does not hear one whom others hear.
  #hearsTooLittle(now: Millis): boolean {
    const limitMs = this.#settings.deafMs - TICK_MS;
    let heardCount = 0;
    for (const peer of this.#peers.values()) {
      if (this.#isExcused(peer)) continue;
      if (now - heardAt(peer) < limitMs) heardCount++;
      else if (this.#isHeardByOthers(peer)) return true;
    }
    return this.#peers.size > 0 && heardCount === 0;
  }

  #refused(peer: Peer, now: Millis): void {
    if (peer.paths.some((path) => path?.isUp === true)) return;
    const isAlone = this.#peers.size === 1;
    if (isAlone) return this.#down(peer, "died");
    peer.dying ??= { at: now + PROBE_MS, deniedBy: new Set() };
    this.#probe(peer, now);
  }

  #probe(peer: Peer, now: Millis): void {
    peer.probedAt = now;
    this.#outputs.push({ kind: "probe", node: peer.id });
  }

  #down(peer: Peer, reason: DownReason): void {
    this.#peers.delete(peer.id);
    if (peer.isConnected) this.#notes.remove(peer.id);
    this.#notes.forget(peer.id);
    // Should it come back, it must come back as one to whom everything is told anew.
    peer.paths.forEach((path, index) => {
      if (path?.isUp) this.#outputs.push({ kind: "rebuild", path: index, node: peer.id });
    });
    const { id: node, name, isConnected: wasConnected } = peer;
    this.#outputs.push({ kind: "down", node, name, reason, wasConnected });
  }

  #stateOf(peer: Peer, now: Millis): PeerView["state"] {
    if (!peer.isConnected) return "syncing";
    const isSilent = now - heardAt(peer) >= this.#settings.deafMs;
    return isSilent || !this.isReachable(peer.id) ? "suspect" : "connected";
  }
}

function createPeer(node: { readonly id: NodeId; readonly name: string }): Peer {
  return {
    id: node.id,
    name: node.name,
    paths: [],
    isConnected: false,
    dying: undefined,
    probedAt: -Infinity,
    vouchedAt: -Infinity,
    leftAt: -Infinity,
  };
}

function createPath(now: Millis): Path {
  return {
    isUp: true,
    heardAt: now,
    rebuiltAt: -Infinity,
  };
}

function heardAt(peer: Peer): Millis {
  let latest = -Infinity;
  for (const path of peer.paths) {
    if (path !== undefined && path.heardAt > latest) latest = path.heardAt;
  }
  return latest;
}
