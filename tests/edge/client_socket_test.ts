import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Outgoing } from "../../src/edge/client_socket.ts";

test("Outgoing.text() gives text, UTF-8 and frame", () => {
  const message = Outgoing.text("é");
  strictEqual(message.isText, true);
  strictEqual(message.text, "é");
  deepStrictEqual([...message.payload], [0xc3, 0xa9]);
  deepStrictEqual([...message.frame], [0x81, 2, 0xc3, 0xa9]);
});

test("Outgoing.binary() gives bytes and frame", () => {
  const message = Outgoing.binary(Uint8Array.of(1, 2));
  strictEqual(message.isText, false);
  strictEqual(message.text, "");
  deepStrictEqual([...message.payload], [1, 2]);
  deepStrictEqual([...message.frame], [0x82, 2, 1, 2]);
});

test("Outgoing encodes its frame once for all clients", () => {
  const message = Outgoing.text("x");
  strictEqual(message.frame, message.frame);
});
