import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ByteReader } from "../../src/core/byte_reader.ts";
import { ByteWriter } from "../../src/core/byte_writer.ts";

// Each number of bytes, and both sides of where the bit operators would cut.
const INTEGERS: readonly (readonly [value: number, bytes: number])[] = [
  [0, 1],
  [127, 1],
  [128, 2],
  [16_383, 2],
  [16_384, 3],
  [2 ** 28 - 1, 4],
  [2 ** 31 - 1, 5],
  [2 ** 31, 5],
  [2 ** 32, 5],
  [2 ** 35, 6],
  [2 ** 49, 8],
  [Number.MAX_SAFE_INTEGER, 8],
];

const TEXTS: readonly string[] = [
  "",
  "a",
  "a".repeat(48),
  "a".repeat(49),
  "\u0000\u007f",
  "\u0080é€",
  "a\u{1f600}",
  `${"a".repeat(47)}é`,
  "\ufeffbom",
  "é".repeat(40_000),
];

test("integers up to 2^53 - 1 are read as they were written, in as few bytes as they need", () => {
  for (const [value, bytes] of INTEGERS) {
    const writer = new ByteWriter();
    writer.varint(value);
    const record = writer.finish();
    strictEqual(record.byteLength, bytes, String(value));
    const reader = new ByteReader(record);
    strictEqual(reader.varint(), value);
    strictEqual(reader.failed, false);
  }
});

test("text of any length and alphabet is read as it was written", () => {
  const writer = new ByteWriter();
  for (const text of TEXTS) writer.text(text);
  const reader = new ByteReader(writer.finish());
  for (const text of TEXTS) strictEqual(reader.text(), text);
  strictEqual(reader.remaining, 0);
  strictEqual(reader.failed, false);
});

test("text that UTF-8 cannot hold is replaced, and never cut short", () => {
  const writer = new ByteWriter();
  writer.text("\ud800a");
  strictEqual(new ByteReader(writer.finish()).text(), "\ufffda");
});

test("a record that is finished is never touched again, across slabs and within one", () => {
  const writer = new ByteWriter();
  const records: Uint8Array[] = [];
  for (let index = 0; index < 300; index++) {
    writer.u32(index);
    writer.bytes(new Uint8Array(index * 7).fill(index));
    records.push(writer.finish());
  }
  records.forEach((record, index) => {
    const reader = new ByteReader(record);
    strictEqual(reader.u32(), index);
    deepStrictEqual(reader.bytes(), new Uint8Array(index * 7).fill(index));
    strictEqual(reader.remaining, 0);
  });
});

const WRITES: readonly (readonly [name: string, write: (writer: ByteWriter) => void])[] = [
  ["a byte", (writer) => writer.u8(201)],
  ["four bytes", (writer) => writer.u32(4_000_000_000)],
  ["an integer", (writer) => writer.varint(Number.MAX_SAFE_INTEGER)],
  ["bytes", (writer) => writer.bytes(Uint8Array.of(1, 2, 3))],
  ["bytes as they are", (writer) => writer.raw(Uint8Array.of(1, 2, 3))],
  ["short text", (writer) => writer.text("abc")],
  ["other text", (writer) => writer.text("é€")],
];

for (const [name, write] of WRITES) {
  test(`${name} at the end of a slab is written whole, wherever the slab ends`, () => {
    const alone = new ByteWriter();
    write(alone);
    const expected = alone.finish();
    for (let room = 0; room <= 20; room++) {
      const writer = new ByteWriter();
      writer.bytes(new Uint8Array(65_536 - 4 - room));
      writer.finish();
      write(writer);
      deepStrictEqual(writer.finish(), expected, `${room} bytes left`);
    }
  });
}

test("a record that outgrows its slab keeps what was written before", () => {
  const writer = new ByteWriter();
  writer.u8(7);
  for (let index = 0; index < 40; index++) writer.bytes(new Uint8Array(10_000).fill(index));
  strictEqual(writer.byteLength, 1 + 40 * 10_004);
  const reader = new ByteReader(writer.finish());
  strictEqual(reader.u8(), 7);
  for (let index = 0; index < 40; index++) strictEqual(reader.bytes()[9_999], index);
  strictEqual(writer.byteLength, 0);
});
