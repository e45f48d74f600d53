/**
 * What nodes tell each other of their members, as bytes.
 *
 * A body is a type byte and its fields. A node skips types that it does not know, and bytes behind
 * the fields that it knows. In a list, the channel is named only where it differs from the one
 * before, and metadata only where there is some.
 *
 * @module
 */

import { ByteReader } from "../core/byte_reader.ts";
import type { ByteWriter } from "../core/byte_writer.ts";
import type { EntryFields } from "./presence_entry.ts";

/** One change of a node's own roster. */
export type PresenceOp =
  /** A connection is there, in place of what stood in its slot. */
  | JoinOp
  /** A connection has other metadata. */
  | {
    readonly kind: "update";
    readonly version: number;
    readonly slot: number;
    readonly meta: string;
  }
  /** A connection is gone. */
  | { readonly kind: "leave"; readonly version: number; readonly slot: number }
  /** A connection has ended; its entry stays for so many ms, even if the node says goodbye. */
  | {
    readonly kind: "linger";
    readonly version: number;
    readonly slot: number;
    readonly lingerMs: number;
  };

/** A connection is there. */
export interface JoinOp extends EntryFields {
  readonly kind: "join";
  readonly channel: string;
}

/** An entry as it stands in a piece of the whole. */
export interface PieceEntry extends EntryFields {
  readonly channel: string;
  /** How much longer it lingers, in ms; `undefined` for one whose connection is there. */
  readonly lingerMs: number | undefined;
}

/** One unit between two nodes. */
export type PresenceBody =
  | DeltaBody
  | WantBody
  | PieceBody
  | DigestBody
  /** The sender has no presence any more. What lingers there does so without it. */
  | { readonly kind: "goodbye" };

/** What the sender's roster went through, in order. */
export interface DeltaBody {
  readonly kind: "delta";
  /** The version before the first of them. */
  readonly prev: number;
  readonly ops: readonly PresenceOp[];
}

/** Asks for what the receiver's roster went through, or for a piece of the whole. */
export interface WantBody {
  readonly kind: "want";
  /** The version up to which the sender knows it. */
  readonly after: number;
  /** Where the piece begins; `undefined` if the changes alone will do. */
  readonly slot: number | undefined;
}

/** What stands in some slots of the sender's roster. The others of them are empty. */
export interface PieceBody {
  readonly kind: "piece";
  /** The version that it shows. */
  readonly version: number;
  /** The first slot that it tells of. */
  readonly from: number;
  /** The first slot that it does not tell of. */
  readonly to: number;
  /** Whether all slots from `to` on are empty. */
  readonly isLast: boolean;
  readonly entries: readonly PieceEntry[];
}

/** Where the sender's roster stands. */
export interface DigestBody {
  readonly kind: "digest";
  readonly version: number;
  /** Over all its entries at that version. */
  readonly hash: number;
}

const TYPE = { delta: 1, want: 2, piece: 3, digest: 4, goodbye: 5 } as const;
const OP = { join: 0, update: 1, leave: 2, linger: 3 } as const;
const OP_MASK = 3;
const FLAG_SAME_CHANNEL = 4;
const FLAG_META = 8;
const FLAG_LINGERS = 16;

/** Slots of one roster: four million connections on one node are beyond any machine. */
export const PRESENCE_SLOTS_MAX = 4_194_304;
/** Slots that one piece tells of, so that an empty stretch costs its reader little. */
export const PIECE_SLOTS_MAX = 65_536;
/** Longest time that an entry may linger. */
export const LINGER_MS_MAX = 3_600_000;
// Far beyond what counting reaches, and far below where counting goes wrong.
const VERSION_MAX = 2 ** 50;

/** Encodes a body. The bytes returned belong to the caller. */
export function encodePresence(writer: ByteWriter, body: PresenceBody): Uint8Array {
  writer.u8(TYPE[body.kind]);
  switch (body.kind) {
    case "delta":
      writeDelta(writer, body);
      break;
    case "want":
      writer.varint(body.after);
      writer.varint(body.slot === undefined ? 0 : body.slot + 1);
      break;
    case "piece":
      writePiece(writer, body);
      break;
    case "digest":
      writer.varint(body.version);
      writer.u32(body.hash);
      break;
    case "goodbye":
      break;
  }
  return writer.finish();
}

/** Some changes as bytes: those of a delta behind its head. */
export interface EncodedOps {
  /** The version before the first of them. */
  readonly prev: number;
  /** How many there are. */
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** Encodes changes apart from the body that they will be in. The bytes belong to the caller. */
export function encodeOps(writer: ByteWriter, { prev, ops }: DeltaBody): EncodedOps {
  writeOps(writer, prev, ops);
  return { prev, count: ops.length, bytes: writer.finish() };
}

/**
 * Encodes a delta of changes that are encoded already, each the next of the one before: a change is
 * told from the version before it, and a channel is named anew in each.
 */
export function encodeDelta(writer: ByteWriter, parts: readonly EncodedOps[]): Uint8Array {
  writer.u8(TYPE.delta);
  writer.varint(parts[0]!.prev);
  writer.varint(parts.reduce((sum, { count }) => sum + count, 0));
  for (const { bytes } of parts) writer.raw(bytes);
  return writer.finish();
}

/**
 * Decodes a body.
 *
 * @returns The body, `"unknown"` for a type of a newer version, or `undefined` if the bytes are none.
 */
export function decodePresence(bytes: Uint8Array): PresenceBody | "unknown" | undefined {
  const reader = new ByteReader(bytes);
  const body = readBody(reader);
  return reader.failed ? undefined : body;
}

function readBody(reader: ByteReader): PresenceBody | "unknown" | undefined {
  switch (reader.u8()) {
    case TYPE.delta:
      return readDelta(reader);
    case TYPE.want:
      return readWant(reader);
    case TYPE.piece:
      return readPiece(reader);
    case TYPE.digest: {
      const version = reader.varint();
      const hash = reader.u32();
      return version <= VERSION_MAX ? { kind: "digest", version, hash } : undefined;
    }
    case TYPE.goodbye:
      return { kind: "goodbye" };
    default:
      return "unknown";
  }
}

// prev | count | (flags | version - the one before | slot | what the kind needs)*
function writeDelta(writer: ByteWriter, { prev, ops }: DeltaBody): void {
  writer.varint(prev);
  writer.varint(ops.length);
  writeOps(writer, prev, ops);
}

function writeOps(writer: ByteWriter, prev: number, ops: readonly PresenceOp[]): void {
  let before = prev;
  let channel = "";
  for (const op of ops) {
    const flags = op.kind === "join" ? joinFlags(op, channel) : 0;
    writer.u8(OP[op.kind] | flags);
    writer.varint(op.version - before);
    writer.varint(op.slot);
    before = op.version;
    if (op.kind === "join") {
      writeJoin(writer, op, flags);
      channel = op.channel;
    } else if (op.kind === "update") writer.text(op.meta);
    else if (op.kind === "linger") writer.varint(op.lingerMs);
  }
}

function readDelta(reader: ByteReader): DeltaBody | undefined {
  const prev = reader.varint();
  const ops: PresenceOp[] = [];
  let version = prev;
  let channel = "";
  for (let count = reader.varint(); count > 0 && !reader.failed; count--) {
    const flags = reader.u8();
    const gap = reader.varint();
    const slot = reader.varint();
    version += gap;
    if (gap === 0 || version > VERSION_MAX || slot >= PRESENCE_SLOTS_MAX) return undefined;
    const op = readOp(reader, { flags, version, slot, channel });
    if (op.kind === "join") channel = op.channel;
    ops.push(op);
  }
  return { kind: "delta", prev, ops };
}

function readOp(
  reader: ByteReader,
  head: { flags: number; version: number; slot: number; channel: string },
): PresenceOp {
  const { flags, version, slot } = head;
  switch (flags & OP_MASK) {
    case OP.join:
      return { kind: "join", version, slot, ...readJoin(reader, flags, head.channel) };
    case OP.update:
      return { kind: "update", version, slot, meta: reader.text() };
    case OP.leave:
      return { kind: "leave", version, slot };
    default:
      return { kind: "linger", version, slot, lingerMs: readLinger(reader) };
  }
}

function joinFlags(entry: { channel: string; meta: string }, channelBefore: string): number {
  const isSame = entry.channel === channelBefore;
  return (isSame ? FLAG_SAME_CHANNEL : 0) | (entry.meta === "" ? 0 : FLAG_META);
}

function writeJoin(
  writer: ByteWriter,
  entry: { connection: number; channel: string; member: string; meta: string },
  flags: number,
): void {
  writer.varint(entry.connection);
  if ((flags & FLAG_SAME_CHANNEL) === 0) writer.text(entry.channel);
  writer.text(entry.member);
  if ((flags & FLAG_META) !== 0) writer.text(entry.meta);
}

function readJoin(
  reader: ByteReader,
  flags: number,
  channelBefore: string,
): { connection: number; channel: string; member: string; meta: string } {
  return {
    connection: reader.varint(),
    channel: (flags & FLAG_SAME_CHANNEL) === 0 ? reader.text() : channelBefore,
    member: reader.text(),
    meta: (flags & FLAG_META) === 0 ? "" : reader.text(),
  };
}

function readLinger(reader: ByteReader): number {
  return Math.min(reader.varint(), LINGER_MS_MAX);
}

function readWant(reader: ByteReader): WantBody | undefined {
  const after = reader.varint();
  const slot = reader.varint() - 1;
  if (after > VERSION_MAX || slot >= PRESENCE_SLOTS_MAX) return undefined;
  return { kind: "want", after, slot: slot < 0 ? undefined : slot };
}

// version | from | to - from | is last | count | (flags | slot - the one before | age | entry)*
function writePiece(writer: ByteWriter, piece: PieceBody): void {
  writer.varint(piece.version);
  writer.varint(piece.from);
  writer.varint(piece.to - piece.from);
  writer.u8(piece.isLast ? 1 : 0);
  writer.varint(piece.entries.length);
  let slot = piece.from;
  let channel = "";
  for (const entry of piece.entries) {
    const flags = joinFlags(entry, channel);
    writer.u8(flags | (entry.lingerMs === undefined ? 0 : FLAG_LINGERS));
    writer.varint(entry.slot - slot);
    writer.varint(piece.version - entry.version);
    writeJoin(writer, entry, flags);
    if (entry.lingerMs !== undefined) writer.varint(entry.lingerMs);
    slot = entry.slot + 1;
    channel = entry.channel;
  }
}

function readPiece(reader: ByteReader): PieceBody | undefined {
  const version = reader.varint();
  const from = reader.varint();
  const span = reader.varint();
  const to = from + span;
  const isLast = reader.u8() === 1;
  if (version > VERSION_MAX || span > PIECE_SLOTS_MAX || to > PRESENCE_SLOTS_MAX) return undefined;
  // A piece that leads nowhere would be asked for without end.
  if (span === 0 && !isLast) return undefined;
  const entries: PieceEntry[] = [];
  let slot = from;
  let channel = "";
  for (let count = reader.varint(); count > 0 && !reader.failed; count--) {
    const flags = reader.u8();
    slot += reader.varint();
    const age = reader.varint();
    if (slot >= to || age > version) return undefined;
    const join = readJoin(reader, flags, channel);
    const lingerMs = (flags & FLAG_LINGERS) === 0 ? undefined : readLinger(reader);
    entries.push({ slot, version: version - age, ...join, lingerMs });
    slot++;
    channel = join.channel;
  }
  return { kind: "piece", version, from, to, isLast, entries };
}
