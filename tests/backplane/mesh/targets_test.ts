import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { formatAddress, parseAddress } from "../../../src/backplane/mesh/address.ts";
import { resolveMeshOptions } from "../../../src/backplane/mesh/mesh_options.ts";
import { Targets } from "../../../src/backplane/mesh/targets.ts";
import { MESH_ADDRESSES_MAX, MESH_DIALS_MAX } from "../../../src/core/limits.ts";

const SETTINGS = resolveMeshOptions({ reconnectMinMs: 100, reconnectMaxMs: 5_000 });

const place = (text: string) => parseAddress(text)!;
const create = (chance = 1): Targets => new Targets(SETTINGS, () => chance);

function due(targets: Targets, now: number, linked: readonly string[] = []): string[] {
  return targets.takeDue(now, (node) => linked.includes(node)).map(formatAddress);
}

test("a seed is dialled at once, and not again while the dial is under way", () => {
  const targets = create();
  targets.addSeed(place("10.0.0.1:1"), false, 0);
  targets.addSeed(place("10.0.0.1:1"), false, 0);
  deepStrictEqual(due(targets, 0), ["10.0.0.1:1"]);
  deepStrictEqual(due(targets, 1_000_000), []);
  strictEqual(targets.size, 1);
});

test("the pause after a failure doubles up to the most, times chance, and never below half the least", () => {
  for (const chance of [1, 0.5, 0]) {
    const targets = create(chance);
    targets.addSeed(place("10.0.0.1:1"), false, 0);
    let now = 0;
    for (let failures = 0; failures < 40; failures++) {
      deepStrictEqual(due(targets, now), ["10.0.0.1:1"]);
      targets.failed("10.0.0.1:1", now);
      const pause = Math.max(50, chance * Math.min(5_000, 100 * 2 ** failures));
      deepStrictEqual(due(targets, now + pause - 1), []);
      now += pause;
    }
  }
});

test("a node that was reached is not dialled while it is linked, at any of its addresses", () => {
  const targets = create();
  targets.addSeed(place("10.0.0.1:1"), false, 0);
  due(targets, 0);
  targets.reached("10.0.0.1:1", "a");
  targets.met(place("10.0.0.2:1"), "a", 0);
  deepStrictEqual(due(targets, 1, ["a"]), []);
  strictEqual(targets.nodeAt("10.0.0.2:1"), "a");
});

test("a node with several addresses is dialled at one of them at a time", () => {
  const targets = create();
  targets.met(place("10.0.0.1:1"), "a", 0);
  targets.met(place("10.0.0.2:1"), "a", 0);
  deepStrictEqual(due(targets, 1), ["10.0.0.1:1"]);
  deepStrictEqual(due(targets, 2), []);
  targets.failed("10.0.0.1:1", 2);
  deepStrictEqual(due(targets, 3), ["10.0.0.2:1"]);
});

test("a node whose link lasted is dialled at once when it breaks, and else after a growing pause", () => {
  const targets = create();
  targets.addSeed(place("10.0.0.1:1"), false, 0);
  due(targets, 0);
  let now = 0;
  for (const pause of [100, 200, 400]) {
    targets.reached("10.0.0.1:1", "a");
    targets.lost("a", false, now);
    deepStrictEqual(due(targets, now + pause - 1), []);
    deepStrictEqual(due(targets, now += pause), ["10.0.0.1:1"]);
  }
  targets.reached("10.0.0.1:1", "a");
  targets.lost("a", true, now);
  deepStrictEqual(due(targets, now), ["10.0.0.1:1"]);
  targets.failed("10.0.0.1:1", now);
  deepStrictEqual(due(targets, now + 100), ["10.0.0.1:1"]);
});

test("a new node whose link breaks is dialled soon, however often its address failed before", () => {
  const targets = create();
  targets.addSeed(place("10.0.0.1:1"), false, 0);
  let now = 0;
  for (const node of ["a", "b"]) {
    for (let failures = 0; failures < 10; failures++) {
      now += 5_000;
      deepStrictEqual(due(targets, now), ["10.0.0.1:1"]);
      targets.failed("10.0.0.1:1", now);
    }
    // Others have told of it before it dials itself.
    targets.heardOf(place("10.0.0.1:1"), node, 5_000, now);
    targets.met(place("10.0.0.1:1"), node, now);
    targets.lost(node, false, now);
    deepStrictEqual(due(targets, now + 99), []);
    deepStrictEqual(due(targets, now + 100), ["10.0.0.1:1"]);
    targets.failed("10.0.0.1:1", now + 100);
  }
});

test("where a node left nobody is expected, but a seed is dialled after a pause", () => {
  const targets = create();
  targets.addSeed(place("10.0.0.1:1"), false, 0);
  targets.met(place("10.0.0.1:1"), "a", 0);
  targets.met(place("10.0.0.2:1"), "a", 0);
  targets.left("a", 10);
  strictEqual(targets.size, 1);
  deepStrictEqual(due(targets, 109), []);
  deepStrictEqual(due(targets, 110), ["10.0.0.1:1"]);
});

test("an address that failed for ten minutes is forgotten, unless it is a seed", () => {
  const targets = create();
  targets.addSeed(place("10.0.0.1:1"), false, 0);
  targets.heardOf(place("10.0.0.2:1"), "a", 0, 0);
  for (let now = 0; now <= 610_000; now += 5_000) {
    for (const address of due(targets, now)) targets.failed(address, now);
  }
  strictEqual(targets.size, 1);
  deepStrictEqual(due(targets, 620_000), ["10.0.0.1:1"]);
});

test("gossip of a node is followed after the pause that courtesy asks for", () => {
  const targets = create();
  targets.heardOf(place("10.0.0.1:1"), "a", 500, 0);
  targets.heardOf(place("10.0.0.1:1"), "a", 0, 0);
  deepStrictEqual(due(targets, 499), []);
  deepStrictEqual(due(targets, 500), ["10.0.0.1:1"]);
  targets.failed("10.0.0.1:1", 500);
  targets.failed("10.0.0.1:1", 500);
  // Another node is told of there.
  targets.heardOf(place("10.0.0.1:1"), "b", 10, 500);
  deepStrictEqual(due(targets, 510), ["10.0.0.1:1"]);
});

test("this node's own address is tried again as seldom as names are looked up", () => {
  const targets = create();
  targets.addSeed(place("10.0.0.1:1"), false, 0);
  due(targets, 0);
  targets.isSelf("10.0.0.1:1", 0);
  deepStrictEqual(due(targets, 29_999), []);
  deepStrictEqual(due(targets, 30_000), ["10.0.0.1:1"]);
});

test("a name stands for all its addresses with all its ports, and says what a certificate shows", () => {
  const targets = create();
  for (const seed of ["n:1", "n:2", "n:2"]) targets.addSeed(place(seed), true, 0);
  deepStrictEqual(targets.takeNames(0), ["n"]);
  deepStrictEqual(targets.takeNames(99_999), []);
  targets.resolved("n", ["10.0.0.1", "::1"], 0);
  const places = targets.takeDue(0, () => false);
  deepStrictEqual(places.map(formatAddress), [
    "10.0.0.1:1",
    "10.0.0.1:2",
    "[::1]:1",
    "[::1]:2",
  ]);
  deepStrictEqual(new Set(places.map(({ serverName }) => serverName)), new Set(["n"]));
});

test("a name is looked up again: in time, soon after a failure, and when a dial fails", () => {
  const targets = create();
  targets.addSeed(place("n:1"), true, 0);
  targets.takeNames(0);
  targets.resolved("n", ["10.0.0.1"], 0);
  deepStrictEqual(targets.takeNames(29_999), []);
  deepStrictEqual(targets.takeNames(30_000), ["n"]);
  targets.resolved("n", [], 30_000);
  deepStrictEqual(targets.takeNames(30_999), []);
  deepStrictEqual(targets.takeNames(31_000), ["n"]);
  targets.resolved("n", ["10.0.0.1"], 31_000);
  targets.failed("10.0.0.1:1", 31_000);
  deepStrictEqual(targets.takeNames(31_999), []);
  deepStrictEqual(targets.takeNames(32_000), ["n"]);
});

test("P11: gossip fills its room and no more, and gives way to what is certain", () => {
  const targets = create();
  for (let index = 0; index < 2 * MESH_ADDRESSES_MAX; index++) {
    targets.heardOf(place(`10.0.${index >> 8}.${index & 255}:1`), `x${index}`, 0, 0);
  }
  strictEqual(targets.size, MESH_ADDRESSES_MAX);
  targets.met(place("10.9.9.9:1"), "a", 0);
  strictEqual(targets.nodeAt("10.9.9.9:1"), "a");
  targets.addSeed(place("n:1"), true, 0);
  targets.resolved("n", ["10.8.8.8"], 0);
  targets.addSeed(place("10.7.7.7:1"), false, 0);
  strictEqual(targets.size, MESH_ADDRESSES_MAX + 1);
  const dialled = due(targets, 0);
  strictEqual(dialled.length, MESH_DIALS_MAX + 3);
  for (const address of ["10.9.9.9:1", "10.8.8.8:1", "10.7.7.7:1"]) ok(dialled.includes(address));
  // One that is done makes room for the next.
  targets.failed(dialled[0]!, 0);
  strictEqual(due(targets, 0).length, 1);
});

test("what is told of addresses that nobody knows changes nothing", () => {
  const targets = create();
  targets.failed("10.0.0.1:1", 0);
  targets.reached("10.0.0.1:1", "a");
  targets.isSelf("10.0.0.1:1", 0);
  targets.lost("a", true, 0);
  targets.left("a", 0);
  targets.resolved("n", ["10.0.0.1"], 0);
  strictEqual(targets.size, 0);
});
