import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  encodeFrame,
  FRAME_OVERHEAD_BYTES,
  FRAME_TYPE,
  FrameReader,
  FrameWriter,
  type RawFrame,
} from "../../../src/backplane/mesh/frame.ts";
import { createPrng } from "../../../src/core/prng.ts";
import { joinBytes } from "../../support/join_bytes.ts";
import { fromHex } from "../../support/hex.ts";

const SIZES: readonly number[] = [0, 1, 2, 3, 250, 255, 256, 4_000, 16_383, 16_384, 70_000];

function bodyOf(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 7 + size) & 255);
}

function readAll(reader: FrameReader, chunks: Iterable<Uint8Array>): RawFrame[] {
  const frames: RawFrame[] = [];
  for (const chunk of chunks) {
    reader.push(chunk.slice());
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      frames.push({ type: frame.type, body: frame.body.slice() });
    }
  }
  return frames;
}

function* chunksOf(bytes: Uint8Array, size: () => number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength;) {
    const end = at + Math.max(1, size());
    yield bytes.subarray(at, end);
    at = end;
  }
}

test("a frame is its length in four bytes, its type and its body", () => {
  deepStrictEqual(encodeFrame(5, fromHex("0a0b0c")), fromHex("00000004 05 0a0b0c"));
  deepStrictEqual(encodeFrame(FRAME_TYPE.ping, new Uint8Array(0)), fromHex("00000001 07"));
  deepStrictEqual(encodeFrame(255, new Uint8Array(0x1_0203)).slice(0, 5), fromHex("00010204 ff"));
});

test("the numbers of frame types are the wire's, and stay", () => {
  deepStrictEqual({ ...FRAME_TYPE }, {
    hello: 1,
    proof: 2,
    identity: 3,
    refuse: 4,
    payload: 5,
    peers: 6,
    ping: 7,
    goodbye: 8,
    retire: 9,
  });
});

test("frames are read the same however they are chunked, down to single bytes", () => {
  const frames = SIZES.map((size, index) => ({ type: index + 1, body: bodyOf(size) }));
  const bytes = joinBytes(frames.map(({ type, body }) => encodeFrame(type, body)));
  const random = createPrng(7);
  const ways: (() => number)[] = [
    () => bytes.byteLength,
    () => 1,
    () => 2,
    () => 3,
    () => 5,
    () => 1_000,
    () => random() * 10,
    () => random() * 5_000,
  ];
  for (const way of ways) {
    const reader = new FrameReader(100_000);
    deepStrictEqual(readAll(reader, chunksOf(bytes, way)), frames);
    strictEqual(reader.fault, undefined);
  }
});

test("two frames that are cut at any place are both read", () => {
  const bytes = joinBytes([encodeFrame(1, bodyOf(9)), encodeFrame(2, bodyOf(7))]);
  for (let cut = 0; cut <= bytes.byteLength; cut++) {
    const frames = readAll(new FrameReader(100), [bytes.subarray(0, cut), bytes.subarray(cut)]);
    deepStrictEqual(frames.map(({ type }) => type), [1, 2]);
  }
});

test("a frame within one chunk is not copied", () => {
  const chunk = joinBytes([encodeFrame(1, bodyOf(9)), encodeFrame(2, bodyOf(7))]);
  const reader = new FrameReader(100);
  reader.push(chunk);
  for (const frame of [reader.next()!, reader.next()!]) {
    strictEqual(frame.body.buffer, chunk.buffer);
  }
});

test("a frame that is cut short is no frame", () => {
  const bytes = encodeFrame(1, bodyOf(20));
  for (let end = 0; end < bytes.byteLength; end++) {
    const reader = new FrameReader(100);
    deepStrictEqual(readAll(reader, [bytes.subarray(0, end)]), []);
    strictEqual(reader.fault, undefined);
  }
});

test("a length over the limit is a fault on the header alone, and ends the reading", () => {
  const header = fromHex("00000065");
  for (const size of [1, 4]) {
    const reader = new FrameReader(100);
    readAll(reader, chunksOf(header, () => size));
    deepStrictEqual(reader.fault, {
      code: "frame_too_large",
      detail: "101 bytes, at most 100",
    });
    deepStrictEqual(readAll(reader, [encodeFrame(1, bodyOf(3))]), []);
    strictEqual(reader.fault?.code, "frame_too_large");
  }
});

test("the largest length that a header can tell is refused, not taken for a negative one", () => {
  const reader = new FrameReader(100);
  readAll(reader, [fromHex("ffffffff 05")]);
  strictEqual(reader.fault?.detail, "4294967295 bytes, at most 100");
});

test("a length of nothing is a fault, as a frame has a type", () => {
  for (const size of [1, 4]) {
    const reader = new FrameReader(100);
    readAll(reader, chunksOf(fromHex("00000000"), () => size));
    deepStrictEqual(reader.fault, { code: "frame_invalid", detail: "no type" });
  }
});

test("frames before a fault are read", () => {
  const reader = new FrameReader(100);
  const bytes = joinBytes([
    encodeFrame(1, bodyOf(9)),
    fromHex("ffffffff"),
    encodeFrame(2, bodyOf(7)),
  ]);
  deepStrictEqual(readAll(reader, [bytes]).map(({ type }) => type), [1]);
  strictEqual(reader.fault?.code, "frame_too_large");
});

test("a frame of exactly the limit is read, and the limit counts from the next frame on", () => {
  const reader = new FrameReader(10);
  deepStrictEqual(readAll(reader, [encodeFrame(1, bodyOf(9))]).length, 1);
  reader.lengthMax = 11;
  deepStrictEqual(readAll(reader, [encodeFrame(1, bodyOf(10))]).length, 1);
  readAll(reader, [encodeFrame(1, bodyOf(11))]);
  strictEqual(reader.fault?.code, "frame_too_large");
});

test("a writer gives the frames in order, in few parts", () => {
  const writer = new FrameWriter();
  const frames = Array.from({ length: 3_000 }, (_, index) => {
    return { type: 1 + index % 9, body: bodyOf(index % 90 === 0 ? 40_000 : index % 700) };
  });
  let byteLength = 0;
  for (const { type, body } of frames) {
    writer.append(type, body.slice());
    byteLength += FRAME_OVERHEAD_BYTES + body.byteLength;
  }
  strictEqual(writer.byteLength, byteLength);
  const parts = writer.take(Infinity);
  strictEqual(writer.byteLength, 0);
  deepStrictEqual(writer.take(Infinity), []);
  ok(parts.length < 120, `${parts.length} parts`);
  deepStrictEqual(readAll(new FrameReader(100_000), parts), frames);
});

test("a writer shares long bodies and never changes what it gave away", () => {
  const writer = new FrameWriter();
  const long = bodyOf(20_000);
  writer.append(5, bodyOf(10));
  writer.append(5, long);
  const parts = writer.take(Infinity);
  strictEqual(parts.at(-1), long);
  const before = parts.map((part) => part.slice());
  for (let count = 0; count < 500; count++) writer.append(6, bodyOf(300));
  writer.take(Infinity);
  deepStrictEqual(parts, before);
});

test("a writer keeps little memory while little is said, also after much was", () => {
  const writer = new FrameWriter();
  const keeps = (bodyBytes: number): number => {
    writer.append(5, bodyOf(bodyBytes));
    return writer.take(Infinity)[0]!.buffer.byteLength;
  };
  strictEqual(keeps(20), 2_048);
  strictEqual(keeps(10_000), 65_536);
  keeps(20);
  strictEqual(keeps(20), 2_048);
  for (let count = 0; count < 1_000; count++) strictEqual(keeps(20), 2_048);
});

test("a writer gives enough parts to reach what is wanted, and keeps the rest", () => {
  const writer = new FrameWriter();
  const frames = Array.from({ length: 8 }, () => ({ type: 5, body: bodyOf(20_000) }));
  for (const { type, body } of frames) writer.append(type, body);
  const first = writer.take(30_000);
  const firstBytes = joinBytes(first).byteLength;
  ok(firstBytes >= 30_000 && firstBytes < 60_000);
  strictEqual(writer.byteLength, 8 * 20_005 - firstBytes);
  const rest = writer.take(Infinity);
  deepStrictEqual(readAll(new FrameReader(100_000), [...first, ...rest]), frames);
});
