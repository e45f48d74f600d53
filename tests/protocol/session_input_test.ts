import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeBinaryPublish } from "../../src/protocol/binary_codec.ts";
import { FRAME_MESSAGES_MAX } from "../../src/protocol/limits.ts";
import type { SessionSettings } from "../../src/protocol/session_settings.ts";
import { ping, publish, SessionClient } from "./session_client.ts";

/** A scene: each step is what a client, or the server around its session, does. */
interface Scene {
  readonly what: string;
  readonly settings?: Partial<SessionSettings>;
  readonly steps: readonly ((client: SessionClient) => SessionClient)[];
  /** What the session asks of its owner, in all. */
  readonly asks: readonly string[];
}

type Step = Scene["steps"][number];

const LIMITED = { messagesPerSecondMax: 10, messagesBurstMax: 2 } as const;
const says = (...messages: readonly object[]): Step => (client) => client.says(...messages);
const sends = (frame: string): Step => (client) => client.sends(frame);
const waits = (ms: number): Step => (client) => client.waits(ms);
const decides = (allowed: boolean): Step => (client) => client.decides(allowed);
const closes: Step = (client) => client.feeds({ kind: "closed" });

const SCENES: readonly Scene[] = [
  { what: "a publish", steps: [says(publish("a", "x"))], asks: ["publish"] },
  {
    what: "publishes with ids, which are answered",
    steps: [
      says(publish("a", "x", { id: 3 })),
      says(publish("a", "x", { id: 0 })),
      (client) => client.feeds({ kind: "published", id: 3, position: { node: "n", seq: 1 } }),
    ],
    asks: ["publish", "publish"],
  },
  {
    what: "publishes that are not plain",
    steps: [
      says(publish("a", { b: [1] })),
      says(publish("a", 'q"q', { id: 1, qos: 1 })),
      says(publish("a", "x", { exclude: true })),
      says(publish("a".repeat(65), "x")),
      says(publish("a", "x".repeat(2_000))),
      sends(' {"type":"publish","channel":"a","data":"x"} '),
    ],
    asks: ["publish", "publish", "publish", "publish", "publish", "publish"],
  },
  {
    what: "publishes that are refused",
    settings: { messageBytesMax: 10 },
    steps: [
      says(publish("", "x")),
      says(publish("a\n", "x", { id: 1 })),
      says(publish("a", "x".repeat(8))),
      says(publish("a", "x".repeat(9))),
      says(publish("a", "x".repeat(9), { id: 2 })),
      says(publish("a", "x", { id: 3, qos: 2 })),
    ],
    asks: ["publish"],
  },
  {
    what: "publishes while an earlier request is being authorized",
    settings: { authorizes: true },
    steps: [
      says(publish("a", "1")),
      says(publish("b", "2", { id: 2 })),
      says(publish("c", "3")),
      decides(true),
      decides(false),
      decides(true),
    ],
    asks: ["authorize", "publish", "authorize", "authorize", "publish"],
  },
  {
    what: "publishes past what may wait",
    settings: { authorizes: true, waitingFramesMax: 2 },
    steps: [1, 2, 3, 4].map((value) => says(publish("a", `${value}`))),
    asks: ["authorize", "close"],
  },
  {
    what: "publishes past the bytes that may wait",
    settings: { authorizes: true, waitingBytesMax: 100 },
    steps: [1, 2, 3, 4].map((value) => says(publish("a", `${value}`))),
    asks: ["authorize", "close"],
  },
  {
    what: "publishes over the rate, with ids and without",
    settings: LIMITED,
    steps: [
      ...[1, 2, 3, 4].map((id) => says(publish("a", "x", { id }))),
      ...[5, 6].map(() => says(publish("a", "x"))),
      waits(100),
      ...[7, 8].map(() => says(publish("a", "x"))),
    ],
    asks: ["publish", "publish", "limited", "limited", "limited", "limited", "publish", "limited"],
  },
  {
    what: "publishes within the idle timeout, and then none",
    settings: { idleTimeoutMs: 1_000 },
    steps: [
      waits(900),
      says(publish("a", "x")),
      waits(999),
      says(publish("a", "x".repeat(2_000))),
      waits(999),
      waits(1),
    ],
    asks: ["publish", "publish", "close"],
  },
  {
    what: "a publish before the hello, where a token is required",
    settings: { tokenRequired: true },
    steps: [says(publish("a", "x", { id: 3 })), says(publish("a", "x"))],
    asks: ["close"],
  },
  {
    what: "publishes while the token is being looked at",
    settings: { tokenRequired: true },
    steps: [
      says({ type: "hello", token: "t" }),
      says(publish("a", "x")),
      says(publish("a", "y", { id: 1 })),
      (client) => client.feeds({ kind: "authenticated" }),
      says(publish("a", "z")),
    ],
    asks: ["hello", "publish", "publish", "publish"],
  },
  {
    what: "publishes behind a token that is refused",
    settings: { tokenRequired: true },
    steps: [
      says({ type: "hello", token: "t" }),
      says(publish("a", "x")),
      (client) => client.feeds({ kind: "refused" }),
      says(publish("a", "x")),
    ],
    asks: ["hello", "close"],
  },
  {
    what: "a hello behind a publish",
    steps: [says(publish("a", "x")), says({ type: "hello" })],
    asks: ["publish", "close"],
  },
  {
    what: "several messages in one frame",
    settings: { authorizes: true },
    steps: [
      says(publish("a", "1"), ping(1), publish("b", "2")),
      says(ping(2)),
      decides(true),
      decides(true),
    ],
    asks: ["authorize", "publish", "authorize", "publish"],
  },
  {
    what: "a publish with a newline behind it",
    steps: [sends(`${JSON.stringify(publish("a", "x"))}\n`), says(ping(1))],
    asks: ["publish"],
  },
  ...["", "hello", "{", '{"type":"publish","channel":"a","data":"x"', "\u0000"].map((frame) => ({
    what: `the broken frame ${JSON.stringify(frame)}`,
    steps: [says(publish("a", "x")), sends(frame), says(publish("a", "x"))],
    asks: ["publish", "close"],
  })),
  {
    what: "too many messages in one frame",
    steps: [sends("{}\n".repeat(FRAME_MESSAGES_MAX + 1))],
    asks: ["close"],
  },
  {
    what: "a publish behind the end",
    steps: [says(publish("a", "x")), closes, says(publish("a", "x"))],
    asks: ["publish"],
  },
];

for (const { what, settings, steps, asks } of SCENES) {
  test(`Session takes as ASCII what it takes as text: ${what}`, () => {
    const [text, ascii] = [false, true].map((readsAscii) => {
      return Object.assign(new SessionClient(settings), { readsAscii });
    });
    for (const step of steps) {
      const [left, right] = [text!, ascii!].map((client) => {
        const { session } = step(client);
        return [client.heard(), client.outputs, session.deadline, session.isWelcome];
      });
      deepStrictEqual(right, left);
    }
    deepStrictEqual(ascii!.askedBriefly(), asks);
  });
}

// One small message of all that came in at once.
const CHUNK_BYTES = 65_536;

function inChunk(bytes: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(CHUNK_BYTES).fill(0x20);
  chunk.set(bytes, 1_000);
  return chunk.subarray(1_000, 1_000 + bytes.length);
}

const LINE = JSON.stringify(publish("a", "kept", { id: 1 }));
const BINARY = encodeBinaryPublish("a", new TextEncoder().encode("kept"), { id: 1 });

for (
  const input of [
    { kind: "ascii", bytes: inChunk(new TextEncoder().encode(LINE)) },
    { kind: "text", text: LINE },
    { kind: "binary", bytes: inChunk(BINARY) },
  ] as const
) {
  test(`what waits for a decision and came as ${input.kind} keeps no memory but its own`, () => {
    const client = SessionClient.welcomed({ authorizes: true }).feeds(input).decides(true);
    const output = client.asked().at(-1);
    ok(output?.kind === "publish");
    const { data } = output.request;
    strictEqual(new TextDecoder().decode(data).replaceAll('"', ""), "kept");
    ok(data.buffer.byteLength <= 2 * data.length, `${data.buffer.byteLength} bytes`);
  });
}

test("a publish that waits for nothing is handed on as a view of what came", () => {
  const bytes = inChunk(new TextEncoder().encode(LINE));
  const [output] = SessionClient.welcomed().feeds({ kind: "ascii", bytes }).asked();
  strictEqual(output?.kind === "publish" && output.request.data.buffer, bytes.buffer);
});
