import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  RespError,
  RespMap,
  RespMessage,
  RespPush,
  RespSet,
} from "../../../src/backplane/redis/resp.ts";
import {
  type RespDecoded,
  RespDecoder,
  type RespFault,
} from "../../../src/backplane/redis/resp_decoder.ts";
import {
  RESP_DEPTH_MAX,
  RESP_LINE_BYTES_MAX,
  RESP_REPLY_BYTES_MAX,
  RESP_REPLY_ITEMS_MAX,
} from "../../../src/backplane/redis/resp_limits.ts";
import { createPrng, type Prng } from "../../../src/core/prng.ts";
import { decodeAll, randomPush, randomReply, toBytes } from "../../support/resp_reply.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

const VECTORS: readonly (readonly [wire: string, ...values: RespDecoded[]])[] = [
  ["+OK\r\n", "OK"],
  ["+\r\n", ""],
  ["+a:b,$5\r\n", "a:b,$5"],
  ["+\xc3\xa9\xe2\x82\xac\r\n", "é€"],
  ["-ERR unknown command\r\n", new RespError("ERR unknown command")],
  [":0\r\n:1000\r\n:-5\r\n:+7\r\n", 0, 1000, -5, 7],
  [":9007199254740991\r\n", Number.MAX_SAFE_INTEGER],
  [":9223372036854775807\r\n", 9223372036854775807n],
  [":-9223372036854775808\r\n", -9223372036854775808n],
  [":4294967296123\r\n", 4294967296123],
  ["$5\r\nhello\r\n", text("hello")],
  ["$0\r\n\r\n", text("")],
  ["$8\r\n\r\n\0\xff\xfe$1\r\r\n", Uint8Array.of(13, 10, 0, 255, 254, 36, 49, 13)],
  ["$-1\r\n*-1\r\n_\r\n", null, null, null],
  ["*0\r\n~0\r\n%0\r\n", [], new RespSet([]), new RespMap([])],
  ["*3\r\n:1\r\n$1\r\na\r\n+b\r\n", [1, text("a"), "b"]],
  ["*2\r\n*1\r\n$1\r\na\r\n*2\r\n*0\r\n:2\r\n", [[text("a")], [[], 2]]],
  ["*3\r\n$1\r\na\r\n$-1\r\n*-1\r\n", [text("a"), null, null]],
  [
    "*3\r\n:1\r\n-MOVED 7 a:1\r\n:2\r\n+next\r\n",
    [1, new RespError("MOVED 7 a:1"), 2],
    "next",
  ],
  ["#t\r\n#f\r\n", true, false],
  [",1.5\r\n,10\r\n,-2.5e-3\r\n,1E5\r\n", 1.5, 10, -0.0025, 100_000],
  [",inf\r\n,-inf\r\n,nan\r\n,-nan\r\n", Infinity, -Infinity, Number.NaN, Number.NaN],
  [
    "(3492890328409238509324850943850943825024385\r\n(-1\r\n",
    3492890328409238509324850943850943825024385n,
    -1n,
  ],
  ["!21\r\nSYNTAX invalid syntax\r\n", new RespError("SYNTAX invalid syntax")],
  ["!7\r\nERR a\r\n\r\n", new RespError("ERR a\r\n")],
  ["=15\r\ntxt:Some string\r\n=4\r\nmkd:\r\n", text("Some string"), text("")],
  [
    "%2\r\n+first\r\n:1\r\n+second\r\n*2\r\n:2\r\n_\r\n",
    new RespMap(["first", 1, "second", [2, null]]),
  ],
  ["~3\r\n+a\r\n:1\r\n#t\r\n", new RespSet(["a", 1, true])],
  // What an attribute describes comes behind it: at the top, inside an array, and in a map.
  ["|1\r\n+ttl\r\n%1\r\n+a\r\n,0.1\r\n*2\r\n:1\r\n:2\r\n", [1, 2]],
  ["*3\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:3600\r\n:3\r\n:4\r\n", [1, 2, 3], 4],
  ["|0\r\n%1\r\n|1\r\n+a\r\n+b\r\n+key\r\n:1\r\n", new RespMap(["key", 1])],
  ["$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n", text("Hello word")],
  ["$?\r\n;0\r\n", text("")],
  ["*?\r\n:1\r\n*?\r\n:2\r\n.\r\n$?\r\n;1\r\nx\r\n;0\r\n.\r\n:3\r\n", [1, [2], text("x")], 3],
  ["~?\r\n.\r\n%?\r\n+a\r\n:1\r\n.\r\n", new RespSet([]), new RespMap(["a", 1])],
  ["|?\r\n+a\r\n:1\r\n.\r\n:2\r\n", 2],
  [">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n", new RespPush(["invalidate", [text("a")]])],
  [
    ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n+OK\r\n",
    new RespPush([text("subscribe"), text("news"), 1]),
    "OK",
  ],
  [
    ":1\r\n>3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n:2\r\n",
    1,
    new RespMessage("news", text("hi"), false),
    2,
  ],
  [
    ">3\r\n$8\r\nsmessage\r\n$0\r\n\r\n$0\r\n\r\n>3\r\n+message\r\n+a\r\n$1\r\nb\r\n",
    new RespMessage("", text(""), true),
    new RespMessage("a", text("b"), false),
  ],
  [
    ">3\r\n$7\r\nmessage\r\n$5\r\nn\xc3\xa9ws\r\n$?\r\n;1\r\nb\r\n;0\r\n",
    new RespMessage("néws", text("b"), false),
  ],
  // An array that looks like a message is one on a connection with subscriptions only.
  ["*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n", [text("message"), text("a"), text("b")]],
];

const show = (wire: string): string => JSON.stringify(wire).slice(0, 60);

test("RespDecoder reads every type: whole, byte by byte, and cut in two at every place", () => {
  for (const [wire, ...values] of VECTORS) {
    const bytes = toBytes(wire);
    deepStrictEqual(decodeAll(new RespDecoder(), bytes), values, show(wire));
    const decoder = new RespDecoder();
    const found = [...bytes].flatMap((byte) => decodeAll(decoder, Uint8Array.of(byte)));
    deepStrictEqual(found, values, `${show(wire)} byte by byte`);
    for (let cut = 0; cut <= bytes.byteLength; cut++) {
      const halves = new RespDecoder();
      const parts = [bytes.slice(0, cut), bytes.slice(cut)];
      const both = parts.flatMap((part) => decodeAll(halves, part));
      deepStrictEqual(both, values, `${show(wire)} cut at ${cut}`);
    }
  }
});

test("RespDecoder reads one reply after the other: all vectors in one chunk", () => {
  const wire = VECTORS.map(([part]) => part).join("");
  const values = VECTORS.flatMap(([, ...found]) => found);
  deepStrictEqual(decodeAll(new RespDecoder(), toBytes(wire)), values);
});

test("RespDecoder takes arrays for pushes where it is told that they are (RESP2)", () => {
  const wire = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n" +
    "*1\r\n*1\r\n:1\r\n:5\r\n";
  const values = [
    new RespMessage("news", text("hi"), false),
    new RespPush([text("pong"), text("")]),
    new RespPush([[1]]),
    5,
  ];
  for (const size of [1, 7, 1_000]) {
    const decoder = new RespDecoder();
    decoder.arraysArePushes = true;
    deepStrictEqual(inChunks(toBytes(wire), size).flatMap((c) => decodeAll(decoder, c)), values);
  }
});

const FAULTS: readonly (readonly [wire: string, code: RespFault["code"], detail: RegExp])[] = [
  ["HTTP/1.1 400 Bad Request\r\n", "not_resp", /HTTP/],
  ["\x15\x03\x03\0\x02\x02\r\n", "not_resp", /u0015/],
  ["+OK\n", "not_resp", /OK/],
  ["+a\rb\r\n", "not_resp", /a/],
  ["\r\n", "not_resp", /line/],
  [":\r\n", "not_resp", /":"/],
  [":1a\r\n", "not_resp", /1a/],
  [":12345678901234567890\r\n", "not_resp", /1234/],
  ["#\r\n", "not_resp", /#/],
  ["#x\r\n", "not_resp", /#x/],
  ["_x\r\n", "not_resp", /_x/],
  [",\r\n", "not_resp", /,/],
  [",1.2.3\r\n", "not_resp", /1\.2\.3/],
  [",0x10\r\n", "not_resp", /0x10/],
  ["(1.5\r\n", "not_resp", /1\.5/],
  ["$\r\n\r\n", "not_resp", /\$/],
  ["$-2\r\n", "not_resp", /-2/],
  ["$1e3\r\n", "not_resp", /1e3/],
  ["$3\r\nabcd\r\n", "not_resp", /3 bytes/],
  ["$3\r\nabc\n\n", "not_resp", /3 bytes/],
  ["!-1\r\n", "not_resp", /!-1/],
  ["=3\r\ntxt\r\n", "not_resp", /=/],
  ["=5\r\nhello\r\n", "not_resp", /=/],
  ["%-1\r\n", "not_resp", /%-1/],
  [";1\r\na\r\n", "not_resp", /;1/],
  [".\r\n", "not_resp", /\./],
  ["*1\r\n.\r\n", "not_resp", /\./],
  ["*?\r\n.x\r\n", "not_resp", /\.x/],
  ["%?\r\n+a\r\n.\r\n", "not_resp", /\./],
  ["$?\r\n+a\r\n", "not_resp", /\+a/],
  ["*1\r\n>1\r\n+a\r\n", "not_resp", />1/],
  [">3\r\n$7\r\nmessage\r\n$\r\n\r\n$1\r\na\r\n", "not_resp", /\$/],
  [">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nbb\r\n", "not_resp", /1 bytes/],
  [`$${RESP_REPLY_BYTES_MAX + 1}\r\n`, "too_large", /bytes/],
  [`*${RESP_REPLY_ITEMS_MAX + 1}\r\n`, "too_large", /values/],
  [`%${RESP_REPLY_ITEMS_MAX / 2 + 1}\r\n`, "too_large", /values/],
  ["*1\r\n".repeat(RESP_DEPTH_MAX + 1), "too_deep", /levels/],
  ["*?\r\n".repeat(RESP_DEPTH_MAX + 1), "too_deep", /levels/],
  [`+${"x".repeat(RESP_LINE_BYTES_MAX)}\r\n`, "not_resp", /line/],
];

test("RespDecoder says what is wrong and reads nothing more: whole and byte by byte", () => {
  for (const [wire, code, detail] of FAULTS) {
    for (const size of [1, 1_000_000]) {
      const decoder = new RespDecoder();
      decodeAll(decoder, toBytes("+before\r\n"));
      const found = inChunks(toBytes(`${wire}:1\r\n+after\r\n`), size)
        .flatMap((chunk) => decodeAll(decoder, chunk));
      deepStrictEqual(found, [], show(wire));
      strictEqual(decoder.fault?.code, code, show(wire));
      match(decoder.fault?.detail ?? "", detail, show(wire));
    }
  }
});

test("RespDecoder reads what is just within its bounds", () => {
  const deep = `${"*1\r\n".repeat(RESP_DEPTH_MAX)}:1\r\n`;
  strictEqual(JSON.stringify(decodeAll(new RespDecoder(), toBytes(deep))[0]).length, 65);
  const line = "x".repeat(RESP_LINE_BYTES_MAX - 1);
  deepStrictEqual(decodeAll(new RespDecoder(), toBytes(`+${line}\r\n`)), [line]);
});

test("RespDecoder counts all strings and values of a reply together, and each reply anew", () => {
  const decoder = new RespDecoder();
  const half = RESP_REPLY_BYTES_MAX / 2 + 1;
  const body = new Uint8Array(half + 2);
  body.set([13, 10], half);
  for (const count of [1, 2]) {
    deepStrictEqual(decodeAll(decoder, toBytes(`*1\r\n$${half}\r\n`)), [], `reply ${count}`);
    strictEqual(decodeAll(decoder, body).length, 1);
  }
  decodeAll(decoder, toBytes(`*2\r\n$${half}\r\n`));
  decodeAll(decoder, body);
  decodeAll(decoder, toBytes(`$${half}\r\n`));
  strictEqual(decoder.fault?.code, "too_large");

  const lines = new RespDecoder();
  const line = toBytes(`+${"x".repeat(RESP_LINE_BYTES_MAX - 3)}\r\n`);
  const count = Math.ceil(RESP_REPLY_BYTES_MAX / RESP_LINE_BYTES_MAX) + 2;
  decodeAll(lines, toBytes(`*${count}\r\n`));
  for (let index = 0; index < count - 1; index++) decodeAll(lines, line);
  strictEqual(lines.fault?.code, "too_large");

  const items = new RespDecoder();
  const nested = `*${RESP_REPLY_ITEMS_MAX / 2}\r\n${":1\r\n".repeat(RESP_REPLY_ITEMS_MAX / 2)}`;
  decodeAll(items, toBytes(`*3\r\n${nested}`));
  decodeAll(items, toBytes(nested));
  strictEqual(items.fault?.code, "too_large");
});

test("RespDecoder gives strings that lie within one chunk as views of it", () => {
  const chunk = toBytes(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n$3\r\nabc\r\n");
  const [message, bulk] = decodeAll(new RespDecoder(), chunk);
  ok(message instanceof RespMessage && message.payload.buffer === chunk.buffer);
  ok(bulk instanceof Uint8Array && bulk.buffer === chunk.buffer);
});

test("RespDecoder reads back any replies and pushes, in any chunks", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = createPrng(seed);
    const samples = Array.from(
      { length: 1 + random() * 8 },
      () => random() < 0.3 ? randomPush(random) : randomReply(random, 4),
    );
    const bytes = toBytes(samples.map(({ wire }) => wire).join(""));
    const decoder = new RespDecoder();
    const found = randomChunks(bytes, random).flatMap((chunk) => decodeAll(decoder, chunk));
    deepStrictEqual(found, samples.map(({ value }) => value), `seed ${seed}`);
  }
});

function inChunks(bytes: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(bytes.byteLength / size);
  return Array.from({ length: count }, (_, at) => bytes.slice(at * size, (at + 1) * size));
}

function randomChunks(bytes: Uint8Array, random: Prng): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const sizeMax = [1, 3, 30, 1_000][Math.floor(random() * 4)]!;
  for (let start = 0; start < bytes.byteLength;) {
    const end = start + 1 + Math.floor(random() * sizeMax);
    chunks.push(bytes.slice(start, end));
    start = end;
  }
  return chunks;
}
