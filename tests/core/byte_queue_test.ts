import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { ByteQueue } from "../../src/core/byte_queue.ts";
import { createPrng } from "../../src/core/prng.ts";

function queueOf(...chunks: readonly (readonly number[])[]): ByteQueue {
  const queue = new ByteQueue();
  for (const chunk of chunks) queue.push(Uint8Array.from(chunk));
  return queue;
}

test("bytes leave in the order in which they came, however they were cut into chunks", () => {
  const random = createPrng(1);
  for (let run = 0; run < 200; run++) {
    const queue = new ByteQueue();
    let pushed = 0;
    let taken = 0;
    while (taken < 300) {
      const chunk = Uint8Array.from(
        { length: Math.floor(random() * 9) },
        () => pushed++ & 255,
      );
      queue.push(chunk);
      const part = queue.take(Math.floor(random() * (queue.byteLength + 1)));
      for (const byte of part) strictEqual(byte, taken++ & 255);
      strictEqual(queue.byteLength, pushed - taken);
    }
  }
});

test("a part of one chunk is taken without a copy", () => {
  const chunk = Uint8Array.of(1, 2, 3, 4);
  const queue = new ByteQueue();
  queue.push(chunk);
  strictEqual(queue.take(3).buffer, chunk.buffer);
  const rest = queue.take(1);
  strictEqual(rest.buffer, chunk.buffer);
  deepStrictEqual([...rest], [4]);
});

test("peekU32 reads across chunks, takes nothing, and knows when bytes are missing", () => {
  const queue = queueOf([9], [255, 0], [], [0, 1, 7]);
  strictEqual(queue.peekU32(1), 0xff_00_00_01);
  strictEqual(queue.peekU32(2), 0x00_00_01_07);
  strictEqual(queue.peekU32(3), undefined);
  strictEqual(queue.byteLength, 6);
});

test("more than is waiting cannot be taken, and nothing is lost by asking", () => {
  const queue = queueOf([1, 2]);
  throws(() => queue.take(3), { name: "RangeError", message: "Cannot take 3 bytes: 2 waiting" });
  deepStrictEqual([...queue.take(2)], [1, 2]);
  strictEqual(queue.take(0).byteLength, 0);
});
