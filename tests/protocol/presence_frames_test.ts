import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { FRAME_JOIN_CHARACTERS_MAX } from "../../src/protocol/limits.ts";
import {
  encodeCount,
  encodeJoined,
  encodeMembers,
  encodePresence,
} from "../../src/protocol/presence_frames.ts";

const ODD = 'a"\\\u2028 😀';

test("what changed is JSON, whatever the names, and lists that are empty are left out", () => {
  const frames = encodePresence(ODD, {
    joined: [{ member: ODD, meta: '{"a":[1]}' }, { member: "b", meta: "" }],
    updated: [],
    left: [ODD],
    count: 7,
  });
  deepStrictEqual(frames.map((frame) => JSON.parse(frame)), [{
    type: "presence",
    channel: ODD,
    joined: [{ member: ODD, meta: { a: [1] } }, { member: "b" }],
    left: [ODD],
    count: 7,
  }]);
});

test("many changes come as several frames, none far larger than others, and nothing is lost", () => {
  const all = Array.from({ length: 10_000 }, (_, index) => ({ member: `m${index}`, meta: "1" }));
  const [joined, updated] = [all.slice(0, 5_000), all.slice(5_000)];
  const left = all.map(({ member }) => `x${member}`);
  const frames = encodePresence("a", { joined, updated, left, count: 1 });
  ok(frames.length > 2);
  const seen = { joined: 0, updated: 0, left: 0 };
  for (const frame of frames) {
    ok(frame.length < FRAME_JOIN_CHARACTERS_MAX + 1_000, String(frame.length));
    const told = JSON.parse(frame);
    seen.joined += told.joined?.length ?? 0;
    seen.updated += told.updated?.length ?? 0;
    seen.left += told.left?.length ?? 0;
  }
  deepStrictEqual(seen, { joined: 5_000, updated: 5_000, left: 10_000 });
});

test("counts, joins and pieces of a roster are JSON", () => {
  deepStrictEqual(JSON.parse(encodeCount(ODD, 3)), { type: "presence", channel: ODD, count: 3 });
  const joined = { channel: ODD, id: 1, member: ODD, count: 1, members: undefined };
  deepStrictEqual(JSON.parse(encodeJoined(joined)), {
    type: "joined",
    channel: ODD,
    id: 1,
    member: ODD,
    count: 1,
  });
  const piece = { channel: ODD, id: 1, members: [], count: 0, hasMore: true, isStale: true };
  const told = JSON.parse(encodeMembers(piece));
  strictEqual(told.more, true);
  strictEqual(told.stale, true);
  deepStrictEqual(told.members, []);
});
