import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { BROADCAST_CHANNEL, type Message } from "../../src/core/message.ts";
import { decodeMessage, encodeServerMessage } from "../../src/protocol/codec.ts";
import { FRAME_JOIN_CHARACTERS_MAX } from "../../src/protocol/limits.ts";
import type {
  ClientMessage,
  DecodedMessage,
  ErrorCode,
  ServerMessage,
} from "../../src/protocol/message.ts";
import { framesOf } from "../support/frame_maker.ts";
import { contentOf, toPayload } from "../support/payload.ts";

const NODE = "berlin~0k3v9x2m4q7z";
const none = undefined;

const MESSAGES: readonly (readonly [text: string, message: ClientMessage])[] = [
  ['{"type":"hello"}', { type: "hello", client: none, token: none }],
  [
    '{"type":"hello","client":"c/1","token":"t"}',
    { type: "hello", client: "c/1", token: "t" },
  ],
  [
    '{"type":"subscribe","channel":"a","id":0}',
    { type: "subscribe", id: 0, channel: "a", position: none, history: none },
  ],
  [
    '{"type":"subscribe","channel":"a","id":1,"position":{"n~1":3,"m~2":0},"history":10}',
    { type: "subscribe", id: 1, channel: "a", position: { "n~1": 3, "m~2": 0 }, history: 10 },
  ],
  [
    '{"type":"unsubscribe","channel":"é€😀","id":9007199254740991}',
    { type: "unsubscribe", id: 9007199254740991, channel: "é€😀" },
  ],
  [
    '{"type":"publish","channel":"a","data":"x"}',
    { type: "publish", id: none, channel: "a", ...toPayload('"x"'), qos: 0, exclude: false },
  ],
  [
    '{"type":"publish","channel":"a","data":"x","id":1,"qos":1,"exclude":true}',
    { type: "publish", id: 1, channel: "a", ...toPayload('"x"'), qos: 1, exclude: true },
  ],
  [
    '{"type":"publish","channel":"a","data":1,"id":7,"qos":2,"exclude":false}',
    { type: "publish", id: 7, channel: "a", ...toPayload("1"), qos: 2, exclude: false },
  ],
  ['{"type":"broadcast","data":null}', { type: "broadcast", id: none, ...toPayload("null") }],
  ['{"type":"broadcast","data":[],"id":2}', { type: "broadcast", id: 2, ...toPayload("[]") }],
  [
    '{"type":"join","channel":"a","id":3,"meta":{},"member":"m"}',
    { type: "join", id: 3, channel: "a", member: "m", meta: "{}", follow: "changes" },
  ],
  [
    '{"type":"join","channel":"a","id":3,"follow":"count"}',
    { type: "join", id: 3, channel: "a", member: none, meta: "", follow: "count" },
  ],
  [
    '{"type":"join","channel":"a","id":3,"follow":false,"meta":null}',
    { type: "join", id: 3, channel: "a", member: none, meta: "null", follow: "nothing" },
  ],
  [
    '{"type":"update","channel":"a","id":3,"meta":"x"}',
    { type: "update", id: 3, channel: "a", meta: '"x"' },
  ],
  ['{"type":"update","channel":"a","id":3}', { type: "update", id: 3, channel: "a", meta: "" }],
  ['{"type":"leave","channel":"a","id":3}', { type: "leave", id: 3, channel: "a" }],
  [
    '{"type":"members","channel":"a","id":3}',
    { type: "members", id: 3, channel: "a", follow: none },
  ],
  [
    '{"type":"members","channel":"a","id":3,"follow":true}',
    { type: "members", id: 3, channel: "a", follow: "changes" },
  ],
  ['{"type":"ping","id":5}', { type: "ping", id: 5 }],
  [' { "id" : 5e0 , "more" : [1,{}] , "type" : "ping" } \r', { type: "ping", id: 5 }],
  ['{"\\u0074ype":"p\\u0069ng","id":5,"__proto__":{"id":6}}', { type: "ping", id: 5 }],
];

for (const [text, message] of MESSAGES) {
  test(`decodeMessage() reads ${text.trim()}`, () => {
    deepStrictEqual(decodeMessage(text), message);
  });
}

// What a publish of this value, written like this, hands on.
const DATA: readonly (readonly [text: string, forwarded: string])[] = [
  ['""', '""'],
  ['"a b"', '"a b"'],
  ['"é€😀\u2028"', '"é€😀\u2028"'],
  ['"\\"}"', '"\\"}"'],
  ['"\\\\"', '"\\\\"'],
  ['"a\\u0041\\n\\/"', '"aA\\n/"'],
  ['"\\u0000"', '"\\u0000"'],
  ['"\\ud800"', '"\\ud800"'],
  ["0", "0"],
  ["-1.50e1", "-15"],
  ["true", "true"],
  ["null", "null"],
  [' [ 1 , { "a" : "\\t" } ] ', '[1,{"a":"\\t"}]'],
  ['{"__proto__":{"a":1},"toJSON":"x"}', '{"__proto__":{"a":1},"toJSON":"x"}'],
  ['{"a":1,"a":2}', '{"a":2}'],
];

for (const [text, forwarded] of DATA) {
  test(`decodeMessage() hands on the data ${JSON.stringify(text)} as valid JSON text`, () => {
    const line = `{"type":"publish","channel":"a","data":${text}}`;
    const message = decodeMessage(line);
    strictEqual(dataOf(message), forwarded);
    deepStrictEqual(JSON.parse(forwarded), JSON.parse(text));
  });
}

test("decodeMessage() hands on valid JSON when the escape is in another field", () => {
  const message = decodeMessage('{"type":"publish","channel":"a\\"b","data":"c"}');
  strictEqual(message.type === "publish" && message.channel, 'a"b');
  strictEqual(dataOf(message), '"c"');
});

type FaultRow = readonly [text: string, code: ErrorCode, id: number | undefined, message: RegExp];

const FAULTS: readonly FaultRow[] = [
  ["null", "bad_request", none, /^Expected an object, received null$/],
  ["5", "bad_request", none, /received 5$/],
  ['"text"', "bad_request", none, /received "text"$/],
  ["[]", "bad_request", none, /received an array$/],
  ["{}", "bad_request", none, /^"type" must be a string, received nothing$/],
  ['{"id":4}', "bad_request", 4, /^"type" must be a string/],
  ['{"type":null,"id":4}', "bad_request", 4, /^"type" must be a string, received null$/],
  ['{"type":["ping"],"id":4}', "bad_request", 4, /^"type" must be a string, received an array$/],
  ['{"type":"dance","id":4}', "unknown_type", 4, /"dance"$/],
  ['{"type":""}', "unknown_type", none, /""$/],
  ['{"type":"__proto__"}', "unknown_type", none, /"__proto__"$/],
  ['{"type":"constructor"}', "unknown_type", none, /"constructor"$/],
  ['{"type":"message","channel":"a","data":1}', "unknown_type", none, /"message"$/],
  ['{"type":"ping"}', "bad_request", none, /^"id" must be an integer .*, received nothing$/],
  ['{"type":"ping","id":-1}', "bad_request", none, /received -1$/],
  ['{"type":"ping","id":0.5}', "bad_request", none, /received 0.5$/],
  ['{"type":"ping","id":9007199254740992}', "bad_request", none, /received 9007199254740992$/],
  ['{"type":"ping","id":1e999}', "bad_request", none, /received Infinity$/],
  ['{"type":"ping","id":"1"}', "bad_request", none, /received "1"$/],
  ['{"type":"ping","id":{"a":1}}', "bad_request", none, /received an object$/],
  ['{"type":"hello","client":1}', "bad_request", none, /^"client" must be a string/],
  ['{"type":"hello","token":true}', "bad_request", none, /^"token" must be .*, received true$/],
  [`{"type":"hello","token":"${"a".repeat(16_385)}"}`, "bad_request", none, /^"token" must be/],
  ['{"type":"hello","resume":{}}', "unsupported", none, /"resume"/],
  ['{"type":"subscribe","channel":"a"}', "bad_request", none, /^"id" must be/],
  ['{"type":"subscribe","id":1}', "bad_request", 1, /^"channel" must be .* received nothing$/],
  ['{"type":"subscribe","channel":7,"id":1}', "bad_request", 1, /^"channel" must be a string/],
  ['{"type":"subscribe","channel":"","id":1}', "channel_invalid", 1, /1 to 255 bytes/],
  ['{"type":"subscribe","channel":"\\n","id":1}', "channel_invalid", 1, /control/],
  ['{"type":"subscribe","channel":"\\ud83d","id":1}', "channel_invalid", 1, /surrogate/],
  ['{"type":"subscribe","channel":"a","id":1,"position":[]}', "bad_request", 1, /^"position"/],
  ['{"type":"subscribe","channel":"a","id":1,"position":3}', "bad_request", 1, /received 3$/],
  ['{"type":"subscribe","channel":"a","id":1,"position":{"n":-1}}', "bad_request", 1, /^"posit/],
  ['{"type":"subscribe","channel":"a","id":1,"position":{"n":"1"}}', "bad_request", 1, /^"posi/],
  ['{"type":"subscribe","channel":"a","id":1,"history":-1}', "bad_request", 1, /^"history"/],
  ['{"type":"unsubscribe","channel":"","id":1}', "channel_invalid", 1, /1 to 255/],
  ['{"type":"join","channel":"","id":1}', "channel_invalid", 1, /1 to 255/],
  ['{"type":"join","channel":"a","id":1,"member":""}', "bad_request", 1, /"member": a member/],
  ['{"type":"join","channel":"a","id":1,"member":7}', "bad_request", 1, /^"member" must be a str/],
  ['{"type":"join","channel":"a","id":1,"follow":1}', "bad_request", 1, /^"follow" must be true/],
  ['{"type":"members","channel":"a","id":1,"follow":"all"}', "bad_request", 1, /^"follow" must/],
  ['{"type":"members","id":1}', "bad_request", 1, /^"channel"/],
  ['{"type":"publish","channel":"a"}', "bad_request", none, /^"data" must be a JSON value, /],
  ['{"type":"publish","data":1,"id":2}', "bad_request", 2, /^"channel"/],
  ['{"type":"publish","channel":"a","data":1,"id":"x"}', "bad_request", none, /^"id"/],
  ['{"type":"publish","channel":"a","data":1,"id":null}', "bad_request", none, /^"id"/],
  ['{"type":"publish","channel":"","data":1,"id":2}', "channel_invalid", 2, /1 to 255/],
  ['{"type":"publish","channel":"a","data":1,"id":2,"qos":3}', "bad_request", 2, /^"qos"/],
  ['{"type":"publish","channel":"a","data":1,"id":2,"qos":"1"}', "bad_request", 2, /^"qos"/],
  ['{"type":"publish","channel":"a","data":1,"qos":1}', "bad_request", none, /needs an "id"$/],
  ['{"type":"publish","channel":"a","data":1,"exclude":1}', "bad_request", none, /^"exclude"/],
  ['{"type":"broadcast"}', "bad_request", none, /^"data"/],
  ['{"type":"broadcast","data":1,"id":[]}', "bad_request", none, /^"id"/],
];

for (const [text, code, id, message] of FAULTS) {
  test(`decodeMessage() answers ${text.slice(0, 80)} with ${code}`, () => {
    const fault = decodeMessage(text);
    ok(fault.type === "fault", fault.type);
    deepStrictEqual([fault.code, fault.id], [code, id]);
    match(fault.message, message);
  });
}

const BROKEN: readonly string[] = ["", " ", "{", "hello", '{"a":1}x', "{'a':1}", '"\t"', "\u0000"];

for (const text of BROKEN) {
  test(`decodeMessage() finds ${JSON.stringify(text)} broken`, () => {
    const { type, ...rest } = decodeMessage(text);
    strictEqual(type, "broken");
    ok("reason" in rest && new TextEncoder().encode(rest.reason).byteLength <= 123);
  });
}

test("decodeMessage() takes a position of 1,000 nodes and none of 1,001", () => {
  for (const [count, type] of [[1_000, "subscribe"], [1_001, "fault"]] as const) {
    const position = Object.fromEntries(Array.from({ length: count }, (_, n) => [`n~${n}`, n]));
    const text = JSON.stringify({ type: "subscribe", channel: "a", id: 1, position });
    strictEqual(decodeMessage(text).type, type);
  }
});

test("decodeMessage() shows no more of a value than its start", () => {
  const fault = decodeMessage(`{"type":"${"😀".repeat(100_000)}"}`);
  ok(fault.type === "fault" && fault.message.length < 150);
});

test("decodeMessage() survives data that is nested 400,000 levels deep", () => {
  const data = "[".repeat(400_000) + "]".repeat(400_000);
  const message = decodeMessage(`{"type":"publish","channel":"a","data":${data},"id":1}`);
  if (message.type === "publish") return strictEqual(dataOf(message), data);
  ok(message.type === "broken" || (message.type === "fault" && message.code === "bad_request"));
});

test("decodeMessage() takes data that is nested 1,000 levels deep", () => {
  const data = "[".repeat(1_000) + "]".repeat(1_000);
  const message = decodeMessage(`{"type":"publish","channel":"a","data":${data}}`);
  strictEqual(dataOf(message), data);
});

test("decodeMessage() leaves Object.prototype alone", () => {
  decodeMessage('{"type":"subscribe","channel":"a","id":1,"__proto__":{"hacked":1}}');
  decodeMessage('{"type":"subscribe","channel":"a","id":1,"position":{"__proto__":1}}');
  strictEqual(({} as Record<string, unknown>).hacked, undefined);
});

const SERVER_MESSAGES: readonly (readonly [message: ServerMessage, text: string])[] = [
  [
    {
      type: "welcome",
      node: NODE,
      connection: "1",
      protocol: 1,
      limits: {
        messageBytesMax: 9,
        channelNameBytesMax: 255,
        channelsMax: 3,
        messagesPerSecondMax: 0,
      },
    },
    `{"type":"welcome","node":"${NODE}","connection":"1","protocol":1,"limits":{` +
    '"messageBytesMax":9,"channelNameBytesMax":255,"channelsMax":3,"messagesPerSecondMax":0}}',
  ],
  [
    { type: "subscribed", channel: "a", id: 1, position: {}, recovered: none, missing: none },
    '{"type":"subscribed","channel":"a","id":1,"position":{}}',
  ],
  [
    {
      type: "subscribed",
      channel: "a",
      id: 1,
      position: { [NODE]: 4 },
      recovered: false,
      missing: ["b~1"],
    },
    `{"type":"subscribed","channel":"a","id":1,"position":{"${NODE}":4},"recovered":false,` +
    '"missing":["b~1"]}',
  ],
  [
    { type: "unsubscribed", channel: 'a"b', id: 1 },
    '{"type":"unsubscribed","channel":"a\\"b","id":1}',
  ],
  [
    { type: "published", id: 1, position: { node: NODE, seq: 9007199254740991 } },
    `{"type":"published","id":1,"position":{"node":"${NODE}","seq":9007199254740991}}`,
  ],
  [{ type: "pong", id: 0 }, '{"type":"pong","id":0}'],
  [{ type: "gap", channel: "a" }, '{"type":"gap","channel":"a"}'],
  [
    { type: "error", id: none, code: "internal", message: "m" },
    '{"type":"error","code":"internal","message":"m"}',
  ],
  [
    { type: "error", id: 3, code: "forbidden", message: "m" },
    '{"type":"error","id":3,"code":"forbidden","message":"m"}',
  ],
  [{ type: "draining" }, '{"type":"draining"}'],
];

for (const [message, text] of SERVER_MESSAGES) {
  test(`encodeServerMessage() writes ${text}`, () => {
    strictEqual(encodeServerMessage(message), text);
  });
}

test("encodeServerMessage() quotes the names in a position", () => {
  const position = { node: 'a"\\\n~1', seq: 1 };
  const text = encodeServerMessage({ type: "published", id: 1, position });
  deepStrictEqual(JSON.parse(text), { type: "published", id: 1, position });
});

test("frameContents() writes messages of one channel as one frame, a line each", () => {
  deepStrictEqual(framesOf("ch1", [message(1, '"x"'), message(2, '{"a":[1]}')]), [
    `{"type":"message","channel":"ch1","data":"x","node":"${NODE}","seq":1}\n` +
    `{"type":"message","channel":"ch1","data":{"a":[1]},"node":"${NODE}","seq":2}`,
  ]);
});

test("frameContents() writes broadcasts without a channel", () => {
  deepStrictEqual(framesOf(BROADCAST_CHANNEL, [message(1, "null")]), [
    `{"type":"broadcast","data":null,"node":"${NODE}","seq":1}`,
  ]);
});

test("frameContents() names the node of each message", () => {
  const nodes = [NODE, "paris~1", "paris~1", NODE, 'a"b~1'];
  const messages = nodes.map((node, index) => ({ ...message(index, "0"), node }));
  const [frame] = framesOf("a", messages);
  deepStrictEqual(linesOf(frame).map((line) => line.node), nodes);
});

const CHANNELS = ["a", 'a"b', "a\\b", "é€😀", "__proto__", "</script>", "\u2028"];

for (const channel of CHANNELS) {
  test(`frameContents() quotes the channel ${JSON.stringify(channel)}`, () => {
    const [frame] = framesOf(channel, [message(5, "[1]")]);
    deepStrictEqual(linesOf(frame), [
      { type: "message", channel, data: [1], node: NODE, seq: 5 },
    ]);
  });
}

test("frameContents() keeps the order of text and binary messages", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const data = ["1", "2", bytes, bytes, "3"];
  const frames = framesOf("a", data.map((value, index) => message(index, value)));
  deepStrictEqual(frames.map((frame) => typeof frame === "string" ? linesOf(frame).length : "b"), [
    2,
    "b",
    "b",
    1,
  ]);
});

test("frameContents() ends a frame that has 64 KiB", () => {
  const messages = Array.from({ length: 9 }, (_, seq) => message(seq, `"${"x".repeat(30_000)}"`));
  const frames = framesOf("a", messages);
  deepStrictEqual(frames.map((frame) => linesOf(frame).length), [3, 3, 3]);
  deepStrictEqual(frames.flatMap(linesOf).map((line) => line.seq), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

const SEQS = [0, 1, 9, 10, 99, 100, 999_999, 1_000_000, 2 ** 32, 1e15, 2 ** 53 - 2, 2 ** 53 - 1];

test("frameContents() writes every seq as JSON does, alone and joined with others", () => {
  const lines = SEQS.map((seq) => lineOf("a", message(seq, '"é"')));
  for (const [index, seq] of SEQS.entries()) {
    deepStrictEqual(framesOf("a", [message(seq, '"é"')]), [lines[index]]);
  }
  deepStrictEqual(framesOf("a", SEQS.map((seq) => message(seq, '"é"'))), [lines.join("\n")]);
  for (const one of SEQS) {
    for (const other of SEQS) {
      const messages = [message(one, "1"), message(other, "22")];
      const joined = messages.map((message) => lineOf("a", message)).join("\n");
      deepStrictEqual(framesOf("a", messages), [joined]);
    }
  }
});

test("frameContents() writes payloads of any length, none and many of them, each in its line", () => {
  const contents = ["0", '""', "[]", `"${"x".repeat(300)}"`, '"世界"', `"${"€".repeat(400)}"`];
  for (let count = 1; count <= 12; count++) {
    const messages = Array.from({ length: count }, (_, index) => {
      const node = ["a~1", "b~12", 'c"~1'][index % 3]!;
      return { ...message(index * 7, contents[index % contents.length]!), node };
    });
    const joined = messages.map((message) => lineOf("é", message)).join("\n");
    deepStrictEqual(framesOf("é", messages), [joined]);
    const [, ...binary] = framesOf("é", [...messages, message(1, Uint8Array.of(7))]);
    strictEqual(binary.length, 1);
  }
});

test("frameContents() ends each frame behind the line with which it has 64 KiB", () => {
  // Two lines of 32,767 bytes and a newline have one byte less than that, as one of 65,535 has.
  for (const bytes of [10_000, 32_767, 32_768, 40_000, 65_534, 65_535, 65_536, 200_000]) {
    const messages = Array.from({ length: 9 }, (_, seq) => messageOfLine(bytes, seq));
    const frames = framesOf("a", messages);
    deepStrictEqual(frames, joinLines(messages), `lines of ${bytes} bytes`);
  }
});

test("frameContents() writes nothing for no message", () => {
  deepStrictEqual(framesOf("a", []), []);
});

function message(seq: number, content: string | Uint8Array): Message {
  return { node: NODE, seq, prev: seq - 1, ...toPayload(content) };
}

/** The line of a text message. */
function lineOf(channel: string, { node, seq, ...payload }: Message): string {
  const [name, origin] = [channel, node].map((text) => JSON.stringify(text));
  const data = contentOf(payload);
  return `{"type":"message","channel":${name},"data":${data},"node":${origin},"seq":${seq}}`;
}

/** A message whose line in channel `a` takes so many bytes. */
function messageOfLine(bytes: number, seq: number): Message {
  const rest = lineOf("a", message(seq, '""')).length;
  return message(seq, `"${"x".repeat(bytes - rest)}"`);
}

/** Frames of lines in channel `a`: one by one, until a frame has 64 KiB. */
function joinLines(messages: readonly Message[]): string[] {
  const frames = [""];
  for (const message of messages) {
    const last = frames.pop()!;
    if (last.length >= FRAME_JOIN_CHARACTERS_MAX) frames.push(last, lineOf("a", message));
    else frames.push(last === "" ? lineOf("a", message) : `${last}\n${lineOf("a", message)}`);
  }
  return frames;
}

function dataOf(message: DecodedMessage): string | Uint8Array {
  ok(message.type === "publish", message.type);
  return contentOf(message);
}

function linesOf(frame: string | Uint8Array | undefined): Record<string, unknown>[] {
  ok(typeof frame === "string");
  return frame.split("\n").map((line) => JSON.parse(line));
}
