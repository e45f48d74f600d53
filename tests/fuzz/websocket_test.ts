import { fail, ok } from "node:assert/strict";
import { test } from "node:test";
import { createPrng, type Prng } from "../../src/core/prng.ts";
import { DEFAULT_EDGE_SETTINGS, type EdgeSettings } from "../../src/edge/client_socket.ts";
import { Connection } from "../../src/edge/websocket/connection.ts";
import { checkHandshake } from "../../src/edge/websocket/handshake.ts";
import { readUpgradeHead } from "../../src/edge/websocket/request_head.ts";
import { encodeRawFrame } from "../support/raw_client.ts";

const SEEDS = 3_000;
const SETTINGS: EdgeSettings = { ...DEFAULT_EDGE_SETTINGS, messageBytesMax: 1_000 };
const MESSAGES: ReadonlySet<string> = new Set(["text", "ascii", "binary"]);
const HEAD = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

test("Connection ends in a close or in nothing, whatever bytes come", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = createPrng(seed);
    watch(`seed ${seed}`, () => assertEndsWell(randomBytes(random, 400), random));
  }
});

test("Connection ends in a close or in nothing, whatever becomes of valid frames", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = createPrng(seed);
    watch(`seed ${seed}`, () => assertEndsWell(mutate(validFrames(random), random), random));
  }
});

test("readUpgradeHead() and checkHandshake() judge any bytes without an error", () => {
  const valid = new TextEncoder().encode(HEAD);
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = createPrng(seed);
    watch(`seed ${seed}`, () => {
      const bytes = seed % 2 === 0 ? randomBytes(random, 400) : mutate(valid.slice(), random);
      const head = readUpgradeHead(bytes);
      if (head === undefined) return;
      checkHandshake(head, ["chorus.v1"]);
      head.headers();
    });
  }
});

// What a connection may say, in any order but this: `closed` once, and then no message.
function assertEndsWell(bytes: Uint8Array, random: Prng): void {
  const connection = new Connection(SETTINGS, 0);
  let now = 0;
  let closedCount = 0;
  const look = (): void => {
    for (const output of connection.take()) {
      if (output.kind === "closed") closedCount++;
      else if (MESSAGES.has(output.kind)) ok(closedCount === 0, "late");
      if (!("bytes" in output) || !MESSAGES.has(output.kind)) continue;
      ok(output.bytes.byteLength <= SETTINGS.messageBytesMax);
      if (output.kind === "ascii") ok(output.bytes.every((byte) => byte < 128), "not ASCII");
    }
  };
  for (let start = 0; start < bytes.byteLength;) {
    const end = start + 1 + Math.floor(random() * 60);
    now += random() * 100;
    connection.handle({ kind: "bytes", chunk: bytes.slice(start, end) }, now);
    look();
    start = end;
  }
  connection.handle({ kind: "eof" }, now);
  look();
  ok(closedCount === 1, `closed ${closedCount} times`);
}

function validFrames(random: Prng): Uint8Array {
  const frames: number[] = [];
  for (let count = 1 + random() * 6; count > 0; count--) {
    const opcode = [1, 2, 8, 9, 10][Math.floor(random() ** 2 * 5)]!;
    const payload = opcode === 8 ? Uint8Array.of(3, 232) : randomBytes(random, 120, 128);
    frames.push(...encodeRawFrame({ opcode, payload }));
  }
  return Uint8Array.from(frames);
}

function mutate(bytes: Uint8Array, random: Prng): Uint8Array {
  for (let count = random() * 4; count > 1; count--) {
    bytes[Math.floor(random() * bytes.byteLength)]! ^= 1 << Math.floor(random() * 8);
  }
  return random() < 0.3 ? bytes.subarray(Math.floor(random() * bytes.byteLength)) : bytes;
}

function randomBytes(random: Prng, lengthMax: number, below = 256): Uint8Array {
  return Uint8Array.from({ length: random() * lengthMax }, () => random() * below);
}

function watch(what: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    fail(`${what}: ${error instanceof Error ? error.stack : error}`);
  }
}
