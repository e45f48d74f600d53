import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { MESH_STRANGERS_MAX } from "../../../src/core/limits.ts";
import { createCluster, createPair, type VirtualMachine } from "../../support/virtual_mesh.ts";

const numbers = (from: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${from}: ${index}`);

test("P14: time in which a node stood still is no silence of its peers", () => {
  const { world, a, b } = createPair();
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
  const { world, a, b } = createPair();
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
  const { world, a, b } = createPair();
  world.run(1_000);
  const before = a.mesh.stats["bytesOut"]!;
  world.run(60_000);
  deepStrictEqual([a.paths, b.paths], [["+b"], ["+a"]]);
  ok(a.mesh.stats["bytesOut"]! - before < 200);
});

test("P10: past the bound messages are dropped and counted, and told when there is room", () => {
  const { world, a, b } = createPair();
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
  const { world, a, b } = createPair();
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
  const { world, a, b } = createPair();
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
  const { world, nodes } = createCluster(3);
  world.run(2_000);
  const [a, b, c] = nodes as [VirtualMachine, VirtualMachine, VirtualMachine];
  a.sends(["some"], [c]);
  a.sends(["all"]);
  world.run(10);
  deepStrictEqual(b.received, ["n00: all"]);
  deepStrictEqual(c.received, ["n00: some", "n00: all"]);
});

test("P11: strangers that prove nothing are bounded, and keep nobody out", () => {
  const { world, a, b } = createPair();
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
    const { world, a, b } = createPair();
    const c = world.add("c~1", [a.address], options);
    world.run(1_000);
    deepStrictEqual([a.paths, b.paths, c.paths], [["+b"], ["+a"], []]);
    ok(c.faults.includes(code) && a.faults.includes(code), code);
    ok(a.mesh.stats[`faults_${code}`]! > 0);
    ok(a.mesh.stats["handshakesFailed"]! > 0);
    strictEqual(a.mesh.stats["addresses"], 1);
  }
});

test("what is told after a node has left is heard by nobody, and who comes is turned away", () => {
  const { world, a, b } = createPair();
  b.feed({ kind: "leave" });
  const outputs = (): string[] => b.mesh.take().map(({ kind }) => kind);
  outputs();
  b.mesh.handle({ kind: "opened", link: 99, dialled: undefined, remote: "x:1" }, world.now);
  deepStrictEqual(outputs(), ["hangup"]);
  b.mesh.handle({ kind: "leave" }, world.now);
  b.mesh.handle({ kind: "resolved", hostname: "n", addresses: ["10.0.0.8"] }, world.now);
  b.mesh.handle({ kind: "rebuild", node: a.id }, world.now);
  b.mesh.handle({ kind: "discover", nodes: [a.id] }, world.now);
  b.mesh.handle({ kind: "wake" }, world.now + 1_000_000);
  deepStrictEqual(outputs(), []);
  strictEqual(b.mesh.deadline, undefined);
});
