import { ChannelNames } from "./channel_names.ts";
import { readText, RespError, RespMap, RespMessage, RespPush, RespSet, respText } from "./resp.ts";
import type { RespValue } from "./resp.ts";
import { RESP_DEPTH_MAX, RESP_REPLY_BYTES_MAX, RESP_REPLY_ITEMS_MAX } from "./resp_limits.ts";
import { RespSource } from "./resp_source.ts";

/** Why a byte stream cannot be read on. */
export interface RespFault {
  /**
   * `not_resp`: bytes that no Redis server sends; `too_large`: more bytes or values in one reply
   * than the limit; `too_deep`: more nesting than the limit.
   */
  readonly code: "not_resp" | "too_large" | "too_deep";
  /** The values that explain it. */
  readonly detail: string;
}

/** What the decoder finds: a reply, or what the server sent unasked. */
export type RespDecoded = RespValue | RespPush | RespMessage;

/** An aggregate, or a string in parts, whose end has not come yet. */
interface Open {
  readonly type: number;
  readonly items: RespDecoded[];
  /** How many items are missing; `Infinity` for one that is streamed, until its end comes. */
  missing: number;
}

/** More bytes are needed, or there is a fault. */
const STARVED: unique symbol = Symbol("starved");
/** What was read is no value by itself, and there is more to read. */
const OPENED: unique symbol = Symbol("opened");
type Step = RespDecoded | typeof STARVED | typeof OPENED;

const CR = 13;
const LF = 10;
const ZERO = 48;
const TYPE = {
  simple: 43, // +
  error: 45, // -
  integer: 58, // :
  bulk: 36, // $
  array: 42, // *
  null: 95, // _
  boolean: 35, // #
  double: 44, // ,
  bigNumber: 40, // (
  bulkError: 33, // !
  verbatim: 61, // =
  map: 37, // %
  set: 126, // ~
  push: 62, // >
  attribute: 124, // |
  part: 59, // ;
  streamEnd: 46, // .
} as const;
// What follows the type of a message, up to the length of its channel.
const MESSAGE_HEAD = new TextEncoder().encode("3\r\n$7\r\nmessage\r\n$");
const SHARDED_HEAD = new TextEncoder().encode("3\r\n$8\r\nsmessage\r\n$");
// The least that can follow: "0\r\n\r\n$0\r\n\r\n".
const MESSAGE_REST_BYTES = 11;
const INTEGER = /^[+-]?\d{1,19}$/;
const BIG_NUMBER = /^[+-]?\d+$/;
const DOUBLE = /^[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|inf|nan)$/;
const LENGTH_DIGITS_MAX = 12;
const LINE_BYTES_FREE = 64;

/**
 * Cuts the byte stream of a Redis server into replies and pushes, however the network chunked it:
 * RESP2 and RESP3 (https://redis.io/docs/latest/develop/reference/protocol-spec/, and for what is
 * streamed https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md).
 *
 * Strings that lie within one chunk are views of it, and are not copied. Nothing is read twice: an
 * aggregate keeps what has come of it. Lengths are checked before anything is kept. After a fault
 * nothing more is read, as there is no way to find the next reply.
 */
export class RespDecoder {
  /**
   * Whether arrays are pushes, as they are on a connection of RESP2 that has subscriptions. Counts
   * from the next value on.
   */
  arraysArePushes = false;
  readonly #source = new RespSource();
  readonly #names = new ChannelNames();
  readonly #open: Open[] = [];
  /** The type of the string that is being gathered. */
  #stringType = 0;
  #bytesLeft = RESP_REPLY_BYTES_MAX;
  #itemsLeft = RESP_REPLY_ITEMS_MAX;
  #fault: RespFault | undefined;

  /** Set from the first byte on that cannot be understood. */
  get fault(): RespFault | undefined {
    return this.#fault;
  }

  /** Takes a chunk, which it owns from now on. The one before MUST have been read to its end. */
  push(chunk: Uint8Array): void {
    this.#source.push(chunk);
  }

  /** Reads the next reply or push, or `undefined` when there is none (yet). */
  next(): RespDecoded | undefined {
    if (this.#fault !== undefined) return undefined;
    if (this.#open.length === 0 && this.#source.isAtLine) {
      const quick = this.#readQuick();
      if (quick !== undefined) return quick;
    }
    while (this.#fault === undefined) {
      const step = this.#source.isGathering
        ? this.#endString(this.#stringType, this.#source.gather())
        : this.#readLine();
      if (step === STARVED) return undefined;
      if (step === OPENED) continue;
      const whole = this.#settle(step);
      if (whole !== undefined) return whole;
    }
    return undefined;
  }

  // What there is most of, when it lies in the chunk as a whole. Anything else is left as it is.
  #readQuick(): RespDecoded | undefined {
    const { chunk, offset } = this.#source;
    switch (chunk[offset]) {
      case TYPE.integer:
        return this.#readSmallInteger(chunk, offset + 1);
      case TYPE.push:
        return this.#readMessage(chunk, offset + 1);
      case TYPE.array:
        return this.arraysArePushes ? this.#readMessage(chunk, offset + 1) : undefined;
      default:
        return undefined;
    }
  }

  #readSmallInteger(chunk: Uint8Array, start: number): number | undefined {
    const end = Math.min(chunk.byteLength, start + 11);
    let value = 0;
    let at = start;
    for (; at < end && chunk[at] !== CR; at++) value = value * 10 + digitOf(chunk[at]!);
    if (at === start || at + 1 >= end || chunk[at + 1] !== LF) return undefined;
    if (Number.isNaN(value)) return undefined;
    this.#source.offset = at + 2;
    return value;
  }

  #readMessage(chunk: Uint8Array, start: number): RespMessage | undefined {
    const isSharded = chunk[start + 4] === SHARDED_HEAD[4];
    const head = isSharded ? SHARDED_HEAD : MESSAGE_HEAD;
    const end = chunk.byteLength;
    let at = start + head.length;
    if (at + MESSAGE_REST_BYTES > end) return undefined;
    for (let index = 0; index < head.length; index++) {
      if (chunk[start + index] !== head[index]) return undefined;
    }
    // Lengths that are none make everything behind them NaN, and the comparisons fail.
    let length = digitOf(chunk[at++]!);
    for (; at < end && chunk[at] !== CR; at++) length = length * 10 + digitOf(chunk[at]!);
    const channelStart = at + 2;
    const channelEnd = channelStart + length;
    at = channelEnd + 3;
    if (!(at < end) || chunk[at - 1] !== TYPE.bulk) return undefined;
    length = digitOf(chunk[at++]!);
    for (; at < end && chunk[at] !== CR; at++) length = length * 10 + digitOf(chunk[at]!);
    const payloadStart = at + 2;
    const payloadEnd = payloadStart + length;
    if (
      !(payloadEnd + 2 <= end) || chunk[payloadEnd] !== CR || chunk[payloadEnd + 1] !== LF ||
      chunk[channelEnd] !== CR || chunk[channelEnd + 1] !== LF ||
      chunk[channelStart - 1] !== LF || chunk[payloadStart - 1] !== LF
    ) return undefined;
    this.#source.offset = payloadEnd + 2;
    const channel = this.#names.read(chunk, channelStart, channelEnd);
    return new RespMessage(channel, chunk.subarray(payloadStart, payloadEnd), isSharded);
  }

  // One line, and the string behind it if there is one.
  #readLine(): Step {
    const source = this.#source;
    if (!source.readLine()) return this.#starve();
    const length = source.lineEnd - source.lineStart;
    // A short one is bounded by the number of values.
    if (length > LINE_BYTES_FREE && (this.#bytesLeft -= length) < 0) return this.#refuseBytes();
    const type = source.line[source.lineStart++]!;
    const isInString = this.#open[this.#open.length - 1]?.type === TYPE.bulk;
    if (isInString !== (type === TYPE.part)) return this.#refuse(type);
    switch (type) {
      case TYPE.simple:
        return source.text();
      case TYPE.error:
        return new RespError(source.text());
      case TYPE.bulk:
      case TYPE.bulkError:
      case TYPE.verbatim:
      case TYPE.part:
        return this.#beginString(type);
      case TYPE.array:
      case TYPE.map:
      case TYPE.set:
      case TYPE.push:
      case TYPE.attribute:
        return this.#beginAggregate(type);
      case TYPE.streamEnd:
        return this.#endStream();
      default: {
        const value = readScalar(type, source.text());
        return value === undefined ? this.#refuse(type) : value;
      }
    }
  }

  /** The length in the line: `undefined` if there is none, -1 for null, `Infinity` if streamed. */
  #readLength(): number | undefined {
    const { line, lineStart, lineEnd } = this.#source;
    const count = lineEnd - lineStart;
    let length = count === 0 || count > LENGTH_DIGITS_MAX ? Number.NaN : 0;
    for (let at = lineStart; at < lineEnd; at++) length = length * 10 + digitOf(line[at]!);
    if (!Number.isNaN(length)) return length;
    const text = this.#source.text();
    return text === "-1" ? -1 : text === "?" ? Infinity : undefined;
  }

  #beginString(type: number): Step {
    const length = this.#readLength();
    if (length === undefined) return this.#refuse(type);
    if (type !== TYPE.bulk && (length < 0 || length === Infinity)) return this.#refuse(type);
    if (length < 0) return null;
    if (length === Infinity) return this.#begin(type, length);
    if (length > this.#bytesLeft) return this.#refuseBytes();
    this.#bytesLeft -= length;
    if (type === TYPE.part && length === 0) return joinParts(this.#open.pop()!.items);
    this.#stringType = type;
    return this.#endString(type, this.#source.readString(length));
  }

  #endString(type: number, bytes: Uint8Array | undefined): Step {
    if (bytes === undefined) return this.#starve();
    switch (type) {
      case TYPE.bulkError:
        return new RespError(readText(bytes, 0, bytes.byteLength));
      case TYPE.verbatim:
        // Three characters that tell the format, and a colon.
        return bytes[3] === TYPE.integer ? bytes.subarray(4) : this.#refuse(type);
      case TYPE.part:
        if (--this.#itemsLeft < 0) return this.#refuseItems();
        this.#open[this.#open.length - 1]!.items.push(bytes);
        return OPENED;
      default:
        return bytes;
    }
  }

  #beginAggregate(type: number): Step {
    const count = this.#readLength();
    if (count === undefined || (type === TYPE.push && this.#open.length > 0)) {
      return this.#refuse(type);
    }
    if (count < 0) return type === TYPE.array ? null : this.#refuse(type);
    const isPaired = type === TYPE.map || type === TYPE.attribute;
    if (count > 0) return this.#begin(type, isPaired ? 2 * count : count);
    return type === TYPE.attribute ? OPENED : this.#close({ type, items: [], missing: 0 });
  }

  #begin(type: number, missing: number): Step {
    if (this.#open.length >= RESP_DEPTH_MAX) {
      return this.#fail("too_deep", `more than ${RESP_DEPTH_MAX} levels in one reply`);
    }
    if (missing !== Infinity && missing > this.#itemsLeft) return this.#refuseItems();
    this.#open.push({ type, items: [], missing });
    return OPENED;
  }

  #endStream(): Step {
    const open = this.#open[this.#open.length - 1];
    const { lineStart, lineEnd } = this.#source;
    if (open?.missing !== Infinity || lineStart !== lineEnd) return this.#refuse(TYPE.streamEnd);
    const isPaired = open.type === TYPE.map || open.type === TYPE.attribute;
    if (isPaired && open.items.length % 2 === 1) return this.#refuse(TYPE.streamEnd);
    this.#open.pop();
    return open.type === TYPE.attribute ? OPENED : this.#close(open);
  }

  /** Puts a value where it belongs. Returns what is complete by it and stands for itself. */
  #settle(value: RespDecoded): RespDecoded | undefined {
    for (let whole = value;;) {
      const open = this.#open[this.#open.length - 1];
      if (open === undefined) {
        this.#bytesLeft = RESP_REPLY_BYTES_MAX;
        this.#itemsLeft = RESP_REPLY_ITEMS_MAX;
        return whole;
      }
      if (--this.#itemsLeft < 0) return void this.#refuseItems();
      open.items.push(whole);
      if (--open.missing > 0) return undefined;
      this.#open.pop();
      // The value that an attribute describes is still to come.
      if (open.type === TYPE.attribute) return undefined;
      whole = this.#close(open);
    }
  }

  #close(open: Open): RespDecoded {
    // A push stands for itself, so no other item can be one.
    const items = open.items as RespValue[];
    switch (open.type) {
      case TYPE.map:
        return new RespMap(items);
      case TYPE.set:
        return new RespSet(items);
      case TYPE.push:
        return toPush(items);
      default:
        return this.arraysArePushes && this.#open.length === 0 ? toPush(items) : items;
    }
  }

  /** Nothing more to read for now: more bytes are needed, or those that came cannot be read. */
  #starve(): typeof STARVED {
    const { fault } = this.#source;
    return fault === undefined ? STARVED : this.#fail("not_resp", fault);
  }

  #refuse(type: number): typeof STARVED {
    const shown = String.fromCharCode(type) + this.#source.text().slice(0, 40);
    return this.#fail("not_resp", `${JSON.stringify(shown)} is no reply of Redis's`);
  }

  #refuseBytes(): typeof STARVED {
    return this.#fail("too_large", `more than ${RESP_REPLY_BYTES_MAX} bytes in one reply`);
  }

  #refuseItems(): typeof STARVED {
    return this.#fail("too_large", `more than ${RESP_REPLY_ITEMS_MAX} values in one reply`);
  }

  #fail(code: RespFault["code"], detail: string): typeof STARVED {
    this.#fault = { code, detail };
    return STARVED;
  }
}

function digitOf(byte: number): number {
  return byte >= ZERO && byte <= ZERO + 9 ? byte - ZERO : Number.NaN;
}

/** Reads a value that is a line by itself, or `undefined` if it is none of its type. */
function readScalar(type: number, text: string): RespValue | undefined {
  switch (type) {
    case TYPE.integer: {
      const value = INTEGER.test(text) ? Number(text) : undefined;
      return value === undefined || Number.isSafeInteger(value) ? value : BigInt(text);
    }
    case TYPE.null:
      return text === "" ? null : undefined;
    case TYPE.boolean:
      return text === "t" ? true : text === "f" ? false : undefined;
    case TYPE.double:
      if (!DOUBLE.test(text)) return undefined;
      return Number(text.replace("inf", "Infinity").replace("nan", "NaN"));
    case TYPE.bigNumber:
      return BIG_NUMBER.test(text) ? BigInt(text) : undefined;
    default:
      return undefined;
  }
}

function joinParts(items: readonly RespDecoded[]): Uint8Array {
  const parts = items as readonly Uint8Array[];
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let filled = 0;
  for (const part of parts) {
    joined.set(part, filled);
    filled += part.byteLength;
  }
  return joined;
}

function toPush(items: readonly RespValue[]): RespPush | RespMessage {
  const [kind, channel, payload] = items;
  if (items.length === 3 && payload instanceof Uint8Array) {
    const name = respText(kind);
    const isSharded = name === "smessage";
    const text = isSharded || name === "message" ? respText(channel) : undefined;
    if (text !== undefined) return new RespMessage(text, payload, isSharded);
  }
  return new RespPush(items);
}
