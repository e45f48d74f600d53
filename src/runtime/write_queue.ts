import { Deque } from "../core/deque.ts";

/**
 * Small writes that had to wait are joined up to this size, in bytes: a sixth of what a socket
 * takes at once by default, so that a system call is worth its cost and no copy is large.
 */
const JOINED_BYTES_MAX = 64 * 1024;

/**
 * Bytes that wait for the system to take them, for a runtime that takes a part and keeps nothing.
 *
 * No byte is copied more than once, and a large write never.
 */
export class WriteQueue {
  #head: Uint8Array | undefined;
  #waiting: Deque<Uint8Array> | undefined;
  #byteLength = 0;

  /** Number of bytes waiting. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Appends bytes, which belong to the queue from now on. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#byteLength += bytes.length;
    if (this.#head === undefined) this.#head = bytes;
    else (this.#waiting ??= new Deque()).push(bytes);
  }

  /** The bytes to write next, which stay until {@linkcode WriteQueue.advance}. */
  get head(): Uint8Array | undefined {
    return this.#head;
  }

  /** Drops the first `count` bytes of the head, which the system has taken. */
  advance(count: number): void {
    const head = this.#head!;
    this.#byteLength -= count;
    this.#head = count < head.length ? head.subarray(count) : this.#next();
  }

  /** Drops everything. */
  clear(): void {
    this.#head = undefined;
    this.#waiting = undefined;
    this.#byteLength = 0;
  }

  #next(): Uint8Array | undefined {
    const waiting = this.#waiting;
    const first = waiting?.shift();
    if (waiting === undefined || first === undefined) return undefined;
    let size = first.length;
    let count = 0;
    for (; count < waiting.length; count++) {
      const longer = size + waiting.at(count)!.length;
      if (longer > JOINED_BYTES_MAX) break;
      size = longer;
    }
    return count === 0 ? first : join(first, waiting, count, size);
  }
}

function join(
  first: Uint8Array,
  waiting: Deque<Uint8Array>,
  count: number,
  size: number,
): Uint8Array {
  const joined = new Uint8Array(size);
  joined.set(first);
  let filled = first.length;
  for (let index = 0; index < count; index++) {
    const bytes = waiting.shift()!;
    joined.set(bytes, filled);
    filled += bytes.length;
  }
  return joined;
}
