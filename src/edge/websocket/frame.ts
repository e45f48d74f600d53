import { putUtf8 } from "../../core/utf8.ts";

/** What a frame is (RFC 6455 §5.2). */
export const OPCODE = {
  /** More of the message that an earlier frame began. */
  continuation: 0x0,
  /** A text message, or the beginning of one. */
  text: 0x1,
  /** A binary message, or the beginning of one. */
  binary: 0x2,
  /** The beginning or the answer of the close handshake. */
  close: 0x8,
  /** A question whether the peer is there. */
  ping: 0x9,
  /** The answer to it. */
  pong: 0xa,
} as const;

/** What a frame is. */
export type Opcode = typeof OPCODE[keyof typeof OPCODE];

const FIN = 0x80;
const SLAB_BYTES = 32 * 1024;
// What is larger gets memory of its own: a slab must serve many frames.
const SLAB_FRAME_BYTES_MAX = 8 * 1024;
const HEADER_BYTES_MAX = 10;
const encoder = new TextEncoder();

/**
 * Writes the frames of a server, whole and unmasked, many of them into one piece of memory.
 *
 * A frame that was returned is never touched again. Whoever keeps a small one for long should
 * keep a copy, since it holds the memory of its neighbours.
 */
export class FrameWriter {
  #slab = new Uint8Array(0);
  #used = 0;

  /** Writes a text message as one frame. Text that is no Unicode gets replacement characters. */
  text(text: string): Uint8Array {
    // A UTF-16 unit takes at most three bytes of UTF-8.
    const bytesMax = HEADER_BYTES_MAX + text.length * 3;
    if (bytesMax > SLAB_FRAME_BYTES_MAX) return encodeLongText(text);
    const slab = this.#reserve(bytesMax);
    const start = this.#used;
    const guess = headerBytes(text.length);
    const length = putUtf8(text, slab, start + guess);
    const header = headerBytes(length);
    const end = start + header + length;
    if (header !== guess) slab.copyWithin(start + header, start + guess, start + guess + length);
    writeHeader(slab, start, FIN | OPCODE.text, length);
    this.#used = end;
    return slab.subarray(start, end);
  }

  /** Writes what is no frame: the ASCII text of the handshake, shorter than 8 KiB. */
  ascii(text: string): Uint8Array {
    const slab = this.#reserve(text.length);
    const start = this.#used;
    this.#used += text.length;
    for (let index = 0; index < text.length; index++) slab[start + index] = text.charCodeAt(index);
    return slab.subarray(start, this.#used);
  }

  /** Writes a binary message, or a control frame of at most 125 bytes, as one frame. */
  bytes(opcode: Opcode, payload: Uint8Array): Uint8Array {
    const frame = this.begin(opcode, payload.length);
    frame.set(payload, frame.length - payload.length);
    return frame;
  }

  /** Writes the header of a frame. The payload, which is the frame's end, is the caller's to write. */
  begin(opcode: Opcode, payloadBytes: number): Uint8Array {
    const byteLength = headerBytes(payloadBytes) + payloadBytes;
    const small = byteLength <= SLAB_FRAME_BYTES_MAX;
    const memory = small ? this.#reserve(byteLength) : new Uint8Array(byteLength);
    const start = small ? this.#used : 0;
    writeHeader(memory, start, FIN | opcode, payloadBytes);
    if (!small) return memory;
    this.#used += byteLength;
    return memory.subarray(start, this.#used);
  }

  #reserve(byteLength: number): Uint8Array {
    if (this.#used + byteLength > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    return this.#slab;
  }
}

/** Returns the payload of a frame that a {@linkcode FrameWriter} wrote. A view, not a copy. */
export function payloadOf(frame: Uint8Array): Uint8Array {
  const length = frame[1]!;
  return frame.subarray(length < 126 ? 2 : length === 126 ? 4 : HEADER_BYTES_MAX);
}

/**
 * Applies a masking key to bytes, in place (RFC 6455 §5.3). Applied twice, it changes nothing.
 *
 * @param bytes Where the payload is.
 * @param start Its first byte.
 * @param end The byte after its last one.
 * @param keyAt Where in `bytes` the four bytes of the key are.
 * @returns Whether what came out is ASCII.
 */
export function unmask(bytes: Uint8Array, start: number, end: number, keyAt: number): boolean {
  if (end - start >= WORDS_BYTES_MIN) return unmaskWords(bytes, start, end, keyAt);
  const key0 = bytes[keyAt]!;
  const key1 = bytes[keyAt + 1]!;
  const key2 = bytes[keyAt + 2]!;
  const key3 = bytes[keyAt + 3]!;
  let index = start;
  let all = 0;
  for (const last = end - 3; index < last; index += 4) {
    all |= bytes[index] = bytes[index]! ^ key0;
    all |= bytes[index + 1] = bytes[index + 1]! ^ key1;
    all |= bytes[index + 2] = bytes[index + 2]! ^ key2;
    all |= bytes[index + 3] = bytes[index + 3]! ^ key3;
  }
  if (index < end) all |= bytes[index] = bytes[index]! ^ key0;
  if (index + 1 < end) all |= bytes[index + 1] = bytes[index + 1]! ^ key1;
  if (index + 2 < end) all |= bytes[index + 2] = bytes[index + 2]! ^ key2;
  return all < 128;
}

// Below this, making the view of words costs more than it saves.
const WORDS_BYTES_MIN = 256;
const NOT_ASCII = 0x80808080;

function unmaskWords(bytes: Uint8Array, start: number, end: number, keyAt: number): boolean {
  let aligned = start;
  let all = 0;
  for (; ((bytes.byteOffset + aligned) & 3) !== 0; aligned++) {
    all |= bytes[aligned] = bytes[aligned]! ^ bytes[keyAt + ((aligned - start) & 3)]!;
  }
  const turn = aligned - start;
  const key = Uint8Array.of(
    bytes[keyAt + (turn & 3)]!,
    bytes[keyAt + ((turn + 1) & 3)]!,
    bytes[keyAt + ((turn + 2) & 3)]!,
    bytes[keyAt + ((turn + 3) & 3)]!,
  );
  // Written as bytes and read as a word, so that the machine's byte order does not matter.
  const word = new Uint32Array(key.buffer)[0]!;
  const count = (end - aligned) >>> 2;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + aligned, count);
  for (let index = 0; index < count; index++) all |= words[index] = words[index]! ^ word;
  for (let rest = aligned + count * 4; rest < end; rest++) {
    all |= bytes[rest] = bytes[rest]! ^ bytes[keyAt + ((rest - start) & 3)]!;
  }
  return (all & NOT_ASCII) === 0;
}

function headerBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : HEADER_BYTES_MAX;
}

function writeHeader(bytes: Uint8Array, at: number, first: number, length: number): void {
  bytes[at] = first;
  if (length < 126) {
    bytes[at + 1] = length;
  } else if (length < 65_536) {
    bytes[at + 1] = 126;
    bytes[at + 2] = length >>> 8;
    bytes[at + 3] = length;
  } else {
    bytes[at + 1] = 127;
    // A string or an array of 2^32 bytes cannot be made.
    bytes.fill(0, at + 2, at + 6);
    bytes[at + 6] = length >>> 24;
    bytes[at + 7] = length >>> 16;
    bytes[at + 8] = length >>> 8;
    bytes[at + 9] = length;
  }
}

// The room for ASCII is enough for most; where it is not, what was written is kept.
function encodeLongText(text: string): Uint8Array {
  let bytes = new Uint8Array(HEADER_BYTES_MAX + text.length);
  let { read, written } = encoder.encodeInto(text, bytes.subarray(HEADER_BYTES_MAX));
  if (read < text.length) {
    const begun = bytes.subarray(0, HEADER_BYTES_MAX + written);
    bytes = new Uint8Array(begun.length + (text.length - read) * 3);
    bytes.set(begun);
    const rest = bytes.subarray(begun.length);
    written += encoder.encodeInto(text.slice(read), rest).written;
  }
  const start = HEADER_BYTES_MAX - headerBytes(written);
  writeHeader(bytes, start, FIN | OPCODE.text, written);
  return bytes.subarray(start, HEADER_BYTES_MAX + written);
}
