import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { RecentHeads } from "../../src/cluster/recent_heads.ts";
import { HEADS_MAX, HEARTBEAT_HEADS_MAX } from "../../src/cluster/settings.ts";

const SETTINGS = { heartbeatMs: 1_000, deafMs: 3_000 };
const ALL = (): boolean => true;

function tell(heads: RecentHeads, node = "b~1", isInterested: (channel: string) => boolean = ALL) {
  return heads.takeFor(node, isInterested).map(({ channel, seq }) => `${channel} ${seq}`);
}

test("a node is told the newest seq of the recent channels that interest it", () => {
  const heads = new RecentHeads(SETTINGS);
  heads.set("c", 1);
  heads.set("d", 2);
  heads.set("c", 3);
  deepStrictEqual(tell(heads), ["c 3", "d 2"]);
  deepStrictEqual(tell(heads, "b~1", (channel) => channel === "d"), ["d 2"]);
  deepStrictEqual([heads.get("c"), heads.get("e"), heads.newest], [3, undefined, 3]);
});

const PACES: readonly (readonly [heartbeatMs: number, deafMs: number])[] = [
  [1_000, 3_000],
  [100, 3_000],
  [60_000, 120_000],
];

for (const [heartbeatMs, deafMs] of PACES) {
  test(`a head is told in every heartbeat until ${deafMs} ms are over, one each ${heartbeatMs} ms`, () => {
    const heads = new RecentHeads({ heartbeatMs, deafMs });
    heads.tick(0);
    heads.set("c", 1);
    for (let now = heartbeatMs; now <= deafMs; now += heartbeatMs) {
      heads.tick(now);
      deepStrictEqual(tell(heads), ["c 1"], `at ${now}`);
    }
    heads.tick(deafMs + heartbeatMs);
    deepStrictEqual(tell(heads), []);
    strictEqual(heads.get("c"), 1);
  });
}

test("what does not fit into a heartbeat follows in the next ones, for each node by itself", () => {
  const heads = new RecentHeads(SETTINGS);
  const count = HEARTBEAT_HEADS_MAX + 3;
  for (let index = 0; index < count; index++) heads.set(`c${index}`, index + 1);
  for (let now = 0; now <= 5_000; now += 1_000) heads.tick(now);
  heads.offerAll("b~1");
  heads.offerAll("d~1");
  strictEqual(tell(heads).length, HEARTBEAT_HEADS_MAX);
  deepStrictEqual(tell(heads).length, 3);
  deepStrictEqual(tell(heads), []);
  strictEqual(tell(heads, "d~1").length, HEARTBEAT_HEADS_MAX);
});

test("a node that may have missed anything is told every head, old ones too, once", () => {
  const heads = new RecentHeads(SETTINGS);
  heads.set("c", 1);
  for (let now = 0; now <= 60_000; now += 1_000) heads.tick(now);
  deepStrictEqual(tell(heads), []);
  heads.offerAll("b~1");
  deepStrictEqual(tell(heads, "other~1"), []);
  deepStrictEqual(tell(heads), ["c 1"]);
  deepStrictEqual(tell(heads), []);
});

test("a node that is down is forgotten", () => {
  const heads = new RecentHeads(SETTINGS);
  heads.set("c", 1);
  for (let now = 0; now <= 60_000; now += 1_000) heads.tick(now);
  heads.offerAll("b~1");
  heads.forget("b~1");
  deepStrictEqual(tell(heads), []);
});

test("a head that had to be forgotten leaves a bound behind that is never too low", () => {
  const heads = new RecentHeads(SETTINGS);
  strictEqual(heads.floor, 0);
  for (let index = 0; index < HEADS_MAX + 5; index++) {
    if (index % 50_000 === 0) {
      for (let late = 0; late < 5; late++) heads.tick(index + late * 1_000);
    }
    heads.set(`c${index}`, index + 1);
  }
  deepStrictEqual([heads.get("c4"), heads.get("c5")], [undefined, 6]);
  strictEqual(heads.floor, 5);
});

test("where all channels are recent, the oldest is forgotten all the same", () => {
  const heads = new RecentHeads(SETTINGS);
  for (let index = 0; index < HEADS_MAX + 3; index++) heads.set(`c${index}`, index + 1);
  strictEqual(heads.floor, 3);
  deepStrictEqual([heads.get("c2"), heads.get("c3")], [undefined, 4]);
  strictEqual(heads.get(`c${HEADS_MAX + 2}`), HEADS_MAX + 3);
});

test("a channel that is published to is not the one that is forgotten", () => {
  const heads = new RecentHeads(SETTINGS);
  heads.set("busy", 1);
  for (let index = 0; index < HEADS_MAX; index++) {
    if (index % 50_000 === 0) {
      for (let late = 0; late < 5; late++) heads.tick(index + late * 1_000);
      heads.set("busy", 2 + index);
    }
    heads.set(`c${index}`, 3 + index);
  }
  ok(heads.get("busy") !== undefined);
  strictEqual(heads.get("c0"), undefined);
});
