import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  BinaryMessage,
  decodeBinary,
  encodeBinaryPublish,
} from "../../src/protocol/binary_codec.ts";
import { decodeMessage, encodeServerMessage } from "../../src/protocol/codec.ts";
import {
  CLOSE_CODES,
  type DecodedMessage,
  type ErrorCode,
  type ServerMessage,
} from "../../src/protocol/message.ts";
import {
  encodeCount,
  encodeJoined,
  encodeMembers,
  encodePresence,
  type FrameMember,
} from "../../src/protocol/presence_frames.ts";
import type { SessionOutput } from "../../src/protocol/session.ts";
import { DEFAULT_SESSION_SETTINGS } from "../../src/protocol/session_settings.ts";
import { framesOf, readContent } from "../support/frame_maker.ts";
import { toPayload } from "../support/payload.ts";
import { NODE, SessionClient } from "./session_client.ts";

const DOCUMENT = readFileSync(new URL("../../PROTOCOL.md", import.meta.url), "utf8");

const CLIENT_TYPES = [
  "hello",
  "subscribe",
  "unsubscribe",
  "publish",
  "broadcast",
  "ping",
  "join",
  "update",
  "leave",
  "members",
] as const satisfies readonly DecodedMessage["type"][];

type ServerType =
  | ServerMessage["type"]
  | "message"
  | "broadcast"
  | "joined"
  | "members"
  | "presence";

const SERVER_TYPES: Readonly<Record<ServerType, true>> = {
  welcome: true,
  subscribed: true,
  unsubscribed: true,
  published: true,
  joined: true,
  updated: true,
  left: true,
  members: true,
  presence: true,
  pong: true,
  message: true,
  broadcast: true,
  gap: true,
  error: true,
  draining: true,
};

const ERROR_CODES = [
  "bad_request",
  "unknown_type",
  "channel_invalid",
  "channel_limit",
  "message_too_large",
  "unauthenticated",
  "forbidden",
  "rate_limited",
  "channel_full",
  "not_joined",
  "overloaded",
  "cancelled",
  "unsupported",
  "internal",
] as const satisfies readonly ErrorCode[];

// A code that is missing above does not compile.
const LISTED: readonly ErrorCode[] extends readonly (typeof ERROR_CODES)[number][] ? true : never =
  true;

for (const line of linesOf("json client")) {
  test(`PROTOCOL.md shows a message that the server reads: ${line}`, () => {
    const message = decodeMessage(line);
    strictEqual(message.type, JSON.parse(line).type);
  });
}

for (const line of linesOf("json server")) {
  test(`PROTOCOL.md shows a message as the server writes it: ${line}`, () => {
    const message = JSON.parse(line);
    ok(Object.hasOwn(SERVER_TYPES, message.type), message.type);
    strictEqual(write(message), line);
  });
}

interface ShownMember {
  readonly member: string;
  readonly meta?: unknown;
}

function write(message: ReturnType<typeof JSON.parse>): string | Uint8Array | undefined {
  const { type, channel, count } = message;
  const lists = Object.fromEntries(
    ["members", "joined", "updated"].map((name) => [name, message[name]?.map(toFrameMember)]),
  );
  switch (type) {
    case "message":
    case "broadcast": {
      const payload = toPayload(JSON.stringify(message.data));
      return framesOf(channel ?? "", [{ ...message, prev: 0, ...payload }])[0];
    }
    case "joined":
      return encodeJoined({ ...message, members: lists["members"] });
    case "members": {
      const { more: hasMore, stale: isStale } = message;
      return encodeMembers({ ...message, members: lists["members"], hasMore, isStale });
    }
    case "presence": {
      const { joined = [], updated = [] } = lists;
      if (message.left === undefined) return encodeCount(channel, count);
      return encodePresence(channel, { joined, updated, left: message.left, count })[0];
    }
    default:
      return encodeServerMessage(message);
  }
}

function toFrameMember({ member, meta }: ShownMember): FrameMember {
  return { member, meta: meta === undefined ? "" : JSON.stringify(meta) };
}

test("PROTOCOL.md shows an example of every message of the server", () => {
  const shown = new Set(linesOf("json server").map((line) => JSON.parse(line).type));
  deepStrictEqual([...shown].sort(), Object.keys(SERVER_TYPES).sort());
});

test("PROTOCOL.md lists every message of a client", () => {
  const { rows } = section("What a client sends");
  deepStrictEqual(rows.flatMap(codesOf).sort(), [...CLIENT_TYPES].sort());
});

test("PROTOCOL.md lists every message of the server", () => {
  const { rows } = section("What the server sends");
  deepStrictEqual(rows.flatMap(codesOf).sort(), Object.keys(SERVER_TYPES).sort());
});

test("PROTOCOL.md lists every error code", () => {
  const { rows } = section("Errors");
  deepStrictEqual(rows.flatMap((row) => codesOf(row)), [...ERROR_CODES]);
  ok(LISTED);
});

test("PROTOCOL.md lists every close code", () => {
  const { rows } = section("Close codes");
  deepStrictEqual(rows.map((row) => Number(cellsOf(row)[0])), Object.values(CLOSE_CODES));
});

test("PROTOCOL.md tells the default limits", () => {
  const { text } = section("Limits");
  const { channelsMax, waitingFramesMax, helloTimeoutMs } = DEFAULT_SESSION_SETTINGS;
  for (const value of [channelsMax.toLocaleString("en"), waitingFramesMax.toLocaleString("en")]) {
    ok(text.includes(` ${value}`), value);
  }
  ok(text.includes(` ${helloTimeoutMs / 1_000} s`));
  strictEqual(DEFAULT_SESSION_SETTINGS.messageBytesMax, 1_048_576);
  strictEqual(DEFAULT_SESSION_SETTINGS.waitingBytesMax, 4_194_304);
});

test("PROTOCOL.md shows binary frames as they are on the wire", () => {
  const data = Uint8Array.of(0xde, 0xad, 0xbe, 0xef);
  const [request] = linesOf("hex client").map(fromHex);
  deepStrictEqual(encodeBinaryPublish("news", data, { id: 4, qos: 1 }), request);
  strictEqual(decodeBinary(request!).type, "publish");
  const [message] = linesOf("hex server").map(fromHex);
  const sent = { node: NODE, seq: 44, prev: 0, ...toPayload(data) };
  deepStrictEqual(readContent(new BinaryMessage("news", sent)), message);
});

test("PROTOCOL.md shows a conversation as it is", () => {
  const lines = linesOf("text session");
  const client = new SessionClient();
  const server = new SmallServer(client);
  const heard: string[] = [];
  for (const line of lines) {
    if (line.startsWith("> ")) server.answers(line.slice(2));
    else heard.push(line.slice(2));
  }
  deepStrictEqual(heard, client.frames.flatMap((frame) => frame.split("\n")));
  deepStrictEqual(client.asked(), []);
});

/** A node with one client: enough of a server for the worked example. */
class SmallServer {
  readonly #client: SessionClient;
  readonly #subscribed = new Set<string>();
  #seq = 41;

  constructor(client: SessionClient) {
    this.#client = client;
  }

  answers(line: string): void {
    this.#client.sends(line);
    for (const output of this.#client.asked()) this.#perform(output);
  }

  #perform(output: SessionOutput): void {
    switch (output.kind) {
      case "subscribe": {
        const { channel, ticket } = output;
        this.#subscribed.add(channel);
        const positions = { [NODE]: this.#seq };
        return void this.#client.feeds({ kind: "subscribed", channel, ticket, positions });
      }
      case "unsubscribe":
        return void this.#subscribed.delete(output.channel);
      case "publish":
        return this.#publish(output);
    }
  }

  #publish(output: SessionOutput & { readonly kind: "publish" }): void {
    const { channel, id, data, isText, exclude } = output.request;
    const position = { node: NODE, seq: ++this.#seq };
    if (id !== undefined) this.#client.feeds({ kind: "published", id, position });
    if (!this.#subscribed.has(channel) || exclude) return;
    for (const frame of framesOf(channel, [{ ...position, prev: 0, data, isText }])) {
      this.#client.frames.push(frame as string);
    }
  }
}

function linesOf(fence: string): string[] {
  const blocks = [...DOCUMENT.matchAll(/^```(.+)\n([^]*?)^```$/gm)];
  const lines = blocks.filter((block) => block[1] === fence).flatMap((block) =>
    block[2]!.trimEnd().split("\n")
  );
  ok(lines.length > 0, `blocks with ${fence}`);
  return lines;
}

function section(title: string): { readonly text: string; readonly rows: readonly string[] } {
  const text = DOCUMENT.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  ok(text !== undefined, title);
  // Behind a table's head and its rule.
  return { text, rows: text.split("\n").filter((line) => line.startsWith("|")).slice(2) };
}

function cellsOf(row: string): string[] {
  return row.split("|").slice(1, -1).map((cell) => cell.trim());
}

function codesOf(row: string): string[] {
  return [...cellsOf(row)[0]!.matchAll(/`(\w+)`/g)].map((match) => match[1]!);
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
