// What is no UTF-8 becomes U+FFFD. On Deno this costs a third of asking for an error instead.
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const REPLACEMENT = "\ufffd";
// Short text is mostly ASCII, and then a loop beats the call into the encoder.
const LOOP_CHARACTERS_MAX = 48;
// Below this, making the view of words costs more than it saves.
const WORDS_BYTES_MIN = 256;
const NOT_ASCII = 0x80808080;
const SLAB_BYTES = 32 * 1024;
// What may be larger gets memory of its own: a slab must serve many texts.
const SLAB_TEXT_BYTES_MAX = 8 * 1024;

/**
 * Decodes text. A byte order mark is a character like any other.
 *
 * @returns The text, or `undefined` if the bytes are not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  const text = lenient.decode(bytes);
  // The character itself is no fault, but rare enough to look twice.
  return text.includes(REPLACEMENT) ? decodeStrictly(bytes) : text;
}

/** Tells whether bytes are UTF-8. */
export function isUtf8(bytes: Uint8Array): boolean {
  return isAscii(bytes) || decodeUtf8(bytes) !== undefined;
}

/** Encodes text. What was returned is never touched again, and may share its memory with others. */
export function encodeUtf8(text: string): Uint8Array {
  // A UTF-16 unit takes at most three bytes of UTF-8.
  const bytesMax = text.length * 3;
  return bytesMax > SLAB_TEXT_BYTES_MAX ? encoder.encode(text) : slab.write(text, bytesMax);
}

/**
 * Writes text as UTF-8.
 *
 * @param bytes Where to. There MUST be room for three bytes for each UTF-16 unit.
 * @param at The place of the first byte.
 * @returns Number of bytes written.
 */
export function putUtf8(text: string, bytes: Uint8Array, at: number): number {
  if (text.length > LOOP_CHARACTERS_MAX) return encodeInto(text, bytes, at);
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 127) return encodeInto(text, bytes, at);
    bytes[at + index] = code;
  }
  return text.length;
}

/** Memory that many texts share. */
class Slab {
  #bytes = new Uint8Array(0);
  #used = 0;

  write(text: string, bytesMax: number): Uint8Array {
    if (this.#used + bytesMax > this.#bytes.length) {
      this.#bytes = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += putUtf8(text, this.#bytes, start);
    return this.#bytes.subarray(start, this.#used);
  }
}

const slab = new Slab();

function encodeInto(text: string, bytes: Uint8Array, at: number): number {
  return encoder.encodeInto(text, bytes.subarray(at)).written;
}

function isAscii(bytes: Uint8Array): boolean {
  let all = 0;
  let index = 0;
  if (bytes.length >= WORDS_BYTES_MIN) {
    for (; ((bytes.byteOffset + index) & 3) !== 0; index++) all |= bytes[index]!;
    const count = (bytes.length - index) >>> 2;
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + index, count);
    for (let word = 0; word < count; word++) all |= words[word]!;
    index += count * 4;
  }
  for (; index < bytes.length; index++) all |= bytes[index]!;
  return (all & NOT_ASCII) === 0;
}

function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    // The decoder's way to say that it is not UTF-8.
    return undefined;
  }
}
