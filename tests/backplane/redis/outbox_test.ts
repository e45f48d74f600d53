import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../../src/backplane/redis/outbox.ts";
import { createPrng } from "../../../src/core/prng.ts";

function taken(outbox: Outbox): string[] {
  return outbox.take().map(({ channel, payloads }) =>
    `${channel} ${payloads.map(([first]) => first).join(",")}`
  );
}

test("payloads to one node leave as one packet, whatever goes to other nodes between them", () => {
  const outbox = new Outbox();
  for (let index = 0; index < 6; index++) {
    outbox.addToNode(index % 2 === 0 ? "b" : "c", Uint8Array.of(index));
  }
  strictEqual(outbox.byteLength, 6);
  deepStrictEqual(taken(outbox), ["b 0,2,4", "c 1,3,5"]);
  strictEqual(outbox.byteLength, 0);
  deepStrictEqual(taken(outbox), []);
});

test("nothing overtakes a payload for several nodes", () => {
  const outbox = new Outbox();
  outbox.addToNode("b", Uint8Array.of(0));
  outbox.addToMany("news", Uint8Array.of(1));
  outbox.addToMany("news", Uint8Array.of(2));
  outbox.addToNode("b", Uint8Array.of(3));
  outbox.addToNode("c", Uint8Array.of(4));
  outbox.addToMany("news", Uint8Array.of(5));
  outbox.addToMany("sport", Uint8Array.of(6));
  outbox.addToMany("news", Uint8Array.of(7));
  deepStrictEqual(taken(outbox), ["b 0", "news 1,2", "b 3", "c 4", "news 5", "sport 6", "news 7"]);
});

test("packets stay small enough to be copied", () => {
  const outbox = new Outbox();
  for (let index = 0; index < 3; index++) outbox.addToNode("b", new Uint8Array(40_000).fill(index));
  outbox.addToNode("b", new Uint8Array(10).fill(3));
  deepStrictEqual(taken(outbox), ["b 0", "b 1", "b 2,3"]);
});

test("whatever is sent, each node hears it in order", () => {
  const prng = createPrng(4);
  for (let round = 0; round < 200; round++) {
    const outbox = new Outbox();
    const expected: Record<string, number[]> = { b: [], c: [] };
    for (let index = 0; index < 40; index++) {
      const kind = Math.floor(prng() * 4);
      const payload = Uint8Array.of(index);
      if (kind === 0) outbox.addToNode("b", payload);
      if (kind === 1) outbox.addToNode("c", payload);
      if (kind >= 2) outbox.addToMany(kind === 2 ? "news" : "sport", payload);
      if (kind !== 1) expected["b"]!.push(index);
      if (kind !== 0) expected["c"]!.push(index);
    }
    const heard: Record<string, number[]> = { b: [], c: [] };
    for (const { channel, payloads } of outbox.take()) {
      for (const [first] of payloads) {
        if (channel !== "c") heard["b"]!.push(first!);
        if (channel !== "b") heard["c"]!.push(first!);
      }
    }
    deepStrictEqual(heard, expected);
  }
});
