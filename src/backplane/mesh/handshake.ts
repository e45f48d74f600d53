import { ByteReader } from "../../core/byte_reader.ts";
import type { ByteWriter } from "../../core/byte_writer.ts";
import type { NodeId } from "../../core/node.ts";
import type { LinkErrorCode } from "../../errors.ts";
import { encodeFrame, FRAME_TYPE, type FrameWriter, type RawFrame } from "./frame.ts";

/** The versions of the mesh protocol that this code speaks. */
export const MESH_VERSIONS: VersionRange = { min: 1, max: 1 };

/** Bytes of chance that each side puts into a handshake. */
export const NONCE_BYTES = 32;

/** Largest frame of a handshake: a stranger must not make a node keep more. */
export const HANDSHAKE_FRAME_BYTES_MAX = 4_096;

/** Versions of the protocol, both ends included. */
export interface VersionRange {
  /** The oldest. */
  readonly min: number;
  /** The newest. */
  readonly max: number;
}

/** What a node tells of itself to a peer that has proved the secret. */
export interface LinkIdentity {
  /** The name of its cluster. */
  readonly cluster: string;
  /** The node, in this incarnation. */
  readonly id: NodeId;
  /** The operator's name for it. */
  readonly name: string;
  /** Where it is dialled: `"host:port"`, or `":port"` at the host that the peer sees. */
  readonly address: string;
  /** What it can do beyond the version, as bits. None is defined yet; unknown ones are ignored. */
  readonly features: number;
}

/** The digests that proofs need, as `runtime/crypto.ts` has them. */
export interface ProofDigests {
  /** HMAC-SHA-256 over the parts, joined. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** Compares in a time that tells nothing of the content. */
  equal(left: Uint8Array, right: Uint8Array): boolean;
}

/** What all handshakes of a node share. */
export interface HandshakeContext {
  /** This node. */
  readonly identity: LinkIdentity;
  /** The cluster's secret. */
  readonly key: Uint8Array;
  /** The versions to offer. */
  readonly versions: VersionRange;
  /** Digests. */
  readonly digests: ProofDigests;
  /** Scratch space for bodies. */
  readonly writer: ByteWriter;
  /** The nonces of this node's own dials that are under way, in hex: who sees one met itself. */
  readonly ownNonces: Set<string>;
  /** What this node has to do with another one already. */
  acquaintance(id: NodeId): Acquaintance;
}

/** What a node has to do with another one before a handshake is done. */
export interface Acquaintance {
  /** Whether there is a link. */
  readonly isLinked: boolean;
  /** The token of the last link that broke; empty if none did. */
  readonly lostToken: string;
}

/** Which side of a connection this is. */
export type LinkRole = "dialler" | "acceptor";

/** How a handshake ended. */
export type HandshakeResult =
  | {
    readonly kind: "done";
    readonly peer: LinkIdentity;
    readonly version: number;
    /** Names the link, the same on both sides. */
    readonly token: string;
    /** The token of the link that broke before, if the peer dialled for want of one. */
    readonly predecessor: string;
  }
  | {
    readonly kind: "failed";
    readonly code: LinkErrorCode;
    readonly detail: string;
    /** The peer, if it has proved who it is. */
    readonly peer?: NodeId | undefined;
    /** Whether the peer is told: not if it told us, nor if it is no node at all. */
    readonly isTold: boolean;
  };

type HandshakeFailure = HandshakeResult & { readonly kind: "failed" };

type State =
  | { readonly name: "hello" }
  | { readonly name: "proof" }
  | { readonly name: "identity" }
  | { readonly name: "identity_proof"; readonly peer: LinkIdentity; readonly predecessor: string }
  | { readonly name: "over" };

const MAGIC = 0x43484f52;
const PROOF_BYTES = 32;
const TEXT_LENGTH_MAX = 300;
const textEncoder = new TextEncoder();
const LABEL = {
  dial: textEncoder.encode("chorus dial\0"),
  accepted: textEncoder.encode("chorus accepted\0"),
  dialled: textEncoder.encode("chorus dialled\0"),
};

// What one node may tell another about why it hangs up.
const REFUSALS: readonly LinkErrorCode[] = [
  "version_unsupported",
  "secret_wrong",
  "cluster_wrong",
  "self_dialled",
  "duplicate",
  "frame_invalid",
];

/**
 * Proves to each other that both sides of a connection know the secret, then tells who they are.
 *
 * ```text
 * dialler                                   acceptor
 *   hello: versions, nonce          ->
 *                                   <-      hello: versions, nonce
 *   proof "dial" over all above     ->
 *                                   <-      identity
 *                                   <-      proof "accepted" over all above
 *   identity, lost link             ->
 *   proof "dialled" over all above  ->
 * ```
 *
 * Each proof covers every byte before it, both nonces included, under a label of its own: a
 * recorded handshake cannot be replayed, nor a peer's own words be turned against it. Nothing
 * about a node is told before its peer has proved the secret, and a stranger that connects gets
 * no proof with which it could try out secrets by itself.
 */
export class Handshake {
  readonly #context: HandshakeContext;
  readonly #role: LinkRole;
  readonly #outgoing: FrameWriter;
  readonly #nonce: Uint8Array;
  readonly #transcript: Uint8Array[] = [];
  #state: State = { name: "hello" };
  #version = 0;
  #token = "";

  /** Starts one; a dialler speaks first. `outgoing` takes the frames to send. */
  constructor(
    context: HandshakeContext,
    options: {
      readonly role: LinkRole;
      readonly nonce: Uint8Array;
      readonly outgoing: FrameWriter;
    },
  ) {
    this.#context = context;
    this.#role = options.role;
    this.#nonce = options.nonce;
    this.#outgoing = options.outgoing;
    if (this.#role === "acceptor") return;
    this.#token = toHex(this.#nonce);
    context.ownNonces.add(this.#token);
    this.#sendHello();
  }

  /** Forgets what was remembered for it. Safe to call again. */
  close(): void {
    this.#state = { name: "over" };
    if (this.#role === "dialler") this.#context.ownNonces.delete(this.#token);
  }

  /** Reads one frame. Returns the result once there is one. */
  read(frame: RawFrame): HandshakeResult | undefined {
    if (frame.type === FRAME_TYPE.refuse) return this.#readRefusal(frame.body);
    switch (this.#state.name) {
      case "hello":
        return this.#expect(frame, FRAME_TYPE.hello) ?? this.#readHello(frame);
      case "proof":
        return this.#expect(frame, FRAME_TYPE.proof) ?? this.#readProof(frame);
      case "identity":
        return this.#expect(frame, FRAME_TYPE.identity) ?? this.#readIdentity(frame);
      case "identity_proof":
        return this.#expect(frame, FRAME_TYPE.proof) ??
          this.#readIdentityProof(frame, this.#state);
      case "over":
        return undefined;
    }
  }

  #expect(frame: RawFrame, type: number): HandshakeResult | undefined {
    if (frame.type === type) return undefined;
    return fail("greeting_invalid", `frame type ${frame.type} in place of ${type}`, false);
  }

  #readHello(frame: RawFrame): HandshakeResult | undefined {
    const hello = decodeHello(frame.body);
    if (hello === undefined) return fail("greeting_invalid", "no greeting of a node", false);
    // Taken out, so that the dialler knows that a refusal for this reason is no stranger's lie.
    if (this.#context.ownNonces.delete(toHex(hello.nonce))) {
      return fail("self_dialled", "this node greets itself", true);
    }
    const { min, max } = this.#context.versions;
    this.#version = Math.min(max, hello.versions.max);
    if (this.#version < Math.max(min, hello.versions.min)) {
      const range = `${hello.versions.min} to ${hello.versions.max}`;
      return fail("version_unsupported", `versions ${range}, here ${min} to ${max}`, true);
    }
    this.#record(frame);
    if (this.#role === "dialler") {
      this.#sendProof(LABEL.dial);
      this.#state = { name: "identity" };
    } else {
      this.#token = toHex(hello.nonce);
      this.#sendHello();
      this.#state = { name: "proof" };
    }
    return undefined;
  }

  #readProof(frame: RawFrame): HandshakeResult | undefined {
    const failure = this.#verify(frame, LABEL.dial);
    if (failure !== undefined) return failure;
    this.#sendIdentity("");
    this.#sendProof(LABEL.accepted);
    this.#state = { name: "identity" };
    return undefined;
  }

  #readIdentity(frame: RawFrame): HandshakeResult | undefined {
    const told = decodeIdentity(frame.body);
    if (told === undefined) return fail("frame_invalid", "identity cannot be read", true);
    this.#record(frame);
    this.#state = { name: "identity_proof", ...told };
    return undefined;
  }

  #readIdentityProof(
    frame: RawFrame,
    { peer, predecessor }: State & { readonly name: "identity_proof" },
  ): HandshakeResult {
    const isDialler = this.#role === "dialler";
    const failure = this.#verify(frame, isDialler ? LABEL.accepted : LABEL.dialled) ??
      this.#checkPeer(peer);
    if (failure !== undefined) return failure;
    if (isDialler) {
      const { isLinked, lostToken } = this.#context.acquaintance(peer.id);
      if (isLinked) {
        return { ...fail("duplicate", "there is a link already", true), peer: peer.id };
      }
      this.#sendIdentity(lostToken);
      this.#sendProof(LABEL.dialled);
    }
    return { kind: "done", peer, version: this.#version, token: this.#token, predecessor };
  }

  #checkPeer(peer: LinkIdentity): HandshakeFailure | undefined {
    const { cluster, id } = this.#context.identity;
    if (peer.cluster !== cluster) {
      const names = `${JSON.stringify(peer.cluster)}, here ${JSON.stringify(cluster)}`;
      return fail("cluster_wrong", `cluster ${names}`, true);
    }
    return peer.id === id ? fail("self_dialled", "this node met itself", true) : undefined;
  }

  // What a refusal says is the peer's word, and only that.
  #readRefusal(body: Uint8Array): HandshakeFailure {
    const reader = new ByteReader(body);
    const text = reader.text();
    const reason = JSON.stringify(reader.text().slice(0, TEXT_LENGTH_MAX));
    const code = REFUSALS.find((known) => known === text) ?? "peer_gone";
    const isLie = code === "self_dialled" && this.#context.ownNonces.has(this.#token);
    return fail(isLie ? "peer_gone" : code, `refused by the peer: ${reason}`, false);
  }

  #verify(frame: RawFrame, label: Uint8Array): HandshakeFailure | undefined {
    const { digests, key } = this.#context;
    const expected = digests.hmacSha256(key, label, ...this.#transcript);
    const proof = frame.body.subarray(0, PROOF_BYTES);
    if (proof.byteLength !== PROOF_BYTES || !digests.equal(proof, expected)) {
      return fail("secret_wrong", "the proof of the secret is wrong", true);
    }
    this.#record(frame);
    return undefined;
  }

  #sendHello(): void {
    const { writer, versions } = this.#context;
    writer.u32(MAGIC);
    writer.u8(versions.min);
    writer.u8(versions.max);
    writer.bytes(this.#nonce);
    this.#send(FRAME_TYPE.hello, writer.finish());
  }

  #sendProof(label: Uint8Array): void {
    const { digests, key } = this.#context;
    this.#send(FRAME_TYPE.proof, digests.hmacSha256(key, label, ...this.#transcript));
  }

  #sendIdentity(lostToken: string): void {
    const { writer, identity } = this.#context;
    writer.text(identity.cluster);
    writer.text(identity.id);
    writer.text(identity.name);
    writer.text(identity.address);
    writer.u32(identity.features);
    writer.text(lostToken);
    this.#send(FRAME_TYPE.identity, writer.finish());
  }

  #send(type: number, body: Uint8Array): void {
    this.#transcript.push(encodeFrame(type, body));
    this.#outgoing.append(type, body);
  }

  #record(frame: RawFrame): void {
    this.#transcript.push(encodeFrame(frame.type, frame.body));
  }
}

/** Writes the body of a refusal. */
export function encodeRefusal(writer: ByteWriter, code: LinkErrorCode, reason: string): Uint8Array {
  writer.text(code);
  writer.text(reason);
  return writer.finish();
}

function fail(code: LinkErrorCode, detail: string, isTold: boolean): HandshakeFailure {
  return { kind: "failed", code, detail, isTold };
}

// What follows the known fields is a newer version's, and is skipped.
function decodeHello(body: Uint8Array): { versions: VersionRange; nonce: Uint8Array } | undefined {
  const reader = new ByteReader(body);
  if (reader.u32() !== MAGIC) return undefined;
  const versions = { min: reader.u8(), max: reader.u8() };
  const nonce = reader.bytes();
  return reader.failed || nonce.byteLength !== NONCE_BYTES ? undefined : { versions, nonce };
}

function decodeIdentity(
  body: Uint8Array,
): { peer: LinkIdentity; predecessor: string } | undefined {
  const reader = new ByteReader(body);
  const peer = {
    cluster: reader.text(),
    id: reader.text(),
    name: reader.text(),
    address: reader.text(),
    features: reader.u32(),
  };
  const predecessor = reader.text();
  const { id, name, address } = peer;
  const isLong = Math.max(id.length, name.length, address.length) > TEXT_LENGTH_MAX;
  return reader.failed || id === "" || isLong ? undefined : { peer, predecessor };
}

function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
