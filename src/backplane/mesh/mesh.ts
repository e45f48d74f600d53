import type { BackplaneStats, PathLoss } from "../backplane.ts";
import { ByteWriter } from "../../core/byte_writer.ts";
import { MESH_ADDRESSES_MAX, MESH_STRANGERS_MAX } from "../../core/limits.ts";
import { type Machine, type Millis, NO_OUTPUTS } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import { LinkError, type LinkErrorCode } from "../../errors.ts";
import { dialAddress, formatAddress, isIpAddress, parseAddress } from "./address.ts";
import {
  type HandshakeContext,
  type LinkIdentity,
  MESH_VERSIONS,
  NONCE_BYTES,
} from "./handshake.ts";
import { type KnownNode, Link, type LinkInput, type LinkOutput } from "./link.ts";

import type { MeshContext } from "./mesh_context.ts";
import { MeshCounts } from "./mesh_counts.ts";
import type { MeshInput } from "./mesh_input.ts";
import type { MeshSettings } from "./mesh_options.ts";
import type { MeshOutput } from "./mesh_output.ts";
import type { LinkEntry, MeshPeer } from "./mesh_peer.ts";
import { Targets } from "./targets.ts";

const TICK_MS = 100;
// A break that heals sooner is told when its outcome is known.
const REPORT_MS = 200;
const RETIRE_MS = 3_000;
const GOSSIP_JOIN_MS = 100;
const GOSSIP_MS = 30_000;
const LOST_KEPT_MS = 600_000;
// What ends links every day, and is no fault of anybody.
const ORDINARY: readonly LinkErrorCode[] = ["duplicate", "closed", "peer_left", "self_dialled"];

/**
 * All links of one node: whom to dial and when, which link of a pair to keep, and who can be
 * reached.
 *
 * Both nodes of a pair may dial. Of two links, the one dialled by the smaller node id is kept:
 * each side sends no more over the other, says so, and it is closed when both have. A node that
 * is lost is dialled again at once, and after that with growing pauses; an answer that nobody
 * listens there means that its process is gone.
 */
export class Mesh implements Machine<MeshInput, MeshOutput> {
  readonly #settings: MeshSettings;
  readonly #context: MeshContext;
  readonly #handshake: HandshakeContext;
  readonly #targets: Targets;
  readonly #entries = new Map<number, LinkEntry>();
  readonly #peers = new Map<NodeId, MeshPeer>();
  #outputs: MeshOutput[] = [];
  #dirty: LinkEntry[] = [];
  #tickAt: Millis;
  #gossipAt: Millis;
  #hasLeft = false;
  readonly #counts = new MeshCounts();

  /** Starts: the seeds are dialled. */
  constructor(context: MeshContext, settings: MeshSettings, now: Millis) {
    this.#context = context;
    this.#settings = settings;
    const { id, name, address, digests } = context;
    this.#handshake = {
      identity: { cluster: settings.cluster, id, name, address, features: 0 },
      key: settings.key,
      versions: MESH_VERSIONS,
      digests,
      writer: new ByteWriter(),
      ownNonces: new Set(),
    };
    this.#targets = new Targets(settings, context.prng);
    this.#tickAt = now + TICK_MS;
    this.#gossipAt = now + GOSSIP_MS;
    for (const seed of settings.seeds) {
      if (isIpAddress(seed.hostname)) this.#targets.add(seed, { isSeed: true }, now);
      else this.#targets.addName(seed);
    }
    this.#seek(now);
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
    let links = 0;
    for (const peer of this.#peers.values()) if (peer.links.length > 0) links++;
    return {
      links,
      connections: this.#entries.size,
      addresses: this.#targets.size,
      queueBytes,
      ...this.#counts.snapshot(),
    };
  }

  /** Applies one input. */
  handle(input: MeshInput, now: Millis): void {
    switch (input.kind) {
      case "send":
        return this.#send(input);
      case "bytes":
        this.#counts.bytesIn += input.chunk.byteLength;
        return this.#feed(input.link, input, now);
      case "queued":
        return this.#feed(input.link, input, now);
      case "ended":
        return this.#onEnded(input, now);
      case "opened":
        return this.#open(input, now);
      case "dial_failed":
        return this.#onDialFailed(input, now);
      case "resolved":
        this.#targets.resolved(input.hostname, input.addresses, now);
        return this.#seek(now);
      case "rebuild":
        return this.#rebuild(input.node, now);
      case "discover":
        return this.#gossip(now);
      case "leave":
        return this.#leave(now);
      case "wake":
        return this.#wake(now);
    }
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): MeshOutput[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #send(input: MeshInput & { readonly kind: "send" }): void {
    const { nodes, payload, isRepeatable } = input;
    if (nodes === undefined) {
      for (const peer of this.#peers.values()) this.#sendTo(peer, payload, isRepeatable);
      return;
    }
    for (const node of nodes) {
      const peer = this.#peers.get(node);
      if (peer !== undefined) this.#sendTo(peer, payload, isRepeatable);
    }
  }

  #sendTo(peer: MeshPeer, payload: Uint8Array, isRepeatable: boolean): void {
    const entry = peer.links[0];
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
    if (now < this.#tickAt || this.#hasLeft) return;
    this.#tickAt = now + TICK_MS;
    for (const entry of [...this.#entries.values()]) this.#tick(entry, now);
    for (const peer of [...this.#peers.values()]) this.#review(peer, now);
    if (now >= this.#gossipAt) this.#gossip(now);
    this.#seek(now);
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
    if (now >= entry.retireUntil) entry.link.close("duplicate", "another link is kept", false, now);
    else if ((entry.link.deadline ?? Infinity) <= now) entry.link.handle(WAKE, now);
    this.#settle(entry, now);
  }

  #review(peer: MeshPeer, now: Millis): void {
    if (peer.lostAt === undefined) return;
    if (peer.isReportedUp && now >= peer.lostAt + REPORT_MS) this.#report(peer, "lost");
    if (now >= peer.lostAt + LOST_KEPT_MS) this.#peers.delete(peer.id);
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
      hasRetired: false,
      isRetiredByPeer: false,
      retireUntil: Infinity,
      isDirty: false,
    };
    this.#entries.set(id, entry);
    this.#settle(entry, now);
    if (this.#hasLeft) link.close("closed", "this node has left", false, now);
    this.#settle(entry, now);
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

  #onEnded(input: MeshInput & { readonly kind: "ended" }, now: Millis): void {
    const entry = this.#entries.get(input.link);
    const isStranger = entry?.peer === undefined;
    this.#feed(input.link, { kind: "ended", cause: input.cause }, now);
    // A process that died while it was dialled resets what its system had accepted for it.
    if (entry?.dialled === undefined || !isStranger || !input.isReset) return;
    this.#onRefused(entry.dialled);
  }

  #settle(entry: LinkEntry, now: Millis): void {
    for (const output of entry.link.take()) this.#perform(entry, output, now);
    if (entry.link.deadline === -Infinity) this.#soil(entry);
  }

  #perform(entry: LinkEntry, output: LinkOutput, now: Millis): void {
    switch (output.kind) {
      case "write":
        for (const part of output.parts) this.#counts.bytesOut += part.byteLength;
        this.#outputs.push({ kind: "write", link: entry.id, parts: output.parts });
        return;
      case "payload":
        this.#counts.payloadsIn++;
        this.#outputs.push({ kind: "received", node: entry.peer!.id, payload: output.payload });
        return;
      case "hangup":
        this.#outputs.push({ kind: "hangup", link: entry.id, isGraceful: output.isGraceful });
        return;
      case "up":
        return this.#onUp(entry, output.peer, now);
      case "peers":
        return this.#learn(output.nodes, now);
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
    this.#bury(identity.id, address, now);
    const peer = this.#peers.get(identity.id) ?? this.#meet(identity, address);
    entry.peer = peer;
    if (entry.dialled !== undefined) this.#targets.reached(entry.dialled, peer.id);
    const place = parseAddress(address);
    if (place !== undefined) this.#targets.add(place, { node: peer.id }, now);
    this.#gossipAt = Math.min(this.#gossipAt, now + GOSSIP_JOIN_MS);
    const current = peer.links[0];
    if (current === undefined) {
      peer.links = [entry];
      return this.#reportUp(peer);
    }
    this.#choose(peer, current, entry, now);
  }

  // Two links of a pair: both sides come to the same choice by themselves.
  #choose(peer: MeshPeer, current: LinkEntry, added: LinkEntry, now: Millis): void {
    const isSameWay = (current.dialled === undefined) === (added.dialled === undefined);
    if (isSameWay) {
      // Nobody dials a node that it has a link to: for the other side, the old one is broken.
      peer.links = [added];
      this.#close(current, "duplicate", "a newer link is kept", now);
      return this.#reportUp(peer);
    }
    const mine = current.dialled === undefined ? added : current;
    const theirs = mine === current ? added : current;
    const kept = this.#context.id < peer.id ? mine : theirs;
    const other = kept === mine ? theirs : mine;
    peer.links = [kept, other];
    this.#retire(other, now);
  }

  #retire(entry: LinkEntry, now: Millis): void {
    if (!entry.hasRetired) {
      entry.hasRetired = true;
      entry.retireUntil = now + RETIRE_MS;
      entry.link.retire();
      this.#soil(entry);
    }
    if (entry.isRetiredByPeer) this.#close(entry, "duplicate", "another link is kept", now);
  }

  #onRetired(entry: LinkEntry, now: Millis): void {
    entry.isRetiredByPeer = true;
    if (entry.hasRetired) this.#close(entry, "duplicate", "another link is kept", now);
  }

  #close(entry: LinkEntry, code: LinkErrorCode, detail: string, now: Millis): void {
    entry.link.close(code, detail, false, now);
    this.#settle(entry, now);
  }

  #meet(identity: LinkIdentity, address: string): MeshPeer {
    const { id, name } = identity;
    const peer: MeshPeer = { id, name, address, links: [], isReportedUp: false, lostAt: undefined };
    this.#peers.set(id, peer);
    return peer;
  }

  // Where one incarnation answers, every earlier one is dead.
  #bury(id: NodeId, address: string, now: Millis): void {
    for (const peer of [...this.#peers.values()]) {
      if (peer.id === id || peer.address !== address) continue;
      const entries = peer.links;
      peer.links = [];
      this.#die(peer);
      for (const entry of entries) this.#close(entry, "closed", "a successor is here", now);
    }
  }

  #reportUp(peer: MeshPeer): void {
    // The way was lost for a moment: what was on it may be lost too.
    if (peer.isReportedUp) this.#report(peer, "lost");
    peer.lostAt = undefined;
    peer.isReportedUp = true;
    const { id, name, address } = peer;
    this.#outputs.push({ kind: "up", node: { id, name, address } });
  }

  #report(peer: MeshPeer, loss: PathLoss): void {
    if (!peer.isReportedUp) return;
    peer.isReportedUp = false;
    this.#outputs.push({ kind: "down", node: peer.id, loss });
  }

  /** A peer's process is gone. */
  #die(peer: MeshPeer): void {
    this.#peers.delete(peer.id);
    if (peer.isReportedUp) this.#report(peer, "refused");
    else this.#outputs.push({ kind: "gone", node: peer.id });
  }

  #onDown(entry: LinkEntry, error: LinkError, now: Millis): void {
    this.#entries.delete(entry.id);
    this.#counts.framesUnknown += entry.link.unknownFrames;
    if (!ORDINARY.includes(error.code)) {
      this.#counts.fault(error.code);
      this.#outputs.push({ kind: "fault", error });
    }
    const { peer, dialled } = entry;
    if (peer === undefined) return this.#onHandshakeFailed(dialled, error, now);
    const wasFirst = peer.links[0] === entry;
    peer.links = peer.links.filter((other) => other !== entry);
    if (error.code === "peer_left") return this.#onLeft(peer, now);
    if (!wasFirst) return;
    if (peer.links.length > 0) return this.#reportUp(peer);
    peer.lostAt = now;
    this.#targets.retry(peer.address, now);
    this.#seek(now);
  }

  #onLeft(peer: MeshPeer, now: Millis): void {
    for (const entry of peer.links) this.#close(entry, "closed", "its node left", now);
    this.#peers.delete(peer.id);
    this.#targets.left(peer.address, now);
    this.#report(peer, "left");
    this.#gossipAt = Math.min(this.#gossipAt, now + GOSSIP_JOIN_MS);
  }

  #onHandshakeFailed(dialled: string | undefined, error: LinkError, now: Millis): void {
    this.#counts.handshakesFailed++;
    if (dialled === undefined) return;
    if (error.code === "self_dialled") this.#targets.isSelf(dialled);
    else this.#targets.failed(dialled, now);
  }

  #onDialFailed(input: MeshInput & { readonly kind: "dial_failed" }, now: Millis): void {
    const { address, isRefused, cause } = input;
    this.#counts.dialsFailed++;
    this.#targets.failed(address, now);
    const message = `Cannot link with ${address}: ${
      cause instanceof Error ? cause.message : cause
    }`;
    this.#outputs.push({
      kind: "fault",
      error: new LinkError("connect_failed", message, { address, cause }),
    });
    if (isRefused) return this.#onRefused(address);
    for (const peer of this.#peers.values()) {
      if (peer.address === address && peer.links.length === 0) this.#report(peer, "lost");
    }
  }

  #onRefused(address: string): void {
    for (const peer of [...this.#peers.values()]) {
      if (peer.address === address && peer.links.length === 0) this.#die(peer);
    }
  }

  #rebuild(node: NodeId, now: Millis): void {
    for (const entry of this.#peers.get(node)?.links.slice() ?? []) {
      this.#close(entry, "closed", "the link is deaf", now);
    }
  }

  #learn(nodes: readonly KnownNode[], now: Millis): void {
    for (const { id, address } of nodes) {
      const place = parseAddress(address);
      const isKnown = id === this.#context.id || this.#peers.get(id)?.links.length;
      if (place === undefined || isKnown || this.#targets.size >= MESH_ADDRESSES_MAX) continue;
      this.#targets.add(place, { node: id }, now);
    }
    this.#seek(now);
  }

  #gossip(now: Millis): void {
    this.#gossipAt = now + GOSSIP_MS;
    const linked = [...this.#peers.values()].filter((peer) => peer.links.length > 0);
    const nodes = linked.map(({ id, address }) => ({ id, address }));
    for (const peer of linked) {
      const entry = peer.links[0]!;
      entry.link.gossip(nodes.filter(({ id }) => id !== peer.id));
      this.#soil(entry);
    }
  }

  // Dials and resolves whatever is due.
  #seek(now: Millis): void {
    if (this.#hasLeft) return;
    for (const hostname of this.#targets.takeNames(now)) {
      this.#outputs.push({ kind: "resolve", hostname });
    }
    const isLinked = (node: NodeId): boolean => (this.#peers.get(node)?.links.length ?? 0) > 0;
    for (const place of this.#targets.takeDue(now, isLinked)) {
      this.#counts.dials++;
      this.#outputs.push({ kind: "dial", place, address: formatAddress(place) });
    }
  }

  #leave(now: Millis): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    for (const entry of [...this.#entries.values()]) {
      entry.link.close("closed", "this node leaves", true, now);
      for (const output of entry.link.take()) {
        if (output.kind === "write") {
          this.#outputs.push({ kind: "write", link: entry.id, parts: output.parts });
        }
        if (output.kind === "hangup") {
          this.#outputs.push({ kind: "hangup", link: entry.id, isGraceful: true });
        }
      }
    }
    this.#entries.clear();
    this.#peers.clear();
    this.#dirty = [];
  }
}

const WAKE: LinkInput = { kind: "wake" };
