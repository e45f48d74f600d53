import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { BoundedQueue } from "../src/bounded_queue.ts";

function ignore(): void {}

test("a reader gets the items in order, those that were there before it and those after", async () => {
  const queue = new BoundedQueue<number>(10, ignore);
  queue.push([1, 2]);
  const received: number[] = [];
  for await (const item of queue) {
    received.push(item);
    if (item === 2) queue.push([3]);
    if (item === 3) queueMicrotask(() => queue.push([4]));
    if (item === 4) break;
  }
  deepStrictEqual(received, [1, 2, 3, 4]);
});

test("past its bound the oldest items go, and are counted", async () => {
  const queue = new BoundedQueue<number>(2, ignore);
  strictEqual(queue.push([1, 2]), 0);
  strictEqual(queue.push([3, 4, 5]), 3);
  strictEqual(queue.droppedCount, 3);
  queue.close();
  const received: number[] = [];
  for await (const item of queue) received.push(item);
  deepStrictEqual(received, [4, 5]);
});

test("it ends once, whether it is closed or its loop is left", async () => {
  let ended = 0;
  const queue = new BoundedQueue<number>(2, () => ended++);
  queue.push([1]);
  for await (const _item of queue) break;
  queue.close();
  strictEqual(ended, 1);
  strictEqual(queue.push([2]), 0);
});
