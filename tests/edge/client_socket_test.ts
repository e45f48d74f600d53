import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { FrameContent } from "../../src/core/frame_content.ts";
import { Outgoing } from "../../src/edge/client_socket.ts";
import { opaque } from "../support/frame_maker.ts";

test("an Outgoing of a string gives text, UTF-8 and frame", () => {
  const message = new Outgoing("é");
  strictEqual(message.isText, true);
  strictEqual(message.text, "é");
  deepStrictEqual([...message.payload], [0xc3, 0xa9]);
  deepStrictEqual([...message.frame], [0x81, 2, 0xc3, 0xa9]);
});

test("an Outgoing of opaque bytes gives bytes and frame", () => {
  const message = new Outgoing(opaque(Uint8Array.of(1, 2)));
  strictEqual(message.isText, false);
  strictEqual(message.text, "");
  deepStrictEqual([...message.payload], [1, 2]);
  deepStrictEqual([...message.frame], [0x82, 2, 1, 2]);
});

test("an Outgoing encodes its content once for all clients, and only as what is asked for", () => {
  const asked: string[] = [];
  const content: FrameContent = {
    isText: true,
    byteLength: 1,
    write: (bytes, at) => {
      asked.push("bytes");
      bytes[at] = 0x78;
    },
    text: () => {
      asked.push("text");
      return "x";
    },
  };
  const [first, second] = [new Outgoing(content), new Outgoing(content)];
  strictEqual(first.frame, first.frame);
  deepStrictEqual([...first.frame], [0x81, 1, 0x78]);
  deepStrictEqual(asked, ["bytes"]);
  strictEqual(second.text + second.text, "xx");
  deepStrictEqual(asked, ["bytes", "text"]);
});
