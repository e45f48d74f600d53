/**
 * What nodes say to each other, as bytes: the same on every backplane.
 *
 * An envelope is a type byte and its fields. A node skips types that it does not know and bytes
 * behind the fields that it knows, so that nodes of neighbouring versions work together.
 *
 * @module
 */

import { Batch } from "../core/batch.ts";
import { ByteReader } from "../core/byte_reader.ts";
import type { ByteWriter } from "../core/byte_writer.ts";
import type { Message } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";
import { MESSAGES_BYTES_MAX } from "./settings.ts";

/** A channel and a seq of the sender in it. */
export interface ChannelSeq {
  /** The channel. */
  readonly channel: string;
  /** The sender's newest seq in it. */
  readonly seq: number;
}

/** A version of a node's interest, and a seq of another node. */
export interface VersionSeq {
  /** The version. */
  readonly version: number;
  /** The other's newest seq, in whatever channel, when it learned of that version. */
  readonly seq: number;
}

/** One unit between two nodes. */
export type Envelope =
  | MessagesEnvelope
  | HeartbeatEnvelope
  | InterestEnvelope
  | InterestAllEnvelope
  | InterestAckEnvelope
  /** Asks for the sender's whole interest: an earlier envelope was missed. */
  | { readonly kind: "interest_request" }
  /** Asks for one node's messages in a channel after a seq. */
  | {
    readonly kind: "repair_request";
    readonly channel: string;
    readonly node: NodeId;
    readonly after: number;
  }
  | RepairEndEnvelope
  | AckEnvelope
  /** Asks whether the receiver hears a node. */
  | { readonly kind: "probe"; readonly node: NodeId }
  /** Answers a probe: when the sender last heard the node, in ms before now; `undefined` for never. */
  | {
    readonly kind: "testimony";
    readonly node: NodeId;
    readonly heardAgoMs: number | undefined;
  }
  | PartEnvelope
  /** Since when the sender owes messages: of each version of the receiver's interest, oldest first. */
  | { readonly kind: "owed"; readonly since: readonly VersionSeq[] }
  /** From a newer version: skipped. */
  | { readonly kind: "unknown"; readonly type: number };

/** Something of a part that is attached to the cluster, for the same part on the other side. */
export interface PartBody {
  /** Which part. What the numbers mean is for those who attach them. */
  readonly part: number;
  /** What it says, which only it can read. */
  readonly body: Uint8Array;
}

/** What a part says when it has something to say. */
export interface PartEnvelope extends PartBody {
  readonly kind: "part";
}

/** Messages of one node in one channel, in order. */
export interface MessagesEnvelope {
  readonly kind: "messages";
  readonly channel: string;
  /** The publishing node: the sender, or another whose messages the sender repeats. */
  readonly node: NodeId;
  /** Whether they were asked for by a `repair_request`. */
  readonly repair: boolean;
  /** Whether the sender wants an `ack` of the last one. */
  readonly acknowledge: boolean;
  readonly messages: readonly Message[];
}

/** Sent to each peer over each path every second: proof that the path carries messages. */
export interface HeartbeatEnvelope {
  readonly kind: "heartbeat";
  /** The version of the sender's interest. */
  readonly interestVersion: number;
  /** A hash over the nodes that the sender is connected with, itself included. */
  readonly membersDigest: number;
  /** Channels with recent messages that interest the receiver. */
  readonly heads: readonly ChannelSeq[];
  /** Where the parts that are attached stand. A version that has none ends before it. */
  readonly parts: readonly PartBody[];
}

/** A change of the sender's interest. */
export interface InterestEnvelope {
  readonly kind: "interest";
  /** Counts the changes. */
  readonly version: number;
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** The sender's whole interest, in pieces. */
export interface InterestAllEnvelope {
  readonly kind: "interest_all";
  readonly version: number;
  /** Which piece this is, from 0. */
  readonly piece: number;
  readonly isLast: boolean;
  readonly channels: readonly string[];
}

/** The sender knows the receiver's interest, and where its own messages stand. */
export interface InterestAckEnvelope {
  readonly kind: "interest_ack";
  /** The version of the receiver's interest that is known. */
  readonly version: number;
  /** Whether it answers `interest_all`, so that nothing before it matters. */
  readonly isAll: boolean;
  /** Stands for every channel of that version that is not in `heads`. */
  readonly floor: number;
  readonly heads: readonly ChannelSeq[];
}

/** The sender holds the receiver's messages in a channel. */
export interface AckEnvelope {
  readonly kind: "ack";
  readonly channel: string;
  /** Up to here. */
  readonly seq: number;
  /** From behind here: nothing is said of those before. A version that has none ends before it. */
  readonly after: number;
}

/** Ends the answer to a `repair_request`. */
export interface RepairEndEnvelope {
  readonly kind: "repair_end";
  readonly channel: string;
  readonly node: NodeId;
  /** Nothing up to this seq is remembered. */
  readonly floor: number;
  /** The newest seq that the sender knows. */
  readonly head: number;
}

const TYPE = {
  messages: 1,
  heartbeat: 2,
  interest: 3,
  interest_all: 4,
  interest_ack: 5,
  interest_request: 6,
  repair_request: 7,
  repair_end: 8,
  ack: 9,
  probe: 10,
  testimony: 11,
  part: 12,
  owed: 13,
} as const;

const FLAG_OTHER_NODE = 1;
const FLAG_REPAIR = 2;
const FLAG_ACKNOWLEDGE = 4;

const DATA_TEXT = 0;
const DATA_BINARY = 1;

/** Anything that can be encoded. */
export type EncodableEnvelope = Exclude<Envelope, { readonly kind: "unknown" }>;

/**
 * Encodes an envelope.
 *
 * @param writer Where to. The bytes returned belong to the caller.
 * @param self The sending node, which need not be named in its own messages.
 */
export function encodeEnvelope(
  writer: ByteWriter,
  self: NodeId,
  envelope: EncodableEnvelope,
): Uint8Array {
  writer.u8(TYPE[envelope.kind]);
  switch (envelope.kind) {
    case "messages":
      writeMessages(writer, self, envelope);
      break;
    case "heartbeat":
      writeHeartbeat(writer, envelope);
      break;
    case "interest":
      writer.varint(envelope.version);
      writeTexts(writer, envelope.added);
      writeTexts(writer, envelope.removed);
      break;
    case "interest_all":
      writer.varint(envelope.version);
      writer.varint(envelope.piece);
      writer.u8(envelope.isLast ? 1 : 0);
      writeTexts(writer, envelope.channels);
      break;
    case "interest_ack":
      writer.varint(envelope.version);
      writer.u8(envelope.isAll ? 1 : 0);
      writer.varint(envelope.floor);
      writeHeads(writer, envelope.heads);
      break;
    case "interest_request":
      break;
    case "repair_request":
      writer.text(envelope.channel);
      writer.text(envelope.node);
      writer.varint(envelope.after);
      break;
    case "repair_end":
      writer.text(envelope.channel);
      writer.text(envelope.node);
      writer.varint(envelope.floor);
      writer.varint(envelope.head);
      break;
    case "ack":
      writer.text(envelope.channel);
      writer.varint(envelope.seq);
      writer.varint(envelope.after);
      break;
    case "probe":
      writer.text(envelope.node);
      break;
    case "testimony":
      writer.text(envelope.node);
      writer.varint(envelope.heardAgoMs === undefined ? 0 : Math.ceil(envelope.heardAgoMs) + 1);
      break;
    case "part":
      writePart(writer, envelope);
      break;
    case "owed":
      writer.varint(envelope.since.length);
      for (const { version, seq } of envelope.since) {
        writer.varint(version);
        writer.varint(seq);
      }
      break;
  }
  return writer.finish();
}

/**
 * Decodes an envelope.
 *
 * @param sender The node that it came from, as the backplane proved it.
 * @returns The envelope, or `undefined` if the bytes are none. Payloads are views of `bytes`.
 */
export function decodeEnvelope(sender: NodeId, bytes: Uint8Array): Envelope | undefined {
  const reader = new ByteReader(bytes);
  const envelope = readFields(reader, sender, reader.u8());
  return reader.failed ? undefined : envelope;
}

function readFields(reader: ByteReader, sender: NodeId, type: number): Envelope {
  switch (type) {
    case TYPE.messages:
      return readMessages(reader, sender);
    case TYPE.heartbeat:
      return readHeartbeat(reader);
    case TYPE.interest:
      return {
        kind: "interest",
        version: reader.varint(),
        added: readTexts(reader),
        removed: readTexts(reader),
      };
    case TYPE.interest_all:
      return {
        kind: "interest_all",
        version: reader.varint(),
        piece: reader.varint(),
        isLast: reader.u8() === 1,
        channels: readTexts(reader),
      };
    case TYPE.interest_ack:
      return {
        kind: "interest_ack",
        version: reader.varint(),
        isAll: reader.u8() === 1,
        floor: reader.varint(),
        heads: readHeads(reader),
      };
    case TYPE.interest_request:
      return { kind: "interest_request" };
    case TYPE.repair_request:
      return {
        kind: "repair_request",
        channel: reader.text(),
        node: reader.text(),
        after: reader.varint(),
      };
    case TYPE.repair_end:
      return {
        kind: "repair_end",
        channel: reader.text(),
        node: reader.text(),
        floor: reader.varint(),
        head: reader.varint(),
      };
    case TYPE.ack:
      return readAck(reader);
    case TYPE.probe:
      return { kind: "probe", node: reader.text() };
    case TYPE.testimony:
      return readTestimony(reader);
    case TYPE.part:
      return { kind: "part", ...readPart(reader) };
    case TYPE.owed:
      return { kind: "owed", since: readSince(reader) };
    default:
      return { kind: "unknown", type };
  }
}

/** What fits into one envelope: the first of the messages, or all. */
export function firstBytes(messages: readonly Message[]): readonly Message[] {
  let bytes = 0;
  for (let index = 0; index < messages.length; index++) {
    bytes += messages[index]!.data.length;
    if (bytes > MESSAGES_BYTES_MAX && index > 0) return messages.slice(0, index);
  }
  return messages;
}

// flags | channel | node, if it is not the sender | count | (seq | seq - prev | kind | data)*
function writeMessages(writer: ByteWriter, self: NodeId, envelope: MessagesEnvelope): void {
  const isOther = envelope.node !== self;
  writer.u8(
    (isOther ? FLAG_OTHER_NODE : 0) | (envelope.repair ? FLAG_REPAIR : 0) |
      (envelope.acknowledge ? FLAG_ACKNOWLEDGE : 0),
  );
  writer.text(envelope.channel);
  if (isOther) writer.text(envelope.node);
  writer.varint(envelope.messages.length);
  for (const message of envelope.messages) {
    writer.varint(message.seq);
    writer.varint(message.seq - message.prev);
    writer.u8(message.isText ? DATA_TEXT : DATA_BINARY);
    writer.bytes(message.data);
  }
}

function readMessages(reader: ByteReader, sender: NodeId): MessagesEnvelope {
  const flags = reader.u8();
  const channel = reader.text();
  const node = (flags & FLAG_OTHER_NODE) !== 0 ? reader.text() : sender;
  const messages = new Batch<Message>();
  for (let count = reader.varint(); count > 0 && !reader.failed; count--) {
    const seq = reader.varint();
    const prev = Math.max(0, seq - reader.varint());
    const isText = reader.u8() === DATA_TEXT;
    const data = isText ? reader.utf8() : reader.bytes();
    messages.push({ node, seq, prev, data, isText });
  }
  return {
    kind: "messages",
    channel,
    node,
    repair: (flags & FLAG_REPAIR) !== 0,
    acknowledge: (flags & FLAG_ACKNOWLEDGE) !== 0,
    messages: messages.take(),
  };
}

function writeHeartbeat(writer: ByteWriter, envelope: HeartbeatEnvelope): void {
  writer.varint(envelope.interestVersion);
  writer.u32(envelope.membersDigest);
  writeHeads(writer, envelope.heads);
  writer.varint(envelope.parts.length);
  for (const part of envelope.parts) writePart(writer, part);
}

function readHeartbeat(reader: ByteReader): HeartbeatEnvelope {
  return {
    kind: "heartbeat",
    interestVersion: reader.varint(),
    membersDigest: reader.u32(),
    heads: readHeads(reader),
    parts: readParts(reader),
  };
}

function writePart(writer: ByteWriter, { part, body }: PartBody): void {
  writer.varint(part);
  writer.bytes(body);
}

function readPart(reader: ByteReader): PartBody {
  return { part: reader.varint(), body: reader.bytes() };
}

function readParts(reader: ByteReader): PartBody[] {
  const parts: PartBody[] = [];
  if (reader.remaining === 0) return parts;
  for (let count = reader.varint(); count > 0 && !reader.failed; count--) {
    parts.push(readPart(reader));
  }
  return parts;
}

function readAck(reader: ByteReader): AckEnvelope {
  const [channel, seq] = [reader.text(), reader.varint()];
  return { kind: "ack", channel, seq, after: reader.remaining === 0 ? 0 : reader.varint() };
}

function readTestimony(reader: ByteReader): Envelope {
  const node = reader.text();
  const coded = reader.varint();
  return { kind: "testimony", node, heardAgoMs: coded === 0 ? undefined : coded - 1 };
}

function writeTexts(writer: ByteWriter, texts: readonly string[]): void {
  writer.varint(texts.length);
  for (const text of texts) writer.text(text);
}

function readTexts(reader: ByteReader): string[] {
  const texts: string[] = [];
  for (let count = reader.varint(); count > 0 && !reader.failed; count--) texts.push(reader.text());
  return texts;
}

function readSince(reader: ByteReader): VersionSeq[] {
  const since: VersionSeq[] = [];
  for (let count = reader.varint(); count > 0 && !reader.failed; count--) {
    since.push({ version: reader.varint(), seq: reader.varint() });
  }
  return since;
}

function writeHeads(writer: ByteWriter, heads: readonly ChannelSeq[]): void {
  writer.varint(heads.length);
  for (const head of heads) {
    writer.text(head.channel);
    writer.varint(head.seq);
  }
}

function readHeads(reader: ByteReader): ChannelSeq[] {
  const heads: ChannelSeq[] = [];
  for (let count = reader.varint(); count > 0 && !reader.failed; count--) {
    heads.push({ channel: reader.text(), seq: reader.varint() });
  }
  return heads;
}
