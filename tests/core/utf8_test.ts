import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8 } from "../../src/core/utf8.ts";

const encoder = new TextEncoder();

test("decodeUtf8 gives back whatever text was encoded", () => {
  for (const text of ["", "a", "\ufeffmark", "Grüße, 世界 🎈", "\ufffd", "a\ufffdb", "\u0000\n"]) {
    assert.equal(decodeUtf8(encoder.encode(text)), text);
  }
});

test("decodeUtf8 finds bytes that are not UTF-8, wherever they stand", () => {
  const broken: Record<string, number[]> = {
    "lone continuation": [0x80],
    "sequence that is cut off": [0x61, 0xe4, 0xb8],
    "surrogate": [0xed, 0xa0, 0x80],
    "overlong slash": [0xc0, 0xaf],
    "past U+10FFFF": [0xf4, 0x90, 0x80, 0x80],
    "behind the replacement character itself": [0xef, 0xbf, 0xbd, 0xff],
  };
  for (const [name, bytes] of Object.entries(broken)) {
    assert.equal(decodeUtf8(Uint8Array.from(bytes)), undefined, name);
    assert.equal(decodeUtf8(Uint8Array.from([0x7b, ...bytes, 0x7d])), undefined, name);
  }
});

test("decodeUtf8 keeps nothing of bytes that it refused", () => {
  assert.equal(decodeUtf8(Uint8Array.of(0xe4, 0xb8)), undefined);
  assert.equal(decodeUtf8(Uint8Array.of(0x61)), "a");
});
