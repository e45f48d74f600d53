import { readShortText } from "../core/short_text.ts";
import { encodeUtf8 } from "../core/utf8.ts";
import { channelNameFault } from "./channel_name.ts";
import type { PublishMessage } from "./message.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
// With 16 KiB a look at each byte takes less than to decode, parse and encode. What is far longer is
// left to the codec.
const PLAIN_BYTES_MAX = 65_536;
// More digits may be more than a number holds.
const DIGITS_MAX = 15;

/**
 * Reads a publish of the plainest kind from the bytes of its line: most that come are. It takes a
 * fraction of what it takes to decode and parse them, and the payload is a view of them.
 *
 * Plain is an object without white space and escapes whose fields are `type`, `channel`, `data`
 * and maybe `id`, in any order and each once, with a string for `data`.
 *
 * @param bytes ASCII.
 * @returns The message as `decodeMessage` would read it, or `undefined` if it is not plain: it may
 *     be in order, or not.
 */
export function readPlainPublish(bytes: Uint8Array): PublishMessage | undefined {
  if (bytes.length > PLAIN_BYTES_MAX || bytes[0] !== OPEN) return undefined;
  let isPublish = false;
  let channel: string | undefined;
  let id: number | undefined;
  let data: Uint8Array | undefined;
  let at = 0;
  do {
    // Behind the brace or the comma is the name's quote, and then the name.
    const start = at + 1;
    const letter = bytes[start + 1];
    if (letter === TYPE[1] && !isPublish && isAt(bytes, start, TYPE)) {
      isPublish = true;
      at = start + TYPE.length;
    } else if (letter === CHANNEL[1] && channel === undefined && isAt(bytes, start, CHANNEL)) {
      const end = endOfString(bytes, start + CHANNEL.length);
      channel = end < 0 ? undefined : readShortText(bytes, start + CHANNEL.length, end);
      if (channel === undefined || channelNameFault(channel) !== undefined) return undefined;
      at = end + 1;
    } else if (letter === DATA[1] && data === undefined && isAt(bytes, start, DATA)) {
      const end = endOfString(bytes, start + DATA.length);
      if (end < 0) return undefined;
      // With its quotes: that is its JSON.
      data = bytes.subarray(start + DATA.length - 1, end + 1);
      at = end + 1;
    } else if (letter === ID[1] && id === undefined && isAt(bytes, start, ID)) {
      at = endOfDigits(bytes, start + ID.length);
      if (at < 0) return undefined;
      id = readDigits(bytes, start + ID.length, at);
    } else return undefined;
  } while (bytes[at] === COMMA);
  if (bytes[at] !== CLOSE || at !== bytes.length - 1) return undefined;
  if (!isPublish || channel === undefined || data === undefined) return undefined;
  return { type: "publish", id, channel, data, isText: true, qos: 0, exclude: false };
}

// The fields, up to where their value begins, or is looked at.
const TYPE = encodeUtf8('"type":"publish"');
const CHANNEL = encodeUtf8('"channel":"');
const DATA = encodeUtf8('"data":"');
const ID = encodeUtf8('"id":');

function isAt(bytes: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let index = 0; index < expected.length; index++) {
    if (bytes[start + index] !== expected[index]) return false;
  }
  return true;
}

// What may stand in a string as it is: no quote, no escape, no control character (RFC 8259 §7).
const IS_PLAIN = Uint8Array.from({ length: 128 }, (_, byte) => {
  return byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? 0 : 1;
});

/** The place of the quote that ends a string without escapes, or -1. */
function endOfString(bytes: Uint8Array, start: number): number {
  let end = start;
  while (IS_PLAIN[bytes[end]!] === 1) end++;
  return bytes[end] === QUOTE ? end : -1;
}

/** The place behind the digits of an integer, or -1 where there is none. */
function endOfDigits(bytes: Uint8Array, start: number): number {
  let end = start;
  while (isDigit(bytes[end])) end++;
  const count = end - start;
  const isPlain = count > 0 && count <= DIGITS_MAX && (count === 1 || bytes[start] !== ZERO);
  return isPlain ? end : -1;
}

function readDigits(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let index = start; index < end; index++) value = value * 10 + bytes[index]! - ZERO;
  return value;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte < ZERO + 10;
}
