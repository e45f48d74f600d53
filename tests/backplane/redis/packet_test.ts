import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  decodePacket,
  encodePacket,
  HERE_WANTS,
  isFrom,
  type PacketBody,
} from "../../../src/backplane/redis/packet.ts";
import { ByteWriter } from "../../../src/core/byte_writer.ts";
import { createPrng } from "../../../src/core/prng.ts";

const SENDER = "node~0123456789ab";
const BODIES: readonly PacketBody[] = [
  { kind: "payloads", payloads: [] },
  { kind: "payloads", payloads: [new Uint8Array(0), Uint8Array.of(1, 2, 3)] },
  { kind: "payloads", payloads: [new Uint8Array(200_000).fill(7)] },
  { kind: "here", name: "node", wants: HERE_WANTS.nothing },
  { kind: "here", name: "node", wants: HERE_WANTS.answer },
  { kind: "here", name: "node", wants: HERE_WANTS.renewal },
  { kind: "goodbye" },
  { kind: "canary", number: 123_456_789_012 },
];

for (const body of BODIES) {
  test(`a packet comes back as it went: ${JSON.stringify(body).slice(0, 60)}`, () => {
    const bytes = encodePacket(new ByteWriter(), SENDER, body);
    const packet = decodePacket(bytes);
    deepStrictEqual(packet, { ...body, from: SENDER });
    strictEqual(isFrom(bytes, new TextEncoder().encode(SENDER)), true);
    strictEqual(isFrom(bytes, new TextEncoder().encode("node~0123456789ac")), false);
    strictEqual(isFrom(bytes, new TextEncoder().encode("node~0123456789abc")), false);
  });
}

test("the first packets of a version are the same for ever", () => {
  const hex = (body: PacketBody): string =>
    Array.from(
      encodePacket(new ByteWriter(), "a~1", body),
      (byte) => byte.toString(16).padStart(2, "0"),
    ).join("");
  strictEqual(
    hex({ kind: "payloads", payloads: [Uint8Array.of(9)] }),
    "0100000003617e310000000109",
  );
  strictEqual(hex({ kind: "here", name: "a", wants: 2 }), "0200000003617e31000000016102");
  strictEqual(hex({ kind: "goodbye" }), "0300000003617e31");
  strictEqual(hex({ kind: "canary", number: 300 }), "0400000003617e31ac02");
});

test("a packet of a newer type is told apart, and newer fields are skipped", () => {
  const bytes = encodePacket(new ByteWriter(), SENDER, { kind: "goodbye" });
  deepStrictEqual(decodePacket(Uint8Array.of(99, ...bytes.subarray(1))), {
    kind: "unknown",
    from: SENDER,
  });
  deepStrictEqual(decodePacket(Uint8Array.of(...bytes, 1, 2, 3)), {
    kind: "goodbye",
    from: SENDER,
  });
});

test("P11: any bytes are a packet or none, and never an exception", () => {
  const prng = createPrng(4);
  const sample = encodePacket(new ByteWriter(), SENDER, BODIES[1]!);
  for (let round = 0; round < 20_000; round++) {
    const bytes = sample.slice(0, Math.floor(prng() * (sample.byteLength + 1)));
    const index = Math.floor(prng() * bytes.byteLength);
    if (bytes.byteLength > 0) bytes[index] = Math.floor(prng() * 256);
    decodePacket(bytes);
  }
  strictEqual(decodePacket(new Uint8Array(0)), undefined);
  strictEqual(decodePacket(sample.subarray(0, sample.byteLength - 1)), undefined);
  strictEqual(decodePacket(Uint8Array.of(1, 0, 0, 0, 0)), undefined);
});
