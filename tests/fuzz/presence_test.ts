import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { PresenceNode } from "../../src/channel/presence.ts";
import { encodePresence, type PresenceBody } from "../../src/channel/presence_codec.ts";
import { ByteWriter } from "../../src/core/byte_writer.ts";
import { createPrng, type Prng } from "../../src/core/prng.ts";

const SEEDS: readonly number[] = Array.from({ length: 40 }, (_, index) => index + 1);
const BODIES_PER_SEED = 1_500;

const SAMPLES: readonly PresenceBody[] = [
  {
    kind: "delta",
    prev: 0,
    ops: [
      { kind: "join", version: 1, slot: 0, connection: 1, channel: "a", member: "m", meta: "1" },
      { kind: "update", version: 2, slot: 0, meta: "2" },
      { kind: "linger", version: 3, slot: 0, lingerMs: 1_000 },
      { kind: "leave", version: 4, slot: 0 },
    ],
  },
  { kind: "want", after: 3, slot: undefined },
  { kind: "want", after: 0, slot: 0 },
  {
    kind: "piece",
    version: 9,
    from: 0,
    to: 2,
    isLast: false,
    entries: [{
      version: 8,
      slot: 1,
      connection: 0,
      channel: "a",
      member: "n",
      meta: "",
      lingerMs: 5,
    }],
  },
  { kind: "piece", version: 9, from: 2, to: 2, isLast: true, entries: [] },
  { kind: "digest", version: 9, hash: 1 },
];

for (const seed of SEEDS) {
  test(`a node takes any bytes from another, and its roster stays in order (seed ${seed})`, () => {
    const random = createPrng(seed);
    const node = new PresenceNode<string>("a~1");
    node.handle({ kind: "join", connection: 1, channel: "a", member: "own", meta: "" }, 0);
    node.handle({ kind: "watch", channel: "a", watcher: "w", mode: "changes" }, 0);
    const present = new Set<string>();
    for (let now = 0; now < BODIES_PER_SEED; now++) {
      // A goodbye may be among what the mangling makes.
      node.handle({ kind: "peer_up", node: "b~1" }, now);
      node.handle({ kind: "received", node: "b~1", body: mangle(random) }, now);
      if (now % 7 === 0) node.handle({ kind: "wake" }, now);
      for (const output of node.take()) {
        if (output.kind !== "changes") continue;
        for (const { kind, channel, member } of output.changes) {
          const who = `${channel}\n${member}`;
          strictEqual(present.has(who), kind !== "join");
          if (kind === "join") present.add(who);
          if (kind === "leave") present.delete(who);
        }
      }
    }
    ok(node.roster.shown("a", "own") !== undefined);
    let count = 0;
    for (const who of present) {
      const [channel, member] = who.split("\n") as [string, string];
      const [entry] = node.roster.entries(channel, member);
      strictEqual(entry?.member, member);
      count++;
    }
    strictEqual(count, present.size);
    node.handle({ kind: "peer_up", node: "b~1" }, BODIES_PER_SEED);
    node.handle({ kind: "peer_down", node: "b~1", hasLeft: false }, BODIES_PER_SEED);
    strictEqual(node.stats.entries, 1);
  });
}

/** A body with some of its bytes changed, cut or added. */
function mangle(random: Prng): Uint8Array {
  const pick = (count: number): number => Math.floor(random() * count);
  const body = encodePresence(new ByteWriter(), SAMPLES[pick(SAMPLES.length)]!).slice();
  for (let count = pick(4); count > 0; count--) {
    body[pick(body.byteLength)] = random() < 0.5 ? pick(256) : pick(4);
  }
  return random() < 0.2 ? body.subarray(0, pick(body.byteLength + 1)) : body;
}
