import { deepStrictEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { createPrng } from "../../src/core/prng.ts";
import { VirtualPresence } from "../support/virtual_presence.ts";

test("changes that overtake each other cost few questions, and end in the same roster", () => {
  const random = createPrng(1);
  const world = new VirtualPresence();
  const a = world.add("a~1");
  const b = world.add("b~1");
  world.run(10);
  world.tamper = () => [20 + random() * 5];
  for (let index = 0; index < 1_000; index++) {
    a.join("room", `m${index}`);
    world.run(1);
  }
  world.run(3_000);
  deepStrictEqual(b.members("room"), a.members("room"));
  ok(world.sent["want"]! <= 50, `${world.sent["want"]} questions`);
});

test("a node that is new gets a large roster in pieces while it changes all the time", () => {
  const random = createPrng(2);
  const world = new VirtualPresence();
  const a = world.add("a~1");
  const meta = `"${"x".repeat(1_000)}"`;
  for (let index = 0; index < 1_000; index++) a.join("room", `old${index}`, { meta });
  world.run(3_000);
  world.tamper = () => [5];
  const b = world.add("b~1");
  for (let index = 0; index < 1_000; index++) {
    a.join("room", `new${index}`);
    if (random() < 0.3) a.leave("room", `old${index}`);
    world.run(1);
  }
  world.run(100);
  deepStrictEqual(b.members("room"), a.members("room"));
  ok(world.sent["piece"]! >= 8, `${world.sent["piece"]} pieces`);
});

test("a node that missed a thousand changes gets them in one body", () => {
  const world = new VirtualPresence();
  const a = world.add("a~1");
  const b = world.add("b~1");
  a.join("room", "first");
  world.run(5);
  world.cut("a~1", "b~1");
  for (let index = 0; index < 500; index++) {
    a.join(`room${index % 3}`, `m${index}`, { meta: String(index) });
    world.run(1);
    if (index % 2 === 0) a.leave(`room${index % 3}`, `m${index}`);
    world.run(1);
  }
  const before = world.sent["delta"]!;
  world.link("a~1", "b~1");
  world.run(100);
  for (let room = 0; room < 3; room++) {
    deepStrictEqual(b.members(`room${room}`), a.members(`room${room}`));
  }
  deepStrictEqual([world.sent["delta"]! - before, world.sent["piece"]], [1, undefined]);
});

test("P8: the members of a node's successor show once its own are gone", () => {
  const world = new VirtualPresence();
  const [a, b, c] = [world.add("a~1"), world.add("b~1"), world.add("c~1")];
  a.join("room", "old");
  world.run(5);
  const successor = world.add("a~2");
  successor.join("room", "new");
  world.run(500);
  successor.join("room", "newer");
  world.run(500);
  for (const node of [b, c]) deepStrictEqual(node.members("room"), ["old"]);
  world.kill("a~1");
  world.run(5);
  const changes = ["+room/old", "-room/old", "+room/new", "+room/newer"];
  for (const node of [b, c]) deepStrictEqual(node.changes, changes);
});

test("a node whose namesake stays shows its members all the same, after a while", () => {
  const world = new VirtualPresence();
  const [a, b] = [world.add("a~1"), world.add("b~1")];
  a.join("room", "ann");
  world.run(5);
  const namesake = world.add("a~2");
  namesake.join("room", "bob");
  world.run(5_900);
  deepStrictEqual(b.members("room"), ["ann"]);
  world.run(200);
  deepStrictEqual(b.members("room"), ["ann", "bob"]);
  // Where several have a name, it tells nothing.
  world.add("a~3").join("room", "cid");
  world.run(5);
  deepStrictEqual(b.members("room"), ["ann", "bob", "cid"]);
});
