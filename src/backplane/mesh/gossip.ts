import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { Prng } from "../../core/prng.ts";
import type { KnownNode } from "./link.ts";
import type { MeshPeer } from "./mesh_peer.ts";

/** What is to be told to one node. */
export interface Telling {
  /** To whom. */
  readonly peer: MeshPeer;
  /** Of whom. */
  readonly nodes: readonly KnownNode[];
}

const JOIN_MS = 100;
const INTERVAL_MS = 30_000;
// Where hundreds start at once, lists for all from all would be most of what is said.
const FAMILIAR_MAX = 8;

/**
 * Decides who is told of which nodes, so that two that share a neighbour find each other.
 *
 * Whoever is linked newly is told of all, and the others are told of it. If gossip told of it
 * here, it told the others too, and told it of them: then they need not be told, and of many that
 * come at once a few are told of all. Beside that, one node at a time is told of all every 30 s, in
 * case something was lost. So a node that joins costs each other one list, and a cluster at rest
 * next to nothing, whatever its size.
 */
export class Gossip {
  readonly #prng: Prng;
  readonly #listeners = new Set<NodeId>();
  readonly #news = new Set<NodeId>();
  readonly #familiar = new Set<NodeId>();
  #dueAt = Infinity;
  #anyoneAt: Millis;

  /** Starts with nothing to tell. */
  constructor(prng: Prng, now: Millis) {
    this.#prng = prng;
    this.#anyoneAt = now + INTERVAL_MS;
  }

  /** A link to a node is up. `isNews` tells whether nobody has told of that node. */
  met(node: NodeId, isNews: boolean, now: Millis): void {
    (isNews ? this.#news : this.#familiar).add(node);
    // Those that come together are told of together.
    this.#dueAt = Math.min(this.#dueAt, now + JOIN_MS);
  }

  /** Some nodes know others than this one does, and are to be told of all. */
  compare(nodes: readonly NodeId[], now: Millis): void {
    for (const node of nodes) this.#listeners.add(node);
    this.#dueAt = now;
  }

  /** Takes what is due to be told to those that are linked. */
  takeDue(linked: () => readonly MeshPeer[], now: Millis): Telling[] {
    if (now < this.#dueAt && now < this.#anyoneAt) return [];
    const peers = linked();
    if (now >= this.#anyoneAt) this.#pickAnyone(peers, now);
    for (const node of this.#news) this.#listeners.add(node);
    this.#pickFamiliar();
    const all = peers.map(({ id, address }) => ({ id, address }));
    const news = all.filter(({ id }) => this.#news.has(id));
    const tellings: Telling[] = [];
    for (const peer of peers) {
      const told = this.#listeners.has(peer.id) ? all : news;
      const nodes = told.filter(({ id }) => id !== peer.id);
      if (nodes.length > 0) tellings.push({ peer, nodes });
    }
    this.#listeners.clear();
    this.#news.clear();
    this.#familiar.clear();
    this.#dueAt = Infinity;
    return tellings;
  }

  #pickFamiliar(): void {
    const familiar = [...this.#familiar];
    for (let count = 0; count < FAMILIAR_MAX && familiar.length > 0; count++) {
      const [node] = familiar.splice(Math.floor(this.#prng() * familiar.length), 1);
      this.#listeners.add(node!);
    }
  }

  #pickAnyone(peers: readonly MeshPeer[], now: Millis): void {
    this.#anyoneAt = now + INTERVAL_MS;
    const anyone = peers[Math.floor(this.#prng() * peers.length)];
    if (anyone !== undefined) this.#listeners.add(anyone.id);
  }
}
