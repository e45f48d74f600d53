import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { bytesMaxOf, ENTRY_BYTES, LogPage } from "../../src/channel/log_page.ts";
import type { Message, Payload } from "../../src/core/message.ts";

const OWNER = "owner";

function pageOf(byteLength: number, payloads: readonly Payload[] = []): LogPage<string> {
  const page = new LogPage(OWNER, byteLength, 0);
  for (const [index, data] of payloads.entries()) {
    strictEqual(page.append({ seq: 10 + index, prev: index, data }, 100 + index), true);
  }
  return page;
}

function readAll(page: LogPage<string>, after = 0, limit = Infinity): Message[] {
  const messages: Message[] = [];
  page.read(messages, "a~1", { after, limit });
  return messages;
}

test("a page gives back what was written, text and bytes, oldest first", () => {
  const payloads = ["a", Uint8Array.of(0, 255), "", "\u4e16", new Uint8Array(0)];
  const page = pageOf(1_000, payloads);
  deepStrictEqual(
    readAll(page),
    payloads.map((data, index) => ({ node: "a~1", seq: 10 + index, prev: index, data })),
  );
  deepStrictEqual(readAll(page, 11, 2).map(({ seq }) => seq), [12, 13]);
  strictEqual(page.usedBytes, payloads.length * ENTRY_BYTES + 1 + 2 + 3);
});

test("a page holds the largest seqs, and times with fractions", () => {
  const page = new LogPage(OWNER, 100, 0);
  const seq = Number.MAX_SAFE_INTEGER;
  page.append({ seq, prev: seq - 1, data: "x" }, 1_234_567.875);
  deepStrictEqual(readAll(page), [{ node: "a~1", seq, prev: seq - 1, data: "x" }]);
  strictEqual(page.firstSeq, seq);
  strictEqual(page.firstAt, 1_234_567.875);
});

test("what does not fit is refused, and what was there stays", () => {
  const twoBytes = "\u00e9";
  const page = pageOf(2 * ENTRY_BYTES + 2, ["a"]);
  strictEqual(page.append({ seq: 11, prev: 10, data: twoBytes }, 0), false, "fits as characters");
  strictEqual(page.append({ seq: 11, prev: 10, data: "bc" }, 0), false);
  strictEqual(page.append({ seq: 11, prev: 10, data: Uint8Array.of(1, 2) }, 0), false);
  strictEqual(page.append({ seq: 11, prev: 10, data: "b" }, 0), true);
  strictEqual(page.append({ seq: 12, prev: 11, data: "" }, 0), false);
  deepStrictEqual(readAll(page).map(({ data }) => data), ["a", "b"]);
});

test("there is always room for text in a page that has bytesMaxOf it", () => {
  for (const data of ["", "a", "\u00e9\u4e16", "\u{1f388}".repeat(9), "\ud800"]) {
    const page = new LogPage(OWNER, ENTRY_BYTES + bytesMaxOf(data), 0);
    strictEqual(page.append({ seq: 1, prev: 0, data }, 0), true);
  }
});

test("the oldest is dropped first, until the page is empty", () => {
  const page = pageOf(1_000, ["a", "bc", "d"]);
  const firsts: number[] = [];
  for (; !page.isEmpty; page.shift()) firsts.push(page.firstSeq, page.firstAt);
  deepStrictEqual(firsts, [10, 100, 11, 101, 12, 102]);
  deepStrictEqual(readAll(page), []);
});
