import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { hashText } from "../../src/core/hash.ts";

// The published vectors of 32-bit FNV-1a. Nodes of all versions must agree on them.
const VECTORS: readonly (readonly [text: string, hash: number])[] = [
  ["", 0x811c9dc5],
  ["a", 0xe40c292c],
  ["foobar", 0xbf9cf968],
];

test("text is hashed by FNV-1a to an unsigned integer of 32 bits", () => {
  for (const [text, hash] of VECTORS) strictEqual(hashText(text), hash, text);
});

test("10,000 node ids have 10,000 hashes", () => {
  const hashes = Array.from({ length: 10_000 }, (_, index) => hashText(`node-${index}~0abc`));
  strictEqual(new Set(hashes).size, 10_000);
});
