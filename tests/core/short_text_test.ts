import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { readShortText } from "../../src/core/short_text.ts";

const CHARACTERS_MAX = 64;
const encoder = new TextEncoder();

function read(text: string): string | undefined {
  const bytes = encoder.encode(text);
  return readShortText(bytes, 0, bytes.length);
}

const TEXTS: readonly string[] = [
  "",
  "a",
  "news/sport",
  "\u0000",
  "\u0000\u007f",
  " a\n",
  "__proto__",
  "constructor",
  "x".repeat(CHARACTERS_MAX),
];

test("the same bytes give the same text, however often they are read", () => {
  for (let round = 0; round < 3; round++) {
    for (const text of TEXTS) strictEqual(read(text), text, JSON.stringify(text));
  }
});

test("only what lies between start and end is read", () => {
  const bytes = encoder.encode("é, news, é");
  const start = encoder.encode("é, ").length;
  strictEqual(readShortText(bytes, start, start + 4), "news");
  strictEqual(readShortText(bytes, start, start + 3), "new");
  strictEqual(readShortText(bytes, start, start), "");
});

test("a text stays what it was when its bytes change", () => {
  const bytes = encoder.encode("before");
  const text = readShortText(bytes, 0, bytes.length);
  bytes.set(encoder.encode("behind"));
  strictEqual(text, "before");
  strictEqual(readShortText(bytes, 0, bytes.length), "behind");
  strictEqual(read("before"), "before");
});

test("text of more than ASCII is not read, wherever it is more", () => {
  for (let length = 1; length <= CHARACTERS_MAX; length++) {
    for (let at = 0; at < length; at++) {
      const bytes = new Uint8Array(length).fill(0x61);
      bytes[at] = 0x80;
      strictEqual(readShortText(bytes, 0, length), undefined, `${at} of ${length}`);
    }
  }
  for (const text of ["é", "世界", "\u0080", "😀"]) strictEqual(read(text), undefined, text);
});

test("text over 64 bytes is not read", () => {
  for (const length of [CHARACTERS_MAX + 1, 255, 70_000]) {
    strictEqual(read("x".repeat(length)), undefined, String(length));
  }
});

test("texts that take each other's places are never taken for each other", () => {
  // Far more texts than there are places, and each of them once more behind all the others.
  const texts = Array.from({ length: 20_000 }, (_, index) => `channel-${index % 7}/${index}`);
  for (let round = 0; round < 2; round++) for (const text of texts) strictEqual(read(text), text);
  for (let index = 0; index < 5_000; index++) {
    const [one, other] = [texts[index]!, texts[texts.length - 1 - index]!];
    for (const text of [one, other, one, other]) strictEqual(read(text), text);
  }
});
