import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { createPrng, type Prng } from "../../../src/core/prng.ts";
import { FrameDecoder, type Received } from "../../../src/edge/websocket/frame_decoder.ts";
import { fromHex } from "../../support/hex.ts";
import { encodeRawFrame, OPCODE, type RawFrameOptions } from "../../support/raw_client.ts";

const BYTES_MAX = 100_000;

function decode(chunks: readonly Uint8Array[], bytesMax = BYTES_MAX): Received[] {
  const decoder = new FrameDecoder(bytesMax);
  return chunks.flatMap((chunk) => drain(decoder, chunk));
}

function drain(decoder: FrameDecoder, chunk: Uint8Array): Received[] {
  // The decoder changes what it is given.
  decoder.push(Uint8Array.from(chunk));
  const received: Received[] = [];
  for (let item = decoder.next(); item !== undefined; item = decoder.next()) received.push(item);
  return received;
}

function bytewise(bytes: Uint8Array): Uint8Array[] {
  return [...bytes].map((byte) => Uint8Array.of(byte));
}

function frames(...options: RawFrameOptions[]): Uint8Array {
  return concat(options.map(encodeRawFrame));
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.byteLength;
  }
  return joined;
}

const HELLO = new TextEncoder().encode("Hello");
const TEXT = (payload: string | Uint8Array, fin = true): RawFrameOptions => ({ payload, fin });
const MORE = (payload: string | Uint8Array, fin: boolean): RawFrameOptions => ({
  opcode: OPCODE.continuation,
  payload,
  fin,
});

/** Text of ASCII alone that came in one frame. */
function ascii(text: string): Received {
  return { kind: "ascii", bytes: new TextEncoder().encode(text) };
}

const MESSAGES: readonly (readonly [what: string, bytes: Uint8Array, received: Received[]])[] = [
  [
    "the masked text message of the RFC (§5.7)",
    fromHex("81 85 37fa213d 7f9f4d5158"),
    [ascii("Hello")],
  ],
  [
    "the fragmented text message of the RFC, masked (§5.7)",
    frames(TEXT("Hel", false), MORE("lo", true)),
    [{ kind: "text", text: "Hello" }],
  ],
  [
    "the masked pong of the RFC (§5.7)",
    fromHex("8a 85 37fa213d 7f9f4d5158"),
    [{ kind: "pong", payload: HELLO }],
  ],
  ["a ping (§5.5.2)", frames({ opcode: OPCODE.ping, payload: "Hello" }), [
    { kind: "ping", payload: HELLO },
  ]],
  ["256 bytes of binary message (§5.7)", frames({ opcode: 2, payload: new Uint8Array(256) }), [
    { kind: "binary", bytes: new Uint8Array(256) },
  ]],
  [
    "64 KiB of binary message (§5.7)",
    frames({ opcode: 2, payload: new Uint8Array(65_536).fill(7) }),
    [{ kind: "binary", bytes: new Uint8Array(65_536).fill(7) }],
  ],
  ["an empty text message (§5.6)", frames(TEXT("")), [ascii("")]],
  ["a zero key, which changes nothing (§5.3)", frames({ mask: new Uint8Array(4), payload: "é" }), [
    { kind: "text", text: "é" },
  ]],
  ["a BOM as a character (§5.6)", frames(TEXT("\u{feff}a")), [
    { kind: "text", text: "\u{feff}a" },
  ]],
  ["several messages of one chunk in order", frames(TEXT("a"), TEXT("é"), TEXT("c")), [
    ascii("a"),
    { kind: "text", text: "é" },
    ascii("c"),
  ]],
  ["a byte of 127, which is ASCII", frames(TEXT("\u007f")), [ascii("\u007f")]],
  ["ASCII with one character at its end that is not", frames(TEXT(`${"x".repeat(300)}é`)), [
    { kind: "text", text: `${"x".repeat(300)}é` },
  ]],
  ["64 KiB of ASCII", frames(TEXT("x".repeat(65_536))), [ascii("x".repeat(65_536))]],
  [
    "control frames within a fragmented message (§5.4)",
    frames(
      TEXT("a", false),
      { opcode: OPCODE.ping, payload: "1" },
      MORE("b", false),
      { opcode: OPCODE.pong },
      MORE("c", true),
    ),
    [
      { kind: "ping", payload: fromHex("31") },
      { kind: "pong", payload: new Uint8Array(0) },
      { kind: "text", text: "abc" },
    ],
  ],
  [
    "a character cut between two fragments (§5.6)",
    frames(TEXT(fromHex("f09f"), false), MORE(fromHex("9880"), true)),
    [{ kind: "text", text: "😀" }],
  ],
  [
    "empty fragments (§5.4)",
    frames(TEXT("", false), MORE("", false), MORE("x", false), MORE("", true)),
    [{ kind: "text", text: "x" }],
  ],
  [
    "a fragmented binary message, which may be no UTF-8 (§5.6)",
    frames({ opcode: 2, payload: fromHex("ff"), fin: false }, MORE(fromHex("fe"), true)),
    [{ kind: "binary", bytes: fromHex("fffe") }],
  ],
  ["a close frame without a code (§7.1.5)", frames({ opcode: 8 }), [
    { kind: "close", code: 1005, reason: "" },
  ]],
  ["a close frame with a code alone (§5.5.1)", frames({ opcode: 8, payload: fromHex("03e8") }), [
    { kind: "close", code: 1000, reason: "" },
  ]],
  ["a close frame with a reason (§5.5.1)", frames({ opcode: 8, payload: fromHex("0fa0 c3a9") }), [
    { kind: "close", code: 4000, reason: "é" },
  ]],
];

for (const [what, bytes, received] of MESSAGES) {
  test(`FrameDecoder reads ${what}, whole`, () => {
    deepStrictEqual(decode([bytes]), received);
  });

  test(`FrameDecoder reads ${what}, byte by byte`, () => {
    deepStrictEqual(decode(bytewise(bytes)), received);
  });
}

const CLOSE = (hex: string): RawFrameOptions => ({ opcode: OPCODE.close, payload: fromHex(hex) });
const CODE = (code: number): string => code.toString(16).padStart(4, "0");

const FAULTS: readonly (readonly [rule: string, bytes: Uint8Array, code: number])[] = [
  ["a frame that is not masked (§5.1)", frames({ mask: null, payload: "x" }), 1002],
  ["the first reserved bit (§5.2)", frames({ rsv: 4 }), 1002],
  ["the second reserved bit (§5.2)", frames({ rsv: 2 }), 1002],
  ["the third reserved bit (§5.2)", frames({ rsv: 1 }), 1002],
  ["a reserved bit on a control frame (§5.2)", frames({ opcode: OPCODE.ping, rsv: 4 }), 1002],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) =>
    [`opcode ${opcode}, which is reserved (§5.2)`, frames({ opcode }), 1002] as const
  ),
  ["two bytes of length where one is enough (§5.2)", frames({ lengthBytes: 2, length: 125 }), 1002],
  [
    "eight bytes of length where two are enough (§5.2)",
    frames({ lengthBytes: 8, length: 65_535 }),
    1002,
  ],
  ["a length of 2^63 (§5.2)", frames({ lengthBytes: 8, length: 2n ** 63n }), 1002],
  ["a continuation without a beginning (§5.4)", frames(MORE("x", true)), 1002],
  ["a continuation behind a whole message (§5.4)", frames(TEXT("a"), MORE("x", true)), 1002],
  ["a message within another (§5.4)", frames(TEXT("a", false), TEXT("b")), 1002],
  ["a fragmented message within another (§5.4)", frames(TEXT("a", false), TEXT("b", false)), 1002],
  ["a ping in fragments (§5.5)", frames({ opcode: OPCODE.ping, fin: false }), 1002],
  ["a close frame in fragments (§5.5)", frames({ opcode: OPCODE.close, fin: false }), 1002],
  ["a ping of 126 bytes (§5.5)", frames({ opcode: OPCODE.ping, payload: "x".repeat(126) }), 1002],
  ["a close frame of 126 bytes (§5.5)", frames(CLOSE("03e8" + "61".repeat(124))), 1002],
  ["a close frame with half a code (§5.5.1)", frames(CLOSE("03")), 1002],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map((code) =>
    [`a close frame with code ${code} (§7.4)`, frames(CLOSE(CODE(code))), 1002] as const
  ),
  ["a close reason that is no UTF-8 (§5.5.1)", frames(CLOSE("03e8 ff")), 1007],
  ["text with a byte that UTF-8 never has (§8.1)", frames(TEXT(fromHex("61ff"))), 1007],
  ["text with an overlong character (§8.1)", frames(TEXT(fromHex("c080"))), 1007],
  ["text with a surrogate (§8.1)", frames(TEXT(fromHex("eda080"))), 1007],
  ["text beyond U+10FFFF (§8.1)", frames(TEXT(fromHex("f4908080"))), 1007],
  ["text with half a character at its end (§8.1)", frames(TEXT(fromHex("c3"))), 1007],
  [
    "fragments with half a character at the end (§8.1)",
    frames(TEXT("a", false), MORE(fromHex("c3"), true)),
    1007,
  ],
  ["a message of one byte too many (§10.4)", frames(TEXT("x".repeat(BYTES_MAX + 1))), 1009],
  [
    "fragments of one byte too many together (§10.4)",
    frames(TEXT("x".repeat(BYTES_MAX), false), MORE("x", true)),
    1009,
  ],
];

for (const [rule, bytes, code] of FAULTS) {
  test(`FrameDecoder refuses ${rule} with ${code}`, () => {
    for (const chunks of [[bytes], bytewise(bytes.subarray(0, 400_000))]) {
      const last = decode(chunks).at(-1);
      strictEqual(last?.kind === "fault" ? last.code : last?.kind, code);
    }
  });
}

test("FrameDecoder gives what came before a fault, and nothing after it", () => {
  const bytes = frames(TEXT("a"), { opcode: 3 }, TEXT("b"));
  deepStrictEqual(decode([bytes, frames(TEXT("c"))]).map(({ kind }) => kind), ["ascii", "fault"]);
});

test("FrameDecoder refuses a large message on its header alone (§10.4)", () => {
  for (const length of [BYTES_MAX + 1, 2 ** 32, 2n ** 62n]) {
    const header = encodeRawFrame({ length, lengthBytes: 8 });
    deepStrictEqual(decode([header]).map((item) => item.kind === "fault" && item.code), [1009]);
  }
});

test("FrameDecoder accepts a message of just the limit", () => {
  const [message] = decode([frames({ opcode: 2, payload: new Uint8Array(BYTES_MAX) })]);
  strictEqual(message?.kind === "binary" && message.bytes.byteLength, BYTES_MAX);
});

test("FrameDecoder does not count control frames to the message that they come in", () => {
  const bytes = frames(
    TEXT("x".repeat(BYTES_MAX), false),
    { opcode: 9, payload: "x" },
    MORE("", true),
  );
  deepStrictEqual(decode([bytes]).map(({ kind }) => kind), ["ping", "text"]);
});

test("FrameDecoder fails at the first fragment that cannot be UTF-8, not at the last (§8.1)", () => {
  const received = decode([frames(TEXT("κόσμε", false), MORE(fromHex("f490"), false))]);
  deepStrictEqual(received.map((item) => item.kind === "fault" && item.code), [1007]);
});

test("FrameDecoder reads text again on a new connection after text that was no UTF-8", () => {
  decode([frames(TEXT(fromHex("e282")))]);
  deepStrictEqual(decode([frames(TEXT("é"))]), [{ kind: "text", text: "é" }]);
});

test("a small binary message does not keep the chunk that it came in", () => {
  const chunk = frames({ opcode: 2, payload: fromHex("01") }, TEXT("x".repeat(50_000)));
  const [message] = decode([chunk]);
  ok(message?.kind === "binary" && message.bytes.buffer.byteLength <= 16);
});

test("a few bytes of the next message do not keep the chunk that they came in", () => {
  const [first, second] = [TEXT("x".repeat(50_000)), TEXT("next")].map(encodeRawFrame);
  const decoder = new FrameDecoder(BYTES_MAX);
  const chunk = concat([first!, second!.subarray(0, 3)]);
  decoder.push(chunk);
  while (decoder.next() !== undefined);
  chunk.fill(0);
  deepStrictEqual(drain(decoder, second!.subarray(3)), [ascii("next")]);
});

test("the bytes of ASCII are never touched again, whatever comes behind them", () => {
  const texts = Array.from({ length: 50 }, (_, index) => `${index} `.repeat(index * 3));
  const bytes = frames(...texts.map((text) => TEXT(text)));
  for (const size of [1, 7, 100, 1_000, bytes.length]) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    deepStrictEqual(decode(chunks), texts.map(ascii), `${size} bytes at a time`);
  }
});

test("FrameDecoder takes a message of many small chunks in little more memory than its own", () => {
  const payload = new Uint8Array(BYTES_MAX).fill(1);
  const bytes = frames({ opcode: 2, payload });
  const [message] = decode(bytewise(bytes));
  ok(message?.kind === "binary" && message.bytes.buffer.byteLength <= 2 * bytes.byteLength);
  deepStrictEqual(message.bytes, payload);
});

test("random valid frames in random chunks give the same messages", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = createPrng(seed);
    const { bytes, expected } = randomStream(random);
    deepStrictEqual(decode(randomChunks(bytes, random)), expected, `seed ${seed}`);
  }
});

const ALPHABET = ["a", "é", "€", "😀", "\0", "\u{feff}", "\u{10ffff}"];

function randomStream(random: Prng): { bytes: Uint8Array; expected: Received[] } {
  const parts: Uint8Array[] = [];
  const expected: Received[] = [];
  const count = 1 + Math.floor(random() * 8);
  for (let index = 0; index < count; index++) {
    const length = Math.floor(random() ** 4 * (random() < 0.1 ? 20_000 : 300));
    const text = Array.from({ length }, () => pick(ALPHABET, random)).join("");
    const payload = new TextEncoder().encode(text);
    const isText = random() < 0.7;
    const pieces = randomChunks(payload, random);
    if (pieces.length === 0) pieces.push(payload);
    for (const [at, piece] of pieces.entries()) {
      parts.push(encodeRawFrame({
        opcode: at > 0 ? OPCODE.continuation : isText ? OPCODE.text : OPCODE.binary,
        fin: at === pieces.length - 1,
        mask: Uint8Array.from({ length: 4 }, () => random() < 0.3 ? 0 : random() * 256),
        payload: piece,
      }));
      if (random() > 0.2 || at === pieces.length - 1) continue;
      parts.push(encodeRawFrame({ opcode: OPCODE.ping, payload: `${index}` }));
      expected.push({ kind: "ping", payload: new TextEncoder().encode(`${index}`) });
    }
    if (!isText) expected.push({ kind: "binary", bytes: payload });
    else expected.push(pieces.length === 1 && isAscii(text) ? ascii(text) : { kind: "text", text });
  }
  return { bytes: concat(parts), expected };
}

function isAscii(text: string): boolean {
  return [...text].every((character) => character < "\u0080");
}

function randomChunks(bytes: Uint8Array, random: Prng): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const sizeMax = pick([1, 3, 20, 500, 100_000], random);
  for (let start = 0; start < bytes.byteLength;) {
    const end = start + 1 + Math.floor(random() * sizeMax);
    chunks.push(bytes.slice(start, end));
    start = end;
  }
  return chunks;
}

function pick<Item>(items: readonly Item[], random: Prng): Item {
  return items[Math.floor(random() * items.length)]!;
}
