import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame, FRAME_TYPE } from "../../../src/backplane/mesh/frame.ts";
import { ByteWriter } from "../../../src/core/byte_writer.ts";
import { MESH_ADDRESSES_MAX, MESH_DIALS_MAX } from "../../../src/core/limits.ts";
import {
  createCluster,
  createPair,
  type VirtualMachine,
  VirtualMesh,
} from "../../support/virtual_mesh.ts";

test("gossip from one seed connects everybody, once", () => {
  const { world, nodes } = createCluster(12);
  world.run(3_000);
  for (const node of nodes) {
    strictEqual(node.mesh.stats["links"], 11);
    strictEqual(node.paths.length, 11);
    deepStrictEqual(node.faults, []);
  }
  strictEqual(world.connections, 66);
});

test("a cluster of 50 that starts at once opens hardly more connections than it keeps", () => {
  const { world, nodes } = createCluster(50);
  world.run(5_000);
  for (const node of nodes) strictEqual(node.mesh.stats["links"], 49);
  strictEqual(world.connections, 1_225);
  const dials = nodes.reduce((sum, node) => sum + node.dials.length, 0);
  ok(dials < 1_225 * 1.1, `${dials} dials`);
});

test("nodes that list each other are connected all the same", () => {
  const world = new VirtualMesh();
  const seeds = Array.from({ length: 8 }, (_, index) => `10.0.0.${index + 1}:1`);
  const nodes = seeds.map((_, index) => world.add(`n${index}~1`, seeds));
  world.run(3_000);
  strictEqual(world.connections, 28);
  for (const node of nodes) {
    strictEqual(node.paths.length, 7);
    deepStrictEqual(node.faults, []);
  }
});

test("a node that dials itself stops, and tries that address again only now and then", () => {
  const world = new VirtualMesh();
  const a = world.add("a~1", ["10.0.0.1:1"], { resolveIntervalMs: 30_000 });
  world.run(29_000);
  strictEqual(a.dials.length, 1);
  strictEqual(world.connections, 0);
  deepStrictEqual(a.faults, []);
  world.run(2_000);
  strictEqual(a.dials.length, 2);
});

test("an address where a node met itself may lead to another one later", () => {
  const world = new VirtualMesh();
  const a = world.add("a~1", ["10.0.0.9:1"], { listens: "10.0.0.9:1" });
  world.run(1_000);
  const b = world.add("b~1", [], { listens: "10.0.0.9:1" });
  world.run(31_000);
  deepStrictEqual([a.reaches, b.reaches], [["b"], ["a"]]);
});

test("pauses between dials grow from the least to the most, and chance spreads them", () => {
  const world = new VirtualMesh();
  const node = world.add("a~1", ["10.0.0.9:1"], { reconnectMinMs: 100, reconnectMaxMs: 2_000 });
  world.run(120_000);
  const pauses = node.dials.slice(1).map(({ at }, index) => at - node.dials[index]!.at);
  // A tick of 100 ms finds what is due.
  for (const [index, pause] of pauses.entries()) {
    ok(pause >= 50 && pause <= Math.min(2_000, 100 * 2 ** index) + 110, `${index}: ${pause}`);
  }
  const late = pauses.slice(6);
  const mean = late.reduce((sum, pause) => sum + pause, 0) / late.length;
  ok(mean > 800 && mean < 1_300, `${mean}`);
  ok(new Set(late).size > 10);
  strictEqual(node.faults.length, node.dials.length);
  strictEqual(node.mesh.stats["dialsFailed"], node.dials.length);
});

test("a link that ends as soon as it is up is not dialled again at once", () => {
  const { world, a, b } = createPair();
  const before = a.dials.length + b.dials.length;
  for (let at = 0; at < 20_000; at += 10) {
    if (a.reaches.length > 0) a.feed({ kind: "rebuild", node: b.id });
    world.run(10);
  }
  const dials = a.dials.length + b.dials.length - before;
  ok(dials >= 5 && dials < 40, `${dials} dials`);
});

test("a name with several addresses leads to all of them, and is looked up again", () => {
  const world = new VirtualMesh();
  world.names.set("nodes", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
  const nodes = ["a~1", "b~1", "c~1"].map((id) =>
    world.add(id, ["nodes:1"], { resolveIntervalMs: 5_000 })
  );
  world.run(2_000);
  for (const node of nodes) strictEqual(node.reaches.length, 2);
  strictEqual(world.connections, 3);
  world.names.set("nodes", ["10.0.0.4"]);
  const d = world.add("d~1", [], { listens: "10.0.0.4:1" });
  world.run(6_000);
  strictEqual(d.reaches.length, 3);
  strictEqual(nodes[0]!.lookups.length, 2);
});

test("a name that has no address is asked for again, counted and reported", () => {
  const world = new VirtualMesh();
  const a = world.add("a~1", ["nodes:1"]);
  world.run(3_500);
  strictEqual(a.lookups.length, 4);
  strictEqual(a.mesh.stats["lookupsFailed"], 4);
  deepStrictEqual(new Set(a.faults), new Set(["connect_failed"]));
  world.names.set("nodes", ["10.0.0.2"]);
  world.add("b~1");
  world.run(2_000);
  deepStrictEqual(a.reaches, ["b"]);
});

test("one node under several addresses is linked once, without a fault", () => {
  const world = new VirtualMesh();
  world.names.set("both", ["10.0.0.1", "10.0.0.7"]);
  const a = world.add("a~1");
  world.aliases.set("10.0.0.7:1", "10.0.0.1:1");
  const b = world.add("b~1", ["both:1"]);
  world.run(20_000);
  deepStrictEqual([a.paths, b.paths], [["+b"], ["+a"]]);
  deepStrictEqual([a.faults, b.faults], [[], []]);
  strictEqual(world.connections, 1);
  strictEqual(b.dials.length, 2);
});

test("a node that listens on all addresses is dialled where its connection comes from", () => {
  const world = new VirtualMesh();
  const a = world.add("a~1");
  world.add("b~1", [a.address], { address: ":1" });
  const c = world.add("c~1", [a.address]);
  world.run(2_000);
  ok(c.reaches.includes("b"));
  ok([...c.dials].some(({ address }) => address === "10.0.0.2:1") || c.mesh.stats["links"] === 2);
});

test("a node that was refused tries again with growing pauses, not in a storm", () => {
  const { world, a } = createPair();
  const c = world.add("c~1", [a.address], { secret: "t" });
  world.run(60_000);
  ok(c.dials.length > 10 && c.dials.length < 60, `${c.dials.length}`);
});

test("P11: a peer that floods its gossip is bounded, and keeps no honest node out", () => {
  const { world, a, b } = createPair();
  world.isDesert = true;
  for (let round = 0; round < 5; round++) {
    const nodes = Array.from({ length: 1_000 }, (_, index) => {
      const address = `10.${1 + round}.${index >> 8}.${index & 255}:1`;
      return { id: `x${round}-${index}`, address };
    });
    gossip(world, b, a, nodes);
  }
  strictEqual(a.mesh.stats["addresses"], MESH_ADDRESSES_MAX);
  strictEqual(a.dials.length, MESH_DIALS_MAX);
  const c = world.add("c~1", [a.address]);
  world.run(2_000);
  ok(a.reaches.includes("c") && c.reaches.includes("a"));
  world.sever(a, c);
  world.run(1_000);
  ok(a.reaches.includes("c"));
});

test("gossip about an address where a node is linked is no reason to dial it", () => {
  const { world, a, b } = createPair();
  const before = a.dials.length;
  gossip(world, b, a, [{ id: "old~1", address: b.address }]);
  world.run(5_000);
  strictEqual(a.dials.length, before);
  deepStrictEqual(a.paths, ["+b"]);
});

/** Lets a node gossip what it likes. */
function gossip(
  world: VirtualMesh,
  from: VirtualMachine,
  to: VirtualMachine,
  nodes: readonly { readonly id: string; readonly address: string }[],
): void {
  const writer = new ByteWriter();
  writer.varint(nodes.length);
  for (const { id, address } of nodes) {
    writer.text(id);
    writer.text(address);
  }
  world.inject(from, to, encodeFrame(FRAME_TYPE.peers, writer.finish()));
  world.run(5);
}
