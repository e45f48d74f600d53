import type { Batch } from "../../core/batch.ts";
import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { PathLoss } from "../backplane.ts";
import type { LinkIdentity } from "./handshake.ts";
import type { MeshOutput } from "./mesh_output.ts";
import type { MeshPeer } from "./mesh_peer.ts";
import { PeerLinks } from "./peer_links.ts";

// A break that heals sooner is told when its outcome is known.
const REPORT_MS = 200;
const LOST_KEPT_MS = 600_000;

/**
 * The nodes that are linked, or were until lately, and what the owner has been told of them.
 *
 * ```text
 *           up           lost, REPORT_MS
 * (unknown) ---> up ---------------------> down, waited for --> (forgotten)
 *                 '-- left | refused --> (forgotten)  ^ gone ---'
 * ```
 */
export class Peers {
  readonly #self: NodeId;
  readonly #heldBytesMax: number;
  readonly #outputs: Batch<MeshOutput>;
  readonly #peers = new Map<NodeId, MeshPeer>();

  /** Starts without any. */
  constructor(self: NodeId, heldBytesMax: number, outputs: Batch<MeshOutput>) {
    this.#self = self;
    this.#heldBytesMax = heldBytesMax;
    this.#outputs = outputs;
  }

  /** A node, if it is known. */
  get(id: NodeId): MeshPeer | undefined {
    return this.#peers.get(id);
  }

  /** All that are known, linked or not. */
  get all(): Iterable<MeshPeer> {
    return this.#peers.values();
  }

  /** Those that are linked. */
  get linked(): MeshPeer[] {
    return [...this.#peers.values()].filter(({ links }) => links.first !== undefined);
  }

  /** Whether a node is linked. */
  isLinked(id: NodeId): boolean {
    return this.#peers.get(id)?.links.first !== undefined;
  }

  /** Finds a node that has proved who it is, or takes note of it. */
  meet({ id, name }: LinkIdentity, address: string): MeshPeer {
    const known = this.#peers.get(id);
    if (known !== undefined) return known;
    const links = new PeerLinks(this.#self < id, this.#heldBytesMax);
    const peer: MeshPeer = {
      id,
      name,
      address,
      links,
      isReportedUp: false,
      lostAt: undefined,
      lostToken: "",
    };
    this.#peers.set(id, peer);
    return peer;
  }

  /** A node can be reached, again or by another link: what was on the way may be lost. */
  up(peer: MeshPeer): void {
    this.#report(peer, "lost");
    peer.lostAt = undefined;
    peer.isReportedUp = true;
    const { id, name, address } = peer;
    this.#outputs.push({ kind: "up", node: { id, name, address } });
  }

  /** The last link to a node is gone. It is reported when more is known, or after a while. */
  lost(peer: MeshPeer, now: Millis): void {
    peer.lostAt = now;
  }

  /** A node said goodbye. */
  left(peer: MeshPeer): void {
    this.#peers.delete(peer.id);
    this.#report(peer, "left");
  }

  /** A new connection to an address failed. `isRefused` tells that no process is behind it. */
  unreachable(address: string, isRefused: boolean): void {
    for (const peer of [...this.#peers.values()]) {
      if (peer.address !== address || peer.links.first !== undefined) continue;
      if (isRefused) this.#die(peer);
      else this.#report(peer, "lost");
    }
  }

  /**
   * A node answers at an address: those that were there before it, and to which there is no link,
   * are dead. One that is linked is not, whatever another claims of its address.
   */
  succeed(id: NodeId, address: string): void {
    for (const peer of [...this.#peers.values()]) {
      const isOther = peer.id !== id && peer.address === address;
      if (isOther && peer.links.first === undefined) this.#die(peer);
    }
  }

  /** Looks at the time. */
  review(now: Millis): void {
    for (const peer of [...this.#peers.values()]) {
      if (peer.lostAt === undefined) continue;
      if (now >= peer.lostAt + REPORT_MS) this.#report(peer, "lost");
      if (now >= peer.lostAt + LOST_KEPT_MS) this.#peers.delete(peer.id);
    }
  }

  /** Takes out of account a time in which this node stood still. */
  excuse(stallMs: Millis): void {
    for (const peer of this.#peers.values()) {
      if (peer.lostAt !== undefined) peer.lostAt += stallMs;
    }
  }

  /** Forgets all, without a word. */
  clear(): void {
    this.#peers.clear();
  }

  #die(peer: MeshPeer): void {
    this.#peers.delete(peer.id);
    if (peer.isReportedUp) this.#report(peer, "refused");
    else this.#outputs.push({ kind: "gone", node: peer.id });
  }

  #report(peer: MeshPeer, loss: PathLoss): void {
    if (!peer.isReportedUp) return;
    peer.isReportedUp = false;
    this.#outputs.push({ kind: "down", node: peer.id, loss });
  }
}
