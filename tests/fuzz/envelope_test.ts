import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { type EncodableEnvelope, encodeEnvelope } from "../../src/cluster/envelope.ts";
import { ByteWriter } from "../../src/core/byte_writer.ts";
import { createPrng, type Prng } from "../../src/core/prng.ts";
import { toPayload } from "../support/payload.ts";
import { pair, VirtualCluster } from "../support/virtual_cluster.ts";

const SEEDS: readonly number[] = Array.from({ length: 30 }, (_, index) => index + 1);
const ENVELOPES_PER_SEED = 1_500;
const MAX = Number.MAX_SAFE_INTEGER;

/** What node b~1 could say, about itself, about a~1 and about nodes that nobody knows. */
const SAMPLES: readonly EncodableEnvelope[] = [
  ...["b~1", "a~1", "x~9"].map((node) => ({
    kind: "messages" as const,
    channel: "c",
    node,
    repair: node !== "b~1",
    acknowledge: true,
    messages: [
      { node, seq: 5, prev: 4, ...toPayload("1") },
      { node, seq: MAX, prev: 7, ...toPayload(Uint8Array.of(1)) },
    ],
  })),
  {
    kind: "heartbeat",
    interestVersion: 9,
    membersDigest: 1,
    heads: [{ channel: "c", seq: MAX }, { channel: "d", seq: 1 }],
    parts: [{ part: 1, body: Uint8Array.of(1) }],
  },
  { kind: "interest", version: 3, added: ["c", "d"], removed: ["c"] },
  { kind: "interest_all", version: 3, piece: 0, isLast: true, channels: ["c", "e"] },
  { kind: "interest_all", version: 3, piece: 1, isLast: false, channels: ["c", "e"] },
  { kind: "interest_ack", version: 1, isAll: true, floor: 3, heads: [{ channel: "c", seq: 9 }] },
  { kind: "interest_ack", version: 2, isAll: false, floor: MAX, heads: [] },
  { kind: "interest_request" },
  { kind: "repair_request", channel: "c", node: "a~1", after: 0 },
  { kind: "repair_request", channel: "c", node: "x~9", after: MAX },
  { kind: "repair_end", channel: "c", node: "b~1", floor: 6, head: 9 },
  { kind: "ack", channel: "c", seq: MAX, after: 0 },
  { kind: "probe", node: "x~9" },
  { kind: "testimony", node: "b~1", heardAgoMs: MAX },
  { kind: "part", part: 1, body: Uint8Array.of(1) },
  { kind: "owed", since: [{ version: 1, seq: 3 }, { version: MAX, seq: MAX }] },
];

const writer = new ByteWriter();
const SAMPLE_BYTES = SAMPLES.map((sample) => encodeEnvelope(writer, "b~1", sample));

function below(random: Prng, limit: number): number {
  return Math.floor(random() * limit);
}

/** An envelope as it is, cut, lengthened, with some bytes changed, or no envelope at all. */
function drawPayload(random: Prng): Uint8Array {
  const sample = SAMPLE_BYTES[below(random, SAMPLE_BYTES.length)]!.slice();
  switch (below(random, 5)) {
    case 0:
      return sample.subarray(0, below(random, sample.length));
    case 1:
      return Uint8Array.of(...sample, ...sample.subarray(below(random, sample.length)));
    case 2:
      for (let count = below(random, 5); count >= 0; count--) {
        sample[below(random, sample.length)] = below(random, 256);
      }
      return sample;
    case 3:
      return Uint8Array.from({ length: below(random, 40) }, () => below(random, 256));
    default:
      return sample;
  }
}

for (const seed of SEEDS) {
  test(`P11: whatever a peer says, a node throws nothing and stays within its bounds (${seed})`, () => {
    const random = createPrng(seed);
    const { world, a, b } = pair({ paths: 2 });
    a.subscribe("s", "c");
    world.run(100);
    // What a node answers goes nowhere, so that all that b~1 says is hostile.
    world.tamper = () => false;
    let answers = 0;
    const send = world.send.bind(world);
    world.send = (from, output) => {
      if (from === a) answers++;
      send(from, output);
    };
    for (let index = 0; index < ENVELOPES_PER_SEED; index++) {
      a.feed({
        kind: "received",
        path: below(random, 2),
        node: b.id,
        payload: drawPayload(random),
      });
      if (index % 100 === 0) world.run(below(random, 400));
      if (index % 50 === 0) a.publishesAcknowledged("c", "1", 1_000);
    }
    const { envelopesInvalid, envelopesUnknown, holesOpen } = a.cluster.stats;
    ok(envelopesInvalid > 100 && envelopesUnknown > 10, `${envelopesInvalid} ${envelopesUnknown}`);
    ok(holesOpen <= 1, `${holesOpen} holes`);
    // One answer for each envelope, and what each path's new greeting says.
    ok(answers < 6 * ENVELOPES_PER_SEED, `${answers} answers`);
    ok(a.cluster.peers(world.now).length <= 1);
  });
}

test("P11: after all that it works on with the others, and with a new incarnation of the same", () => {
  const random = createPrng(99);
  const world = new VirtualCluster();
  const [a, b, c] = ["a~1", "b~1", "c~1"].map((id) => world.add(id));
  a!.subscribe("s", "good");
  c!.subscribe("s", "good");
  world.run(100);
  for (let index = 0; index < 3_000; index++) {
    a!.feed({ kind: "received", path: 0, node: b!.id, payload: drawPayload(random) });
    if (index % 100 === 0) world.run(20);
  }
  world.kill(b!);
  world.run(1_000);
  const again = world.add("b~2");
  again.subscribe("s", "good");
  world.run(100);
  c!.publishes("good", "1");
  again.publishes("good", "2");
  a!.publishes("good", "3");
  world.run(100);
  for (const node of [a!, c!, again]) {
    deepStrictEqual([...node.received.get("s")!].sort(), ["good:1", "good:2", "good:3"]);
    deepStrictEqual(node.gaps, []);
  }
  strictEqual(a!.peerEvents.filter((event) => event.includes("c~1")).length, 1);
});

test("P11: what comes from a node that no path leads to changes nothing and is not answered", () => {
  const { world, a } = pair();
  world.run(1_000);
  const before = JSON.stringify(a.cluster.stats);
  let answers = 0;
  world.send = () => void answers++;
  for (const payload of [...SAMPLE_BYTES, Uint8Array.of(1, 2, 3)]) {
    a.feed({ kind: "received", path: 0, node: "stranger~1", payload });
  }
  strictEqual(answers, 0);
  strictEqual(JSON.stringify(a.cluster.stats), before);
  a.feed({ kind: "dropped", node: "stranger~1" });
  a.feed({ kind: "path_down", path: 0, node: "stranger~1", loss: "left" });
  deepStrictEqual(a.peerEvents, ["+b~1"]);
});
