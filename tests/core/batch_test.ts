import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Batch } from "../../src/core/batch.ts";

test("a batch gives what was pushed since it was taken from last, in order", () => {
  const batch = new Batch<number>();
  deepStrictEqual(batch.take(), []);
  for (const items of [[1], [2, 3, 4], []]) {
    for (const item of items) batch.push(item);
    strictEqual(batch.length, items.length);
    deepStrictEqual(batch.take(), items);
    strictEqual(batch.length, 0);
  }
});

test("what was taken from a batch is not touched by what is pushed later", () => {
  const [one, other] = [new Batch<number>(), new Batch<number>()];
  const [nothing, others] = [one.take(), other.take()];
  one.push(1);
  const first = one.take();
  one.push(2);
  deepStrictEqual([nothing, others, first, other.length], [[], [], [1], 0]);
});
