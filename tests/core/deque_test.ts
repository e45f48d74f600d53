import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Deque } from "../../src/core/deque.ts";
import { createPrng } from "../../src/core/prng.ts";

test("a deque does what a plain list does, while it grows, wraps and shrinks", () => {
  const random = createPrng(3);
  const deque = new Deque<number>();
  const list: number[] = [];
  for (let step = 0; step < 20_000; step++) {
    // Waves, so that it grows to thousands and shrinks to nothing several times.
    const isGrowing = Math.sin(step / 1_500) > 0;
    if (random() < (isGrowing ? 0.8 : 0.2)) {
      deque.push(step);
      list.push(step);
    } else strictEqual(deque.shift(), list.shift());
    const index = Math.floor(random() * (list.length + 2));
    strictEqual(deque.at(index), list[index]);
    deepStrictEqual([deque.length, deque.first, deque.last], [list.length, list[0], list.at(-1)]);
  }
});

test("an empty deque has nothing to give", () => {
  const deque = new Deque<string>();
  deepStrictEqual([deque.shift(), deque.first, deque.last, deque.at(0), deque.length], [
    undefined,
    undefined,
    undefined,
    undefined,
    0,
  ]);
});

test("what one empty deque is given is not in another", () => {
  const [one, other] = [new Deque<number>(), new Deque<number>()];
  for (let item = 0; item < 10; item++) one.push(item);
  deepStrictEqual([one.length, other.length, other.first, other.at(0)], [
    10,
    0,
    undefined,
    undefined,
  ]);
});
