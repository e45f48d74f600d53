import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { keySlot, SLOT_COUNT } from "../../../src/backplane/redis/key_slot.ts";

// As `redis-cli cluster keyslot` of a Redis 7.0 server answers.
const SLOTS: readonly (readonly [key: string, slot: number])[] = [
  ["", 0],
  ["123456789", 12739],
  ["foo", 12182],
  ["chorus:all", 9543],
  ["chorus:c:news", 13822],
  ["{user1000}.following", 3443],
  ["{user1000}.followers", 3443],
  ["foo{}{bar}", 8363],
  ["foo{{bar}}zap", 4015],
  ["foo{bar}{zap}", 5061],
  ["a{b", 13340],
  ["a}b{c", 13587],
  ["{}", 15257],
  ["größe", 9425],
];

for (const [key, slot] of SLOTS) {
  test(`${JSON.stringify(key)} is in slot ${slot}`, () => strictEqual(keySlot(key), slot));
}

test("numbered keys find every slot", () => {
  const slots = new Set(Array.from({ length: 300_000 }, (_, index) => keySlot(`${index}`)));
  strictEqual(slots.size, SLOT_COUNT);
});
