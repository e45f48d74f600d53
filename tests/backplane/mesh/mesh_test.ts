import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame, FRAME_TYPE } from "../../../src/backplane/mesh/frame.ts";
import { ByteWriter } from "../../../src/core/byte_writer.ts";
import {
  MESH_ADDRESSES_MAX,
  MESH_DIALS_MAX,
  MESH_STRANGERS_MAX,
} from "../../../src/core/limits.ts";
import { type VirtualMachine, VirtualMesh } from "../../support/virtual_mesh.ts";

/** Two nodes, of which the second dials the first. */
function pair(): { world: VirtualMesh; a: VirtualMachine; b: VirtualMachine } {
  const world = new VirtualMesh();
  const a = world.add("a~1");
  const b = world.add("b~1", [a.address]);
  world.run(100);
  deepStrictEqual([a.paths, b.paths], [["+b"], ["+a"]]);
  return { world, a, b };
}

/** Two nodes that dial each other in the same moment. */
function rivals(latency: (from: VirtualMachine, to: VirtualMachine) => number) {
  const world = new VirtualMesh();
  world.latency = latency;
  const a = world.add("a~1", ["10.0.0.2:1"]);
  const b = world.add("b~1", ["10.0.0.1:1"]);
  return { world, a, b };
}

function cluster(count: number): { world: VirtualMesh; nodes: VirtualMachine[] } {
  const world = new VirtualMesh();
  const nodes: VirtualMachine[] = [];
  for (let index = 0; index < count; index++) {
    const id = `n${String(index).padStart(2, "0")}~1`;
    nodes.push(world.add(id, index === 0 ? [] : [nodes[0]!.address]));
  }
  return { world, nodes };
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

test("gossip from one seed connects everybody, once", () => {
  const { world, nodes } = cluster(12);
  world.run(3_000);
  for (const node of nodes) {
    strictEqual(node.mesh.stats["links"], 11);
    strictEqual(node.paths.length, 11);
    deepStrictEqual(node.faults, []);
  }
  strictEqual(world.connections, 66);
});

test("a cluster of 50 that starts at once opens hardly more connections than it keeps", () => {
  const { world, nodes } = cluster(50);
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
  const { world, a, b } = pair();
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
  const { world, a, b } = pair();
  world.run(2_000);
  world.kill(b);
  world.run(10);
  deepStrictEqual(a.paths, ["+b", "-b refused"]);
});

test("a node that cannot be dialled is lost, and dead once a dial is refused", () => {
  const { world, a, b } = pair();
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
  const { world, a, b } = pair();
  world.run(2_000);
  world.sever(a, b);
  world.run(500);
  deepStrictEqual([a.paths, b.paths], [["+b", "-b lost", "+b"], ["+a", "-a lost", "+a"]]);
  strictEqual(world.connections, 1);
});

test("a new incarnation at an address buries the one that was there before", () => {
  const { world, a, b } = pair();
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
  const { world, a, b } = pair();
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

test("a node that listens on all addresses is dialled where its connection comes from", () => {
  const world = new VirtualMesh();
  const a = world.add("a~1");
  world.add("b~1", [a.address], { address: ":1" });
  const c = world.add("c~1", [a.address]);
  world.run(2_000);
  ok(c.reaches.includes("b"));
  ok([...c.dials].some(({ address }) => address === "10.0.0.2:1") || c.mesh.stats["links"] === 2);
});

test("P14: time in which a node stood still is no silence of its peers", () => {
  const { world, a, b } = pair();
  world.run(2_500);
  for (const node of [a, b]) node.isFrozen = true;
  world.run(60_000);
  // Something to write, before the timers run.
  for (const node of [a, b]) {
    node.isFrozen = false;
    node.sends(["after"]);
  }
  world.run(5_000);
  deepStrictEqual([a.paths, b.paths], [["+b"], ["+a"]]);
  deepStrictEqual([a.received, b.received], [["b: after"], ["a: after"]]);
  ok(a.mesh.stats["stalledMs"]! > 59_000);
});

test("a peer that is silent for too long is lost, and counted", () => {
  const { world, a, b } = pair();
  world.run(2_000);
  b.isFrozen = true;
  world.run(7_000);
  deepStrictEqual(a.paths, ["+b"]);
  world.run(4_000);
  deepStrictEqual(a.paths, ["+b", "-b lost"]);
  strictEqual(a.mesh.stats["faults_peer_silent"], 1);
  b.thaw();
  world.run(5_000);
  deepStrictEqual([a.reaches, b.reaches], [["b"], ["a"]]);
});

test("two idle nodes stay linked, and hardly speak", () => {
  const { world, a, b } = pair();
  world.run(1_000);
  const before = a.mesh.stats["bytesOut"]!;
  world.run(60_000);
  deepStrictEqual([a.paths, b.paths], [["+b"], ["+a"]]);
  ok(a.mesh.stats["bytesOut"]! - before < 200);
});

test("P10: past the bound messages are dropped and counted, and told when there is room", () => {
  const { world, a, b } = pair();
  world.queue(a, b, 64 * 1024 * 1024);
  a.sends(["1", "2"], [b], true);
  a.sends(["3"], [b]);
  world.run(10);
  deepStrictEqual(b.received, ["a: 3"]);
  strictEqual(a.mesh.stats["messagesDropped"], 2);
  deepStrictEqual(a.dropped, []);
  world.queue(a, b, 0);
  deepStrictEqual(a.dropped, ["b"]);
  a.sends(["4"], [b], true);
  world.run(10);
  deepStrictEqual(b.received, ["a: 3", "a: 4"]);
});

test("P10: a link on which more waits than may even so ends, and its successor works", () => {
  const { world, a, b } = pair();
  world.run(2_000);
  world.queue(a, b, 128 * 1024 * 1024);
  a.sends(["1"], [b]);
  world.run(500);
  strictEqual(a.mesh.stats["faults_queue_full"], 1);
  deepStrictEqual(a.paths, ["+b", "-b lost", "+b"]);
  a.sends(["2"], [b]);
  world.run(10);
  deepStrictEqual(b.received, ["a: 2"]);
});

test("payloads of one tick leave in one write, and unknown nodes are passed over", () => {
  const { world, a, b } = pair();
  let writes = 0;
  const transmit = world.transmit.bind(world);
  world.transmit = (from, link, chunk) => {
    if (from === a) writes++;
    transmit(from, link, chunk);
  };
  a.sends(["1", "2", "3"], [b]);
  a.feed({ kind: "send", nodes: ["x~1"], payload: new Uint8Array(1), isRepeatable: false });
  world.run(10);
  strictEqual(writes, 1);
  deepStrictEqual(b.received, numbers("a", 4).slice(1));
});

test("a send goes to the nodes that are named, or to all", () => {
  const { world, nodes } = cluster(3);
  world.run(2_000);
  const [a, b, c] = nodes as [VirtualMachine, VirtualMachine, VirtualMachine];
  a.sends(["some"], [c]);
  a.sends(["all"]);
  world.run(10);
  deepStrictEqual(b.received, ["n00: all"]);
  deepStrictEqual(c.received, ["n00: some", "n00: all"]);
});

test("P11: strangers that prove nothing are bounded, and keep nobody out", () => {
  const { world, a, b } = pair();
  for (let count = 0; count < 2 * MESH_STRANGERS_MAX; count++) {
    a.mesh.handle(
      { kind: "opened", link: 10_000 + count, dialled: undefined, remote: "x:1" },
      world.now,
    );
  }
  a.mesh.take();
  strictEqual(a.mesh.stats["connections"], MESH_STRANGERS_MAX + 1);
  strictEqual(a.mesh.stats["strangersTurnedAway"], MESH_STRANGERS_MAX);
  deepStrictEqual(a.mesh.stats["links"], 1);
  a.sends(["1"], [b]);
  world.run(10);
  deepStrictEqual(b.received, ["a: 1"]);
});

test("P11: a node with another secret, or of another cluster, is refused and changes nothing", () => {
  for (
    const [options, code] of [
      [{ secret: "t" }, "secret_wrong"],
      [{ cluster: "other" }, "cluster_wrong"],
    ] as const
  ) {
    const { world, a, b } = pair();
    const c = world.add("c~1", [a.address], options);
    world.run(1_000);
    deepStrictEqual([a.paths, b.paths, c.paths], [["+b"], ["+a"], []]);
    ok(c.faults.includes(code) && a.faults.includes(code), code);
    ok(a.mesh.stats[`faults_${code}`]! > 0);
    ok(a.mesh.stats["handshakesFailed"]! > 0);
    strictEqual(a.mesh.stats["addresses"], 1);
  }
});

test("a node that was refused tries again with growing pauses, not in a storm", () => {
  const { world, a } = pair();
  const c = world.add("c~1", [a.address], { secret: "t" });
  world.run(60_000);
  ok(c.dials.length > 10 && c.dials.length < 60, `${c.dials.length}`);
});

test("P11: a peer that floods its gossip is bounded, and keeps no honest node out", () => {
  const { world, a, b } = pair();
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
  const { world, a, b } = pair();
  const before = a.dials.length;
  gossip(world, b, a, [{ id: "old~1", address: b.address }]);
  world.run(5_000);
  strictEqual(a.dials.length, before);
  deepStrictEqual(a.paths, ["+b"]);
});

test("what is told after a node has left is heard by nobody, and who comes is turned away", () => {
  const { world, a, b } = pair();
  b.feed({ kind: "leave" });
  const outputs = (): string[] => b.mesh.take().map(({ kind }) => kind);
  outputs();
  b.mesh.handle({ kind: "opened", link: 99, dialled: undefined, remote: "x:1" }, world.now);
  deepStrictEqual(outputs(), ["hangup"]);
  b.mesh.handle({ kind: "leave" }, world.now);
  b.mesh.handle({ kind: "resolved", hostname: "n", addresses: ["10.0.0.8"] }, world.now);
  b.mesh.handle({ kind: "rebuild", node: a.id }, world.now);
  b.mesh.handle({ kind: "discover" }, world.now);
  b.mesh.handle({ kind: "wake" }, world.now + 1_000_000);
  deepStrictEqual(outputs(), []);
  strictEqual(b.mesh.deadline, undefined);
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
