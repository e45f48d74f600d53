import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8, encodeUtf8, isUtf8, putUtf8 } from "../../src/core/utf8.ts";

const encoder = new TextEncoder();

const BROKEN: Readonly<Record<string, readonly number[]>> = {
  "lone continuation": [0x80],
  "sequence that is cut off": [0x61, 0xe4, 0xb8],
  "surrogate": [0xed, 0xa0, 0x80],
  "overlong slash": [0xc0, 0xaf],
  "past U+10FFFF": [0xf4, 0x90, 0x80, 0x80],
  "behind the replacement character itself": [0xef, 0xbf, 0xbd, 0xff],
};

// On both sides of where a loop ends, and of what shares its memory with others.
const TEXTS: readonly string[] = [
  "",
  "a",
  "\u0000\u007f",
  "\u0080",
  "\ufeffmark",
  "\ufffd",
  "Grüße, 世界 🎈",
  ...[47, 48, 49, 1_023, 1_024, 1_025, 2_730, 2_731, 8_192, 40_000].flatMap((length) => [
    "x".repeat(length),
    `${"x".repeat(length - 1)}é`,
    `é${"x".repeat(length - 1)}`,
    "€".repeat(length),
  ]),
];

// What UTF-16 may hold and UTF-8 may not.
const UNPAIRED: readonly string[] = ["\ud800", "a\udc00b", `${"x".repeat(60)}\ud800`];

test("decodeUtf8 gives back whatever text was encoded", () => {
  for (const text of ["", "a", "\ufeffmark", "Grüße, 世界 🎈", "\ufffd", "a\ufffdb", "\u0000\n"]) {
    assert.equal(decodeUtf8(encoder.encode(text)), text);
  }
});

test("decodeUtf8 finds bytes that are not UTF-8, wherever they stand", () => {
  for (const [name, bytes] of Object.entries(BROKEN)) {
    assert.equal(decodeUtf8(Uint8Array.from(bytes)), undefined, name);
    assert.equal(decodeUtf8(Uint8Array.from([0x7b, ...bytes, 0x7d])), undefined, name);
  }
});

test("decodeUtf8 keeps nothing of bytes that it refused", () => {
  assert.equal(decodeUtf8(Uint8Array.of(0xe4, 0xb8)), undefined);
  assert.equal(decodeUtf8(Uint8Array.of(0x61)), "a");
});

test("isUtf8 finds all text good, and every text broken that decodeUtf8 does", () => {
  for (const text of TEXTS) {
    assert.equal(isUtf8(encoder.encode(text)), true, `${text.length} × ${text.slice(0, 2)}`);
  }
  for (const [name, bytes] of Object.entries(BROKEN)) {
    for (const length of [0, 1, 1_020, 1_023, 1_024, 5_000]) {
      const [before, behind] = [new Uint8Array(length).fill(0x61), new Uint8Array(9).fill(0x62)];
      assert.equal(isUtf8(Uint8Array.from([...before, ...bytes])), false, name);
      assert.equal(isUtf8(Uint8Array.from([...before, ...bytes, ...behind])), false, name);
    }
  }
});

test("isUtf8 looks at the view alone, and not at the memory around it", () => {
  const bytes = Uint8Array.of(0xff, 0x61, 0x62, 0xff);
  assert.equal(isUtf8(bytes.subarray(1, 3)), true);
  assert.equal(isUtf8(bytes.subarray(0, 3)), false);
});

test("encodeUtf8 gives what a TextEncoder gives", () => {
  for (const text of [...TEXTS, ...UNPAIRED]) {
    const expected = encoder.encode(text);
    assert.deepStrictEqual(encodeUtf8(text), expected, `${text.length} × ${text.slice(0, 2)}`);
  }
});

test("encodeUtf8 never touches what it returned earlier, across slabs and within one", () => {
  const texts = Array.from({ length: 3_000 }, (_, index) => {
    return `${index} ${["x", "é", "😀"][index % 3]!.repeat(index % 1_500)}`;
  });
  const encoded = texts.map((text) => encodeUtf8(text));
  for (const [index, bytes] of encoded.entries()) {
    assert.equal(new TextDecoder().decode(bytes), texts[index]);
  }
});

test("encodeUtf8 gives no byte to two texts", () => {
  const encoded = Array.from({ length: 2_000 }, () => encodeUtf8("abc é"));
  for (const bytes of encoded) bytes.fill(0);
  const [again, ...others] = Array.from({ length: 2_000 }, () => encodeUtf8("abc é"));
  again!.fill(1);
  for (const bytes of others) assert.deepStrictEqual(bytes, encoder.encode("abc é"));
});

test("putUtf8 writes text at its place, into room of three bytes a unit, and nothing around it", () => {
  for (const text of [...TEXTS, ...UNPAIRED]) {
    const expected = encoder.encode(text);
    const [at, room] = [5, text.length * 3];
    const bytes = new Uint8Array(at + room + 4).fill(0xee);
    assert.equal(putUtf8(text, bytes, at), expected.length);
    assert.deepStrictEqual(bytes.subarray(at, at + expected.length), expected);
    assert.deepStrictEqual(bytes.subarray(0, at), new Uint8Array(at).fill(0xee));
    assert.deepStrictEqual(bytes.subarray(at + room), new Uint8Array(4).fill(0xee));
  }
});

test("isUtf8 sees every byte of bytes of every length, wherever they begin", () => {
  const memory = new Uint8Array(600).fill(0x61);
  for (const start of [0, 1, 2, 3]) {
    for (const length of [0, 1, 255, 256, 257, 258, 259, 300]) {
      const bytes = memory.subarray(start, start + length);
      assert.ok(isUtf8(bytes));
      for (let index = 0; index < length; index++) {
        bytes[index] = 0x80;
        assert.ok(!isUtf8(bytes), `byte ${index} of ${length} from ${start}`);
        bytes[index] = 0x61;
      }
    }
  }
});
