import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { toPayload } from "../support/payload.ts";
import { pair, VirtualCluster, type VirtualNode } from "../support/virtual_cluster.ts";

const TYPE_MESSAGES = 1;
const TYPE_HEARTBEAT = 2;
const TYPE_INTEREST = 3;
const TYPE_INTEREST_ALL = 4;

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

test("P2: a node that joins learns of older subscriptions before it counts anywhere", () => {
  const world = new VirtualCluster();
  const a = world.add("a~1");
  a.subscribe("s", "c");
  world.run(100);
  world.tamper = ({ to, payload }) => to === "b~1" && payload[0] === TYPE_INTEREST_ALL ? 50 : true;
  const b = world.add("b~1");
  while (a.peerEvents.length + b.peerEvents.length === 0) world.run(0.5);
  b.publishes("c", "1");
  world.run(100);
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
  const sent: unknown[] = [];
  world.send = (_from, { channel, nodes }) => void sent.push([channel, [...nodes ?? []]]);
  a.publishes("nobody", "1");
  a.publishes("c", "2");
  world.run(1.5);
  deepStrictEqual(sent, [["c", ["b~1"]]]);
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

test("P3: who subscribes again after its interest ended starts anew, and repairs nothing older", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  a.publishes("c", "1");
  world.run(100);
  b.unsubscribe("s", "c");
  world.run(6_000);
  a.publishes("c", "2");
  world.run(100);
  b.subscribe("s", "c");
  world.run(100);
  a.publishes("c", "3");
  world.run(2_000);
  deepStrictEqual([b.received.get("s"), b.gaps], [["c:1", "c:3"], []]);
  strictEqual(b.cluster.stats.repairsRequested, 0);
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

test("P8: a node whose path was lost and that is then found dead is gone at once", () => {
  const { world, a, b } = pair();
  world.unlink(a, b, "lost");
  a.feed({ kind: "path_gone", path: 0, node: "b~1" });
  deepStrictEqual(a.peerEvents, ["+b~1", "-b~1 died"]);
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
  const payload = toPayload("x".repeat(700_000));
  for (let index = 0; index < 30; index++) {
    a.hub.handle({ kind: "publish", channel: "c", payload }, world.now);
  }
  a.settle();
  world.run(10);
  ok(largest < 2_000_000, `${largest} bytes`);
  a.publishes("c", "x".repeat(3_000_000));
  world.run(10);
  strictEqual(b.received.get("s")!.length, 31);
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

test("P13: a node that hears nobody knows that it is deaf within 3 s, and rebuilds its paths", () => {
  const { world, a, b } = pair();
  world.run(2_000);
  world.tamper = ({ to }) => to !== "a~1";
  world.run(3_000);
  deepStrictEqual(a.health, [true]);
  deepStrictEqual(a.rebuilt, ["b~1"]);
  strictEqual(a.cluster.stats.pathsRebuilt, 1);
  world.tamper = () => true;
  world.run(2_000);
  deepStrictEqual(a.health, [true, false]);
  deepStrictEqual(b.peerEvents, ["+a~1"]);
});

test("P13: a node that does not hear one whom others hear is deaf", () => {
  const world = new VirtualCluster();
  const [a, b, c] = ["a~1", "b~1", "c~1"].map((id) => world.add(id));
  world.run(2_000);
  world.cut(a!, b!);
  world.run(3_700);
  deepStrictEqual(a!.health, [true]);
  deepStrictEqual(c!.health, []);
  ok(a!.rebuilt.includes(b!.id));
});

test("P13: a path over which a node is not heard is rebuilt by the node that hears nothing", () => {
  const { world, a, b } = pair();
  world.run(2_000);
  world.tamper = ({ from }) => from !== "a~1";
  world.run(3_500);
  deepStrictEqual(b.rebuilt, ["a~1"]);
  deepStrictEqual(a.health, []);
});

test("P14: a node's own pause condemns nobody", () => {
  const { world, a, b } = pair();
  world.run(2_000);
  a.isFrozen = true;
  world.run(60_000);
  a.isFrozen = false;
  world.run(900);
  deepStrictEqual(a.peerEvents, ["+b~1"]);
  ok(a.cluster.stats.stalledMs >= 60_000);
  strictEqual(b.peerEvents.at(-1), "-a~1 timed_out");
});

test("P14: others who hear a silent node prolong its life", () => {
  const world = new VirtualCluster();
  const [a, b, c] = ["a~1", "b~1", "c~1"].map((id) => world.add(id));
  world.run(2_000);
  world.cut(a!, b!);
  world.run(7_000);
  deepStrictEqual(a!.peerEvents.filter((event) => event.startsWith("-")), []);
  world.heal(a!, b!);
  world.link(a!, b!);
  world.run(10_000);
  deepStrictEqual(a!.peerEvents.filter((event) => event.startsWith("-")), []);
  deepStrictEqual(c!.peerEvents.filter((event) => event.startsWith("-")), []);
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

test("P4: what a backplane dropped at its bound is offered again with the next heartbeat", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  world.tamper = ({ from }) => from !== "a~1";
  a.publishes("c", "1");
  world.run(10);
  // Something comes, so that no path is deaf, and no heartbeat tells of the message in time.
  for (let second = 0; second < 6; second++) {
    world.run(1_000);
    b.feed({ kind: "received", path: 0, node: "a~1", payload: Uint8Array.of(200) });
  }
  world.tamper = () => true;
  world.run(2_000);
  deepStrictEqual(b.received.get("s"), []);
  a.feed({ kind: "dropped", node: "b~1" });
  world.run(1_100);
  deepStrictEqual(b.received.get("s"), ["c:1"]);
});

test("P4: of those who listened to a dead node each is asked in turn", () => {
  const world = new VirtualCluster();
  const [a, b, c, d] = ["a~1", "b~1", "c~1", "d~1"].map((id) => world.add(id));
  world.run(100);
  for (const node of [b, c, d]) node!.subscribe("s", "c");
  world.run(100);
  world.tamper = ({ to, payload }) => to === "d~1" || payload[0] !== TYPE_MESSAGES;
  a!.publishes("c", "1");
  world.run(5);
  world.tamper = () => true;
  a!.publishes("c", "2");
  world.run(1.5);
  world.kill(a!);
  world.run(3_000);
  for (const node of [b, c, d]) {
    deepStrictEqual([node!.received.get("s"), node!.gaps], [["c:1", "c:2"], []]);
  }
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
  strictEqual(a.cluster.stats.repairsAnswered, b.cluster.stats.repairsRequested);
});

test("P9: a node that never counted comes and goes without an event", () => {
  const world = new VirtualCluster();
  const a = world.add("a~1");
  a.feed({ kind: "path_up", path: 0, node: { id: "b~1", name: "b" } });
  world.run(100);
  a.feed({ kind: "path_down", path: 0, node: "b~1", loss: "left" });
  deepStrictEqual([a.peerEvents, a.cluster.connectedCount], [[], 0]);
});

test("P16: a node that dies is missing at once, and nobody waits for it", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  a.publishesAcknowledged("c", "1", 3_600_000);
  world.kill(b);
  deepStrictEqual(a.acknowledged.map(({ nodes, missing }) => [nodes, missing]), [[[], ["b~1"]]]);
  strictEqual(a.cluster.stats.acknowledgementsPending, 0);
});

test("P16: nobody waits for a node that is letting the channel go", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  world.tamper = ({ payload }) => payload[0] === TYPE_INTEREST ? 500 : true;
  b.unsubscribe("s", "c");
  while (b.cluster.stats.interestChannels > 1) world.run(1);
  a.publishesAcknowledged("c", "1", 3_600_000);
  world.run(600);
  deepStrictEqual(a.acknowledged.map(({ nodes, missing }) => [nodes, missing]), [[[], []]]);
});

test("P12: an envelope of an unknown type is skipped and counted", () => {
  const { world, a, b } = pair();
  a.feed({ kind: "received", path: 0, node: b.id, payload: Uint8Array.of(200, 1, 2, 3) });
  deepStrictEqual([a.cluster.stats.envelopesUnknown, a.cluster.stats.envelopesInvalid], [1, 0]);
  deepStrictEqual(a.rebuilt, []);
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

test("a change of interest that was missed is asked for, by the next change or the next heartbeat", () => {
  for (const isNextChange of [true, false]) {
    const { world, a, b } = pair();
    const types: string[] = [];
    world.tamper = ({ from, payload }) => {
      types.push(`${from[0]}${payload[0]}`);
      return payload[0] !== TYPE_INTEREST || types.indexOf("a3") < types.length - 1;
    };
    world.run(900 - world.now);
    a.subscribe("s", "c");
    world.run(5);
    deepStrictEqual(types.slice(-1), ["a3"]);
    if (isNextChange) a.subscribe("s", "d");
    world.run(isNextChange ? 5 : 105);
    ok(types.includes("b6") && types.includes("a4"), types.join(" "));
    b.publishes("c", "1");
    world.run(10);
    deepStrictEqual(a.received.get("s"), ["c:1"]);
  }
});

test("nodes that know different nodes compare notes, and those that agree do not", () => {
  const world = new VirtualCluster();
  const [a, b, c] = ["a~1", "b~1", "c~1"].map((id) => world.add(id));
  world.run(20_000);
  strictEqual(a!.discoverCount, 0);
  const d = new VirtualCluster();
  const [e, f] = ["e~1", "f~1"].map((id) => d.add(id));
  e!.feed({ kind: "path_up", path: 0, node: { id: "g~1", name: "g" } });
  d.run(4_000);
  ok(e!.discoverCount + f!.discoverCount === 0, "a node that does not count is no difference");
  world.unlink(a!, c!, "left");
  world.run(4_000);
  ok(b!.discoverCount > 0);
});

test("messages for a channel that nobody here wants are counted and go no further", () => {
  const { world, a, b } = pair();
  b.subscribe("s", "c");
  world.run(100);
  const payloads: Uint8Array[] = [];
  world.tamper = ({ payload }) => payload[0] === TYPE_MESSAGES && payloads.push(payload) > 0;
  a.publishes("c", "1");
  world.run(10);
  b.unsubscribe("s", "c");
  world.run(6_000);
  b.feed({ kind: "received", path: 0, node: "a~1", payload: payloads[0]! });
  deepStrictEqual(b.hub.positions("c"), { "a~1": 1 });
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
  for (let index = 0; index < 1_000; index++) world.nodes[1]!.publishes(`c${index}`, "1");
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
