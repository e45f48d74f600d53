import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  RespError,
  respFields,
  respItems,
  RespMap,
  RespSet,
  respText,
} from "../../../src/backplane/redis/resp.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("RespError takes the code from the first word, where that is one", () => {
  for (
    const [message, code] of [
      ["WRONGPASS invalid username-password pair", "WRONGPASS"],
      ["MOVED 3999 127.0.0.1:6381", "MOVED"],
      ["NOAUTH", "NOAUTH"],
      ["ERR unknown", "ERR"],
      ["Something went wrong", "ERR"],
      ["", "ERR"],
    ] as const
  ) {
    strictEqual(new RespError(message).code, code);
    strictEqual(new RespError(message).message, message);
  }
});

test("respText() reads strings and bytes, and nothing else", () => {
  const long = "é€😀".repeat(50);
  for (const text of ["", "plain", "\u{feff}é", long]) {
    strictEqual(respText(text), text);
    strictEqual(respText(bytes(text)), text);
  }
  strictEqual(respText(Uint8Array.of(97, 255)), "a\u{fffd}");
  for (const value of [1, null, true, [], undefined]) strictEqual(respText(value), undefined);
});

test("respItems() and respFields() read the forms of RESP2 and RESP3 alike", () => {
  deepStrictEqual(respItems(["a"]), ["a"]);
  deepStrictEqual(respItems(new RespSet(["a"])), ["a"]);
  strictEqual(respItems("a"), undefined);
  const items = [bytes("role"), bytes("master"), "slots", [1, 2], 5, "no name", "odd"];
  const fields = [["role", bytes("master")], ["slots", [1, 2]]];
  deepStrictEqual([...respFields(items)!], fields);
  deepStrictEqual([...respFields(new RespMap(items))!], fields);
  strictEqual(respFields(null), undefined);
});
