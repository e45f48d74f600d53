import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { pair, VirtualCluster } from "../support/virtual_cluster.ts";

const TYPE_MESSAGES = 1;

test("P4: a link that drops and returns loses nothing, and keeps the order", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  a.publishes("c", "1");
  world.run(10);
  world.unlink(a, b, "lost");
  for (const data of ["2", "3", "4"]) {
    a.publishes("c", data);
    world.run(10);
  }
  world.link(a, b);
  a.publishes("c", "5");
  world.run(1_000);
  deepStrictEqual(b.received.get("s"), ["c:1", "c:2", "c:3", "c:4", "c:5"]);
  deepStrictEqual(b.gaps, []);
  deepStrictEqual(b.peerEvents, ["+a~1"]);
});

test("P4: the loss of a channel's last message is noticed and mended", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  let isLost = false;
  world.tamper = ({ payload }) => {
    if (payload[0] !== TYPE_MESSAGES || isLost) return true;
    isLost = true;
    return false;
  };
  a.publishes("c", "1");
  world.run(1_600);
  deepStrictEqual(b.received.get("s"), ["c:1"]);
});

test("P4: what is beyond retention is reported as one gap, and the rest is delivered", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  a.publishes("c", "first");
  world.run(10);
  world.unlink(a, b, "lost");
  for (let index = 0; index < 1_500; index++) a.publishes("c", String(index));
  world.run(10);
  world.link(a, b);
  world.run(2_000);
  deepStrictEqual(b.gaps, ["c"]);
  const received = b.received.get("s")!;
  strictEqual(received[0], "c:first");
  strictEqual(received[1], "c:500");
  strictEqual(received.length, 1_001);
  strictEqual(received.at(-1), "c:1499");
});

test("P4: a third node repeats what a dead one had told it", () => {
  const world = new VirtualCluster();
  const [a, b, c] = ["a~1", "b~1", "c~1"].map((id) => world.add(id));
  world.run(100);
  b!.subscribe("s", "c");
  c!.subscribe("s", "c");
  world.run(100);
  world.tamper = ({ to, payload }) => !(to === "c~1" && payload[0] === TYPE_MESSAGES);
  a!.publishes("c", "1");
  world.run(5);
  world.tamper = () => true;
  a!.publishes("c", "2");
  world.run(1.5);
  world.kill(a!);
  world.run(3_000);
  deepStrictEqual(c!.received.get("s"), ["c:1", "c:2"]);
  strictEqual(c!.cluster.stats.messagesRepaired, 2);
  deepStrictEqual(c!.gaps, []);
});

test("P4: what died with its node is reported as a gap", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  world.tamper = ({ payload }) => payload[0] !== TYPE_MESSAGES;
  a.publishes("c", "1");
  world.run(2);
  world.tamper = () => true;
  a.publishes("c", "2");
  world.run(1.5);
  world.kill(a);
  world.run(6_000);
  deepStrictEqual(b.gaps, ["c"]);
  deepStrictEqual(b.received.get("s"), ["c:2"]);
});

test("P4: a node that was taken for dead and returns is repaired from where it stood", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  a.publishes("c", "1");
  world.run(100);
  world.unlink(b, a, "refused");
  world.run(1_000);
  deepStrictEqual(b.peerEvents, ["+a~1", "-a~1 died"]);
  a.publishes("c", "2");
  world.run(30_000);
  world.link(a, b);
  world.run(1_000);
  deepStrictEqual(b.received.get("s"), ["c:1", "c:2"]);
  deepStrictEqual(b.gaps, []);
});

test("P4: a lost last message is noticed however rare the heartbeats are", () => {
  const { world, a, b } = pair({
    settings: { heartbeatMs: 10_000, deafMs: 30_000, nodeTimeoutMs: 60_000 },
  });
  b.subscribe("s", "c");
  world.run(11_000);
  world.tamper = ({ payload }) => payload[0] !== TYPE_MESSAGES;
  a.publishes("c", "1");
  world.run(10);
  world.tamper = () => true;
  world.run(10_000);
  deepStrictEqual(b.received.get("s"), ["c:1"]);
});

test("P4: who kept this node while it was forgotten here, and sends at once, skips nothing silently", () => {
  const { world, a, b } = pair({ settings: { nodeTimeoutMs: 3_600_000 } });
  b.subscribe("s", "c");
  world.run(100);
  a.publishes("c", "1");
  world.run(10);
  b.feed({ kind: "path_down", path: 0, node: "a~1", loss: "refused" });
  world.tamper = () => false;
  a.publishes("c", "2");
  world.run(700_000);
  deepStrictEqual(b.peerEvents.at(-1), "-a~1 died");
  world.tamper = () => true;
  b.feed({ kind: "path_up", path: 0, node: { id: "a~1", name: "a" } });
  a.publishes("c", "3");
  world.run(2_000);
  deepStrictEqual([b.received.get("s"), b.gaps], [["c:1", "c:3"], ["c"]]);
  world.run(700_000);
  world.tamper = ({ payload }) => payload[0] !== TYPE_MESSAGES;
  a.publishes("c", "4");
  world.run(10);
  world.tamper = () => true;
  a.publishes("c", "5");
  world.run(10);
  deepStrictEqual([b.received.get("s")!.slice(2), b.gaps.length], [["c:4", "c:5"], 1]);
});
