import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { type VirtualMachine, VirtualMesh } from "../../support/virtual_mesh.ts";

/** Two nodes that dial each other in the same moment. */
function rivals(latency: (from: VirtualMachine, to: VirtualMachine) => number) {
  const world = new VirtualMesh();
  world.latency = latency;
  const a = world.add("a~1", ["10.0.0.2:1"]);
  const b = world.add("b~1", ["10.0.0.1:1"]);
  return { world, a, b };
}

const numbers = (from: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${from}: ${index}`);

test("two nodes are linked once, whoever dials", () => {
  for (const [first, second] of [["a~1", "b~1"], ["b~1", "a~1"]] as const) {
    const world = new VirtualMesh();
    const seed = world.add(first);
    const other = world.add(second, [seed.address]);
    world.run(10_000);
    strictEqual(world.connections, 1);
    deepStrictEqual([seed.reaches, other.reaches], [[other.name], [seed.name]]);
    strictEqual(seed.dials.length + other.dials.length, 1);
  }
});

test("two nodes that dial each other at once keep one link, and report each other once", () => {
  for (const [ab, ba] of [[1, 1], [1, 30], [30, 1], [20, 21]]) {
    const { world, a, b } = rivals((from) => from.name === "a" ? ab! : ba!);
    world.run(1_000);
    strictEqual(world.connections, 1);
    deepStrictEqual([a.paths, b.paths], [["+b"], ["+a"]]);
    deepStrictEqual([a.faults, b.faults], [[], []]);
    strictEqual(a.mesh.stats["links"], 1);
    strictEqual(a.mesh.stats["connections"], 1);
  }
});

test("what is under way over the link that is given up is neither lost nor overtaken", () => {
  for (let step = 0; step < 40; step++) {
    // The slower connection is the one that the larger id dialled, and it is given up.
    const { world, a, b } = rivals((from) => from.name === "a" ? 2 + step % 7 : 12 + step % 5);
    for (let index = 0; index < 200; index++) {
      if (a.reaches.length > 0) a.sends([String(a.mesh.stats["payloadsOut"])]);
      if (b.reaches.length > 0) b.sends([String(b.mesh.stats["payloadsOut"])]);
      world.run(1);
    }
    world.run(100);
    strictEqual(world.connections, 1);
    deepStrictEqual(a.received, numbers("b", b.mesh.stats["payloadsOut"]!));
    deepStrictEqual(b.received, numbers("a", a.mesh.stats["payloadsOut"]!));
    ok(a.received.length > 50 && b.received.length > 50);
    deepStrictEqual([a.paths, b.paths], [["+b"], ["+a"]]);
  }
});

test("a link that is not given up in time is closed, and what was on it counts as lost", () => {
  const { world, a, b } = rivals((from) => from.name === "a" ? 2 : 12);
  while (a.mesh.stats["connections"] !== 2 || b.mesh.stats["links"] !== 1) world.run(0.5);
  b.isFrozen = true;
  world.run(4_000);
  b.thaw();
  world.run(2_000);
  strictEqual(world.connections, 1);
  deepStrictEqual([a.reaches, b.reaches], [["b"], ["a"]]);
  a.sends(["hello"]);
  b.sends(["hello"]);
  world.run(100);
  deepStrictEqual([a.received, b.received], [["b: hello"], ["a: hello"]]);
});

test("a link that broke on one side only is replaced by the one that this side dials", () => {
  for (const breaking of ["a", "b"]) {
    for (const dialling of ["a", "b"]) {
      const world = new VirtualMesh();
      const a = world.add("a~1", dialling === "a" ? ["10.0.0.2:1"] : []);
      const b = world.add("b~1", dialling === "b" ? ["10.0.0.1:1"] : []);
      world.run(2_000);
      const [one, other] = breaking === "a" ? [a, b] : [b, a];
      // The other side does not hear that the link is gone.
      world.isCut = () => true;
      one.feed({ kind: "rebuild", node: other.id });
      world.isCut = () => false;
      world.run(300);
      one.sends(["1"]);
      other.sends(["2"]);
      world.run(100);
      deepStrictEqual([one.received, other.received], [[`${other.name}: 2`], [`${one.name}: 1`]]);
      deepStrictEqual(one.paths, [`+${other.name}`, `-${other.name} lost`, `+${other.name}`]);
      deepStrictEqual(other.paths, [`+${one.name}`, `-${one.name} lost`, `+${one.name}`]);
      strictEqual(one.mesh.stats["connections"], 1);
      strictEqual(other.mesh.stats["connections"], 1);
    }
  }
});
