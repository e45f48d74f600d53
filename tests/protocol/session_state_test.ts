import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { SessionClient } from "./session_client.ts";

const JOIN = { type: "join", channel: "a", id: 1, member: "ann", meta: { n: 1 } };
const PRESENCE = [JOIN, { type: "update", channel: "a", id: 2 }, {
  type: "members",
  channel: "a",
  id: 3,
}];

for (const message of [...PRESENCE, { type: "leave", channel: "a", id: 4 }]) {
  test(`Session hands on ${message.type} where there is presence`, () => {
    const client = SessionClient.welcomed({ presence: "open" }).says(message);
    const [output] = client.asked();
    ok(output?.kind === "presence");
    strictEqual(output.request.type, message.type);
    strictEqual(output.request.id, message.id);
  });
}

test("Session asks the application before a client joins, changes or sees the members", () => {
  const client = SessionClient.welcomed({ presence: "open", authorizes: true });
  for (const [message, action] of [[PRESENCE[0], "join"], [PRESENCE[1], "join"]] as const) {
    client.says(message!).decides(false);
    const [asked] = client.asked();
    ok(asked?.kind === "authorize");
    strictEqual(asked.action, action);
  }
  client.says(PRESENCE[2]!).decides(true);
  deepStrictEqual(client.heardBriefly(), ["forbidden:1", "forbidden:2"]);
  deepStrictEqual(client.askedBriefly(), ["authorize", "presence"]);
});

test("Session joins as the application wants it, and what comes behind waits for that", () => {
  const client = SessionClient.welcomed({ presence: "admitted" });
  client.says(JOIN, { type: "members", channel: "a", id: 2 });
  const [asked] = client.asked();
  ok(asked?.kind === "authorize");
  strictEqual(asked.entry?.meta, '{"n":1}');
  client.feeds({
    kind: "authorized",
    ticket: asked.ticket,
    allowed: true,
    member: "Ann",
    meta: "",
  });
  const [join, members] = client.asked();
  ok(join?.kind === "presence" && join.request.type === "join");
  deepStrictEqual([join.request.member, join.request.meta], ["Ann", ""]);
  ok(members?.kind === "presence" && members.request.type === "members");
});

test("Session tells what became of a join, an update and a leave", () => {
  const client = SessionClient.welcomed({ presence: "open" });
  const members = [{ member: "ann", meta: "1" }, { member: "bob", meta: "" }];
  client.feeds({ kind: "joined", id: 1, channel: "a", member: "ann", count: 2, members });
  client.feeds({ kind: "updated", id: 2, channel: "a" });
  client.feeds({ kind: "left", id: 3, channel: "a" });
  deepStrictEqual(client.heard(), [
    {
      type: "joined",
      channel: "a",
      id: 1,
      member: "ann",
      count: 2,
      members: [{ member: "ann", meta: 1 }, { member: "bob" }],
    },
    { type: "updated", channel: "a", id: 2 },
    { type: "left", channel: "a", id: 3 },
  ]);
});
