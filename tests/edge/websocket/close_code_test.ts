import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  CLOSE_CODE,
  cutReason,
  encodeClosePayload,
  isCloseCodeOnWire,
} from "../../../src/edge/websocket/close_code.ts";

const REGISTERED = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
const APPLICATIONS = [3000, 3999, 4000, 4999];
const FORBIDDEN = [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535];

test("isCloseCodeOnWire() allows what is registered and what is the application's (§7.4)", () => {
  for (const code of [...REGISTERED, ...APPLICATIONS]) {
    strictEqual(isCloseCodeOnWire(code), true, `${code}`);
  }
});

test("isCloseCodeOnWire() refuses what is reserved or out of range (§7.4)", () => {
  for (const code of FORBIDDEN) strictEqual(isCloseCodeOnWire(code), false, `${code}`);
});

test("encodeClosePayload() writes the code in two bytes, then the reason (§5.5.1)", () => {
  deepStrictEqual([...encodeClosePayload(1001, "é")], [0x03, 0xe9, 0xc3, 0xa9]);
});

test("encodeClosePayload() writes nothing where there is no code (§7.1.5)", () => {
  strictEqual(encodeClosePayload(CLOSE_CODE.noStatus, "ignored").byteLength, 0);
});

const CUTS: readonly (readonly [reason: string, expected: string])[] = [
  ["short", "short"],
  ["x".repeat(123), "x".repeat(123)],
  ["x".repeat(124), "x".repeat(123)],
  ["x".repeat(122) + "é", "x".repeat(122)],
  ["x".repeat(120) + "😀", "x".repeat(120)],
  ["€".repeat(50), "€".repeat(41)],
];

test("a reason is cut at a whole character, so that the frame stays within 125 bytes (§5.5)", () => {
  for (const [reason, expected] of CUTS) {
    strictEqual(cutReason(reason), expected);
    const payload = encodeClosePayload(1000, reason);
    strictEqual(new TextDecoder().decode(payload.subarray(2)), expected);
  }
});
