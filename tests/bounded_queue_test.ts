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

test("the bound holds while a slow loop is in the middle of what came, and the order too", async () => {
  const queue = new BoundedQueue<number>(3, ignore);
  queue.push([1, 2, 3]);
  const received: number[] = [];
  for await (const item of queue) {
    received.push(item);
    if (item === 1) queue.push([4, 5, 6, 7]);
    if (item === 7) break;
  }
  deepStrictEqual(received, [1, 5, 6, 7]);
  strictEqual(queue.droppedCount, 3);
});

test("two loops share what comes, and both end", async () => {
  const queue = new BoundedQueue<number>(10, ignore);
  const received: number[] = [];
  const read = async (): Promise<void> => {
    for await (const item of queue) received.push(item);
  };
  const loops = [read(), read()];
  await Promise.resolve();
  queue.push([1]);
  await Promise.resolve();
  queue.push([2, 3]);
  queue.close();
  await Promise.all(loops);
  deepStrictEqual(received.sort(), [1, 2, 3]);
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

test("a reader that waits can leave, without another item", async () => {
  let ended = 0;
  const queue = new BoundedQueue<number>(2, () => ended++);
  const reader = queue[Symbol.asyncIterator]();
  const waiting = reader.next();
  deepStrictEqual(await reader.return(), { value: undefined, done: true });
  deepStrictEqual(await waiting, { value: undefined, done: true });
  strictEqual(ended, 1);
  // One that has not begun to read leaves the queue closed as well.
  const unread = new BoundedQueue<number>(2, () => ended++);
  await unread[Symbol.asyncIterator]().return();
  deepStrictEqual([unread.isClosed, ended], [true, 2]);
});
