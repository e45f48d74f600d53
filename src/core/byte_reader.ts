import { readShortText } from "./short_text.ts";
import { decodeUtf8, isUtf8 } from "./utf8.ts";

/**
 * Reads what {@linkcode ByteWriter} wrote, from bytes that nobody vouches for.
 *
 * Reading past the end, or text that is not UTF-8, throws nothing: it sets `failed` and gives
 * zeros and empty values from then on. Callers check `failed` once, at the end.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;
  #failed = false;

  /** Starts at the first byte. Byte fields that are read are views of `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Whether anything could not be read. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** Reads one byte. */
  u8(): number {
    return this.#need(1) ? this.#bytes[this.#offset++]! : 0;
  }

  /** Reads four bytes. */
  u32(): number {
    if (!this.#need(4)) return 0;
    const bytes = this.#bytes;
    const offset = this.#offset;
    this.#offset += 4;
    return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) |
      bytes[offset + 3]!) >>> 0;
  }

  /** Reads an integer of one to eight bytes. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      if (!this.#need(1)) return 0;
      const byte = this.#bytes[this.#offset++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return Number.isSafeInteger(value) ? value : this.#fail();
      scale *= 128;
    }
    return this.#fail();
  }

  /** Reads bytes behind their length. A view, not a copy. */
  bytes(): Uint8Array {
    const length = this.u32();
    if (!this.#need(length)) return this.#bytes.subarray(0, 0);
    this.#offset += length;
    return this.#bytes.subarray(this.#offset - length, this.#offset);
  }

  /** Reads text behind its length. */
  text(): string {
    const length = this.u32();
    if (!this.#need(length)) return "";
    const start = this.#offset;
    this.#offset += length;
    const short = readShortText(this.#bytes, start, this.#offset);
    if (short !== undefined) return short;
    const text = decodeUtf8(this.#bytes.subarray(start, this.#offset));
    if (text === undefined) this.#fail();
    return text ?? "";
  }

  /** Reads text behind its length, as its UTF-8. A view, not a copy. */
  utf8(): Uint8Array {
    const bytes = this.bytes();
    if (isUtf8(bytes)) return bytes;
    this.#fail();
    return bytes.subarray(0, 0);
  }

  #need(count: number): boolean {
    if (this.#failed) return false;
    if (this.#offset + count <= this.#bytes.length) return true;
    this.#failed = true;
    return false;
  }

  #fail(): 0 {
    this.#failed = true;
    return 0;
  }
}
