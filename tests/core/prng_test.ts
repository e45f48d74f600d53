import { deepStrictEqual, notDeepStrictEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { createPrng } from "../../src/core/prng.ts";

function draw(seed: number, count: number): number[] {
  const random = createPrng(seed);
  return Array.from({ length: count }, random);
}

test("a seed decides the whole run, and another seed another one", () => {
  deepStrictEqual(draw(42, 1_000), draw(42, 1_000));
  notDeepStrictEqual(draw(42, 3), draw(43, 3));
});

test("a recorded seed stays good: the numbers are those of Mulberry32", () => {
  deepStrictEqual(draw(1, 3).map((value) => Math.floor(value * 2 ** 32)), [
    2_693_262_067,
    11_749_833,
    2_265_367_787,
  ]);
});

test("numbers are in [0, 1), and spread evenly", () => {
  const tenths = Array<number>(10).fill(0);
  for (const value of draw(7, 100_000)) {
    ok(value >= 0 && value < 1);
    tenths[Math.floor(value * 10)]!++;
  }
  for (const count of tenths) ok(count > 9_500 && count < 10_500, String(tenths));
});
