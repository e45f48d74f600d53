import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { FrameWriter, OPCODE, payloadOf, unmask } from "../../../src/edge/websocket/frame.ts";
import { createPrng } from "../../../src/core/prng.ts";
import { fromHex } from "../../support/hex.ts";

const encoder = new TextEncoder();

// The boundaries of the three forms of a length, in bytes and in characters that are longer.
const TEXTS: readonly string[] = [
  "",
  "a",
  "x".repeat(48),
  "x".repeat(49),
  "x".repeat(125),
  "x".repeat(126),
  "x".repeat(2_000),
  "x".repeat(65_535),
  "x".repeat(65_536),
  "x".repeat(200_000),
  "é".repeat(20),
  "é".repeat(62) + "x",
  "é".repeat(63),
  "€".repeat(41),
  "€".repeat(42),
  "€".repeat(21_845),
  "€".repeat(21_845) + "é",
  "😀".repeat(40_000),
  "x".repeat(70_000) + "é",
  "\u{feff}BOM",
  "lone \ud800 surrogate",
  "lone \udc00".repeat(9_000),
];

test("FrameWriter.text() writes header and UTF-8 of texts of every length (§5.2)", () => {
  const writer = new FrameWriter();
  for (const text of TEXTS) {
    const payload = encoder.encode(text);
    const frame = writer.text(text);
    deepStrictEqual(frame, plainFrame(0x81, payload), `${text.length} × ${text.slice(0, 2)}`);
    deepStrictEqual(payloadOf(frame), payload);
  }
});

test("FrameWriter.bytes() writes header and payload of every length (§5.2)", () => {
  const writer = new FrameWriter();
  for (const length of [0, 1, 125, 126, 8_188, 8_189, 65_535, 65_536, 100_000]) {
    const payload = Uint8Array.from({ length }, (_, index) => index * 7);
    const frame = writer.bytes(OPCODE.binary, payload);
    deepStrictEqual(frame, plainFrame(0x82, payload), `${length}`);
    deepStrictEqual(payloadOf(frame), payload);
  }
});

const VECTORS: readonly (readonly [name: string, frame: Uint8Array, hex: string])[] = [
  ["an unmasked text message", new FrameWriter().text("Hello"), "81 05 48656c6c6f"],
  [
    "an unmasked ping",
    new FrameWriter().bytes(OPCODE.ping, encoder.encode("Hello")),
    "89 05 48656c6c6f",
  ],
  [
    "256 bytes of binary message",
    new FrameWriter().bytes(OPCODE.binary, new Uint8Array(256)).subarray(0, 4),
    "82 7e 0100",
  ],
  [
    "64 KiB of binary message",
    new FrameWriter().bytes(OPCODE.binary, new Uint8Array(65_536)).subarray(0, 10),
    "82 7f 0000000000010000",
  ],
];

for (const [name, frame, hex] of VECTORS) {
  test(`FrameWriter writes ${name} as the RFC shows it (§5.7)`, () => {
    deepStrictEqual(Uint8Array.from(frame), fromHex(hex));
  });
}

test("a frame is never touched again by the frames that come after it", () => {
  const writer = new FrameWriter();
  const frames = Array.from({ length: 3_000 }, (_, index) => writer.text(`${index} é`));
  const texts = frames.map((frame) => new TextDecoder().decode(payloadOf(frame)));
  deepStrictEqual(texts, Array.from({ length: 3_000 }, (_, index) => `${index} é`));
});

test("unmask() applies the key to bytes of every length, wherever they begin (§5.3)", () => {
  const random = createPrng(1);
  for (let start = 4; start < 12; start++) {
    for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 258, 259, 260, 1_001]) {
      const bytes = Uint8Array.from({ length: start + length + 3 }, () => random() * 256);
      const expected = bytes.map((byte, index) =>
        index < start || index >= start + length ? byte : byte ^ bytes[(index - start) % 4]!
      );
      unmask(bytes, start, start + length, 0);
      deepStrictEqual(bytes, expected, `${length} bytes from ${start}`);
    }
  }
});

test("unmask() tells whether what comes out is ASCII, wherever a byte is not", () => {
  const random = createPrng(2);
  for (let length = 0; length <= 300; length++) {
    const start = 4 + length % 7;
    const key = Uint8Array.from({ length: 4 }, () => random() * 256);
    const text = Uint8Array.from({ length }, () => random() * 128);
    const unmasked = (at: number): boolean => {
      const bytes = new Uint8Array(start + length + 5).fill(0xff);
      bytes.set(key);
      text.forEach((byte, index) => {
        bytes[start + index] = (index === at ? byte | 128 : byte) ^ key[index % 4]!;
      });
      return unmask(bytes, start, start + length, 0);
    };
    strictEqual(unmasked(-1), true, `${length} bytes of ASCII`);
    for (let at = 0; at < length; at++) strictEqual(unmasked(at), false, `${at} of ${length}`);
  }
});

test("unmask() tells of ASCII behind a key of zeros too", () => {
  for (const length of [0, 1, 5, 255, 256, 300]) {
    for (const byte of [0, 127, 128, 255]) {
      const bytes = new Uint8Array(4 + length).fill(byte, 4);
      strictEqual(unmask(bytes, 4, 4 + length, 0), length === 0 || byte < 128);
      deepStrictEqual(bytes.subarray(4), new Uint8Array(length).fill(byte));
    }
  }
});

test("FrameWriter.begin() leaves the payload to its caller, behind a header that is whole", () => {
  const writer = new FrameWriter();
  for (const length of [0, 1, 125, 126, 8_188, 8_189, 65_535, 65_536, 100_000]) {
    for (const opcode of [OPCODE.text, OPCODE.binary]) {
      const payload = Uint8Array.from({ length }, (_, index) => index * 7);
      const frame = writer.begin(opcode, length);
      payloadOf(frame).set(payload);
      deepStrictEqual(frame, plainFrame(0x80 | opcode, payload), `${length}`);
    }
  }
});

function plainFrame(first: number, payload: Uint8Array): Uint8Array {
  const { byteLength } = payload;
  const length = byteLength < 126
    ? [byteLength]
    : byteLength < 65_536
    ? [126, byteLength >> 8, byteLength & 255]
    : [127, 0, 0, 0, 0, 0, byteLength >> 16, (byteLength >> 8) & 255, byteLength & 255];
  const frame = new Uint8Array(1 + length.length + byteLength);
  frame.set([first, ...length]);
  frame.set(payload, 1 + length.length);
  return frame;
}
