import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Log, type LogSettings } from "../../src/channel/log.ts";
import type { Message } from "../../src/core/message.ts";
import { contentOf, toPayload } from "../support/payload.ts";

const SETTINGS: LogSettings = { logMessagesMax: 100, logBytesMax: 1_000_000, logAgeMs: 1_000 };
/** What a message of one character costs that stands alone. */
const LONE = 280 + 1;
/** Messages that are so far apart do. */
const APART_MS = 20;
const STREAM_OVERHEAD = 640;
/** What one stream costs in a channel whose name is one character. */
const STREAM = 1 + STREAM_OVERHEAD;
const IDLE_STREAMS_MAX = 50_000;

/** A log, and a node's streams in it, each message following the one before it. */
class Diary {
  readonly log: Log;
  readonly #seqs = new Map<string, number>();

  constructor(settings: Partial<LogSettings> = {}) {
    this.log = new Log({ ...SETTINGS, ...settings });
  }

  /** Appends messages of a node with these seqs, each pointing to the one before. */
  writes(channel: string, seqs: readonly number[], options: { node?: string; at?: number } = {}) {
    const { node = "a~1", at = 0 } = options;
    for (const seq of seqs) {
      const key = `${node} ${channel}`;
      const message = messageOf(seq, this.#seqs.get(key) ?? 0, node);
      this.#seqs.set(key, seq);
      this.log.append(channel, message, at);
    }
    return this;
  }

  /** What is read after a position: the seqs, the floor and the head. */
  reads(channel: string, after: number, options: { node?: string; limit?: number } = {}) {
    const { node = "a~1", limit = Infinity } = options;
    const { messages, floor, head } = this.log.read(channel, node, { after, limit });
    return { seqs: messages.map(({ seq }) => seq), floor, head };
  }
}

function messageOf(seq: number, prev: number, node = "a~1", data = "x"): Message {
  return { node, seq, prev, ...toPayload(data) };
}

test("a stream is read from any position, oldest first, up to a limit", () => {
  const diary = new Diary().writes("c", [1, 4, 9, 12]);
  const reads: readonly (readonly [after: number, limit: number, seqs: readonly number[]])[] = [
    [0, Infinity, [1, 4, 9, 12]],
    [1, Infinity, [4, 9, 12]],
    [3, Infinity, [4, 9, 12]],
    [4, 1, [9]],
    [4, 0, []],
    [12, Infinity, []],
    [99, Infinity, []],
  ];
  for (const [after, limit, seqs] of reads) {
    deepStrictEqual(diary.reads("c", after, { limit }), { seqs, floor: 0, head: 12 });
  }
});

test("streams of other nodes and channels are apart", () => {
  const diary = new Diary().writes("c", [1, 2]).writes("d", [3]).writes("c", [7], { node: "b~1" });
  deepStrictEqual(diary.log.positions("c"), { "a~1": 2, "b~1": 7 });
  deepStrictEqual(diary.log.positions("d"), { "a~1": 3 });
  deepStrictEqual(diary.log.positions("e"), {});
  deepStrictEqual(diary.log.nodes("c"), ["a~1", "b~1"]);
  strictEqual(diary.log.head("c", "b~1"), 7);
  strictEqual(diary.log.head("d", "b~1"), 0);
});

test("what is here already is not appended again", () => {
  const { log } = new Diary().writes("c", [1, 2]);
  const { bytes } = log;
  for (const seq of [1, 2]) log.append("c", messageOf(seq, seq - 1), 0);
  strictEqual(log.read("c", "a~1", { after: 0, limit: 9 }).messages.length, 2);
  strictEqual(log.bytes, bytes);
});

test("past the count per stream the oldest goes, and the floor says so", () => {
  const diary = new Diary({ logMessagesMax: 3 }).writes("c", [1, 2, 3, 4, 5]).writes("d", [6]);
  deepStrictEqual(diary.reads("c", 0), { seqs: [3, 4, 5], floor: 2, head: 5 });
  deepStrictEqual(diary.reads("c", 4), { seqs: [5], floor: 2, head: 5 });
  deepStrictEqual(diary.reads("d", 0), { seqs: [6], floor: 0, head: 6 });
  strictEqual(diary.log.evictedCount, 2);
});

test("past the bytes the oldest of all channels goes", () => {
  const logBytesMax = 2 * STREAM + 3 * LONE;
  const diary = new Diary({ logBytesMax });
  for (const [index, channel] of ["c", "d", "d", "c", "d"].entries()) {
    diary.writes(channel, [index + 1], { at: index * APART_MS });
  }
  deepStrictEqual(diary.reads("c", 0), { seqs: [4], floor: 1, head: 4 });
  deepStrictEqual(diary.reads("d", 0), { seqs: [3, 5], floor: 2, head: 5 });
  strictEqual(diary.log.bytes, logBytesMax);
});

test("P10: a channel for each message counts in bytes for what it costs, its name too", () => {
  const name = "x".repeat(200);
  const each = name.length + 4 + STREAM_OVERHEAD + LONE;
  const diary = new Diary({ logBytesMax: 50 * each });
  for (let seq = 1_000; seq < 1_500; seq++) diary.writes(`${name}${seq}`, [seq]);
  strictEqual(diary.log.bytes, 50 * each);
  deepStrictEqual(diary.reads(`${name}1449`, 0).seqs, []);
  deepStrictEqual(diary.reads(`${name}1450`, 0).seqs, [1_450]);
  diary.log.expire(Infinity);
  strictEqual(diary.log.bytes, 0);
});

test("a message larger than all the bytes is not remembered, and its head is", () => {
  const log = new Log({ ...SETTINGS, logBytesMax: 100 });
  log.append("c", messageOf(1, 0, "a~1", "x".repeat(101)), 0);
  deepStrictEqual(log.read("c", "a~1", { after: 0, limit: 9 }), {
    messages: [],
    floor: 1,
    head: 1,
  });
  strictEqual(log.bytes, 0);
});

test("past its age a message goes, whatever its channel does", () => {
  const diary = new Diary().writes("c", [1], { at: 0 }).writes("c", [2], { at: 600 });
  diary.log.expire(1_000);
  deepStrictEqual(diary.reads("c", 0).seqs, [1, 2]);
  diary.log.expire(1_001);
  deepStrictEqual(diary.reads("c", 0), { seqs: [2], floor: 1, head: 2 });
  diary.writes("d", [3], { at: 1_700 }).log.expire(1_700);
  deepStrictEqual(diary.reads("c", 0), { seqs: [], floor: 2, head: 2 });
});

test("a hole before a message drops what came before: the rest is whole", () => {
  const diary = new Diary().writes("c", [1, 2]);
  diary.log.append("c", messageOf(9, 7), 0);
  deepStrictEqual(diary.reads("c", 0), { seqs: [9], floor: 7, head: 9 });
  strictEqual(diary.log.bytes, STREAM + LONE);
});

test("what is read is the message as it was written", () => {
  const { log } = new Diary();
  const written = messageOf(9, 7);
  log.append("c", written, 0);
  deepStrictEqual(log.read("c", "a~1", { after: 0, limit: 9 }).messages, [written]);
});

test("a busy stream costs little more than its payload, and is read whole", () => {
  const log = new Log({ ...SETTINGS, logMessagesMax: 10_000 });
  const data = "x".repeat(100);
  for (let seq = 1; seq <= 5_000; seq++) log.append("c", messageOf(seq, seq - 1, "a~1", data), 0);
  ok(log.bytes < 5_000 * 150, String(log.bytes));
  const { messages } = log.read("c", "a~1", { after: 0, limit: Infinity });
  deepStrictEqual(messages.map(({ seq }) => seq), Array.from({ length: 5_000 }, (_, i) => i + 1));
  const some = log.read("c", "a~1", { after: 2_345, limit: 3 }).messages;
  deepStrictEqual(some.map(({ seq }) => seq), [2_346, 2_347, 2_348]);
});

test("of a busy stream too, just as many messages are remembered as are to be", () => {
  const diary = new Diary();
  for (let seq = 1; seq <= 1_000; seq++) {
    diary.writes("c", [seq]);
    const first = Math.max(1, seq - 99);
    const { seqs, floor } = diary.reads("c", 0);
    deepStrictEqual([seqs[0], seqs.length, floor], [first, seq - first + 1, first - 1]);
  }
  diary.log.expire(Infinity);
  strictEqual(diary.log.bytes, 0);
});

test("a busy stream of which few messages are remembered costs little more than these", () => {
  for (const logMessagesMax of [1, 10]) {
    const diary = new Diary({ logMessagesMax, logAgeMs: 86_400_000 });
    for (let seq = 1; seq <= 2_000; seq++) {
      diary.writes("c", [seq], { at: seq });
      strictEqual(diary.reads("c", 0).seqs.length, Math.min(seq, logMessagesMax));
    }
    ok(diary.log.bytes <= STREAM + 2 * 400 + 4 * logMessagesMax * 30, String(diary.log.bytes));
  }
});

test("a message stays for its time, and for a 64th of it longer at the most", () => {
  const diary = new Diary({ logAgeMs: 64_000, logMessagesMax: 1_000, logBytesMax: 10_000_000 });
  const channels = ["c", "d", "e"];
  for (let at = 0; at < 64_000; at += 97) {
    diary.writes(channels[at % 3]!, [at + 1], { at });
  }
  for (let now = 64_000; now < 140_000; now += 131) {
    diary.log.expire(now);
    const left = channels.flatMap((channel) => diary.reads(channel, 0).seqs).map((seq) => seq - 1);
    const expected = Array.from({ length: 660 }, (_, index) => index * 97);
    for (const at of expected) {
      if (now - at <= 64_000) ok(left.includes(at), `${at} is gone at ${now}`);
      if (now - at > 65_000) ok(!left.includes(at), `${at} is here at ${now}`);
    }
  }
});

test("text is remembered whatever it takes in bytes, and bytes are remembered as bytes", () => {
  const { log } = new Diary();
  const payloads = [
    "x",
    "\u00e9".repeat(99),
    "\u4e16\u754c",
    Uint8Array.of(1, 255),
    "",
    "\u{1f388}",
  ];
  for (const [index, data] of payloads.entries()) {
    log.append("c", { node: "a~1", seq: index + 1, prev: index, ...toPayload(data) }, 0);
  }
  const { messages } = log.read("c", "a~1", { after: 0, limit: Infinity });
  deepStrictEqual(messages.map(contentOf), payloads);
});

test("a stream that is followed from a position promises nothing before it", () => {
  const diary = new Diary().writes("c", [1, 2]);
  diary.log.rebase("c", "a~1", 2);
  deepStrictEqual(diary.reads("c", 0), { seqs: [1, 2], floor: 0, head: 2 });
  diary.log.rebase("c", "a~1", 5);
  deepStrictEqual(diary.reads("c", 0), { seqs: [], floor: 5, head: 5 });
  diary.log.rebase("d", "b~1", 8);
  deepStrictEqual(diary.reads("d", 0, { node: "b~1" }), { seqs: [], floor: 8, head: 8 });
});

test("bytes count what is remembered, whichever bound took the rest", () => {
  const streams = 9 * (2 + STREAM_OVERHEAD);
  const diary = new Diary({ logMessagesMax: 5, logBytesMax: streams + 20 * LONE });
  for (let seq = 1; seq <= 500; seq++) diary.writes(`c${seq % 9}`, [seq], { at: seq * 7 });
  let count = 0;
  for (let channel = 0; channel < 9; channel++) count += diary.reads(`c${channel}`, 0).seqs.length;
  strictEqual(diary.log.bytes, streams + count * LONE);
  strictEqual(diary.log.evictedCount, 500 - count);
  ok(count > 0 && count <= 20, String(count));
  diary.log.expire(Infinity);
  strictEqual(diary.log.bytes, 0);
});

test("a stream that was forgotten is never said to be whole from its start", () => {
  const diary = new Diary().writes("c", [7], { at: 0 });
  diary.log.expire(2_000);
  for (let index = 0; index < IDLE_STREAMS_MAX; index++) diary.log.rebase(`i${index}`, "a~1", 1);
  strictEqual(diary.log.head("c", "a~1"), 0);
  deepStrictEqual(diary.reads("c", 0), { seqs: [], floor: 7, head: 0 });
  diary.log.append("c", messageOf(20, 0), 3_000);
  deepStrictEqual(diary.reads("c", 0), { seqs: [20], floor: 7, head: 20 });
});

test("what one node's streams had is no claim about another node's", () => {
  const diary = new Diary().writes("c", [1_000], { at: 0 });
  diary.log.expire(2_000);
  for (let index = 0; index < IDLE_STREAMS_MAX; index++) diary.log.rebase(`i${index}`, "a~1", 1);
  diary.log.append("c", messageOf(5, 0, "b~1"), 3_000);
  deepStrictEqual(diary.reads("c", 0, { node: "b~1" }), { seqs: [5], floor: 4, head: 5 });
});

test("a stream that comes and goes is one idle stream, and is not forgotten for it", () => {
  const diary = new Diary({ logMessagesMax: 0 });
  for (let seq = 1; seq <= IDLE_STREAMS_MAX + 10; seq++) {
    diary.writes("c", [seq]);
    strictEqual(diary.log.head("c", "a~1"), seq);
  }
});

test("of the idle streams the one that rested longest is forgotten first", () => {
  const diary = new Diary().writes("old", [1]).writes("used", [2]);
  diary.log.expire(2_000);
  diary.writes("used", [3], { at: 2_000 });
  diary.log.expire(4_000);
  for (let index = 0; index < IDLE_STREAMS_MAX - 1; index++) {
    diary.log.rebase(`i${index}`, "a~1", 1);
  }
  strictEqual(diary.log.head("old", "a~1"), 0);
  strictEqual(diary.log.head("used", "a~1"), 3);
});
