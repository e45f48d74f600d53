import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { beginPage, type Entry, type LogPage } from "../../src/channel/log_page.ts";
import type { Message } from "../../src/core/message.ts";
import { contentOf, toPayload } from "../support/payload.ts";

const SPAN_MS = 1_000;

/** A page with room for so many bytes, and messages in it. */
function pageOf(byteLength: number, contents: readonly (string | Uint8Array)[]): LogPage<string> {
  const [first = "", ...others] = contents;
  const page = beginPage("owner", { seq: 10, prev: 0, ...toPayload(first) }, byteLength, 100);
  for (const [index, content] of others.entries()) {
    strictEqual(page.append(entryOf(11 + index, content), 101 + index), true);
  }
  return page;
}

/** A message that follows the one before it. */
function entryOf(seq: number, content: string | Uint8Array): Entry {
  return { seq, prev: seq - 1, ...toPayload(content) };
}

function readAll(page: LogPage<string>, after = 0, limit = Infinity): Message[] {
  const messages: Message[] = [];
  page.read(messages, "a~1", { after, limit });
  return messages;
}

test("a page gives back what was written, text and bytes, oldest first", () => {
  const contents = ["a", Uint8Array.of(0, 255), "", "\u4e16", new Uint8Array(0)];
  const page = pageOf(1_000, contents);
  deepStrictEqual(
    readAll(page),
    contents.map((content, index) => {
      const prev = index === 0 ? 0 : 9 + index;
      return { node: "a~1", seq: 10 + index, prev, ...toPayload(content) };
    }),
  );
  deepStrictEqual(readAll(page, 11, 2).map(({ seq }) => seq), [12, 13]);
});

test("without room for more, a page is a message alone", () => {
  for (const content of ["", "a", "\u4e16\u754c", Uint8Array.of(7)]) {
    const page = beginPage("owner", entryOf(3, content), 0, 100);
    deepStrictEqual(readAll(page), [{ node: "a~1", ...entryOf(3, content) }]);
    deepStrictEqual(readAll(page, 3), []);
    deepStrictEqual(readAll(page, 0, 0), []);
    strictEqual(page.append(entryOf(4, ""), 100), false);
  }
});

test("text that takes more bytes than there is room for stands alone, and loses nothing", () => {
  const text = "\u4e16".repeat(100);
  deepStrictEqual(readAll(pageOf(200, [text])).map(contentOf), [text]);
});

test("a page holds the largest seqs, and times with fractions", () => {
  const seq = Number.MAX_SAFE_INTEGER;
  const page = beginPage("owner", entryOf(seq, "x"), 100, 1_234_567.875);
  deepStrictEqual(readAll(page), [{ node: "a~1", ...entryOf(seq, "x") }]);
  strictEqual(page.firstSeq, seq);
  strictEqual(page.firstAt, 1_234_567.875);
});

test("what does not fit is refused, and what was there stays", () => {
  const page = pageOf(60, ["a"]);
  strictEqual(page.append(entryOf(11, "\u00e9"), 0), false, "fits as characters");
  strictEqual(page.append(entryOf(11, "bc"), 0), false);
  strictEqual(page.append(entryOf(11, Uint8Array.of(1, 2)), 0), false);
  strictEqual(page.append(entryOf(11, "b"), 0), true);
  strictEqual(page.append(entryOf(12, ""), 0), false);
  deepStrictEqual(readAll(page).map(contentOf), ["a", "b"]);
});

test("a message alone keeps no memory but its own, whatever memory it came in", () => {
  for (const length of [0, 1, 100, 10_000]) {
    const memory = new Uint8Array(65_536).fill(7);
    const data = memory.subarray(5, 5 + length);
    const page = beginPage("owner", { seq: 3, prev: 2, data, isText: false }, 0, 100);
    memory.fill(9);
    const [message] = readAll(page);
    deepStrictEqual(message!.data, new Uint8Array(length).fill(7));
    strictEqual(message!.data.buffer.byteLength, length);
  }
});

test("messages of a page keep no memory but the page's, and stay what they were", () => {
  const memory = new Uint8Array(65_536).fill(7);
  const entry = (seq: number): Entry => {
    return { seq, prev: seq - 1, data: memory.subarray(seq, seq + 20), isText: false };
  };
  const page = beginPage("owner", entry(3), 200, 100);
  for (let seq = 4; page.append(entry(seq), 100); seq++);
  memory.fill(9);
  const messages = readAll(page);
  strictEqual(messages.length, 4);
  for (const { data } of messages) {
    deepStrictEqual(data, new Uint8Array(20).fill(7));
    strictEqual(data.buffer.byteLength, 200);
  }
  page.shift();
  deepStrictEqual(messages[0]!.data, new Uint8Array(20).fill(7));
});

test("the oldest is dropped first, until the page is empty", () => {
  for (const [room, contents] of [[1_000, ["a", "bc", "d"]], [0, ["a"]]] as const) {
    const page = pageOf(room, contents);
    const firsts: number[] = [];
    for (; !page.isEmpty; page.shift()) firsts.push(page.firstSeq, page.firstAt);
    deepStrictEqual(firsts, contents.flatMap((_, index) => [10 + index, 100 + index]));
  }
});

test("what a busy stream is given grows, up to a bound, and what a quiet one is given does not", () => {
  let page = pageOf(0, ["x".repeat(100)]);
  const costs: number[] = [];
  for (let seq = 11; seq < 2_000; seq++) {
    const entry = entryOf(seq, "x".repeat(100));
    if (page.append(entry, 100)) continue;
    page = beginPage("owner", entry, page.roomAfter(100, SPAN_MS), 100);
    costs.push(page.cost);
  }
  deepStrictEqual(costs, [...costs].sort((one, other) => one - other));
  ok(costs.at(-1)! > 60_000 && costs.at(-1)! < 70_000, String(costs));
  const quiet = pageOf(0, ["x"]);
  strictEqual(quiet.roomAfter(100 + SPAN_MS + 1, SPAN_MS), 0);
  strictEqual(beginPage("owner", entryOf(12, "x"), 0, 5_000).cost, quiet.cost);
});
