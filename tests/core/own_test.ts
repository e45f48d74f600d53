import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ownBytes } from "../../src/core/own.ts";

test("bytes that are most of their memory are kept as they are", () => {
  for (const [length, memory] of [[10, 10], [9, 10], [5, 10], [1, 2], [1, 1], [0, 0]] as const) {
    const bytes = new Uint8Array(memory).subarray(memory - length);
    strictEqual(ownBytes(bytes), bytes, `${length} of ${memory}`);
  }
});

test("bytes that are a small part of their memory are copied, and let go of it", () => {
  for (const [length, memory] of [[4, 10], [1, 3], [0, 1], [100, 65_536]] as const) {
    const bytes = new Uint8Array(memory).fill(7).subarray(1, 1 + length);
    const own = ownBytes(bytes);
    bytes.fill(9);
    deepStrictEqual(own, new Uint8Array(length).fill(7), `${length} of ${memory}`);
    strictEqual(own.buffer.byteLength, length);
  }
});

test("bytes of a subclass whose slice() shares its memory are copied all the same", () => {
  class Shared extends Uint8Array {
    override slice(): Shared {
      return this;
    }
  }
  const bytes = new Shared(new ArrayBuffer(100), 10, 2).fill(7);
  const own = ownBytes(bytes);
  bytes.fill(9);
  deepStrictEqual(own, Uint8Array.of(7, 7));
});
