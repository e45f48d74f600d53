import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { pair, VirtualCluster, type VirtualNode } from "../support/virtual_cluster.ts";

const TYPE_MESSAGES = 1;
const TYPE_HEARTBEAT = 2;
const TYPE_INTEREST = 3;

test("P1: a publish reaches subscribers of every node, once, in the publisher's order", () => {
  const world = new VirtualCluster();
  const nodes = ["a~1", "b~1", "c~1"].map((id) => world.add(id));
  world.run(100);
  nodes.forEach((node) => node.subscribe("s", "c"));
  world.run(100);
  for (let index = 0; index < 10; index++) {
    nodes[0]!.publishes("c", String(index));
    if (index % 3 === 0) world.run(1);
  }
  world.run(100);
  const expected = Array.from({ length: 10 }, (_, index) => `c:${index}`);
  for (const node of nodes) deepStrictEqual(node.received.get("s"), expected);
});

test("P1: the nodes connect once each", () => {
  const { a, b } = pair();
  deepStrictEqual(a.peerEvents, ["+b~1"]);
  deepStrictEqual(b.peerEvents, ["+a~1"]);
});

test("P2: a subscription is confirmed only when every node knows of it", () => {
  const { world, a, b } = pair();
  world.tamper = ({ to, payload }) => to === "b~1" && payload[0] === TYPE_INTEREST ? 500 : true;
  a.subscribe("s", "c");
  world.run(400);
  deepStrictEqual(a.confirmed, []);
  world.run(200);
  deepStrictEqual(a.confirmed, ["c"]);
  b.publishes("c", "1");
  world.run(10);
  deepStrictEqual(a.received.get("s"), ["c:1"]);
});

test("P2: what is published anywhere after the confirmation is delivered, at every moment", () => {
  for (let delay = 0; delay < 40; delay++) {
    const { world, a, b } = pair();
    a.subscribe("s", "c");
    for (let at = 0; at < delay; at++) world.run(0.25);
    if (a.confirmed.length === 0) continue;
    b.publishes("c", "1");
    world.run(10);
    deepStrictEqual(a.received.get("s"), ["c:1"]);
  }
});

test("P2: a node that never answers is reported when the time is up", () => {
  const { world, a } = pair();
  world.tamper = ({ to, payload }) => !(to === "b~1" && (payload[0] === 3 || payload[0] === 4));
  a.subscribe("s", "c");
  world.run(4_900);
  deepStrictEqual(a.confirmed, []);
  world.run(500);
  deepStrictEqual(a.confirmed, ["c b~1"]);
});

test("P2: a node that is declared down is waited for no longer", () => {
  const { world, a, b } = pair();
  b.isFrozen = true;
  a.subscribe("s", "c");
  world.run(1_000);
  deepStrictEqual(a.confirmed, []);
  world.kill(b);
  world.run(400);
  deepStrictEqual(a.confirmed, ["c"]);
});

test("P2: a node that joins later learns of older subscriptions before it counts", () => {
  const world = new VirtualCluster();
  const a = world.add("a~1");
  a.subscribe("s", "c");
  world.run(100);
  const b = world.add("b~1");
  while (b.peerEvents.length === 0) world.run(0.5);
  b.publishes("c", "1");
  world.run(10);
  deepStrictEqual(a.received.get("s"), ["c:1"]);
});

test("P3: messages go only to nodes with a subscriber", () => {
  const world = new VirtualCluster();
  const a = world.add("a~1");
  const b = world.add("b~1");
  const c = world.add("c~1");
  world.run(100);
  b.subscribe("s", "c");
  world.run(100);
  for (let index = 0; index < 5; index++) {
    a.publishes("c", String(index));
    world.run(2);
  }
  strictEqual(b.messageEnvelopes, 5);
  strictEqual(c.messageEnvelopes, 0);
});

test("P3: interest ends a while after the last subscriber left", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  b.unsubscribe("s", "c");
  world.run(6_000);
  a.publishes("c", "1");
  world.run(100);
  strictEqual(b.messageEnvelopes, 0);
});

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

test("P4: messages that come twice or out of order are delivered once and in order", () => {
  const world = new VirtualCluster({ paths: 2 });
  const a = world.add("a~1");
  const b = world.add("b~1");
  world.run(100);
  b.subscribe("s", "c");
  world.run(100);
  let count = 0;
  world.tamper = ({ payload }) => payload[0] === TYPE_MESSAGES ? (count++ * 7) % 11 : true;
  for (let index = 0; index < 50; index++) {
    a.publishes("c", String(index));
    world.run(1);
  }
  world.run(3_000);
  deepStrictEqual(
    b.received.get("s"),
    Array.from({ length: 50 }, (_, index) => `c:${index}`),
  );
  ok(b.cluster.stats.messagesRepeated >= 50);
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

test("P15: while one backplane is down the other one decides, also about new subscriptions", () => {
  const world = new VirtualCluster({ paths: 2 });
  const [a, b] = ["a~1", "b~1"].map((id) => world.add(id)) as [VirtualNode, VirtualNode];
  world.run(100);
  world.losePath(a, 1);
  a.listeningPaths = [0];
  a.subscribe("s", "c");
  world.run(300);
  deepStrictEqual([a.cluster.isStale, a.health, a.confirmed], [false, [], ["c"]]);
  world.kill(b);
  world.run(1_000);
  deepStrictEqual(a.peerEvents, ["+b~1", "-b~1 died"]);
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
});

test("P10: what one envelope carries has a bound, however much one tick publishes", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  let largest = 0;
  world.tamper = ({ payload }) => {
    largest = Math.max(largest, payload.byteLength);
    return true;
  };
  const data = "x".repeat(700_000);
  for (let index = 0; index < 30; index++) {
    a.hub.handle({ kind: "publish", channel: "c", data }, world.now);
  }
  a.settle();
  world.run(10);
  strictEqual(b.received.get("s")!.length, 30);
  ok(largest < 2_000_000, `${largest} bytes`);
});

test("P2: the heads of any number of channels are told, in envelopes that have a bound", () => {
  const { world, a, b } = pair();
  const count = 25_000;
  for (let index = 0; index < count; index++) a.publishes(`c${index}`, "old");
  for (let index = 0; index < count; index++) b.subscribe("s", `c${index}`);
  world.run(100);
  world.unlink(a, b, "lost");
  for (let index = 0; index < count; index += 1_000) a.publishes(`c${index}`, "new");
  world.run(100);
  let largest = 0;
  world.tamper = ({ payload }) => {
    largest = Math.max(largest, payload.byteLength);
    return true;
  };
  world.link(a, b);
  world.run(1_000);
  const received = b.received.get("s")!;
  deepStrictEqual([received.length, new Set(received).size, b.gaps], [25, 25, []]);
  ok(largest < 200_000, `${largest} bytes`);
});

test("P16: a publish tells who holds it and who does not", () => {
  const world = new VirtualCluster();
  const [a, b, c, d] = ["a~1", "b~1", "c~1", "d~1"].map((id) => world.add(id));
  world.run(100);
  for (const node of [b, c]) node!.subscribe("s", "c");
  world.run(100);
  world.tamper = ({ to, payload }) => !(to === "c~1" && payload[0] === TYPE_MESSAGES);
  a!.publishesAcknowledged("c", "1", 400);
  world.run(800);
  deepStrictEqual(a!.acknowledged.map(({ nodes, missing }) => ({ nodes, missing })), [
    { nodes: ["b~1"], missing: ["c~1"] },
  ]);
  strictEqual(d!.messageEnvelopes, 0);
});

test("P16: a message that was repaired is acknowledged too", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  let isLost = false;
  world.tamper = ({ payload }) => {
    if (payload[0] !== TYPE_MESSAGES || isLost) return true;
    isLost = true;
    return false;
  };
  a.publishesAcknowledged("c", "1", 5_000);
  world.run(2_500);
  deepStrictEqual(a.acknowledged.map(({ nodes }) => nodes), [["b~1"]]);
});

test("P12: an envelope of an unknown type is skipped and counted", () => {
  const { world, a, b } = pair();
  a.feed({ kind: "received", path: 0, node: b.id, payload: Uint8Array.of(200, 1, 2, 3) });
  strictEqual(a.cluster.stats.envelopesUnknown, 1);
  world.run(10_000);
  deepStrictEqual(a.peerEvents, ["+b~1"]);
});

test("P11: an envelope that cannot be read costs that path and nothing else", () => {
  const { world, a, b } = pair();
  a.feed({ kind: "received", path: 0, node: b.id, payload: Uint8Array.of(TYPE_MESSAGES, 0, 255) });
  strictEqual(a.cluster.stats.envelopesInvalid, 1);
  deepStrictEqual(a.rebuilt, ["b~1"]);
  world.run(10_000);
  deepStrictEqual(a.peerEvents, ["+b~1"]);
});

test("interest survives the loss of its announcement", () => {
  const { world, a, b } = pair();
  let lost = 0;
  world.tamper = ({ payload }) => !(payload[0] === TYPE_INTEREST && lost++ < 1);
  a.subscribe("s", "c");
  world.run(2_000);
  deepStrictEqual(a.confirmed, ["c"]);
  b.publishes("c", "1");
  world.run(10);
  deepStrictEqual(a.received.get("s"), ["c:1"]);
});

test("10,000 channels are confirmed, and told to a node that joins", () => {
  const { world, a, b } = pair();
  for (let index = 0; index < 10_000; index++) a.subscribe("s", `c${index}`);
  world.run(100);
  strictEqual(a.confirmed.length, 10_000);
  const c = world.add("c~1");
  world.run(100);
  b.publishes("c9999", "b");
  c.publishes("c9998", "c");
  world.run(10);
  deepStrictEqual(a.received.get("s"), ["c9999:b", "c9998:c"]);
});

test("heartbeats at rest do not grow with the number of channels", () => {
  const { world, a } = pair();
  for (let index = 0; index < 1_000; index++) a.subscribe("s", `c${index}`);
  world.run(10_000);
  let largest = 0;
  world.tamper = ({ payload }) => {
    if (payload[0] === TYPE_HEARTBEAT) largest = Math.max(largest, payload.byteLength);
    return true;
  };
  world.run(10_000);
  ok(largest > 0 && largest < 40, `${largest} bytes`);
});

test("what a part says reaches the same part elsewhere, and heartbeats tell its digest", () => {
  const { world, a, b } = pair();
  a.feed({ kind: "part_digest", part: 1, body: Uint8Array.of(9) });
  a.feed({ kind: "part_send", part: 1, node: "b~1", body: Uint8Array.of(1, 2) });
  world.run(1_500);
  world.kill(a);
  deepStrictEqual(b.parts, ["+a~1", "a~1 1:1 2", "a~1 1:9", "-a~1"]);
});
