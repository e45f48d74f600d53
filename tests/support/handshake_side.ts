import { FrameReader, FrameWriter, type RawFrame } from "../../src/backplane/mesh/frame.ts";
import {
  type Acquaintance,
  Handshake,
  HANDSHAKE_FRAME_BYTES_MAX,
  type HandshakeContext,
  type HandshakeResult,
  type LinkIdentity,
  type LinkRole,
  MESH_VERSIONS,
  NONCE_BYTES,
  type VersionRange,
} from "../../src/backplane/mesh/handshake.ts";
import { ByteWriter } from "../../src/core/byte_writer.ts";
import { joinBytes } from "./join_bytes.ts";
import { systemDigests, systemRandomBytes } from "../../src/runtime/crypto.ts";

/** Who takes part in a handshake. What is left out is the same for all. */
export interface HandshakeActor {
  readonly id: string;
  readonly secret?: string;
  readonly cluster?: string;
  readonly versions?: VersionRange;
  readonly acquaintance?: Acquaintance;
  readonly identity?: Partial<LinkIdentity>;
}

const STRANGER: Acquaintance = { isLinked: false, lostToken: "" };

/** Makes what all handshakes of a node share. */
export function createHandshakeContext(actor: HandshakeActor): HandshakeContext {
  const { id, secret = "s", cluster = "chorus", versions = MESH_VERSIONS } = actor;
  const name = id.split("~")[0]!;
  return {
    identity: { cluster, id, name, address: `${name}:1`, features: 0, ...actor.identity },
    key: new TextEncoder().encode(secret),
    versions,
    digests: systemDigests,
    writer: new ByteWriter(),
    ownNonces: new Set(),
    acquaintance: () => actor.acquaintance ?? STRANGER,
  };
}

/** One side of a handshake: what it says is taken out as bytes, and what it hears put in. */
export class HandshakeSide {
  readonly context: HandshakeContext;
  readonly handshake: Handshake;
  /** How it ended. */
  result: HandshakeResult | undefined;
  readonly #outgoing = new FrameWriter();
  readonly #reader = new FrameReader(HANDSHAKE_FRAME_BYTES_MAX);

  constructor(role: LinkRole, actor: HandshakeActor | HandshakeContext) {
    this.context = "key" in actor ? actor : createHandshakeContext(actor);
    const nonce = systemRandomBytes(NONCE_BYTES);
    this.handshake = new Handshake(this.context, { role, nonce, outgoing: this.#outgoing });
  }

  /** Takes what it says, as one piece. */
  speak(): Uint8Array {
    return joinBytes(this.#outgoing.take(Infinity));
  }

  /** Lets it hear some bytes. It hears no more once it has a result. */
  hear(bytes: Uint8Array): void {
    this.#reader.push(bytes.slice());
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
      if (this.result === undefined) this.result = this.handshake.read(frame);
    }
  }
}

/** Carries what two sides say to each other until both are silent. Returns what each said. */
export function converse(
  dialler: HandshakeSide,
  acceptor: HandshakeSide,
): [Uint8Array, Uint8Array] {
  const said: [Uint8Array[], Uint8Array[]] = [[], []];
  for (;;) {
    const [fromDialler, fromAcceptor] = [dialler.speak(), acceptor.speak()];
    if (fromDialler.byteLength + fromAcceptor.byteLength === 0) break;
    said[0].push(fromDialler);
    said[1].push(fromAcceptor);
    acceptor.hear(fromDialler);
    dialler.hear(fromAcceptor);
  }
  return [joinBytes(said[0]), joinBytes(said[1])];
}

/** Cuts bytes into frames. */
export function readFrames(bytes: Uint8Array): RawFrame[] {
  const reader = new FrameReader(2 ** 32);
  reader.push(bytes.slice());
  const frames: RawFrame[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  return frames;
}
