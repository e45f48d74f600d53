import { deepStrictEqual, notStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { keySlot } from "../../../src/backplane/redis/key_slot.ts";
import { RedisNames } from "../../../src/backplane/redis/redis_names.ts";

test("a Chorus channel never shares a name with anything of another cluster", () => {
  const id = "b~1";
  const prefixes = ["app", "app:c", "app:n", "app:l", "app:all", "app:c:x"];
  const channels = ["", "all", ":all", "c/x", "n:b~1", "c:all", "l:{app:n:b~1}", "x"];
  const owners = new Map<string, string>();
  for (const prefix of prefixes) {
    const names = new RedisNames(prefix);
    const own = [names.all, names.node(id), names.canary(id, 1), names.life(names.node(id))];
    for (const name of [...own, ...channels.map((channel) => names.channel(channel))]) {
      strictEqual(owners.get(name) ?? prefix, prefix, name);
      owners.set(name, prefix);
    }
  }
});

test("a node's channel and its sign of life are of one slot, and both name the node", () => {
  const names = new RedisNames("app");
  const channel = names.node("b~1");
  const life = names.life(channel);
  notStrictEqual(life, channel);
  strictEqual(keySlot(life), keySlot(channel));
  deepStrictEqual([names.nodeOf(channel), names.nodeOf(life)], ["b~1", "b~1"]);
  strictEqual(names.nodeOf(names.channel("b~1")), undefined);
});
