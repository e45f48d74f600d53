import type { Batch } from "../../core/batch.ts";
import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import { LinkError } from "../../errors.ts";
import { formatAddress, isIpAddress, parseAddress } from "./address.ts";
import type { KnownNode } from "./link.ts";
import type { MeshContext } from "./mesh_context.ts";
import type { MeshCounts } from "./mesh_counts.ts";
import type { MeshInput } from "./mesh_input.ts";
import type { MeshSettings } from "./mesh_options.ts";
import type { MeshOutput } from "./mesh_output.ts";
import type { Peers } from "./peers.ts";
import { Targets } from "./targets.ts";

// A link that ended sooner is not dialled again at once: the next one may end likewise.
const LASTING_MS = 1_000;
// How long the larger node id waits for the smaller to dial, when gossip tells both at once.
const COURTESY_MS = 500;

/** Finds other nodes: dials whatever is due, resolves names, and hears what gossip tells. */
export class Discovery {
  readonly #context: MeshContext;
  readonly #peers: Peers;
  readonly #counts: MeshCounts;
  readonly #outputs: Batch<MeshOutput>;
  readonly #targets: Targets;

  /** Starts with the seeds. Nothing is dialled before `seek`. */
  constructor(
    context: MeshContext,
    settings: MeshSettings,
    mesh: {
      readonly peers: Peers;
      readonly counts: MeshCounts;
      readonly outputs: Batch<MeshOutput>;
    },
    now: Millis,
  ) {
    this.#context = context;
    this.#peers = mesh.peers;
    this.#counts = mesh.counts;
    this.#outputs = mesh.outputs;
    this.#targets = new Targets(settings, context.prng);
    for (const seed of settings.seeds) {
      this.#targets.addSeed(seed, !isIpAddress(seed.hostname), now);
    }
  }

  /** Number of addresses known. */
  get addresses(): number {
    return this.#targets.size;
  }

  /** Dials and resolves whatever is due. */
  seek(now: Millis): void {
    for (const hostname of this.#targets.takeNames(now)) {
      this.#outputs.push({ kind: "resolve", hostname });
    }
    for (const place of this.#targets.takeDue(now, (node) => this.#peers.isLinked(node))) {
      this.#counts.dials++;
      this.#outputs.push({ kind: "dial", place, address: formatAddress(place) });
    }
  }

  /** A linked node tells of others. */
  learn(nodes: readonly KnownNode[], now: Millis): void {
    const { id: self, prng } = this.#context;
    for (const { id, address } of nodes) {
      // Most of a list is known, and costs no more than this.
      if (id === self || this.#peers.isLinked(id)) continue;
      const place = parseAddress(address);
      if (place === undefined) continue;
      // Whoever is linked there knows better than gossip who it is.
      const resident = this.#targets.nodeAt(formatAddress(place));
      if (resident !== undefined && this.#peers.isLinked(resident)) continue;
      const pauseMs = self < id ? 0 : COURTESY_MS * (1 + prng());
      this.#targets.heardOf(place, id, pauseMs, now);
    }
    this.seek(now);
  }

  /**
   * A node is linked, which says where it is dialled, and perhaps was dialled elsewhere.
   *
   * @returns Whether nobody has told of it there before.
   */
  met(node: NodeId, address: string, dialled: string | undefined, now: Millis): boolean {
    const place = parseAddress(address);
    const isNews = place !== undefined && this.#targets.nodeAt(formatAddress(place)) !== node;
    if (dialled !== undefined) this.#targets.reached(dialled, node);
    if (place !== undefined) this.#targets.met(place, node, now);
    return isNews;
  }

  /** The last link to a node is gone, which was there since `upAt`. */
  lost(node: NodeId, upAt: Millis, now: Millis): void {
    this.#targets.lost(node, now >= upAt + LASTING_MS, now);
    this.seek(now);
  }

  /** A node said goodbye. */
  left(node: NodeId, now: Millis): void {
    this.#targets.left(node, now);
  }

  /** A connection that was dialled ended before its handshake was done. */
  rejected(dialled: string, { code, peer }: LinkError, now: Millis): void {
    if (code === "self_dialled") this.#targets.isSelf(dialled, now);
    else if (code === "duplicate" && peer !== undefined) this.#targets.reached(dialled, peer);
    else this.#targets.failed(dialled, now);
  }

  /** An address could not be dialled. */
  dialFailed(input: MeshInput & { readonly kind: "dial_failed" }, now: Millis): void {
    const { address, isRefused, cause } = input;
    this.#counts.dialsFailed++;
    this.#targets.failed(address, now);
    this.#complain(address, cause instanceof Error ? cause.message : String(cause), cause);
    this.#peers.unreachable(address, isRefused);
  }

  /** A name was looked up. */
  resolved(input: MeshInput & { readonly kind: "resolved" }, now: Millis): void {
    const { hostname, addresses, cause } = input;
    if (addresses.length === 0) {
      this.#counts.lookupsFailed++;
      this.#complain(hostname, "it has no address", cause);
    }
    this.#targets.resolved(hostname, addresses, now);
    this.seek(now);
  }

  #complain(address: string, why: string, cause: unknown): void {
    const message = `Cannot link with ${address}: ${why}`;
    const error = new LinkError("connect_failed", message, { address, cause });
    this.#outputs.push({ kind: "fault", error });
  }
}
