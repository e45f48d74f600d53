import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import {
  acceptKey,
  checkHandshake,
  encodeAcceptance,
  encodeRefusal,
  type HandshakeRequest,
  type HandshakeVerdict,
} from "../../../src/edge/websocket/handshake.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const PROTOCOLS = ["chorus.v2", "chorus.v1"];

interface RequestOptions {
  readonly method?: string;
  readonly version?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

function check(options: RequestOptions = {}): HandshakeVerdict {
  const headers: Readonly<Record<string, string | undefined>> = {
    "host": "server.example.com",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
    ...options.headers,
  };
  const request: HandshakeRequest = {
    method: options.method ?? "GET",
    version: options.version ?? "1.1",
    header: (name) => headers[name],
  };
  return checkHandshake(request, PROTOCOLS);
}

test("checkHandshake() accepts the request of the RFC (§1.3)", () => {
  deepStrictEqual(check(), { accepted: true, key: KEY, protocol: undefined });
});

const ACCEPTED: readonly (readonly [what: string, options: RequestOptions])[] = [
  ["Upgrade in any case (§4.2.1, 3)", { headers: { upgrade: "WebSocket" } }],
  ["Upgrade among others (§4.2.1, 3)", { headers: { upgrade: "h2c, websocket" } }],
  ["Connection among others (§4.2.1, 4)", { headers: { connection: "keep-alive, Upgrade" } }],
  ["Connection in any case (§4.2.1, 4)", { headers: { connection: "UPGRADE" } }],
  ["a later version of HTTP (§4.2.1, 1)", { version: "2.0" }],
  ["an IPv6 address as Host (§4.2.1, 2)", { headers: { host: "[::1]:8080" } }],
  ["a body of no bytes", { headers: { "content-length": "0" } }],
  ["an extension, which it does not use (§9.1)", {
    headers: { "sec-websocket-extensions": "permessage-deflate; client_max_window_bits" },
  }],
];

for (const [what, options] of ACCEPTED) {
  test(`checkHandshake() accepts ${what}`, () => {
    strictEqual(check(options).accepted, true);
  });
}

const REFUSED: readonly (readonly [what: string, options: RequestOptions, status: number])[] = [
  ["a method that is not GET (§4.2.1, 1)", { method: "POST" }, 405],
  ["HTTP/1.0 (§4.2.1, 1)", { version: "1.0" }, 400],
  ["a version of HTTP that is none", { version: "x" }, 400],
  ["no Host (§4.2.1, 2)", { headers: { host: undefined } }, 400],
  ["an empty Host (§4.2.1, 2)", { headers: { host: "" } }, 400],
  ["two Hosts (RFC 9112 §3.2)", { headers: { host: "a, b" } }, 400],
  ["a Host with a password", { headers: { host: "user:pass@a" } }, 400],
  ["a Host with a path", { headers: { host: "a/b" } }, 400],
  ["a body with a length (RFC 9112 §6.3)", { headers: { "content-length": "5" } }, 400],
  ["a body in chunks (RFC 9112 §6.3)", { headers: { "transfer-encoding": "chunked" } }, 400],
  ["no Upgrade (§4.2.1, 3)", { headers: { upgrade: undefined } }, 426],
  ["another Upgrade (§4.2.1, 3)", { headers: { upgrade: "h2c" } }, 426],
  ["an Upgrade that only begins so (§4.2.1, 3)", { headers: { upgrade: "websockets" } }, 426],
  ["no Connection (§4.2.1, 4)", { headers: { connection: undefined } }, 400],
  ["another Connection (§4.2.1, 4)", { headers: { connection: "keep-alive" } }, 400],
  ["no key (§4.2.1, 5)", { headers: { "sec-websocket-key": undefined } }, 400],
  ["an empty key (§4.2.1, 5)", { headers: { "sec-websocket-key": "" } }, 400],
  [
    "a key of 15 bytes (§4.2.1, 5)",
    { headers: { "sec-websocket-key": btoa("x".repeat(15)) } },
    400,
  ],
  [
    "a key of 17 bytes (§4.2.1, 5)",
    { headers: { "sec-websocket-key": btoa("x".repeat(17)) } },
    400,
  ],
  ["a key not in base64 (§4.2.1, 5)", {
    headers: { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZ!==" },
  }, 400],
  ["two keys (§11.3.1)", { headers: { "sec-websocket-key": `${KEY}, ${KEY}` } }, 400],
  ["no version (§4.2.1, 6)", { headers: { "sec-websocket-version": undefined } }, 426],
  ["version 8 (§4.2.2)", { headers: { "sec-websocket-version": "8" } }, 426],
  ["two versions (§11.3.5)", { headers: { "sec-websocket-version": "13, 13" } }, 426],
];

for (const [what, options, status] of REFUSED) {
  test(`checkHandshake() refuses ${what} with ${status}`, () => {
    const verdict = check(options);
    strictEqual(verdict.accepted ? 101 : verdict.refusal.status, status);
  });
}

test("checkHandshake() tells which version it speaks with 426 (§4.4)", () => {
  const verdict = check({ headers: { "sec-websocket-version": "25" } });
  const headers = verdict.accepted ? undefined : verdict.refusal.headers;
  deepStrictEqual(headers, { "Sec-WebSocket-Version": "13" });
});

const OFFERS: readonly (readonly [offer: string | undefined, chosen: string | undefined])[] = [
  [undefined, undefined],
  ["", undefined],
  [" , ", undefined],
  ["chorus.v1", "chorus.v1"],
  ["other, chorus.v1", "chorus.v1"],
  ["chorus.v1, chorus.v2", "chorus.v2"],
  ["chorus.v1,chorus.v1", "chorus.v1"],
];

test("checkHandshake() chooses the best of the subprotocols offered (§4.2.2, 5.5)", () => {
  for (const [offer, chosen] of OFFERS) {
    const verdict = check({ headers: { "sec-websocket-protocol": offer } });
    strictEqual(verdict.accepted ? verdict.protocol : "refused", chosen, `${offer}`);
  }
});

test("checkHandshake() refuses a client whose subprotocols are all unknown, and names its own", () => {
  // A subprotocol is compared as it is, in its own case.
  for (const offer of ["mqtt", "Chorus.v1", "chorus.v11"]) {
    const verdict = check({ headers: { "sec-websocket-protocol": offer } });
    deepStrictEqual(verdict, {
      accepted: false,
      refusal: {
        status: 400,
        reason: "No subprotocol in common: this server speaks chorus.v2, chorus.v1",
      },
    });
  }
});

test("acceptKey() computes the proof that the RFC shows (§1.3, §4.2.2, 5.4)", () => {
  const sha1 = (text: string): string => createHash("sha1").update(text).digest("base64");
  strictEqual(acceptKey(KEY, sha1), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

test("encodeAcceptance() writes the answer of the RFC (§4.2.2, 5)", () => {
  strictEqual(
    encodeAcceptance("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "chat"),
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
  );
});

test("encodeAcceptance() names no subprotocol to a client that offered none (§4.2.2, 5.5)", () => {
  strictEqual(encodeAcceptance("x", undefined).includes("Protocol:"), false);
});

test("encodeRefusal() writes a whole answer that ends the connection", () => {
  const answer = new TextDecoder().decode(encodeRefusal({ status: 401, reason: "Who? é" }));
  strictEqual(
    answer,
    "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain; charset=utf-8\r\n" +
      "Content-Length: 8\r\nConnection: close\r\n\r\nWho? é\n",
  );
});

test("encodeRefusal() keeps what the application says out of the head", () => {
  const reason = "x\r\nSet-Cookie: a=b\r\n\r\n";
  const answer = new TextDecoder().decode(encodeRefusal({ status: 499, reason }));
  match(answer, /^HTTP\/1\.1 499 Refused\r\n/);
  strictEqual(answer.indexOf("Set-Cookie") > answer.indexOf("\r\n\r\n"), true);
});
