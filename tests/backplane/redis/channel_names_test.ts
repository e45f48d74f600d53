import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { ChannelNames } from "../../../src/backplane/redis/channel_names.ts";

test("ChannelNames reads each name as it is, though many share a slot", () => {
  const names = new ChannelNames();
  const all = Array.from({ length: 5_000 }, (_, index) => `chorus:${index % 7}:kanal-é-${index}`);
  all.push("", "\0", "a", "b", "long".repeat(1_000), "\u{feff}mark");
  for (let round = 0; round < 2; round++) {
    for (const name of all) {
      const bytes = new TextEncoder().encode(`<${name}>`);
      strictEqual(names.read(bytes, 1, bytes.byteLength - 1), name);
    }
  }
});

test("ChannelNames does not rely on the chunk that a name came in", () => {
  const names = new ChannelNames();
  const chunk = new TextEncoder().encode("news");
  strictEqual(names.read(chunk, 0, 4), "news");
  chunk.set(new TextEncoder().encode("mews"));
  strictEqual(names.read(chunk, 0, 4), "mews");
  strictEqual(names.read(new TextEncoder().encode("news"), 0, 4), "news");
});
