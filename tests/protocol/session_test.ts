import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeBinaryPublish } from "../../src/protocol/binary_codec.ts";
import { FRAME_MESSAGES_MAX } from "../../src/protocol/limits.ts";
import type { SessionOutput } from "../../src/protocol/session.ts";
import { toPayload } from "../support/payload.ts";
import {
  asksToPublish,
  NODE,
  ping,
  publish,
  SessionClient,
  subscribe,
  unsubscribe,
} from "./session_client.ts";

const none = undefined;
const POSITION = { node: NODE, seq: 42 };

test("Session welcomes the client at once where no token is required", () => {
  const client = new SessionClient({ messagesPerSecondMax: 50 });
  deepStrictEqual(client.heard(), [{
    type: "welcome",
    node: NODE,
    connection: "17",
    protocol: 1,
    limits: {
      messageBytesMax: 1_048_576,
      channelNameBytesMax: 255,
      channelsMax: 1_000,
      messagesPerSecondMax: 50,
    },
  }]);
  deepStrictEqual(client.asked(), []);
});

test("Session takes a hello as the first message and does not answer it", () => {
  const client = SessionClient.welcomed().says({ type: "hello", client: "c", token: "t" });
  deepStrictEqual(client.asked(), [{ kind: "hello", client: "c", token: "t" }]);
  deepStrictEqual(client.says(ping(1)).heardBriefly(), ["pong:1"]);
});

const BEFORE_HELLO = [{ type: "hello" }, ping(1), { type: "dance" }, publish("a", 1)];

for (const first of BEFORE_HELLO) {
  test(`Session closes on a hello behind ${JSON.stringify(first)}`, () => {
    SessionClient.welcomed().says(first, { type: "hello" }).isClosedWith(1002);
  });
}

test("Session says nothing to a client that owes a token", () => {
  const client = new SessionClient({ tokenRequired: true }).feeds({ kind: "draining" });
  deepStrictEqual(client.heard(), []);
});

test("Session welcomes a client when its token is accepted, then does what waited", () => {
  const client = new SessionClient({ tokenRequired: true });
  client.says({ type: "hello", token: "t" }, ping(1)).says(ping(2)).says(publish("a", 1));
  deepStrictEqual(client.heard(), []);
  deepStrictEqual(client.asked(), [{ kind: "hello", client: none, token: "t" }]);
  client.feeds({ kind: "authenticated" });
  deepStrictEqual(client.heardBriefly(), ["welcome:", "pong:1", "pong:2"]);
  deepStrictEqual(client.askedBriefly(), ["publish"]);
  strictEqual(client.session.deadline, none);
});

const NO_TOKEN = [
  { first: { type: "hello" }, heard: ["unauthenticated:"] },
  { first: ping(3), heard: ["unauthenticated:3"] },
  { first: publish("a", 1), heard: ["unauthenticated:"] },
  { first: { type: "dance", id: 4 }, heard: ["unknown_type:4", "unauthenticated:4"] },
  { first: { type: "hello", token: 5 }, heard: ["bad_request:", "unauthenticated:"] },
];

for (const { first, heard } of NO_TOKEN) {
  test(`Session turns away a client that owes a token and says ${JSON.stringify(first)}`, () => {
    const client = new SessionClient({ tokenRequired: true }).says(first, ping(9));
    deepStrictEqual(client.heardBriefly(), heard);
    client.isClosedWith(4401);
    deepStrictEqual(client.askedBriefly(), ["close"]);
  });
}

test("Session turns away a client that owes a token and sends a binary frame", () => {
  const client = new SessionClient({ tokenRequired: true });
  client.sends(encodeBinaryPublish("a", Uint8Array.of(1), { id: 3 }));
  deepStrictEqual(client.heardBriefly(), ["unauthenticated:3"]);
  client.isClosedWith(4401);
});

test("Session turns away a client whose token is refused, and drops what waited", () => {
  const client = new SessionClient({ tokenRequired: true });
  client.says({ type: "hello", token: "t" }, subscribe("a", 1));
  client.feeds({ kind: "refused", reason: "expired" });
  deepStrictEqual(client.heard(), [{ type: "error", code: "unauthenticated", message: "expired" }]);
  client.isClosedWith(4401);
  deepStrictEqual(client.askedBriefly(), ["hello", "close"]);
});

test("Session turns away a client that is refused later", () => {
  const client = SessionClient.welcomed().says({ type: "hello", token: "t" });
  client.feeds({ kind: "refused" });
  deepStrictEqual(client.heardBriefly(), ["unauthenticated:"]);
  client.isClosedWith(4401);
});

for (const hello of [false, true]) {
  test(`Session turns away a client that is not accepted in time, hello said: ${hello}`, () => {
    const client = new SessionClient({ tokenRequired: true, helloTimeoutMs: 500 });
    if (hello) client.says({ type: "hello", token: "t" });
    strictEqual(client.session.deadline, 1_500);
    deepStrictEqual(client.waits(499).heard(), []);
    deepStrictEqual(client.waits(1).heardBriefly(), ["unauthenticated:"]);
    client.isClosedWith(4401);
  });
}

test("Session subscribes, and confirms when its owner does", () => {
  const client = SessionClient.welcomed();
  client.says({ ...subscribe("a", 1), position: { "n~1": 3 }, history: 2 });
  deepStrictEqual(client.heard(), []);
  deepStrictEqual(client.outputs, [
    { kind: "subscribe", channel: "a", ticket: 1, position: { "n~1": 3 }, history: 2 },
  ]);
  ok(client.session.awaits("a", 1));
  client.confirms("a");
  deepStrictEqual(client.heard(), [
    { type: "subscribed", channel: "a", id: 1, position: { [NODE]: 41 } },
  ]);
  ok(!client.session.awaits("a", 1));
  strictEqual(client.session.channelCount, 1);
});

test("Session tells whether what was missed is recovered, and who has not confirmed", () => {
  const client = SessionClient.welcomed().says(subscribe("a", 1), subscribe("b", 2));
  const confirmation = { kind: "subscribed", positions: {} } as const;
  client.feeds({ ...confirmation, channel: "b", ticket: 2, recovered: true, missing: [] });
  client.feeds({ ...confirmation, channel: "a", ticket: 1, recovered: false, missing: ["n~1"] });
  deepStrictEqual(client.heard(), [
    { type: "subscribed", channel: "b", id: 2, position: {}, recovered: true },
    { type: "subscribed", channel: "a", id: 1, position: {}, recovered: false, missing: ["n~1"] },
  ]);
});

test("Session answers a repeated subscribe without asking again", () => {
  const client = SessionClient.welcomed().says(subscribe("a", 1), subscribe("a", 2));
  client.confirms("a");
  deepStrictEqual(client.heardBriefly(), ["subscribed:1", "subscribed:2"]);
  deepStrictEqual(client.askedBriefly(), ["subscribe"]);
  deepStrictEqual(client.says(subscribe("a", 3)).heard(), [
    { type: "subscribed", channel: "a", id: 3, position: {} },
  ]);
  deepStrictEqual(client.asked(), []);
  strictEqual(client.session.channelCount, 1);
});

test("Session holds 64 repeats of a subscribe that is not confirmed, and no more", () => {
  const client = SessionClient.welcomed();
  for (let id = 1; id <= 65; id++) client.says(subscribe("a", id));
  deepStrictEqual(client.heardBriefly(), ["overloaded:65"]);
  strictEqual(client.confirms("a").heard().length, 64);
});

test("Session unsubscribes, also from what was never subscribed", () => {
  const client = SessionClient.welcomed().says(subscribe("a", 1)).confirms("a");
  client.says(unsubscribe("a", 2), unsubscribe("a", 3), unsubscribe("b", 4));
  deepStrictEqual(client.heardBriefly(), [
    "subscribed:1",
    "unsubscribed:2",
    "unsubscribed:3",
    "unsubscribed:4",
  ]);
  deepStrictEqual(client.askedBriefly(), ["subscribe", "unsubscribe"]);
  strictEqual(client.session.channelCount, 0);
});

test("Session cancels a subscribe that is not confirmed when the client unsubscribes", () => {
  const client = SessionClient.welcomed();
  client.says(subscribe("a", 1), subscribe("a", 2), unsubscribe("a", 3));
  deepStrictEqual(client.heardBriefly(), ["cancelled:1", "cancelled:2", "unsubscribed:3"]);
  ok(!client.session.awaits("a", 1));
  client.confirms("a");
  deepStrictEqual(client.heard(), []);
  deepStrictEqual(client.askedBriefly(), ["subscribe", "unsubscribe"]);
  strictEqual(client.session.channelCount, 0);
});

test("Session does not take an old confirmation for that of a new subscribe", () => {
  const client = SessionClient.welcomed();
  client.says(subscribe("a", 1), unsubscribe("a", 2), subscribe("a", 3));
  client.heard();
  client.feeds({ kind: "subscribed", channel: "a", ticket: 1, positions: {} });
  deepStrictEqual(client.heard(), []);
  ok(client.session.awaits("a", 2));
  deepStrictEqual(client.confirms("a").heardBriefly(), ["subscribed:3"]);
});

test("Session tells that a subscription cannot be had, and frees its place", () => {
  const client = SessionClient.welcomed({ channelsMax: 1 });
  client.says(subscribe("a", 1), subscribe("a", 2));
  const failure = { kind: "unsubscribable", channel: "a", message: "m" } as const;
  client.feeds({ ...failure, ticket: 99, code: "internal" });
  deepStrictEqual(client.heard(), []);
  client.feeds({ ...failure, ticket: 1, code: "overloaded" });
  deepStrictEqual(client.heardBriefly(), ["overloaded:1", "overloaded:2"]);
  deepStrictEqual(client.says(subscribe("b", 3)).confirms("b").heardBriefly(), ["subscribed:3"]);
});

test("Session confirms the first 1,000 of 10,000 subscribes, refuses the rest and stays", () => {
  const client = SessionClient.welcomed();
  for (let id = 1; id <= 10_000; id++) client.says(subscribe(`ch${id}`, id));
  for (let id = 1; id <= 1_000; id++) {
    client.feeds({ kind: "subscribed", channel: `ch${id}`, ticket: id, positions: {} });
  }
  const answers = client.heardBriefly();
  strictEqual(answers.length, 10_000);
  strictEqual(answers.filter((answer) => answer.startsWith("subscribed:")).length, 1_000);
  strictEqual(answers.filter((answer) => answer.startsWith("channel_limit:")).length, 9_000);
  ok(answers.includes("subscribed:1000") && answers.includes("channel_limit:1001"));
  deepStrictEqual(client.says(ping(1)).heardBriefly(), ["pong:1"]);
  client.says(unsubscribe("ch5", 1), subscribe("new", 2)).confirms("new");
  deepStrictEqual(client.heardBriefly(), ["unsubscribed:1", "subscribed:2"]);
});

test("Session answers 10,000 subscribes in one frame, and the errors leave in one frame", () => {
  const client = SessionClient.welcomed();
  client.says(...Array.from({ length: 10_000 }, (_, id) => subscribe(`ch${id}`, id)));
  strictEqual(client.frames.length, 1);
  strictEqual(client.heard().length, 9_000);
  strictEqual(client.asked().length, 1_000);
});

const PUBLISHES: readonly (readonly [message: object, output: SessionOutput])[] = [
  [
    publish("a", "x"),
    asksToPublish({ channel: "a", ...toPayload('"x"'), id: none, qos: 0, exclude: false }),
  ],
  [
    publish("a", { b: [1] }, { id: 1, qos: 1, exclude: true }),
    asksToPublish({ channel: "a", ...toPayload('{"b":[1]}'), id: 1, qos: 1, exclude: true }),
  ],
  [
    { type: "broadcast", data: null, id: 2 },
    { kind: "broadcast", request: { type: "broadcast", ...toPayload("null"), id: 2 } },
  ],
];

for (const [message, output] of PUBLISHES) {
  test(`Session hands on ${JSON.stringify(message)} and does not answer it yet`, () => {
    const client = SessionClient.welcomed({ allowsBroadcast: true }).says(message);
    deepStrictEqual(client.asked(), [output]);
    deepStrictEqual(client.heard(), []);
  });
}

test("Session hands on binary payloads", () => {
  const client = SessionClient.welcomed({ allowsBroadcast: true });
  const data = Uint8Array.of(0, 255);
  client.sends(encodeBinaryPublish("a", data, { id: 1 })).sends(encodeBinaryPublish("", data));
  deepStrictEqual(client.asked(), [
    asksToPublish({ channel: "a", data, isText: false, id: 1, qos: 0, exclude: false }),
    { kind: "broadcast", request: { type: "broadcast", data, isText: false, id: none } },
  ]);
});

test("Session tells the place of a message, or why it has none", () => {
  const client = SessionClient.welcomed();
  client.feeds({ kind: "published", id: 1, position: POSITION });
  client.feeds({ kind: "failed", id: 2, code: "overloaded", message: "m" });
  deepStrictEqual(client.heard(), [
    { type: "published", id: 1, position: POSITION },
    { type: "error", id: 2, code: "overloaded", message: "m" },
  ]);
});

const REFUSALS = [
  { message: publish("a", 1, { id: 1, qos: 2 }), heard: "unsupported:1" },
  { message: { type: "broadcast", data: 1, id: 2 }, heard: "forbidden:2" },
  { message: { type: "broadcast", data: 1 }, heard: "forbidden:" },
  { message: { type: "join", channel: "a", id: 3, meta: {} }, heard: "unsupported:3" },
  { message: { type: "update", channel: "a", id: 4 }, heard: "unsupported:4" },
  { message: { type: "leave", channel: "a", id: 5 }, heard: "unsupported:5" },
  { message: { type: "members", channel: "a", id: 6 }, heard: "unsupported:6" },
  { message: { type: "dance", id: 7 }, heard: "unknown_type:7" },
  { message: { type: "ping", id: "8" }, heard: "bad_request:" },
  { message: subscribe("", 9), heard: "channel_invalid:9" },
  { message: subscribe("a".repeat(256), 10), heard: "channel_invalid:10" },
  { message: subscribe("a\u0007", 11), heard: "channel_invalid:11" },
  { message: [], heard: "bad_request:" },
];

for (const { message, heard } of REFUSALS) {
  test(`Session answers ${JSON.stringify(message).slice(0, 60)} with ${heard} and stays`, () => {
    const client = SessionClient.welcomed().says(message, ping(99));
    deepStrictEqual(client.heardBriefly(), [heard, "pong:99"]);
    deepStrictEqual(client.asked(), []);
  });
}

test("Session refuses data that takes more room than a message may have", () => {
  const client = SessionClient.welcomed({ messageBytesMax: 45 });
  // 1e20 has 21 characters when it is written again, and 1e20 behind a minus 22.
  client.sends('{"type":"publish","channel":"a","data":[1e20,1e20],"id":1}');
  client.sends('{"type":"publish","channel":"a","data":[1e20,-1e20],"id":2}');
  // Characters are no bytes: 15 of three bytes each, and 4 around them.
  client.sends(`{"type":"publish","channel":"a","data":["${"€".repeat(15)}"],"id":3}`);
  client.sends(`{"type":"publish","channel":"a","data":["${"€".repeat(13)}"],"id":4}`);
  deepStrictEqual(client.heardBriefly(), ["message_too_large:2", "message_too_large:3"]);
  deepStrictEqual(client.askedBriefly(), ["publish", "publish"]);
});

test("P10: Session closes with 1009 on a frame of more messages than may keep the others waiting", () => {
  const line = JSON.stringify(ping(1));
  const frame = Array.from({ length: FRAME_MESSAGES_MAX }, () => line).join("\n");
  const client = SessionClient.welcomed().sends(`${frame}\n`);
  strictEqual(client.heard().length, FRAME_MESSAGES_MAX);
  client.sends(`${frame}\n${line}`);
  strictEqual(client.heard().length, 0);
  client.isClosedWith(1009);
});

const BROKEN: readonly (readonly [name: string, frame: string | Uint8Array])[] = [
  ["no JSON", "hello"],
  ["nothing", ""],
  ["an empty line", '{"type":"ping","id":2}\n\n{"type":"ping","id":3}'],
  ["a line of JSON, then half a line", '{"type":"ping","id":2}\n{"type":'],
  ["an object over two lines", '{"type":\n"ping"}'],
  ["no bytes", new Uint8Array(0)],
  ["half a binary header", Uint8Array.of(0x11, 0, 0)],
];

for (const [name, frame] of BROKEN) {
  test(`Session closes with 1007 on a frame with ${name}`, () => {
    const client = SessionClient.welcomed().says(ping(1)).sends(frame);
    client.isClosedWith(1007);
    match(client.heardBriefly().join(), /^pong:1(,pong:2)?$/);
  });
}

test("Session takes a newline at the end of a frame", () => {
  const client = SessionClient.welcomed().sends('{"type":"ping","id":1}\r\n');
  deepStrictEqual(client.heardBriefly(), ["pong:1"]);
});

test("Session joins the answers to one frame into one frame", () => {
  const client = SessionClient.welcomed().says(ping(1), { type: "dance" }, unsubscribe("a", 2));
  strictEqual(client.frames.length, 1);
  deepStrictEqual(client.heardBriefly(), ["pong:1", "unknown_type:", "unsubscribed:2"]);
});

test("Session asks before it subscribes, publishes and broadcasts, and for nothing else", () => {
  const client = SessionClient.welcomed({ authorizes: true, allowsBroadcast: true });
  client.says({ type: "hello" }, ping(1), unsubscribe("a", 2), { type: "join" });
  client.says(subscribe("a", 3)).decides(true);
  client.says(publish("b", 1)).decides(true);
  client.says({ type: "broadcast", data: 1 }).decides(true);
  const authorizes = client.outputs.filter((output) => output.kind === "authorize");
  deepStrictEqual(authorizes.map(({ action, channel }) => [action, channel]), [
    ["subscribe", "a"],
    ["publish", "b"],
    ["broadcast", none],
  ]);
  deepStrictEqual(client.askedBriefly(), [
    "hello",
    "authorize",
    "subscribe",
    "authorize",
    "publish",
    "authorize",
    "broadcast",
  ]);
});

test("Session answers a refused publish also if it has no id", () => {
  const client = SessionClient.welcomed({ authorizes: true });
  client.says(publish("a", 1)).decides(false).says(publish("a", 1, { id: 2 })).decides(false);
  deepStrictEqual(client.heardBriefly(), ["forbidden:", "forbidden:2"]);
});

test("Session ignores a decision about something else", () => {
  const client = SessionClient.welcomed({ authorizes: true }).says(publish("a", 1));
  client.feeds({ kind: "authorized", ticket: 99, allowed: true });
  strictEqual(client.outputs.length, 1);
  client.decides(true);
  client.feeds({ kind: "authorized", ticket: 1, allowed: true });
  deepStrictEqual(client.askedBriefly(), ["authorize", "publish"]);
});

test("Session does not ask about a channel that it has, or that is one too many", () => {
  const client = SessionClient.welcomed({ authorizes: true, channelsMax: 1 });
  client.says(subscribe("a", 1)).decides(true).confirms("a").asked();
  client.says(subscribe("a", 2), subscribe("b", 3));
  deepStrictEqual(client.heardBriefly(), ["subscribed:1", "subscribed:2", "channel_limit:3"]);
  deepStrictEqual(client.asked(), []);
});

test("Session tells of a gap in a channel that is confirmed, and of no other", () => {
  const client = SessionClient.welcomed().says(subscribe("a", 1), subscribe("b", 2)).confirms("a");
  client.heard();
  for (const channel of ["a", "b", "c"]) client.feeds({ kind: "gap", channel });
  deepStrictEqual(client.heard(), [{ type: "gap", channel: "a" }]);
});

test("Session tells that the server drains", () => {
  const client = SessionClient.welcomed().feeds({ kind: "draining" });
  deepStrictEqual(client.heard(), [{ type: "draining" }]);
});

test("Session gives up all channels before it closes a connection", () => {
  const client = SessionClient.welcomed().says(subscribe("a", 1), subscribe("b", 2)).confirms("a");
  client.asked();
  client.sends("broken");
  client.isClosedWith(1007);
  deepStrictEqual(client.asked().slice(0, 2), [
    { kind: "unsubscribe", channel: "a" },
    { kind: "unsubscribe", channel: "b" },
  ]);
});

test("Session gives up all channels when the connection is over, and says nothing", () => {
  const client = SessionClient.welcomed().says(subscribe("a", 1), subscribe("b", 2)).confirms("a");
  client.heard();
  client.asked();
  client.feeds({ kind: "closed" });
  deepStrictEqual(client.askedBriefly(), ["unsubscribe", "unsubscribe"]);
  deepStrictEqual(client.heard(), []);
});

test("Session ignores everything after the end", () => {
  const client = SessionClient.welcomed().says(subscribe("a", 1)).feeds({ kind: "closed" });
  client.confirms("a").asked();
  client.says(ping(1)).sends("broken").sends(new Uint8Array(3)).waits(1e9);
  client.feeds({ kind: "published", id: 1, position: POSITION }).feeds({ kind: "draining" });
  client.feeds({ kind: "failed", id: 1, code: "internal", message: "m" });
  client.feeds({ kind: "gap", channel: "a" }).feeds({ kind: "closed" }).feeds({ kind: "refused" });
  client.feeds({ kind: "authenticated" });
  client.feeds({ kind: "authorized", ticket: 1, allowed: true });
  deepStrictEqual(client.heard(), []);
  deepStrictEqual(client.asked(), []);
});

test("Session handles nothing of a frame behind what closes the connection", () => {
  const client = SessionClient.welcomed().sends('x\n{"type":"publish","channel":"a","data":1}');
  deepStrictEqual(client.askedBriefly(), ["close"]);
});
