import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Chain, type Chained } from "../../src/core/chain.ts";
import { createPrng } from "../../src/core/prng.ts";

class Bead implements Chained<Bead> {
  older: Bead | undefined;
  newer: Bead | undefined;
}

function items(chain: Chain<Bead>): Bead[] {
  const found: Bead[] = [];
  for (let bead = chain.first; bead !== undefined; bead = bead.newer) found.push(bead);
  return found;
}

test("a chain does what a plain list does, whichever item leaves or comes again", () => {
  const random = createPrng(4);
  const chain = new Chain<Bead>();
  const list: Bead[] = [];
  const outside: Bead[] = Array.from({ length: 20 }, () => new Bead());
  for (let step = 0; step < 5_000; step++) {
    const from = random() < 0.5 ? outside : list;
    const [bead] = from.splice(Math.floor(random() * from.length), 1);
    if (bead === undefined) continue;
    if (from === outside) {
      chain.push(bead);
      list.push(bead);
    } else {
      chain.remove(bead);
      outside.push(bead);
    }
    strictEqual(chain.length, list.length);
    deepStrictEqual(items(chain).map((item) => list.indexOf(item)), list.map((_, index) => index));
  }
});

test("an item that left holds on to nobody", () => {
  const chain = new Chain<Bead>();
  const beads = [new Bead(), new Bead(), new Bead()];
  for (const bead of beads) chain.push(bead);
  chain.remove(beads[1]!);
  deepStrictEqual([beads[1]!.older, beads[1]!.newer], [undefined, undefined]);
});
