import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { beginPage, type LogPage } from "../../src/channel/log_page.ts";
import type { Message, Payload } from "../../src/core/message.ts";

const SPAN_MS = 1_000;

/** A page with room for so many bytes, and messages in it. */
function pageOf(byteLength: number, payloads: readonly Payload[]): LogPage<string> {
  const [data = "", ...others] = payloads;
  const page = beginPage("owner", { seq: 10, prev: 0, data }, byteLength, 100);
  for (const [index, data] of others.entries()) {
    strictEqual(page.append({ seq: 11 + index, prev: 10 + index, data }, 101 + index), true);
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
    payloads.map((data, index) => {
      return { node: "a~1", seq: 10 + index, prev: index === 0 ? 0 : 9 + index, data };
    }),
  );
  deepStrictEqual(readAll(page, 11, 2).map(({ seq }) => seq), [12, 13]);
});

test("without room for more, a page is a message alone", () => {
  for (const data of ["", "a", "\u4e16\u754c", Uint8Array.of(7)]) {
    const page = beginPage("owner", { seq: 3, prev: 2, data }, 0, 100);
    deepStrictEqual(readAll(page), [{ node: "a~1", seq: 3, prev: 2, data }]);
    deepStrictEqual(readAll(page, 3), []);
    deepStrictEqual(readAll(page, 0, 0), []);
    strictEqual(page.append({ seq: 4, prev: 3, data: "" }, 100), false);
  }
});

test("text that takes more bytes than there is room for stands alone, and loses nothing", () => {
  const data = "\u4e16".repeat(100);
  deepStrictEqual(readAll(pageOf(200, [data])).map(({ data }) => data), [data]);
});

test("a page holds the largest seqs, and times with fractions", () => {
  const seq = Number.MAX_SAFE_INTEGER;
  const page = beginPage("owner", { seq, prev: seq - 1, data: "x" }, 100, 1_234_567.875);
  deepStrictEqual(readAll(page), [{ node: "a~1", seq, prev: seq - 1, data: "x" }]);
  strictEqual(page.firstSeq, seq);
  strictEqual(page.firstAt, 1_234_567.875);
});

test("what does not fit is refused, and what was there stays", () => {
  const page = pageOf(60, ["a"]);
  strictEqual(page.append({ seq: 11, prev: 10, data: "\u00e9" }, 0), false, "fits as characters");
  strictEqual(page.append({ seq: 11, prev: 10, data: "bc" }, 0), false);
  strictEqual(page.append({ seq: 11, prev: 10, data: Uint8Array.of(1, 2) }, 0), false);
  strictEqual(page.append({ seq: 11, prev: 10, data: "b" }, 0), true);
  strictEqual(page.append({ seq: 12, prev: 11, data: "" }, 0), false);
  deepStrictEqual(readAll(page).map(({ data }) => data), ["a", "b"]);
});

test("the oldest is dropped first, until the page is empty", () => {
  for (const [room, payloads] of [[1_000, ["a", "bc", "d"]], [0, ["a"]]] as const) {
    const page = pageOf(room, payloads);
    const firsts: number[] = [];
    for (; !page.isEmpty; page.shift()) firsts.push(page.firstSeq, page.firstAt);
    deepStrictEqual(firsts, payloads.flatMap((_, index) => [10 + index, 100 + index]));
  }
});

test("what a busy stream is given grows, up to a bound, and what a quiet one is given does not", () => {
  let page = pageOf(0, ["x".repeat(100)]);
  const costs: number[] = [];
  for (let seq = 11; seq < 2_000; seq++) {
    const entry = { seq, prev: seq - 1, data: "x".repeat(100) };
    if (page.append(entry, 100)) continue;
    page = beginPage("owner", entry, page.roomAfter(100, SPAN_MS), 100);
    costs.push(page.cost);
  }
  deepStrictEqual(costs, [...costs].sort((one, other) => one - other));
  ok(costs.at(-1)! > 60_000 && costs.at(-1)! < 70_000, String(costs));
  const quiet = pageOf(0, ["x"]);
  strictEqual(quiet.roomAfter(100 + SPAN_MS + 1, SPAN_MS), 0);
  const entry = { seq: 12, prev: 11, data: "x" };
  strictEqual(beginPage("owner", entry, 0, 5_000).cost, quiet.cost);
});
