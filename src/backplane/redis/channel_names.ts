import { readText } from "./resp.ts";

interface Name {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** One slot for each of the channels that are busy at a time; a power of two, for the mask. */
const SLOTS = 1_024;
/** Longer names are not kept. Chorus's own take at most 255 bytes and a prefix. */
const NAME_BYTES_MAX = 512;

/**
 * Reads the names of channels, and remembers them: a subscription gives the same few names over
 * and over, and to compare bytes costs a fraction of making a string of them.
 */
export class ChannelNames {
  readonly #slots: (Name | undefined)[] = new Array(SLOTS).fill(undefined);

  /** Reads the name that lies from `start` to `end`. */
  read(bytes: Uint8Array, start: number, end: number): string {
    const length = end - start;
    // Names of one prefix differ at their end.
    let hash = length;
    for (let at = Math.max(start, end - 8); at < end; at++) hash = Math.imul(hash, 31) + bytes[at]!;
    const slot = (hash ^ (hash >>> 10)) & (SLOTS - 1);
    const known = this.#slots[slot];
    if (known !== undefined && isSame(known.bytes, bytes, start, length)) return known.text;
    const text = readText(bytes, start, end);
    if (length <= NAME_BYTES_MAX) this.#slots[slot] = { bytes: bytes.slice(start, end), text };
    return text;
  }
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (known.byteLength !== length) return false;
  for (let index = length - 1; index >= 0; index--) {
    if (known[index] !== bytes[start + index]) return false;
  }
  return true;
}
