import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { createPrng } from "../../src/core/prng.ts";
import { SmallMap } from "../../src/core/small_map.ts";

interface Item {
  readonly step: number;
}

test("a small map holds what a map holds, in its order, however many there are", () => {
  const random = createPrng(7);
  const small = new SmallMap<string, Item>();
  const map = new Map<string, Item>();
  for (let step = 0; step < 5_000; step++) {
    // Few keys at first, then more than a list should hold, then few again.
    const keys = step < 2_000 || step > 4_000 ? 12 : 60;
    const key = `key-${Math.floor(random() * keys)}`;
    if (random() < 0.6) {
      small.set(key, { step });
      map.set(key, { step });
    } else {
      small.delete(key);
      map.delete(key);
    }
    strictEqual(small.size, map.size);
    deepStrictEqual(small.get(key), map.get(key));
    deepStrictEqual([...small], [...map]);
  }
});

test("what is taken out of a small map while it is read is not read, and hides no other", () => {
  for (const count of [4, 40]) {
    const small = new SmallMap<number, Item>();
    for (let key = 0; key < count; key++) small.set(key, { step: key });
    const read: number[] = [];
    for (const [key] of small) {
      read.push(key);
      if (key !== 1) continue;
      small.delete(0);
      small.delete(2);
      for (let more = 100; more < 120; more++) small.set(more, { step: more });
    }
    const wanted = Array.from({ length: count }, (_, key) => key).filter((key) => key !== 2);
    deepStrictEqual(read.filter((key) => key < 100), wanted);
  }
});
