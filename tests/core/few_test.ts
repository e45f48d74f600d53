import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { addToFew, type Few, itemsOf, removeFromFew } from "../../src/core/few.ts";

const [A, B, C]: readonly [object, object, object] = [{ a: 1 }, { b: 2 }, { c: 3 }];

test("one item stands for itself, and several are each there once", () => {
  let few: Few<object> | undefined = addToFew(undefined, A);
  strictEqual(few, A);
  strictEqual(addToFew(few, A), A);
  for (const item of [B, C, B]) few = addToFew(few, item);
  deepStrictEqual([...itemsOf(few)], [A, B, C]);
});

test("what is removed is gone, and what is not there changes nothing", () => {
  let few: Few<object> | undefined = new Set([A, B, C]);
  few = removeFromFew(few, B);
  deepStrictEqual([...itemsOf(few)], [A, C]);
  few = removeFromFew(few, A);
  strictEqual(few, C);
  strictEqual(removeFromFew(few, B), C);
  few = removeFromFew(few, C);
  strictEqual(few, undefined);
  deepStrictEqual([...itemsOf(removeFromFew(few, A))], []);
});
