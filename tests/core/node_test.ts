import { match, notStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { createNodeId, nodeName } from "../../src/core/node.ts";

test("a node id is the name, a tilde and twelve characters of the incarnation", () => {
  match(createNodeId("web-1", new Uint8Array(16).fill(255)), /^web-1~[0-9a-z]{12}$/);
});

test("each byte of chance makes another incarnation", () => {
  const zero = createNodeId("a", new Uint8Array(12));
  for (let index = 0; index < 12; index++) {
    notStrictEqual(createNodeId("a", new Uint8Array(12).fill(1, index, index + 1)), zero);
  }
});

test("the operator's part of an id is what stands before the last tilde", () => {
  const ids: readonly (readonly [id: string, name: string])[] = [
    [createNodeId("web-1", new Uint8Array(12)), "web-1"],
    ["a~b~c", "a~b"],
    ["plain", "plain"],
    ["", ""],
  ];
  for (const [id, name] of ids) strictEqual(nodeName(id), name);
});
