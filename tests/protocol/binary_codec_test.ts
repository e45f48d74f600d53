import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { BROADCAST_CHANNEL } from "../../src/core/message.ts";
import {
  BinaryMessage,
  decodeBinary,
  encodeBinaryPublish,
} from "../../src/protocol/binary_codec.ts";
import type { DecodedMessage, ErrorCode } from "../../src/protocol/message.ts";
import { framesOf, readContent } from "../support/frame_maker.ts";
import { toPayload } from "../support/payload.ts";

const none = undefined;
const PAYLOAD = Uint8Array.of(0xde, 0xad);
const DATA = toPayload(PAYLOAD);

const REQUESTS: readonly (readonly [hex: string, message: DecodedMessage])[] = [
  [
    "11 00 02 00 0000000000000000 6162 dead",
    { type: "publish", id: none, channel: "ab", ...DATA, qos: 0, exclude: false },
  ],
  [
    "11 07 02 00 001fffffffffffff 6162 dead",
    {
      type: "publish",
      id: 9007199254740991,
      channel: "ab",
      ...DATA,
      qos: 1,
      exclude: true,
    },
  ],
  [
    "11 09 03 00 0000000100000002 e282ac",
    {
      type: "publish",
      id: 4294967298,
      channel: "€",
      ...toPayload(new Uint8Array(0)),
      qos: 2,
      exclude: false,
    },
  ],
  ["12 00 00 00 0000000000000000 dead", { type: "broadcast", id: none, ...DATA }],
  ["12 01 00 00 0000000000000000 dead", { type: "broadcast", id: 0, ...DATA }],
];

for (const [hex, message] of REQUESTS) {
  test(`decodeBinary() reads ${hex}`, () => {
    deepStrictEqual(decodeBinary(fromHex(hex)), message);
  });

  test(`encodeBinaryPublish() writes ${hex}`, () => {
    ok(message.type === "publish" || message.type === "broadcast");
    const channel = message.type === "publish" ? message.channel : BROADCAST_CHANNEL;
    const { id, data, ...more } = message;
    const options = { ...more, ...(id === undefined ? {} : { id }) };
    deepStrictEqual(encodeBinaryPublish(channel, data, options), fromHex(hex));
  });
}

test("decodeBinary() passes over flags that it does not know, and a node's name", () => {
  deepStrictEqual(
    decodeBinary(fromHex("11 f0 01 02 0000000000000000 61 6e6e dead")),
    { type: "publish", id: none, channel: "a", ...DATA, qos: 0, exclude: false },
  );
});

const FAULTS: readonly (readonly [hex: string, code: ErrorCode, id: number | undefined])[] = [
  ["13 01 01 00 0000000000000007 61 dead", "unknown_type", 7],
  ["21 00 01 00 0000000000000007 61 dead", "unknown_type", none],
  ["00 00 00 00 0000000000000000", "unknown_type", none],
  ["11 01 00 00 0000000000000007 dead", "channel_invalid", 7],
  ["11 01 01 00 0000000000000007 0a dead", "channel_invalid", 7],
  ["11 01 02 00 0000000000000007 c328 dead", "channel_invalid", 7],
  ["11 01 03 00 0000000000000007 eda080 dead", "channel_invalid", 7],
  ["11 0d 01 00 0000000000000007 61 dead", "bad_request", 7],
  ["11 04 01 00 0000000000000007 61 dead", "bad_request", none],
  ["11 01 01 00 0020000000000000 61 dead", "bad_request", none],
  ["11 01 01 00 ffffffffffffffff 61 dead", "bad_request", none],
];

for (const [hex, code, id] of FAULTS) {
  test(`decodeBinary() answers ${hex} with ${code}`, () => {
    const fault = decodeBinary(fromHex(hex));
    ok(fault.type === "fault", fault.type);
    deepStrictEqual([fault.code, fault.id], [code, id]);
  });
}

test("decodeBinary() finds a frame broken that ends before its payload, wherever", () => {
  const whole = fromHex("11 00 03 02 0000000000000000 616263 6e6e dead");
  for (let length = 0; length < 17; length++) {
    strictEqual(decodeBinary(whole.subarray(0, length)).type, "broken", `${length} bytes`);
  }
  strictEqual(decodeBinary(whole.subarray(0, 17)).type, "publish");
});

test("decodeBinary() hands on a copy of the payload alone", () => {
  const slab = new Uint8Array(65_536);
  const frame = fromHex("11 00 01 00 0000000000000000 61 dead");
  slab.set(frame, 100);
  const message = decodeBinary(slab.subarray(100, 100 + frame.byteLength));
  slab.fill(0);
  ok(message.type === "publish" && !message.isText);
  deepStrictEqual(message.data, PAYLOAD);
  strictEqual(message.data.buffer.byteLength, 2);
});

test("decodeBinary() takes a channel of 255 bytes", () => {
  const channel = "é".repeat(127) + "a";
  const message = decodeBinary(encodeBinaryPublish(channel, PAYLOAD));
  strictEqual(message.type === "publish" && message.channel, channel);
});

test("BinaryMessage writes channel, node and seq before the payload", () => {
  const message = { node: "n~1", seq: 2 ** 40 + 3, prev: 0, ...DATA };
  deepStrictEqual(
    readContent(new BinaryMessage("ab", message)),
    fromHex("13 00 02 03 0000010000000003 6162 6e7e31 dead"),
  );
});

test("frameContents() writes a binary broadcast with a kind of its own", () => {
  deepStrictEqual(
    framesOf(BROADCAST_CHANNEL, [{ node: "n~1", seq: 1, prev: 0, ...DATA }]),
    [fromHex("14 00 00 03 0000000000000001 6e7e31 dead")],
  );
});

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
