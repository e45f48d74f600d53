import { Batch } from "../../core/batch.ts";
import { ByteReader } from "../../core/byte_reader.ts";
import type { Machine, Millis, Wake } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import { LinkError, type LinkErrorCode } from "../../errors.ts";
import { MESH_ADDRESSES_MAX, MESH_FRAME_BYTES_MAX } from "../../core/limits.ts";
import { FRAME_TYPE, FrameReader, FrameWriter, type RawFrame } from "./frame.ts";
import {
  encodeRefusal,
  Handshake,
  HANDSHAKE_FRAME_BYTES_MAX,
  type HandshakeContext,
  type HandshakeResult,
  type LinkIdentity,
  type LinkRole,
} from "./handshake.ts";
import { type MeshSettings, PING_INTERVAL_MS } from "./mesh_options.ts";

/** A node and where it is dialled, as gossip tells it. */
export interface KnownNode {
  /** The node. */
  readonly id: NodeId;
  /** Where it is dialled, as `"host:port"`. */
  readonly address: string;
}

/** What can happen to a link. */
export type LinkInput =
  /** Bytes came. The link owns them. */
  | { readonly kind: "bytes"; readonly chunk: Uint8Array }
  /** The connection is over. */
  | { readonly kind: "ended"; readonly cause: unknown }
  /** So many bytes wait for the peer to take them. */
  | { readonly kind: "queued"; readonly byteLength: number }
  | Wake;

/** What a link asks of its driver (`write`, `hangup`) and tells its owner (the rest). */
export type LinkOutput =
  | { readonly kind: "write"; readonly parts: readonly Uint8Array[] }
  /** End the connection: after what was written, or now. */
  | { readonly kind: "hangup"; readonly isGraceful: boolean }
  | { readonly kind: "up"; readonly peer: LinkIdentity }
  | { readonly kind: "payload"; readonly payload: Uint8Array }
  | { readonly kind: "peers"; readonly nodes: readonly KnownNode[] }
  /** The peer sends nothing more over this link, as it has a better one. */
  | { readonly kind: "retired" }
  /** What was dropped at the bound may be offered again. */
  | { readonly kind: "relieved" }
  | { readonly kind: "down"; readonly error: LinkError };

type State =
  | { readonly name: "greeting"; readonly handshake: Handshake; readonly until: Millis }
  | { readonly name: "open"; readonly peer: LinkIdentity }
  | { readonly name: "closed" };

const CLOSED: State = { name: "closed" };
const NOTHING = new Uint8Array(0);

/**
 * One connection to one peer: handshake, frames, silence.
 *
 * ```text
 * greeting --handshake--> open --goodbye | end | silence | bad frame--> closed
 *     '------refused | end | time limit | bad frame--------------------^
 * ```
 *
 * What is sent in one tick is written at the end of it, joined.
 */
export class Link implements Machine<LinkInput, LinkOutput> {
  readonly #settings: MeshSettings;
  readonly #context: HandshakeContext;
  readonly #reader = new FrameReader(HANDSHAKE_FRAME_BYTES_MAX);
  readonly #outgoing = new FrameWriter();
  readonly #address: string;
  #state: State;
  readonly #outputs = new Batch<LinkOutput>();
  #heardAt: Millis;
  #wroteAt: Millis;
  #queuedBytes = 0;
  #isDropping = false;
  #token = "";
  #predecessor = "";
  #hasRetired = false;
  #isRetiredByPeer = false;
  #unknownFrames = 0;

  /** Starts the handshake. `address` is for people. */
  constructor(
    context: HandshakeContext,
    settings: MeshSettings,
    start: { readonly role: LinkRole; readonly nonce: Uint8Array; readonly address: string },
    now: Millis,
  ) {
    this.#context = context;
    this.#settings = settings;
    this.#address = start.address;
    this.#heardAt = now;
    this.#wroteAt = now;
    const { role, nonce } = start;
    const handshake = new Handshake(context, { role, nonce, outgoing: this.#outgoing });
    this.#state = { name: "greeting", handshake, until: now + settings.handshakeTimeoutMs };
    this.#flush(now);
  }

  /** When it wants to be woken: now if something waits to be written. */
  get deadline(): Millis | undefined {
    const state = this.#state;
    if (state.name === "closed") return undefined;
    if (state.name === "greeting") return state.until;
    if (this.#outgoing.byteLength > 0) return -Infinity;
    return Math.min(this.#heardAt + this.#settings.linkSilenceMs, this.#wroteAt + PING_INTERVAL_MS);
  }

  /** The peer, once it has proved who it is. */
  get peer(): LinkIdentity | undefined {
    return this.#state.name === "open" ? this.#state.peer : undefined;
  }

  /** Names the link, the same on both sides; empty until it is open. */
  get token(): string {
    return this.#token;
  }

  /** The token of the link that the peer had before and lost; empty if there was none. */
  get predecessor(): string {
    return this.#predecessor;
  }

  /** Whether this node sends nothing more over it. */
  get hasRetired(): boolean {
    return this.#hasRetired;
  }

  /** Whether the peer sends nothing more over it. */
  get isRetiredByPeer(): boolean {
    return this.#isRetiredByPeer;
  }

  /** Bytes that wait for the peer to take them. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#outgoing.byteLength;
  }

  /** Frames of types that this version does not know. */
  get unknownFrames(): number {
    return this.#unknownFrames;
  }

  /** Applies one input. Inputs after the end are ignored, as sockets report late. */
  handle(input: LinkInput, now: Millis): void {
    if (this.#state === CLOSED) return;
    switch (input.kind) {
      case "bytes":
        return this.#receive(input.chunk, now);
      case "queued":
        return this.#onQueued(input.byteLength);
      case "ended":
        return this.#onEnded(input.cause);
      case "wake":
        return this.#wake(now);
    }
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): LinkOutput[] {
    return this.#outputs.take();
  }

  /**
   * Sends a payload at the end of the tick.
   *
   * @returns Whether it was taken. When too much waits, one that can be repeated is dropped; one
   *     that cannot may take as much again, and past that ends the link.
   */
  send(payload: Uint8Array, isRepeatable: boolean): boolean {
    if (this.#state.name !== "open") return false;
    const { queueBytesMax } = this.#settings;
    const waiting = this.queuedBytes + payload.length;
    if (waiting > queueBytesMax && isRepeatable) {
      this.#isDropping = true;
      return false;
    }
    if (waiting > 2 * queueBytesMax) {
      this.#fail("queue_full", `${waiting} bytes wait, at most ${2 * queueBytesMax} may`);
      return false;
    }
    this.#outgoing.append(FRAME_TYPE.payload, payload);
    return true;
  }

  /** Tells the peer which nodes are known here, unless too much waits: it is told again. */
  gossip(nodes: readonly KnownNode[]): void {
    if (this.#state.name !== "open" || this.queuedBytes > this.#settings.queueBytesMax) return;
    const { writer } = this.#context;
    writer.varint(nodes.length);
    for (const node of nodes) {
      writer.text(node.id);
      writer.text(node.address);
    }
    this.#outgoing.append(FRAME_TYPE.peers, writer.finish());
  }

  /** Says that nothing more is sent over this link. */
  retire(): void {
    if (this.#state.name !== "open") return;
    this.#hasRetired = true;
    this.#outgoing.append(FRAME_TYPE.retire, NOTHING);
  }

  /** Takes out of account a time in which this node stood still: it is no silence of the peer's. */
  excuse(stallMs: Millis): void {
    this.#heardAt += stallMs;
    if (this.#state.name !== "greeting") return;
    this.#state = { ...this.#state, until: this.#state.until + stallMs };
  }

  /** Ends the link: with a goodbye if this node leaves the cluster. */
  close(code: LinkErrorCode, detail: string, isLeaving: boolean, now: Millis): void {
    if (this.#state === CLOSED) return;
    if (isLeaving && this.#state.name === "open") {
      this.#outgoing.append(FRAME_TYPE.goodbye, NOTHING);
    }
    this.#flush(now);
    this.#end(code, detail, { isGraceful: true });
  }

  #receive(chunk: Uint8Array, now: Millis): void {
    this.#heardAt = now;
    this.#reader.push(chunk);
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
      this.#accept(frame, now);
      if (this.#state === CLOSED) return;
    }
    const { fault } = this.#reader;
    if (fault !== undefined) this.#fail(fault.code, fault.detail);
  }

  #accept(frame: RawFrame, now: Millis): void {
    if (this.#state.name === "greeting") {
      const result = this.#state.handshake.read(frame);
      if (result !== undefined) this.#conclude(result);
      return this.#flush(now);
    }
    switch (frame.type) {
      case FRAME_TYPE.payload:
        this.#outputs.push({ kind: "payload", payload: frame.body });
        return;
      case FRAME_TYPE.peers:
        return this.#readPeers(frame.body);
      case FRAME_TYPE.ping:
        return;
      case FRAME_TYPE.retire:
        this.#isRetiredByPeer = true;
        this.#outputs.push({ kind: "retired" });
        return;
      case FRAME_TYPE.goodbye:
        return this.#end("peer_left", "it said goodbye", { isGraceful: true });
      default:
        // From a newer version, which must do without an answer.
        this.#unknownFrames++;
    }
  }

  #conclude(result: HandshakeResult): void {
    if (this.#state.name !== "greeting") return;
    this.#state.handshake.close();
    if (result.kind === "done") {
      this.#state = { name: "open", peer: result.peer };
      this.#token = result.token;
      this.#predecessor = result.predecessor;
      this.#reader.lengthMax = MESH_FRAME_BYTES_MAX;
      this.#outputs.push({ kind: "up", peer: result.peer });
      return;
    }
    if (result.isTold) {
      const { writer } = this.#context;
      this.#outgoing.append(FRAME_TYPE.refuse, encodeRefusal(writer, result.code, result.detail));
      this.#outputs.push({ kind: "write", parts: this.#outgoing.take(Infinity) });
    }
    this.#end(result.code, result.detail, { isGraceful: true, peer: result.peer });
  }

  #readPeers(body: Uint8Array): void {
    const reader = new ByteReader(body);
    const nodes: KnownNode[] = [];
    const count = Math.min(reader.varint(), MESH_ADDRESSES_MAX);
    while (nodes.length < count && !reader.failed) {
      nodes.push({ id: reader.text(), address: reader.text() });
    }
    if (reader.failed) return this.#fail("frame_invalid", "gossip cannot be read");
    this.#outputs.push({ kind: "peers", nodes });
  }

  #onQueued(byteLength: number): void {
    this.#queuedBytes = byteLength;
    this.#relieve();
  }

  #relieve(): void {
    if (!this.#isDropping || this.queuedBytes > this.#settings.queueBytesMax / 2) return;
    this.#isDropping = false;
    this.#outputs.push({ kind: "relieved" });
  }

  #wake(now: Millis): void {
    if (this.#state.name === "greeting") {
      if (now < this.#state.until) return;
      const { handshakeTimeoutMs } = this.#settings;
      const detail = `no handshake within ${handshakeTimeoutMs} ms`;
      // In order: a reset would tell the dialler that this process is dead.
      return this.#end("handshake_timed_out", detail, { isGraceful: true });
    }
    if (now >= this.#heardAt + this.#settings.linkSilenceMs) {
      return this.#fail("peer_silent", `nothing heard for ${Math.round(now - this.#heardAt)} ms`);
    }
    if (now >= this.#wroteAt + PING_INTERVAL_MS) this.#outgoing.append(FRAME_TYPE.ping, NOTHING);
    this.#flush(now);
  }

  #onEnded(cause: unknown): void {
    const isSpent = this.#hasRetired && this.#isRetiredByPeer;
    if (isSpent) this.#fail("duplicate", "another link is kept");
    else this.#fail("peer_gone", "the connection ended", cause);
  }

  #flush(now: Millis): void {
    if (this.#outgoing.byteLength === 0) return;
    this.#wroteAt = now;
    this.#outputs.push({ kind: "write", parts: this.#outgoing.take(Infinity) });
    // If all of it is taken at once, nothing will be said of a queue.
    this.#relieve();
  }

  #fail(code: LinkErrorCode, detail: string, cause?: unknown): void {
    this.#end(code, detail, { isGraceful: false, cause });
  }

  #end(
    code: LinkErrorCode,
    detail: string,
    end: {
      readonly isGraceful: boolean;
      readonly cause?: unknown;
      readonly peer?: NodeId | undefined;
    },
  ): void {
    if (this.#state === CLOSED) return;
    if (this.#state.name === "greeting") this.#state.handshake.close();
    const peer = this.peer?.id ?? end.peer;
    this.#state = CLOSED;
    const who = peer === undefined ? this.#address : `${peer} at ${this.#address}`;
    const { cause, isGraceful } = end;
    const error = new LinkError(code, `Cannot link with ${who}: ${detail}`, {
      peer,
      address: this.#address,
      cause,
    });
    this.#outputs.push({ kind: "hangup", isGraceful });
    this.#outputs.push({ kind: "down", error });
  }
}
