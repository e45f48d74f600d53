import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { EncodedTexts } from "../../src/protocol/encoded_texts.ts";

const TEXTS_MAX = 4_096;

/** Texts that note which names they were written for. */
class Notes {
  readonly written: string[] = [];
  readonly texts = new EncodedTexts((name) => {
    this.written.push(name);
    return `<${name}>`;
  });

  reads(name: string): string {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      this.texts.get(name).bytes,
    );
  }
}

test("a name's text is written once, and is the very same bytes from then on", () => {
  const notes = new Notes();
  for (const name of ["a", "", "é€😀", "__proto__", "constructor"]) {
    strictEqual(notes.reads(name), `<${name}>`);
    strictEqual(notes.texts.get(name), notes.texts.get(name));
  }
  deepStrictEqual(notes.written, ["a", "", "é€😀", "__proto__", "constructor"]);
});

test("no end of names gives no end of texts, and each of them is right", () => {
  const notes = new Notes();
  const first = notes.texts.get("0");
  for (let index = 0; index < 5 * TEXTS_MAX; index++) {
    strictEqual(notes.reads(`${index}`), `<${index}>`);
  }
  notStrictEqual(notes.texts.get("0"), first);
  deepStrictEqual(notes.texts.get("0"), first);
  const before = notes.written.length;
  // Of ten names that are in use none is written more than once more.
  for (let index = 0; index < 5 * TEXTS_MAX; index++) notes.reads(`${index % 10}`);
  ok(notes.written.length - before <= 10, `${notes.written.length - before}`);
});

test("a name that is in use is not written again, however many others come", () => {
  const notes = new Notes();
  for (let index = 0; index < 5 * TEXTS_MAX; index++) {
    notes.reads(`${index}`);
    if (index % 1_000 === 0) notes.reads("busy");
  }
  strictEqual(notes.written.filter((name) => name === "busy").length, 1);
});

test("a text keeps no memory but its own", () => {
  const { texts } = new Notes();
  for (const name of ["a", "é", "x".repeat(300), "x".repeat(10_000)]) {
    const { bytes } = texts.get(name);
    strictEqual(bytes.buffer.byteLength, bytes.length);
  }
});
