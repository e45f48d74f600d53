import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { createPrng } from "../../src/core/prng.ts";
import { pair, VirtualCluster } from "../support/virtual_cluster.ts";

const TYPE_MESSAGES = 1;
const TYPE_HEARTBEAT = 2;

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `c:${index}`);
}

test("P15: over two backplanes that both lose and delay everything arrives once and in order", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const random = createPrng(seed);
    const { world, a, b } = pair({ paths: 2 });
    b.subscribe("s", "c");
    world.run(100);
    world.tamper = ({ payload }) => {
      if (payload[0] !== TYPE_MESSAGES) return true;
      return random() < 0.3 ? false : Math.floor(random() * 20);
    };
    for (let index = 0; index < 300; index++) {
      a.publishes("c", String(index));
      world.run(1);
    }
    world.run(3_000);
    deepStrictEqual([b.received.get("s"), b.gaps], [numbers(300), []], `seed ${seed}`);
  }
});

test("P15: either backplane may fail in turn, and nobody notices", () => {
  const { world, a, b } = pair({ paths: 2 });
  b.subscribe("s", "c");
  world.run(100);
  for (let index = 0; index < 60; index++) {
    if (index % 10 === 5) world.unlink(a, b, "lost", Math.floor(index / 10) % 2);
    if (index % 10 === 9) world.link(a, b, Math.floor(index / 10) % 2);
    a.publishes("c", String(index));
    world.run(500);
  }
  deepStrictEqual(b.received.get("s"), numbers(60));
  deepStrictEqual([a.peerEvents, b.peerEvents, b.gaps], [["+b~1"], ["+a~1"], []]);
  deepStrictEqual([...a.health, ...b.health], []);
});

test("P15: a running cluster moves from one backplane to the other without a stop", () => {
  const world = new VirtualCluster({ paths: 2 });
  const a = world.add("a~1");
  const b = world.add("b~1");
  world.unlink(a, b, "lost", 1);
  world.run(100);
  b.subscribe("s", "c");
  world.run(100);
  for (let index = 0; index < 40; index++) {
    if (index === 10) world.link(a, b, 1);
    if (index === 20) {
      world.unlink(a, b, "left", 0);
      world.unlink(b, a, "left", 0);
    }
    a.publishes("c", String(index));
    world.run(500);
  }
  deepStrictEqual(b.received.get("s"), numbers(40));
  deepStrictEqual([a.peerEvents, b.peerEvents, b.gaps], [["+b~1"], ["+a~1"], []]);
});

test("P15: a goodbye on the last backplane, while the other is lost, is repaired on its return", () => {
  const { world, a, b } = pair({ paths: 2 });
  b.subscribe("s", "c");
  world.run(100);
  a.publishes("c", "0");
  world.run(100);
  world.unlink(b, a, "lost", 1);
  world.unlink(b, a, "left", 0);
  deepStrictEqual(b.peerEvents, ["+a~1", "-a~1 left"]);
  a.publishes("c", "1");
  world.run(2_000);
  world.link(a, b, 1);
  a.publishes("c", "2");
  world.run(2_000);
  deepStrictEqual(b.received.get("s"), numbers(3));
  deepStrictEqual(b.peerEvents, ["+a~1", "-a~1 left", "+a~1"]);
});

test("P15: a message is acknowledged once, over whichever backplane", () => {
  const { world, a, b } = pair({ paths: 2 });
  b.subscribe("s", "c");
  world.run(100);
  for (const lost of [undefined, 0, 1]) {
    world.tamper = ({ path }) => path !== lost;
    a.publishesAcknowledged("c", "1", 5_000);
    world.run(100);
  }
  deepStrictEqual(a.acknowledged.map(({ nodes, missing }) => [nodes, missing]), [
    [["b~1"], []],
    [["b~1"], []],
    [["b~1"], []],
  ]);
});

test("P15: interest that comes late over one backplane takes back nothing", () => {
  const { world, a, b } = pair({ paths: 2 });
  // Everything that b says on the second backplane is half a second old.
  world.tamper = ({ from, path }) => from === "b~1" && path === 1 ? 500 : true;
  world.unlink(a, b, "lost", 1);
  world.link(a, b, 1);
  b.subscribe("s", "c");
  for (let index = 0; index < 60; index++) {
    world.run(20);
    a.publishes("c", String(index));
  }
  world.run(20);
  deepStrictEqual(b.received.get("s"), numbers(60));
  strictEqual(b.cluster.stats.repairsRequested, 0);
});

test("P13: heartbeats travel each backplane, each second", () => {
  const { world } = pair({ paths: 2 });
  const beats = [0, 0];
  world.tamper = ({ from, path, payload }) => {
    if (from === "a~1" && payload[0] === TYPE_HEARTBEAT) beats[path]!++;
    return true;
  };
  world.run(10_000);
  deepStrictEqual(beats, [10, 10]);
});

test("P13: one deaf backplane of two is built anew within 3 s, and the other is left alone", () => {
  const { world, a, b } = pair({ paths: 2 });
  b.subscribe("s", "c");
  world.run(2_000);
  const rebuilt: string[] = [];
  const { rebuild } = world;
  world.rebuild = (from, to, path) => {
    rebuilt.push(`${from.id} ${path}`);
    rebuild.call(world, from, to, path);
  };
  world.tamper = ({ to, path }) => !(to === "a~1" && path === 1);
  world.run(3_000);
  deepStrictEqual(rebuilt, ["a~1 1"]);
  world.tamper = () => true;
  a.publishes("c", "0");
  world.run(5_000);
  deepStrictEqual([b.received.get("s"), rebuilt.length], [numbers(1), 1]);
  deepStrictEqual([a.health, b.health, a.peerEvents], [[], [], ["+b~1"]]);
});

test("an envelope that cannot be read costs the backplane that it came over, and not the other", () => {
  const { world, a } = pair({ paths: 2 });
  let path = -1;
  world.rebuild = (_from, _to, only) => path = only;
  a.feed({ kind: "received", path: 1, node: "b~1", payload: Uint8Array.of(TYPE_MESSAGES, 0) });
  strictEqual(path, 1);
  ok(a.cluster.peers(world.now)[0]!.paths.includes(0));
});
