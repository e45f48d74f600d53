import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  decodeEnvelope,
  type EncodableEnvelope,
  encodeEnvelope,
} from "../../src/cluster/envelope.ts";
import { ByteWriter } from "../../src/core/byte_writer.ts";
import { createPrng } from "../../src/core/prng.ts";
import { toPayload } from "../support/payload.ts";

const SELF = "a~1";
const MAX = Number.MAX_SAFE_INTEGER;
const NAME = "é".repeat(127);

const writer = new ByteWriter();
const encode = (envelope: EncodableEnvelope): Uint8Array => encodeEnvelope(writer, SELF, envelope);

function messages(node: string) {
  return [
    { node, seq: 1, prev: 0, ...toPayload('"one é"') },
    { node, seq: 2 ** 33, prev: 1, ...toPayload(Uint8Array.of(0, 255)) },
    { node, seq: MAX, prev: 2 ** 33, ...toPayload("") },
    { node, seq: MAX, prev: 0, ...toPayload(new Uint8Array(0)) },
  ];
}

/** Each kind of envelope, small, large, and with nothing in it. */
const ENVELOPES: readonly EncodableEnvelope[] = [
  {
    kind: "messages",
    channel: "c",
    node: SELF,
    repair: false,
    acknowledge: true,
    messages: messages(SELF),
  },
  {
    kind: "messages",
    channel: "",
    node: "b~2",
    repair: true,
    acknowledge: false,
    messages: messages("b~2"),
  },
  { kind: "messages", channel: NAME, node: SELF, repair: true, acknowledge: true, messages: [] },
  { kind: "heartbeat", interestVersion: 0, membersDigest: 0, heads: [], parts: [] },
  {
    kind: "heartbeat",
    interestVersion: MAX,
    membersDigest: 0xffff_ffff,
    heads: [{ channel: NAME, seq: MAX }, { channel: "", seq: 0 }],
    parts: [{ part: 300, body: Uint8Array.of(1, 2) }, { part: 1, body: new Uint8Array(0) }],
  },
  { kind: "interest", version: 7, added: ["a", "", NAME], removed: ["b"] },
  { kind: "interest", version: MAX, added: [], removed: [] },
  { kind: "interest_all", version: 0, piece: 0, isLast: true, channels: [] },
  { kind: "interest_all", version: MAX, piece: 999, isLast: false, channels: ["a", NAME] },
  { kind: "interest_ack", version: 1, isAll: true, floor: MAX, heads: [{ channel: "a", seq: 3 }] },
  { kind: "interest_ack", version: 1, isAll: false, floor: 0, heads: [] },
  { kind: "interest_request" },
  { kind: "repair_request", channel: "c", node: "b~2", after: MAX },
  { kind: "repair_end", channel: "c", node: "b~2", floor: MAX, head: 2 ** 40 },
  { kind: "ack", channel: "c", seq: MAX, after: 3 },
  { kind: "probe", node: "b~2" },
  { kind: "testimony", node: "b~2", heardAgoMs: undefined },
  { kind: "testimony", node: "b~2", heardAgoMs: 0 },
  { kind: "testimony", node: "b~2", heardAgoMs: 123 },
  { kind: "part", part: 2, body: Uint8Array.of(9, 8, 7) },
  { kind: "owed", since: [{ version: 0, seq: MAX }, { version: MAX, seq: 0 }] },
  { kind: "owed", since: [] },
];

const LAST_FIELDS: Readonly<Record<string, object>> = {
  heartbeat: { parts: [] },
  ack: { after: 0 },
};

ENVELOPES.forEach((envelope, index) => {
  const name = `${envelope.kind} (${index})`;

  test(`${name} is read as it was written`, () => {
    deepStrictEqual(decodeEnvelope(SELF, encode(envelope)), envelope);
  });

  test(`${name}: bytes behind the fields that are known are skipped`, () => {
    const bytes = Uint8Array.of(...encode(envelope), 1, 2, 3, 255);
    deepStrictEqual(decodeEnvelope(SELF, bytes), envelope);
  });

  test(`${name}: cut anywhere it is no envelope`, () => {
    const bytes = encode(envelope);
    for (let length = 0; length < bytes.byteLength; length++) {
      const decoded = decodeEnvelope(SELF, bytes.subarray(0, length));
      if (decoded === undefined) continue;
      // A version that has no parts, or acknowledges from the first on, ends before these.
      ok(envelope.kind in LAST_FIELDS, `${length} of ${bytes.byteLength} bytes`);
      deepStrictEqual(decoded, { ...envelope, ...LAST_FIELDS[envelope.kind] });
    }
  });
});

const TYPES: readonly (readonly [kind: EncodableEnvelope["kind"], type: number])[] = [
  ["messages", 1],
  ["heartbeat", 2],
  ["interest", 3],
  ["interest_all", 4],
  ["interest_ack", 5],
  ["interest_request", 6],
  ["repair_request", 7],
  ["repair_end", 8],
  ["ack", 9],
  ["probe", 10],
  ["testimony", 11],
  ["part", 12],
  ["owed", 13],
];

test("P12: each type keeps its number, and there is a sample of each", () => {
  const types = new Map(ENVELOPES.map((envelope) => [envelope.kind, encode(envelope)[0]]));
  deepStrictEqual([...types], TYPES);
});

test("P12: every other type is unknown, whatever follows it", () => {
  for (let type = TYPES.length + 1; type < 256; type++) {
    deepStrictEqual(decodeEnvelope(SELF, Uint8Array.of(type, 255, 255)), { kind: "unknown", type });
  }
  deepStrictEqual(decodeEnvelope(SELF, Uint8Array.of(0)), { kind: "unknown", type: 0 });
});

test("a node that is the sender's own takes no byte, and is whom the backplane proved", () => {
  const own = ENVELOPES[0]!;
  const decoded = decodeEnvelope("proved~1", encode(own));
  ok(decoded?.kind === "messages");
  strictEqual(decoded.node, "proved~1");
  strictEqual(decoded.messages[0]!.node, "proved~1");
});

test("payloads are not copied out of the bytes that came in, and nothing else is left there", () => {
  const bytes = encode(ENVELOPES[1]!).slice();
  const decoded = decodeEnvelope(SELF, bytes);
  bytes.fill(9);
  ok(decoded?.kind === "messages");
  for (const { data } of decoded.messages) ok(data.every((byte) => byte === 9));
  const { node, channel } = decoded;
  deepStrictEqual([node, channel], ["b~2", ""]);
});

test("text that is no UTF-8 makes the whole no envelope, and the same bytes as bytes do not", () => {
  const data = Uint8Array.of(0x22, 0xff, 0x22);
  for (const isText of [true, false]) {
    const messages = [{ node: SELF, seq: 2, prev: 1, data, isText }];
    const envelope: EncodableEnvelope = {
      kind: "messages",
      channel: "c",
      node: SELF,
      repair: false,
      acknowledge: false,
      messages,
    };
    deepStrictEqual(decodeEnvelope(SELF, encode(envelope)), isText ? undefined : envelope);
  }
});

test("a time ago that is no whole number is rounded up, away from the present", () => {
  const bytes = encode({ kind: "testimony", node: "b~2", heardAgoMs: 12.1 });
  deepStrictEqual(decodeEnvelope(SELF, bytes), { kind: "testimony", node: "b~2", heardAgoMs: 13 });
});

test("a count without its items allocates nothing and is no envelope", () => {
  const count = [255, 255, 255, 255, 255, 255, 255, 15];
  const counting: readonly (readonly number[])[] = [
    [1, 0, 0, 0, 0, 1, 99, ...count],
    [2, 0, 0, 0, 0, 0, ...count],
    [3, 1, ...count],
    [4, 1, 0, 1, ...count],
    [5, 1, 1, 0, ...count],
    [13, ...count],
  ];
  for (const bytes of counting) {
    strictEqual(decodeEnvelope(SELF, Uint8Array.from([...bytes])), undefined, String(bytes));
  }
});

test("random bytes and mutated envelopes throw nothing", () => {
  const random = createPrng(5);
  const below = (limit: number): number => Math.floor(random() * limit);
  const samples = ENVELOPES.map(encode);
  for (let run = 0; run < 20_000; run++) {
    const bytes = run % 2 === 0
      ? Uint8Array.from({ length: below(60) }, () => below(256))
      : samples[below(samples.length)]!.slice();
    if (run % 2 === 0) bytes[0] = below(14);
    else for (let count = below(4); count >= 0; count--) bytes[below(bytes.length)] = below(256);
    const decoded = decodeEnvelope(SELF, bytes);
    if (decoded?.kind !== "messages") continue;
    for (const { seq, prev } of decoded.messages) ok(prev >= 0 && prev <= seq && seq <= MAX);
  }
});
