import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { RespMap, type RespValue } from "../../../src/backplane/redis/resp.ts";
import { readShards, readSlots } from "../../../src/backplane/redis/slot_map.ts";

const ASKED = { hostname: "asked", port: 7_000 };

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** A map as RESP3 and as RESP2 write it. */
type Form = (fields: Readonly<Record<string, RespValue>>) => RespValue;
const FORMS: Readonly<Record<string, Form>> = {
  RESP3: (fields) =>
    new RespMap(Object.entries(fields).flatMap(([key, value]) => [text(key), value])),
  RESP2: (fields) => Object.entries(fields).flatMap(([key, value]) => [text(key), value]),
};

function node(form: Form, endpoint: string, port: number, role: string, health = "online") {
  return form({
    id: text("id"),
    port,
    "tls-port": port + 1,
    ip: text("10.0.0.1"),
    endpoint: text(endpoint),
    role: text(role),
    health: text(health),
  });
}

for (const [name, form] of Object.entries(FORMS)) {
  test(`CLUSTER SHARDS in ${name} tells the master of each slot, and all that are well`, () => {
    const reply = [
      form({
        slots: [0, 99, 200, 200],
        nodes: [node(form, "a", 1, "master"), node(form, "b", 2, "replica")],
      }),
      form({
        slots: [100, 199],
        nodes: [
          node(form, "c", 3, "master", "failed"),
          node(form, "d", 4, "replica"),
          node(form, "e", 5, "replica", "loading"),
        ],
      }),
      form({ slots: [], nodes: [node(form, "", 6, "master")] }),
    ];
    const map = readShards(reply, ASKED, false)!;
    const a = { hostname: "a", port: 1 };
    deepStrictEqual([0, 99, 200, 100, 199, 201].map((slot) => map.masterOf(slot)), [
      ...[a, a, a],
      ...[undefined, undefined, undefined],
    ]);
    deepStrictEqual(map.masters, [a]);
    deepStrictEqual(map.servers.map(({ hostname, port }) => `${hostname}:${port}`), [
      ...["a:1", "asked:6", "b:2", "d:4"],
    ]);
    strictEqual(readShards(reply, ASKED, true)!.masterOf(0)!.port, 2);
  });
}

test("CLUSTER SLOTS tells the same", () => {
  const reply = [
    [0, 99, [text("a"), 1, text("id"), []], [text("b"), 2, text("id"), []]],
    [100, 199, [text(""), 3, text("id")]],
    [200, 200, [text("a"), 1, text("id"), []]],
  ];
  const map = readSlots(reply, ASKED)!;
  deepStrictEqual([0, 150, 200, 201].map((slot) => map.masterOf(slot)?.hostname), [
    ...["a", "asked", "a", undefined],
  ]);
  deepStrictEqual(map.servers.map(({ hostname }) => hostname), ["a", "asked", "b"]);
});

test("two maps that say the same are the same, in whatever order, and others are not", () => {
  const first: RespValue = [0, 99, [text("a"), 1]];
  const second: RespValue = [100, 199, [text("b"), 2]];
  const digest = (reply: RespValue): string => readSlots(reply, ASKED)!.digest;
  strictEqual(digest([first, second]), digest([second, first]));
  notStrictEqual(digest([first, second]), digest([first]));
  notStrictEqual(digest([first, second]), digest([first, [100, 199, [text("a"), 1]]]));
});

test("P11: what is no map of slots is none", () => {
  for (const reply of [null, 1, text("a"), [1], [[1]], [["a", "b"]], [[]]] as RespValue[]) {
    strictEqual(readSlots(reply, ASKED), undefined);
  }
  for (const reply of [null, 1, [1], [[text("slots"), 1]], [[text("nodes"), []]]] as RespValue[]) {
    strictEqual(readShards(reply, ASKED, false), undefined);
  }
  ok(readShards([], ASKED, false) !== undefined);
});
