import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Presence, presenceCoreOf } from "../src/presence.ts";
import type { PresenceDelivery } from "../src/presence_delivery.ts";

test("what changed in a tick is one frame, encoded once for all who are told", async () => {
  const presence = new Presence();
  const core = presenceCoreOf(presence);
  const told: PresenceDelivery[] = [];
  const isTold = new Promise<void>((resolve) => {
    for (let watcher = 0; watcher < 3; watcher++) {
      const present = (delivery: PresenceDelivery): void => {
        told.push(delivery);
        if (told.length === 3) resolve();
      };
      core.watch("room", { present }, "changes");
    }
  });
  for (let index = 0; index < 50; index++) void presence.join("room", `m${index}`);
  await isTold;
  const [first, ...others] = told.map(({ frames }) => frames);
  strictEqual(first!.length, 1);
  for (const frames of others) strictEqual(frames, first);
  const { type, channel, joined, count } = JSON.parse(first![0]!.text);
  deepStrictEqual([type, channel, joined.length, count], ["presence", "room", 50, 50]);
  await presence.stop();
});
