import { ByteReader } from "../../core/byte_reader.ts";
import type { ByteWriter } from "../../core/byte_writer.ts";
import type { NodeId } from "../../core/node.ts";

/** What a packet is. The numbers are the wire's and never change their meaning. */
export const PACKET_TYPE = {
  /** Payloads of the layer above, in order. */
  payloads: 1,
  /** The sender is there. */
  here: 2,
  /** The sender leaves the cluster. */
  goodbye: 3,
  /** Sent by a node to itself, to prove that it is heard. */
  canary: 4,
} as const;

/** What a node that says that it is there wants of those who hear it. */
export const HERE_WANTS = {
  /** Nothing, of those who know it. */
  nothing: 0,
  /** That each says the same. */
  answer: 1,
  /** The same, and that nothing sent to it before counts as received. */
  renewal: 2,
} as const;

/** What a node wants that says that it is there. */
export type HereWants = (typeof HERE_WANTS)[keyof typeof HERE_WANTS];

/** What one node published in a Redis channel. */
export type Packet =
  | { readonly kind: "payloads"; readonly from: NodeId; readonly payloads: readonly Uint8Array[] }
  | {
    readonly kind: "here";
    readonly from: NodeId;
    readonly name: string;
    readonly wants: HereWants;
  }
  | { readonly kind: "goodbye"; readonly from: NodeId }
  | { readonly kind: "canary"; readonly from: NodeId; readonly number: number }
  /** From a newer version: skipped. */
  | { readonly kind: "unknown"; readonly from: NodeId };

/** A packet to be encoded; the sender is the same for all. */
export type PacketBody =
  | { readonly kind: "payloads"; readonly payloads: readonly Uint8Array[] }
  | { readonly kind: "here"; readonly name: string; readonly wants: HereWants }
  | { readonly kind: "goodbye" }
  | { readonly kind: "canary"; readonly number: number };

/** Bytes of a packet beside its payloads, at most, and beside each of them. */
export const PACKET_OVERHEAD_BYTES = 5;

/** Writes a packet: `u8 type | text sender | body`. */
export function encodePacket(writer: ByteWriter, from: NodeId, body: PacketBody): Uint8Array {
  writer.u8(PACKET_TYPE[body.kind]);
  writer.text(from);
  switch (body.kind) {
    case "payloads":
      for (const payload of body.payloads) writer.bytes(payload);
      break;
    case "here":
      writer.text(body.name);
      writer.u8(body.wants);
      break;
    case "canary":
      writer.varint(body.number);
      break;
    case "goodbye":
  }
  return writer.finish();
}

/**
 * Reads a packet, from bytes that nobody vouches for. Bytes behind the known fields are skipped.
 *
 * @returns The packet, its payloads as views, or `undefined` if the bytes are none.
 */
export function decodePacket(bytes: Uint8Array): Packet | undefined {
  const reader = new ByteReader(bytes);
  const type = reader.u8();
  const from = reader.text();
  const packet = readBody(reader, type, from);
  return reader.failed || from === "" ? undefined : packet;
}

function readBody(reader: ByteReader, type: number, from: NodeId): Packet {
  switch (type) {
    case PACKET_TYPE.payloads: {
      const payloads: Uint8Array[] = [];
      while (reader.remaining > 0 && !reader.failed) payloads.push(reader.bytes());
      return { kind: "payloads", from, payloads };
    }
    case PACKET_TYPE.here: {
      const name = reader.text();
      const wants = reader.u8();
      // What a newer version wants beyond this, it must do without.
      return { kind: "here", from, name, wants: isWants(wants) ? wants : HERE_WANTS.nothing };
    }
    case PACKET_TYPE.goodbye:
      return { kind: "goodbye", from };
    case PACKET_TYPE.canary:
      return { kind: "canary", from, number: reader.varint() };
    default:
      return { kind: "unknown", from };
  }
}

function isWants(value: number): value is HereWants {
  return value === 0 || value === 1 || value === 2;
}

/**
 * Tells whether a packet is of this very sender, without reading it: most that come back to a node
 * that listens to what it publishes are its own.
 */
export function isFrom(bytes: Uint8Array, sender: Uint8Array): boolean {
  const start = 5;
  if (bytes.byteLength < start + sender.byteLength || bytes[4] !== sender.byteLength) return false;
  for (let index = sender.byteLength - 1; index >= 0; index--) {
    if (bytes[start + index] !== sender[index]) return false;
  }
  return true;
}
