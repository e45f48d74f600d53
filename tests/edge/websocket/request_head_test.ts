import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { readUpgradeHead } from "../../../src/edge/websocket/request_head.ts";

const HEAD =
  "GET /chat?token=a%20b HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n" +
  "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
  "Sec-WebSocket-Version: 13\r\nX-List: a\r\nx-list:  b \r\nX-Empty:\r\n\r\n";

function read(head: string): ReturnType<typeof readUpgradeHead> {
  return readUpgradeHead(new TextEncoder().encode(head));
}

test("readUpgradeHead() reads target, headers and length of a plain request", () => {
  const head = read(`${HEAD}more`);
  strictEqual(head?.target, "/chat?token=a%20b");
  strictEqual(head.byteLength, HEAD.length);
  strictEqual(head.header("host"), "server.example.com");
  strictEqual(head.header("sec-websocket-key"), "dGhlIHNhbXBsZSBub25jZQ==");
  strictEqual(head.header("x-empty"), "");
  strictEqual(head.header("x-none"), undefined);
});

test("readUpgradeHead() joins headers of one name with commas (RFC 9110 §5.3)", () => {
  strictEqual(read(HEAD)?.header("x-list"), "a, b");
});

test("readUpgradeHead() gives the same headers as a whole", () => {
  const headers = read(HEAD)?.headers();
  deepStrictEqual([...headers ?? []].map(([name]) => name), [
    "connection",
    "host",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
    "x-empty",
    "x-list",
  ]);
  strictEqual(headers?.get("x-list"), "a, b");
});

const LEFT_TO_OTHERS: readonly (readonly [what: string, head: string])[] = [
  ["a head that is not whole", HEAD.slice(0, -2)],
  ["nothing", ""],
  ["another method", HEAD.replace("GET", "POST")],
  ["HTTP/1.0", HEAD.replace("HTTP/1.1", "HTTP/1.0")],
  ["a target with its scheme", HEAD.replace("/chat", "http://x/chat")],
  ["a target with a space", HEAD.replace("/chat", "/ch at")],
  ["a line that is folded", HEAD.replace("X-List: a", "X-List: a\r\n b")],
  ["a space before the colon", HEAD.replace("X-List:", "X-List :")],
  ["a header without a name", HEAD.replace("X-List:", ":")],
  ["a header without a colon", HEAD.replace("X-List:", "X-List")],
  ["bytes beyond ASCII", HEAD.replace("X-List: a", "X-List: é")],
  ["a bare line feed", HEAD.replace("X-List: a", "X-List: a\nX-Evil: b")],
  ["a bare carriage return", HEAD.replace("X-List: a", "X-List: a\rX-Evil: b")],
  ["a zero byte", HEAD.replace("X-List: a", "X-List: \0")],
  ["no upgrade", HEAD.replace("Upgrade: websocket", "X-Other: websocket")],
  ["another upgrade", HEAD.replace("Upgrade: websocket", "Upgrade: h2c")],
  ["a head of more than 16 KiB", HEAD.replace("X-List: a", `X-List: ${"a".repeat(16_384)}`)],
];

for (const [what, head] of LEFT_TO_OTHERS) {
  test(`readUpgradeHead() leaves ${what} to a whole HTTP server`, () => {
    strictEqual(read(head), undefined);
  });
}
