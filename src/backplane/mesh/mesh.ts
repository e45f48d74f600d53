import type { BackplaneStats } from "../backplane.ts";
import { Batch } from "../../core/batch.ts";
import { ByteWriter } from "../../core/byte_writer.ts";
import { MESH_STRANGERS_MAX } from "../../core/limits.ts";
import type { Machine, Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { LinkError, LinkErrorCode } from "../../errors.ts";
import { dialAddress } from "./address.ts";
import { Discovery } from "./discovery.ts";
import { Gossip } from "./gossip.ts";
import {
  type HandshakeContext,
  type LinkIdentity,
  MESH_VERSIONS,
  NONCE_BYTES,
} from "./handshake.ts";
import { Link, type LinkInput, type LinkOutput } from "./link.ts";
import type { MeshContext } from "./mesh_context.ts";
import { MeshCounts } from "./mesh_counts.ts";
import type { MeshInput } from "./mesh_input.ts";
import type { MeshSettings } from "./mesh_options.ts";
import type { MeshOutput } from "./mesh_output.ts";
import type { LinkEntry, MeshPeer } from "./mesh_peer.ts";
import { Peers } from "./peers.ts";

const TICK_MS = 100;
// A tick that comes this much late says that this node stood still.
const STALL_MS = 1_000;
// What ends links every day, and is no fault of anybody.
const ORDINARY: readonly LinkErrorCode[] = ["duplicate", "closed", "peer_left", "self_dialled"];
const WAKE: LinkInput = { kind: "wake" };

/**
 * All connections of one node, and what comes over them.
 *
 * Whom to dial, `Discovery` knows; whom to tell of whom, `Gossip`; which link of a pair is kept,
 * `PeerLinks` decides; who can be reached, `Peers` tells.
 */
export class Mesh implements Machine<MeshInput, MeshOutput> {
  readonly #settings: MeshSettings;
  readonly #context: MeshContext;
  readonly #handshake: HandshakeContext;
  readonly #entries = new Map<number, LinkEntry>();
  readonly #peers: Peers;
  readonly #discovery: Discovery;
  readonly #gossip: Gossip;
  readonly #outputs = new Batch<MeshOutput>();
  readonly #counts = new MeshCounts();
  #dirty: LinkEntry[] = [];
  #tickAt: Millis;
  #hasLeft = false;

  /** Starts: the seeds are dialled. */
  constructor(context: MeshContext, settings: MeshSettings, now: Millis) {
    this.#context = context;
    this.#settings = settings;
    const { id, name, address, digests } = context;
    this.#peers = new Peers(id, settings.queueBytesMax, this.#outputs);
    this.#handshake = {
      identity: { cluster: settings.cluster, id, name, address, features: 0 },
      key: settings.key,
      versions: MESH_VERSIONS,
      digests,
      writer: new ByteWriter(),
      ownNonces: new Set(),
      acquaintance: (node) => ({
        isLinked: this.#peers.isLinked(node),
        lostToken: this.#peers.get(node)?.lostToken ?? "",
      }),
    };
    const [peers, counts, outputs] = [this.#peers, this.#counts, this.#outputs];
    this.#discovery = new Discovery(context, settings, { peers, counts, outputs }, now);
    this.#tickAt = now + TICK_MS;
    this.#gossip = new Gossip(context.prng, now);
    this.#discovery.seek(now);
  }

  /** Now if something waits to be written, else the next tick. */
  get deadline(): Millis | undefined {
    if (this.#dirty.length > 0) return -Infinity;
    return this.#hasLeft ? undefined : this.#tickAt;
  }

  /** Counters and gauges. */
  get stats(): BackplaneStats {
    let queueBytes = 0;
    for (const { link } of this.#entries.values()) queueBytes += link.queuedBytes;
    return {
      links: this.#peers.linked.length,
      connections: this.#entries.size,
      addresses: this.#discovery.addresses,
      queueBytes,
      ...this.#counts.snapshot(),
    };
  }

  /** Applies one input. */
  handle(input: MeshInput, now: Millis): void {
    if (this.#hasLeft) return this.#refuse(input);
    if (now > this.#tickAt + STALL_MS) this.#excuse(now);
    switch (input.kind) {
      case "send":
        return this.#send(input);
      case "bytes":
        this.#counts.bytesIn += input.chunk.length;
        return this.#feed(input.link, input, now);
      case "queued":
      case "ended":
        return this.#feed(input.link, input, now);
      case "opened":
        return this.#open(input, now);
      case "dial_failed":
        return this.#discovery.dialFailed(input, now);
      case "resolved":
        return this.#discovery.resolved(input, now);
      case "rebuild":
        return this.#rebuild(input.node, now);
      case "discover":
        this.#gossip.compare(input.nodes, now);
        return this.#tell(now);
      case "leave":
        return this.#leave(now);
      case "wake":
        return this.#wake(now);
    }
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): MeshOutput[] {
    return this.#outputs.take();
  }

  #send(input: MeshInput & { readonly kind: "send" }): void {
    const { nodes, payload, isRepeatable } = input;
    if (nodes === undefined) {
      for (const peer of this.#peers.all) this.#sendTo(peer, payload, isRepeatable);
      return;
    }
    for (const node of nodes) {
      const peer = this.#peers.get(node);
      if (peer !== undefined) this.#sendTo(peer, payload, isRepeatable);
    }
  }

  #sendTo(peer: MeshPeer, payload: Uint8Array, isRepeatable: boolean): void {
    const entry = peer.links.first;
    if (entry === undefined) return;
    if (entry.link.send(payload, isRepeatable)) this.#counts.payloadsOut++;
    else this.#counts.messagesDropped++;
    this.#soil(entry);
  }

  #soil(entry: LinkEntry): void {
    if (entry.isDirty) return;
    entry.isDirty = true;
    this.#dirty.push(entry);
  }

  #wake(now: Millis): void {
    this.#flush(now);
    if (now < this.#tickAt) return;
    this.#tickAt = now + TICK_MS;
    for (const entry of [...this.#entries.values()]) this.#tick(entry, now);
    this.#peers.review(now);
    this.#tell(now);
    this.#discovery.seek(now);
  }

  #flush(now: Millis): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = [];
    for (const entry of dirty) {
      entry.isDirty = false;
      entry.link.handle(WAKE, now);
      this.#settle(entry, now);
    }
  }

  #tick(entry: LinkEntry, now: Millis): void {
    if (now >= entry.yieldUntil) {
      entry.link.close("peer_silent", "it held on to a link that is not kept", false, now);
    } else if ((entry.link.deadline ?? Infinity) <= now) entry.link.handle(WAKE, now);
    this.#settle(entry, now);
  }

  // Time in which this node stood still is nobody's silence.
  #excuse(now: Millis): void {
    const stallMs = now - this.#tickAt;
    this.#tickAt = now;
    this.#counts.stalledMs += stallMs;
    this.#peers.excuse(stallMs);
    for (const entry of this.#entries.values()) {
      entry.link.excuse(stallMs);
      entry.yieldUntil += stallMs;
    }
  }

  #open(input: MeshInput & { readonly kind: "opened" }, now: Millis): void {
    const { link: id, dialled, remote } = input;
    if (dialled === undefined) this.#makeRoom(now);
    const role = dialled === undefined ? "acceptor" : "dialler";
    const nonce = this.#context.randomBytes(NONCE_BYTES);
    const link = new Link(this.#handshake, this.#settings, {
      role,
      nonce,
      address: dialled ?? remote,
    }, now);
    const entry: LinkEntry = {
      id,
      link,
      dialled,
      remote,
      peer: undefined,
      upAt: Infinity,
      yieldUntil: Infinity,
      isDirty: false,
    };
    this.#entries.set(id, entry);
    this.#settle(entry, now);
  }

  // A node that has left only hangs up on those that come.
  #refuse(input: MeshInput): void {
    if (input.kind !== "opened") return;
    this.#outputs.push({ kind: "hangup", link: input.link, isGraceful: false });
  }

  // Whoever connects and proves nothing must not keep others out.
  #makeRoom(now: Millis): void {
    let oldest: LinkEntry | undefined;
    let count = 0;
    for (const entry of this.#entries.values()) {
      if (entry.dialled !== undefined || entry.peer !== undefined) continue;
      oldest ??= entry;
      count++;
    }
    if (oldest === undefined || count < MESH_STRANGERS_MAX) return;
    this.#counts.strangersTurnedAway++;
    oldest.link.close("closed", "too many strangers at once", false, now);
    this.#settle(oldest, now);
  }

  #feed(id: number, input: LinkInput, now: Millis): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.link.handle(input, now);
    this.#settle(entry, now);
  }

  #settle(entry: LinkEntry, now: Millis): void {
    for (const output of entry.link.take()) this.#perform(entry, output, now);
    if (entry.link.deadline === -Infinity) this.#soil(entry);
  }

  #perform(entry: LinkEntry, output: LinkOutput, now: Millis): void {
    switch (output.kind) {
      case "write":
        for (const part of output.parts) this.#counts.bytesOut += part.length;
        this.#outputs.push({ kind: "write", link: entry.id, parts: output.parts });
        return;
      case "payload":
        this.#counts.payloadsIn++;
        if (entry.peer!.links.hold(entry, output.payload)) return;
        this.#outputs.push({ kind: "received", node: entry.peer!.id, payload: output.payload });
        return;
      case "hangup":
        this.#outputs.push({ kind: "hangup", link: entry.id, isGraceful: output.isGraceful });
        return;
      case "up":
        return this.#onUp(entry, output.peer, now);
      case "peers":
        return this.#discovery.learn(output.nodes, now);
      case "retired":
        return this.#onRetired(entry, now);
      case "relieved":
        this.#outputs.push({ kind: "dropped", node: entry.peer!.id });
        return;
      case "down":
        return this.#onDown(entry, output.error, now);
    }
  }

  #onUp(entry: LinkEntry, identity: LinkIdentity, now: Millis): void {
    this.#counts.linksOpened++;
    const address = dialAddress(identity.address, entry.remote);
    this.#peers.succeed(identity.id, address);
    const peer = this.#peers.meet(identity, address);
    entry.peer = peer;
    entry.upAt = now;
    if (entry.dialled !== undefined) this.#peers.succeed(identity.id, entry.dialled);
    const isNews = this.#discovery.met(peer.id, address, entry.dialled, now);
    this.#gossip.met(peer.id, isNews, now);
    if (peer.links.isSuccessor(entry)) this.#clear(peer, "a newer link took its place", now);
    if (peer.links.add(entry, now) === "renewed") this.#peers.up(peer);
    this.#soilAll(peer);
  }

  #onRetired(entry: LinkEntry, now: Millis): void {
    const { links } = entry.peer!;
    if (links.retired(entry, now)) this.#close(entry, "duplicate", "another link is kept", now);
    this.#soilAll(entry.peer!);
    this.#release(entry.peer!);
  }

  #release(peer: MeshPeer): void {
    for (const payload of peer.links.release()) {
      this.#outputs.push({ kind: "received", node: peer.id, payload });
    }
  }

  // What a link was told to say by its pair is written at the end of the tick.
  #soilAll({ links }: MeshPeer): void {
    for (const entry of [links.first, links.second]) {
      if (entry?.link.deadline === -Infinity) this.#soil(entry);
    }
  }

  #close(entry: LinkEntry, code: LinkErrorCode, detail: string, now: Millis): void {
    entry.link.close(code, detail, false, now);
    this.#settle(entry, now);
  }

  #clear(peer: MeshPeer, detail: string, now: Millis): void {
    for (const entry of peer.links.clear()) {
      peer.lostToken = entry.link.token;
      this.#close(entry, "closed", detail, now);
    }
  }

  #onDown(entry: LinkEntry, error: LinkError, now: Millis): void {
    this.#entries.delete(entry.id);
    this.#counts.framesUnknown += entry.link.unknownFrames;
    if (!ORDINARY.includes(error.code)) {
      this.#counts.fault(error.code);
      this.#outputs.push({ kind: "fault", error });
    }
    const { peer } = entry;
    if (peer === undefined) {
      this.#counts.handshakesFailed++;
      if (entry.dialled !== undefined) this.#discovery.rejected(entry.dialled, error, now);
      return;
    }
    const change = peer.links.remove(entry, error.code === "duplicate");
    if (error.code === "peer_left") return this.#onLeft(peer, now);
    if (change === "renewed") this.#peers.up(peer);
    if (change === "lost") this.#onLost(peer, entry, now);
    this.#release(peer);
  }

  #onLost(peer: MeshPeer, entry: LinkEntry, now: Millis): void {
    this.#clear(peer, "the link that is kept broke", now);
    peer.lostToken = entry.link.token;
    this.#peers.lost(peer, now);
    this.#discovery.lost(peer.id, entry.upAt, now);
  }

  #onLeft(peer: MeshPeer, now: Millis): void {
    this.#clear(peer, "its node left", now);
    this.#peers.left(peer);
    this.#discovery.left(peer.id, now);
  }

  #rebuild(node: NodeId, now: Millis): void {
    const peer = this.#peers.get(node);
    const first = peer?.links.first;
    if (peer !== undefined && first !== undefined) {
      this.#close(first, "closed", "the link is deaf", now);
    }
  }

  #tell(now: Millis): void {
    for (const { peer, nodes } of this.#gossip.takeDue(() => this.#peers.linked, now)) {
      const entry = peer.links.first!;
      entry.link.gossip(nodes);
      this.#soil(entry);
    }
  }

  #leave(now: Millis): void {
    this.#hasLeft = true;
    for (const entry of [...this.#entries.values()]) {
      entry.link.close("closed", "this node leaves", true, now);
      for (const output of entry.link.take()) {
        // Of the rest the owner, who leaves, wants to know nothing.
        if (output.kind === "write" || output.kind === "hangup") this.#perform(entry, output, now);
      }
    }
    this.#entries.clear();
    this.#peers.clear();
    this.#dirty = [];
  }
}
