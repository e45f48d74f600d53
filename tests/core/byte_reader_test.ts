import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ByteReader } from "../../src/core/byte_reader.ts";
import { createPrng } from "../../src/core/prng.ts";

type Read = (reader: ByteReader) => unknown;

const UNREADABLE: readonly (readonly [why: string, bytes: readonly number[], read: Read])[] = [
  ["a byte that is missing", [], (reader) => reader.u8()],
  ["an integer of three bytes", [0, 0, 0], (reader) => reader.u32()],
  ["an integer without its end", [128, 128], (reader) => reader.varint()],
  ["an integer of more than eight bytes", [...Array(8).fill(128), 0], (reader) => reader.varint()],
  [
    "an integer past 2^53 - 1",
    [128, 128, 128, 128, 128, 128, 128, 16],
    (reader) => reader.varint(),
  ],
  ["bytes shorter than their length", [0, 0, 0, 2, 1], (reader) => reader.bytes().byteLength],
  ["a length that is not all there", [0, 0, 0], (reader) => reader.bytes().byteLength],
  ["UTF-8 shorter than its length", [0, 0, 0, 2, 97], (reader) => reader.utf8().byteLength],
  ["a length of 4 GiB", [255, 255, 255, 255, 1], (reader) => reader.bytes().byteLength],
];

for (const [why, bytes, read] of UNREADABLE) {
  test(`${why} sets failed, and gives zero from then on`, () => {
    const reader = new ByteReader(Uint8Array.from([...bytes]));
    strictEqual(read(reader), 0);
    strictEqual(reader.failed, true);
    const later = [reader.u8(), reader.u32(), reader.varint(), reader.text()];
    deepStrictEqual(later, [0, 0, 0, ""]);
  });
}

const NOT_UTF_8: readonly (readonly number[])[] = [
  [0x80],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82],
];

test("text that is not UTF-8 sets failed", () => {
  for (const bytes of NOT_UTF_8) {
    const reader = new ByteReader(Uint8Array.of(0, 0, 0, bytes.length, ...bytes));
    strictEqual(reader.text(), "");
    strictEqual(reader.failed, true, String(bytes));
  }
});

test("text that is read as its UTF-8 is a view of it, and sets failed where it is none", () => {
  const text = Uint8Array.of(0x61, 0xc3, 0xa9);
  const record = Uint8Array.of(0, 0, 0, 3, ...text, 7);
  const reader = new ByteReader(record);
  const utf8 = reader.utf8();
  deepStrictEqual(utf8, text);
  strictEqual(utf8.buffer, record.buffer);
  strictEqual(reader.u8(), 7);
  for (const bytes of NOT_UTF_8) {
    const broken = new ByteReader(Uint8Array.of(0, 0, 0, bytes.length, ...bytes, 7));
    broken.utf8();
    deepStrictEqual([broken.failed, broken.u8()], [true, 0], String(bytes));
  }
});

test("reading goes no further than the view, wherever its memory ends", () => {
  const reader = new ByteReader(Uint8Array.of(9, 1, 2, 3, 4, 9).subarray(1, 4));
  strictEqual(reader.remaining, 3);
  strictEqual(reader.u32(), 0);
  strictEqual(reader.failed, true);
});

test("random bytes throw nothing, and are never read twice", () => {
  const random = createPrng(2);
  const reads: readonly Read[] = [
    (reader) => reader.u8(),
    (reader) => reader.u32(),
    (reader) => reader.varint(),
    (reader) => reader.bytes(),
    (reader) => reader.text(),
    (reader) => reader.utf8(),
  ];
  for (let run = 0; run < 5_000; run++) {
    const length = Math.floor(random() * 40);
    const bytes = Uint8Array.from({ length }, () => random() < 0.5 ? 0 : random() * 256);
    const reader = new ByteReader(bytes);
    for (let step = 0; step < 50 && !reader.failed; step++) {
      const before = reader.remaining;
      reads[Math.floor(random() * reads.length)]!(reader);
      strictEqual(reader.failed || reader.remaining < before, true);
    }
    strictEqual(reader.failed, true);
  }
});
