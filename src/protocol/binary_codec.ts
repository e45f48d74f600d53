/**
 * What is said in binary frames: payloads that are no JSON.
 *
 * Every binary frame, both ways, starts with the same header (integers are big-endian):
 *
 * ```text
 * offset 0        1       2           3        4             12
 *        kind u8  flags   channel     node     number u64    channel   node    payload
 *                 u8      length u8   length   (id or seq)   (UTF-8)   (UTF-8)
 *                                     u8
 * ```
 *
 * @module
 */

import type { FrameContent } from "../core/frame_content.ts";
import { BROADCAST_CHANNEL, type Message } from "../core/message.ts";
import { decodeUtf8, encodeUtf8 } from "../core/utf8.ts";
import { channelNameFault } from "./channel_name.ts";
import type { BrokenFrame, DecodedMessage, ErrorCode, MessageFault, Qos } from "./message.ts";

/** Byte 0: the version of the layout in the upper four bits, and what the frame is. */
export const BINARY_KINDS = {
  /** Client to server: publish to a channel. */
  publish: 0x11,
  /** Client to server: broadcast. */
  broadcast: 0x12,
  /** Server to client: a channel's message. */
  message: 0x13,
  /** Server to client: a broadcast. */
  broadcastMessage: 0x14,
} as const;

/** Byte 1 of a frame to the server. Bits that are not listed are passed over. */
export const BINARY_FLAGS = {
  /** The number is the client's `id`: it wants an answer. */
  hasId: 0x01,
  /** Not to the client's own connection. */
  exclude: 0x02,
  /** The QoS, shifted left by two. */
  qosMask: 0x0c,
} as const;

/** Bytes before the channel. */
export const BINARY_HEADER_BYTES = 12;

const QOS_SHIFT = 2;
const NUMBER_OFFSET = 4;
const TWO_TO_32 = 4_294_967_296;
const BROKEN: BrokenFrame = {
  type: "broken",
  reason: "Cannot read binary frame: it ends within its header",
};

/**
 * Reads one binary frame of a client. Never throws.
 *
 * @param bytes The frame. The payload that comes out is a copy of a part of it.
 */
export function decodeBinary(bytes: Uint8Array): DecodedMessage {
  if (bytes.byteLength < BINARY_HEADER_BYTES) return BROKEN;
  const payloadOffset = BINARY_HEADER_BYTES + bytes[2]! + bytes[3]!;
  if (bytes.byteLength < payloadOffset) return BROKEN;
  const flags = bytes[1]!;
  const hasId = (flags & BINARY_FLAGS.hasId) !== 0;
  const id = hasId ? readU64(bytes, NUMBER_OFFSET) : undefined;
  if (id !== undefined && !Number.isSafeInteger(id)) {
    return fault(undefined, "bad_request", '"id" must be an integer from 0 to 2^53 - 1');
  }
  switch (bytes[0]) {
    case BINARY_KINDS.publish:
      return decodePublish(bytes, id, payloadOffset);
    case BINARY_KINDS.broadcast:
      return { type: "broadcast", id, data: copyFrom(bytes, payloadOffset), isText: false };
    default:
      return fault(id, "unknown_type", `No binary message has the kind ${bytes[0]}`);
  }
}

/** A message with a binary payload, as a server says it. */
export class BinaryMessage implements FrameContent {
  readonly isText = false;
  readonly byteLength: number;
  readonly #frame: Frame;

  constructor(channel: string, { node, seq, data }: Message) {
    const isBroadcast = channel === BROADCAST_CHANNEL;
    const kind = isBroadcast ? BINARY_KINDS.broadcastMessage : BINARY_KINDS.message;
    this.#frame = toFrame({ kind, flags: 0, number: seq, channel, node, data });
    this.byteLength = byteLengthOf(this.#frame);
  }

  write(bytes: Uint8Array, at: number): void {
    writeFrame(this.#frame, bytes, at);
  }

  text(): string {
    return "";
  }
}

/** What a client may say of a binary publish. */
export interface BinaryPublishOptions {
  /** The client's number for the request. Without it there is no answer. */
  readonly id?: number;
  /** When it counts as done. */
  readonly qos?: Qos;
  /** Whether the client's own connection is left out. */
  readonly exclude?: boolean;
}

/** Writes a binary publish, as a client says it; to `BROADCAST_CHANNEL` it is a broadcast. */
export function encodeBinaryPublish(
  channel: string,
  data: Uint8Array,
  options: BinaryPublishOptions = {},
): Uint8Array {
  const { id, qos = 0, exclude = false } = options;
  const frame = toFrame({
    kind: channel === BROADCAST_CHANNEL ? BINARY_KINDS.broadcast : BINARY_KINDS.publish,
    flags: (id === undefined ? 0 : BINARY_FLAGS.hasId) | (exclude ? BINARY_FLAGS.exclude : 0) |
      (qos << QOS_SHIFT),
    number: id ?? 0,
    channel,
    node: "",
    data,
  });
  const bytes = new Uint8Array(byteLengthOf(frame));
  writeFrame(frame, bytes, 0);
  return bytes;
}

interface Frame {
  readonly kind: number;
  readonly flags: number;
  readonly number: number;
  readonly channel: Uint8Array;
  readonly node: Uint8Array;
  readonly data: Uint8Array;
}

function toFrame(
  frame: Omit<Frame, "channel" | "node"> & { readonly channel: string; readonly node: string },
): Frame {
  return { ...frame, channel: encodeUtf8(frame.channel), node: encodeUtf8(frame.node) };
}

function byteLengthOf({ channel, node, data }: Frame): number {
  return BINARY_HEADER_BYTES + channel.length + node.length + data.length;
}

function writeFrame(frame: Frame, bytes: Uint8Array, at: number): void {
  const { kind, flags, number, channel, node, data } = frame;
  bytes[at] = kind;
  bytes[at + 1] = flags;
  bytes[at + 2] = channel.length;
  bytes[at + 3] = node.length;
  writeU64(bytes, at + NUMBER_OFFSET, number);
  bytes.set(channel, at + BINARY_HEADER_BYTES);
  bytes.set(node, at + BINARY_HEADER_BYTES + channel.length);
  bytes.set(data, at + BINARY_HEADER_BYTES + channel.length + node.length);
}

function decodePublish(
  bytes: Uint8Array,
  id: number | undefined,
  payloadOffset: number,
): DecodedMessage {
  const channel = decodeUtf8(bytes.subarray(BINARY_HEADER_BYTES, BINARY_HEADER_BYTES + bytes[2]!));
  const nameFault = channel === undefined ? "it is not UTF-8" : channelNameFault(channel);
  if (channel === undefined || nameFault !== undefined) {
    return fault(id, "channel_invalid", `Cannot use the channel: ${nameFault}`);
  }
  const flags = bytes[1]!;
  const qos = (flags & BINARY_FLAGS.qosMask) >> QOS_SHIFT;
  if (qos > 2) return fault(id, "bad_request", `"qos" must be 0, 1 or 2, received ${qos}`);
  if (qos > 0 && id === undefined) return fault(id, "bad_request", `"qos" ${qos} needs an "id"`);
  const exclude = (flags & BINARY_FLAGS.exclude) !== 0;
  const data = copyFrom(bytes, payloadOffset);
  return { type: "publish", id, channel, data, isText: false, qos: qos as Qos, exclude };
}

// A view would keep the whole read buffer alive for as long as the message is remembered.
function copyFrom(bytes: Uint8Array, offset: number): Uint8Array {
  return new Uint8Array(bytes.subarray(offset));
}

function readU64(bytes: Uint8Array, offset: number): number {
  let value = 0;
  for (let index = offset; index < offset + 8; index++) value = value * 256 + bytes[index]!;
  return value;
}

function writeU64(bytes: Uint8Array, offset: number, value: number): void {
  let high = Math.floor(value / TWO_TO_32);
  let low = value % TWO_TO_32;
  for (let index = 3; index >= 0; index--) {
    bytes[offset + index] = high & 255;
    bytes[offset + 4 + index] = low & 255;
    high = Math.floor(high / 256);
    low = Math.floor(low / 256);
  }
}

function fault(id: number | undefined, code: ErrorCode, message: string): MessageFault {
  return { type: "fault", id, code, message };
}
