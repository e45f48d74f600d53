import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { createPair, VirtualMesh } from "../../support/virtual_mesh.ts";

test("P8: a node that says goodbye has left, at once, and is expected only where a seed says so", () => {
  const world = new VirtualMesh();
  const a = world.add("a~1");
  const b = world.add("b~1", [a.address]);
  const c = world.add("c~1", [a.address]);
  world.run(1_000);
  c.feed({ kind: "leave" });
  world.kill(c);
  world.run(5);
  for (const node of [a, b]) strictEqual(node.paths.at(-1), "-c left");
  const dials = a.dials.length + b.dials.length;
  world.run(10_000);
  strictEqual(a.dials.length + b.dials.length, dials);
  strictEqual(a.mesh.stats["addresses"], 1);
  a.feed({ kind: "leave" });
  world.kill(a);
  world.run(10_000);
  ok(b.dials.length > dials, "b dials its seed");
});

test("P8: a node whose process died is known to be dead when it is dialled again", () => {
  const { world, a, b } = createPair();
  world.run(2_000);
  world.kill(b);
  world.run(10);
  deepStrictEqual(a.paths, ["+b", "-b refused"]);
});

test("a node that cannot be dialled is lost, and dead once a dial is refused", () => {
  const { world, a, b } = createPair();
  world.run(2_000);
  world.isCut = () => true;
  world.sever(a, b);
  world.run(400);
  deepStrictEqual(a.paths, ["+b", "-b lost"]);
  world.kill(b);
  world.isCut = () => false;
  world.run(10_000);
  deepStrictEqual(a.paths, ["+b", "-b lost", "?b"]);
});

test("a break that heals at once is told as one loss and one return", () => {
  const { world, a, b } = createPair();
  world.run(2_000);
  world.sever(a, b);
  world.run(500);
  deepStrictEqual([a.paths, b.paths], [["+b", "-b lost", "+b"], ["+a", "-a lost", "+a"]]);
  strictEqual(world.connections, 1);
});

test("a new incarnation at an address buries the one that was there before", () => {
  const { world, a, b } = createPair();
  world.run(2_000);
  // No word of its end gets through.
  world.isCut = () => true;
  world.kill(b);
  world.sever(a, b);
  world.run(400);
  world.isCut = () => false;
  world.add("b~2", [a.address], { listens: b.address });
  world.run(200);
  deepStrictEqual(a.paths, ["+b", "-b lost", "?b", "+b"]);
});

test("P14: a node that claims another's address does not bury it while it is linked", () => {
  const { world, a, b } = createPair();
  world.add("c~1", [a.address], { address: b.address });
  world.run(10_000);
  deepStrictEqual(a.paths, ["+b", "+c"]);
});

test("a node whose address is wrong is reached all the same, as it dials", () => {
  const world = new VirtualMesh();
  const a = world.add("a~1");
  const b = world.add("b~1", [a.address], { address: "10.9.9.9:9" });
  const c = world.add("c~1", [a.address]);
  world.run(5_000);
  for (const node of [a, c]) ok(node.reaches.includes("b"), node.name);
  world.sever(a, b);
  world.run(5_000);
  deepStrictEqual(a.reaches, ["b", "c"]);
});
