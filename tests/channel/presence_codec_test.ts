import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  decodePresence,
  encodePresence,
  PIECE_SLOTS_MAX,
  PRESENCE_SLOTS_MAX,
  type PresenceBody,
  type PresenceOp,
} from "../../src/channel/presence_codec.ts";
import { ByteWriter } from "../../src/core/byte_writer.ts";

const ANN = { slot: 0, connection: 7, channel: "room", member: "ann", meta: "" };
const BOB = { slot: 300, connection: 0, channel: "room", member: "bøb", meta: '{"a":[1]}' };
const CID = { slot: 4_000, connection: 2 ** 40, channel: "hall", member: "cid", meta: "null" };

const BODIES: readonly PresenceBody[] = [
  {
    kind: "delta",
    prev: 41,
    ops: [
      { kind: "join", version: 42, ...ANN },
      { kind: "join", version: 43, ...BOB },
      { kind: "join", version: 1_000_000, ...CID },
      { kind: "update", version: 1_000_001, slot: 0, meta: "1" },
      { kind: "leave", version: 2 ** 40, slot: 300 },
      { kind: "linger", version: 2 ** 40 + 1, slot: 4_000, lingerMs: 30_000 },
      { kind: "join", version: 2 ** 40 + 2, ...CID },
    ],
  },
  { kind: "delta", prev: 0, ops: [] },
  { kind: "want", after: 2 ** 40, slot: undefined },
  { kind: "want", after: 0, slot: 0 },
  { kind: "want", after: 9, slot: 100_000 },
  {
    kind: "piece",
    version: 2 ** 40,
    from: 0,
    to: 5_000,
    isLast: false,
    entries: [
      { version: 3, ...ANN, lingerMs: undefined },
      { version: 2 ** 40, ...BOB, lingerMs: 0 },
      { version: 5, ...CID, lingerMs: 20_000 },
    ],
  },
  { kind: "piece", version: 0, from: 70, to: 70, isLast: true, entries: [] },
  { kind: "digest", version: 12, hash: 0xffffffff },
  { kind: "goodbye" },
];

function encode(body: PresenceBody): Uint8Array {
  return encodePresence(new ByteWriter(), body).slice();
}

for (const body of BODIES) {
  test(`a ${body.kind} is read as it was written, and nothing of it when it is cut short`, () => {
    const bytes = encode(body);
    deepStrictEqual(decodePresence(bytes), body);
    for (let length = 1; length < bytes.byteLength; length++) {
      strictEqual(decodePresence(bytes.subarray(0, length)), undefined);
    }
  });

  test(`a ${body.kind} is read with what a newer version adds behind it`, () => {
    deepStrictEqual(decodePresence(Uint8Array.of(...encode(body), 1, 2, 3)), body);
  });
}

test("a body of a newer version is told from a broken one", () => {
  strictEqual(decodePresence(Uint8Array.of(77, 1, 2)), "unknown");
  strictEqual(decodePresence(new Uint8Array()), undefined);
});

test("values that no node tells are refused", () => {
  const join = { kind: "join" as const, ...ANN };
  const piece = { kind: "piece" as const, version: 1, isLast: true, entries: [] };
  const refused: readonly PresenceBody[] = [
    { kind: "delta", prev: 5, ops: [{ ...join, version: 5 }] },
    { kind: "delta", prev: 5, ops: [{ ...join, version: 6, slot: PRESENCE_SLOTS_MAX }] },
    { kind: "delta", prev: 5, ops: [{ ...join, version: 2 ** 50 + 1 }] },
    { kind: "want", after: 0, slot: PRESENCE_SLOTS_MAX },
    { kind: "want", after: 2 ** 51, slot: 0 },
    { kind: "digest", version: 2 ** 51, hash: 0 },
    { ...piece, from: 0, to: PIECE_SLOTS_MAX + 1 },
    { ...piece, from: PRESENCE_SLOTS_MAX, to: PRESENCE_SLOTS_MAX + 1 },
    { ...piece, from: 3, to: 3, isLast: false },
    { ...piece, from: 0, to: 2, entries: [{ ...BOB, version: 1, lingerMs: undefined }] },
  ];
  for (const body of refused) strictEqual(decodePresence(encode(body)), undefined);
});

test("a join costs at most 20 bytes beyond names and metadata, and less among others", () => {
  const ops: PresenceOp[] = Array.from({ length: 1_000 }, (_, slot) => ({
    kind: "join",
    version: 100_000 + slot,
    slot,
    connection: slot,
    channel: "room",
    member: "abcdefgh",
    meta: '{"n":1}',
  }));
  const names = "roomabcdefgh".length + '{"n":1}'.length;
  const alone = encode({ kind: "delta", prev: 99_999, ops: ops.slice(0, 1) }).byteLength - names;
  ok(alone <= 24, String(alone));
  const together = encode({ kind: "delta", prev: 99_999, ops }).byteLength / 1_000 - 15;
  ok(together <= 15, String(together));
});
