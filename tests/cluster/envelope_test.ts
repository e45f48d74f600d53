import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { decodeEnvelope, encodeEnvelope, type Envelope } from "../../src/cluster/envelope.ts";
import { ByteWriter } from "../../src/core/byte_writer.ts";

const HEARTBEAT = {
  kind: "heartbeat" as const,
  interestVersion: 7,
  membersDigest: 0xfedcba98,
  heads: [{ channel: "news", seq: 41 }],
};

function encode(envelope: Exclude<Envelope, { kind: "unknown" }>): Uint8Array {
  return encodeEnvelope(new ByteWriter(), "a~1", envelope).slice();
}

test("P12: a heartbeat of a version without parts is read, and one with parts by such a version", () => {
  const parts = [{ part: 1, body: Uint8Array.of(4, 5, 6) }, { part: 200, body: new Uint8Array() }];
  const bytes = encode({ ...HEARTBEAT, parts });
  deepStrictEqual(decodeEnvelope("a~1", bytes), { ...HEARTBEAT, parts });
  // What is behind the heads is new: count, then number, length and bytes of each.
  const older = bytes.subarray(0, bytes.byteLength - 1 - (1 + 4 + 3) - (2 + 4));
  deepStrictEqual(decodeEnvelope("a~1", older), { ...HEARTBEAT, parts: [] });
});

test("what a part says arrives as it was, and not at all when it is cut short", () => {
  const bytes = encode({ kind: "part", part: 1, body: Uint8Array.of(0, 255, 7) });
  deepStrictEqual(decodeEnvelope("a~1", bytes), {
    kind: "part",
    part: 1,
    body: Uint8Array.of(0, 255, 7),
  });
  for (let length = 1; length < bytes.byteLength; length++) {
    strictEqual(decodeEnvelope("a~1", bytes.subarray(0, length)), undefined);
  }
});
