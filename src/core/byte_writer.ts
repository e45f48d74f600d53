import { putUtf8 } from "./utf8.ts";

const SLAB_BYTES = 64 * 1024;
const TWO_TO_7 = 128;
const TWO_TO_31 = 2_147_483_648;

/**
 * Writes records into slabs of memory: one allocation for many records.
 *
 * Integers are big-endian or variable-length (LEB128, up to 2^53). A record that was ended
 * belongs to the caller and is never touched again.
 */
export class ByteWriter {
  #slab = new Uint8Array(SLAB_BYTES);
  #start = 0;
  #end = 0;

  /** Bytes of the record so far. */
  get byteLength(): number {
    return this.#end - this.#start;
  }

  /** Ends the record and returns it. The next write starts a new one. */
  finish(): Uint8Array {
    const record = this.#slab.subarray(this.#start, this.#end);
    this.#start = this.#end;
    return record;
  }

  /** Writes one byte. */
  u8(value: number): void {
    this.#reserve(1);
    this.#slab[this.#end++] = value;
  }

  /** Writes four bytes. */
  u32(value: number): void {
    this.#reserve(4);
    this.#putU32(this.#end, value);
    this.#end += 4;
  }

  /** Writes a non-negative integer in one to eight bytes. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    // Above 31 bits the bit operators would cut the number.
    while (rest >= TWO_TO_31) {
      this.#slab[this.#end++] = (rest % TWO_TO_7) | TWO_TO_7;
      rest = Math.floor(rest / TWO_TO_7);
    }
    while (rest >= TWO_TO_7) {
      this.#slab[this.#end++] = (rest & 127) | TWO_TO_7;
      rest >>>= 7;
    }
    this.#slab[this.#end++] = rest;
  }

  /** Writes bytes as they are. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#slab.set(value, this.#end);
    this.#end += value.length;
  }

  /** Writes bytes behind their length in four bytes. */
  bytes(value: Uint8Array): void {
    this.#reserve(4 + value.length);
    this.#putU32(this.#end, value.length);
    this.#slab.set(value, this.#end + 4);
    this.#end += 4 + value.length;
  }

  /** Writes text as UTF-8 behind its length in four bytes. */
  text(value: string): void {
    // A UTF-16 unit takes at most three bytes of UTF-8.
    this.#reserve(4 + value.length * 3);
    const written = putUtf8(value, this.#slab, this.#end + 4);
    this.#putU32(this.#end, written);
    this.#end += 4 + written;
  }

  #putU32(offset: number, value: number): void {
    const slab = this.#slab;
    slab[offset] = value >>> 24;
    slab[offset + 1] = value >>> 16;
    slab[offset + 2] = value >>> 8;
    slab[offset + 3] = value;
  }

  #reserve(count: number): void {
    if (this.#end + count <= this.#slab.length) return;
    const begun = this.#slab.subarray(this.#start, this.#end);
    // Twice what the record takes by now, so that a long one is moved only a few times.
    const slab = new Uint8Array(Math.max(SLAB_BYTES, 2 * (begun.length + count)));
    slab.set(begun);
    this.#slab = slab;
    this.#start = 0;
    this.#end = begun.length;
  }
}
