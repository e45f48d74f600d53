import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Payload } from "../../src/core/message.ts";
import { createPrng, type Prng } from "../../src/core/prng.ts";
import { encodeBinaryPublish } from "../../src/protocol/binary_codec.ts";
import { CLOSE_CODES } from "../../src/protocol/message.ts";
import { Session, type SessionInput, type SessionOutput } from "../../src/protocol/session.ts";
import {
  DEFAULT_SESSION_SETTINGS,
  type SessionSettings,
} from "../../src/protocol/session_settings.ts";
import { contentOf } from "../support/payload.ts";

const SEEDS: readonly number[] = Array.from({ length: 60 }, (_, index) => index + 1);
const FRAMES_PER_SEED = 600;
const NODE = "n~1";

const SAMPLES: readonly string[] = [
  '{"type":"hello","client":"c","token":"t"}',
  '{"type":"subscribe","channel":"a","id":1}',
  '{"type":"subscribe","channel":"b","id":2,"position":{"n~1":3},"history":5}',
  '{"type":"unsubscribe","channel":"a","id":3}',
  '{"type":"publish","channel":"a","data":{"a":[1,"\\u00e9\\n",null]}}',
  '{"type":"publish","channel":"b","data":"x","id":4,"qos":1,"exclude":true}',
  '{"type":"publish","channel":"a","data":"x"}',
  '{"type":"publish","channel":"a","data":"x y","id":8}',
  '{"type":"broadcast","data":1e20,"id":5}',
  '{"type":"join","channel":"a","id":6,"meta":{}}',
  '{"type":"ping","id":7}',
];

// What likes to break readers of JSON and of names.
const SHARDS: readonly string[] = [
  '"',
  "\\",
  "\n",
  "{",
  "}",
  "[[[[",
  "]",
  ",",
  ":",
  "\u0000",
  "\ud83d",
  "😀",
  "__proto__",
  "constructor",
  "1e999",
  "-0",
  "9007199254740993",
  "null",
  '"\\ud800"',
  '"type":"publish"',
  '"channel":"\\u0000"',
  '"id":',
  "a".repeat(300),
  "[".repeat(5_000),
];

const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  0.5,
  1e300,
  9007199254740991,
  "",
  "1",
  "a\u0000",
  "a".repeat(256),
  [],
  [[[]]],
  {},
  { "n~1": -1 },
  { toString: 1 },
  "constructor",
];

const encoder = new TextEncoder();
const CODES: ReadonlySet<number> = new Set(Object.values(CLOSE_CODES));

for (const seed of SEEDS) {
  test(`Session survives what nobody should send, seed ${seed}`, () => {
    const world = new World(seed);
    for (let count = 0; count < FRAMES_PER_SEED; count++) world.step();
  });
}

function toText(bytes: Uint8Array): SessionInput {
  return { kind: "text", text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes) };
}

/** A client gone mad and a server that answers when it likes; a new client after each end. */
class World {
  readonly #random: Prng;
  #client: Client;
  #now = 0;

  constructor(seed: number) {
    this.#random = createPrng(seed);
    this.#client = this.#connect();
  }

  step(): void {
    this.#now += this.#below(50);
    this.#client.feed(this.#input(), this.#now);
    if (this.#client.isClosed) this.#client = this.#connect();
  }

  #connect(): Client {
    return new Client({
      ...DEFAULT_SESSION_SETTINGS,
      tokenRequired: this.#chance(0.3),
      authorizes: this.#chance(0.5),
      allowsBroadcast: this.#chance(0.5),
      messageBytesMax: this.#chance(0.5) ? 100 : 1_048_576,
      channelsMax: 1 + this.#below(3),
      messagesPerSecondMax: this.#chance(0.3) ? 50 : 0,
      messagesBurstMax: 5,
      idleTimeoutMs: this.#chance(0.3) ? 200 : 0,
      helloTimeoutMs: 300,
      waitingFramesMax: 1 + this.#below(20),
      waitingBytesMax: 2_000,
    }, this.#now);
  }

  #input(): SessionInput {
    const asked = this.#client.asked;
    if (asked.length > 0 && this.#chance(0.4)) {
      return this.#answer(asked.splice(this.#below(asked.length), 1)[0]!);
    }
    if (this.#chance(0.05)) return this.#event();
    if (this.#chance(0.2)) return { kind: "binary", bytes: this.#bytes() };
    const text = this.#chance(0.3) ? this.#line() : this.#text();
    const bytes = encoder.encode(text);
    return bytes.length === text.length ? { kind: "ascii", bytes } : { kind: "text", text };
  }

  #event(): SessionInput {
    const channel = this.#pick(["a", "b", "c"]);
    return this.#pick<SessionInput>([
      { kind: "wake" },
      { kind: "gap", channel },
      { kind: "draining" },
      { kind: "authorized", ticket: this.#below(9), allowed: true },
      { kind: "subscribed", channel, ticket: this.#below(9), positions: {} },
      { kind: "authenticated" },
    ]);
  }

  #answer(output: SessionOutput): SessionInput {
    switch (output.kind) {
      case "authorize":
        return { kind: "authorized", ticket: output.ticket, allowed: this.#chance(0.7) };
      case "hello":
        return this.#chance(0.9) ? { kind: "authenticated" } : { kind: "refused" };
      case "subscribe":
        return this.#chance(0.8)
          ? { ...output, kind: "subscribed", positions: { [NODE]: 1 } }
          : { ...output, kind: "unsubscribable", code: "internal", message: "m" };
      case "publish":
      case "broadcast":
        return { kind: "published", id: output.request.id ?? 0, position: { node: NODE, seq: 1 } };
      default:
        return { kind: "wake" };
    }
  }

  #text(): string {
    const lines = Array.from({ length: 1 + this.#below(4) }, () => this.#line());
    return lines.join("\n");
  }

  #line(): string {
    let line = this.#pick(SAMPLES);
    if (this.#chance(0.6)) return line;
    if (this.#chance(0.5)) return this.#distort(line);
    if (this.#chance(0.1)) return this.#noise();
    for (let count = this.#below(3); count >= 0; count--) line = this.#mutate(line);
    return line;
  }

  // Still JSON, with a value where it does not belong.
  #distort(line: string): string {
    const message = JSON.parse(line);
    message[this.#pick(Object.keys(message))] = this.#pick(VALUES);
    return JSON.stringify(message);
  }

  #noise(): string {
    const codes = Array.from({ length: this.#below(60) }, () => this.#below(65_536));
    return String.fromCharCode(...codes);
  }

  #mutate(line: string): string {
    const at = this.#below(line.length + 1);
    const to = at + this.#below(8);
    switch (this.#below(4)) {
      case 0:
        return line.slice(0, at) + line.slice(to);
      case 1:
        return line.slice(0, at) + this.#pick(SHARDS) + line.slice(to);
      case 2:
        return line.slice(0, at) + line.slice(at, to).repeat(2) + line.slice(to);
      default:
        return line.slice(0, at) + String.fromCharCode(this.#below(65_536)) + line.slice(at + 1);
    }
  }

  #bytes(): Uint8Array {
    if (this.#chance(0.1)) {
      return Uint8Array.from({ length: this.#below(40) }, () => this.#below(256));
    }
    const payload = new Uint8Array(this.#below(20));
    const channel = this.#pick(["", "a", "é€😀"]);
    const bytes = encodeBinaryPublish(channel, payload, { id: this.#below(99) });
    if (this.#chance(0.5)) bytes[this.#below(bytes.byteLength)] = this.#below(256);
    return this.#chance(0.05) ? bytes.subarray(0, this.#below(bytes.byteLength)) : bytes;
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#below(items.length)]!;
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }
}

/**
 * One client, whose session is checked at every step, also against one that is handed as text what
 * this one is handed as ASCII.
 */
class Client {
  readonly asked: SessionOutput[] = [];
  isClosed = false;
  readonly #session: Session;
  readonly #twin: Session;
  readonly #settings: SessionSettings;
  readonly #subscribed = new Set<string>();
  #isWelcomed = false;

  constructor(settings: SessionSettings, now: number) {
    this.#settings = settings;
    const identity = { node: NODE, connection: "1" };
    this.#session = new Session(settings, identity, now);
    this.#twin = new Session(settings, identity, now);
    this.#check();
  }

  feed(input: SessionInput, now: number): void {
    // Of this the owner knows itself, so that it is not told to unsubscribe.
    if (input.kind === "unsubscribable" && this.#session.awaits(input.channel, input.ticket)) {
      this.#subscribed.delete(input.channel);
    }
    this.#session.handle(input, now);
    this.#twin.handle(input.kind === "ascii" ? toText(input.bytes) : input, now);
    this.#check();
  }

  #check(): void {
    const outputs = this.#session.take();
    deepStrictEqual(outputs, this.#twin.take());
    strictEqual(this.#session.deadline, this.#twin.deadline);
    for (const output of outputs) {
      ok(!this.isClosed, "no output behind close");
      this.#checkOutput(output);
    }
    if (this.isClosed) {
      strictEqual(this.#subscribed.size, 0, "no channel is left behind");
      strictEqual(this.#session.deadline, undefined);
    }
    ok(this.#session.channelCount <= this.#settings.channelsMax);
    strictEqual(this.#session.channelCount, this.#subscribed.size);
  }

  #checkOutput(output: SessionOutput): void {
    switch (output.kind) {
      case "send":
        return this.#checkAnswers(output.text);
      case "close":
        ok(CODES.has(output.code));
        ok(new TextEncoder().encode(output.reason).byteLength <= 123);
        this.isClosed = true;
        return;
      case "subscribe":
        ok(!this.#subscribed.has(output.channel), "never twice for a channel");
        this.#subscribed.add(output.channel);
        return void this.asked.push(output);
      case "unsubscribe":
        ok(this.#subscribed.delete(output.channel), "only what was subscribed");
        return;
      case "publish":
      case "broadcast":
        ok(this.#isWelcomed);
        this.#checkPayload(output.request);
        if (output.request.id !== undefined) this.asked.push(output);
        return;
      default:
        this.asked.push(output);
    }
  }

  #checkPayload(payload: Payload): void {
    ok(payload.data.length <= this.#settings.messageBytesMax);
    const content = contentOf(payload);
    // Whatever is forwarded is JSON, or other clients would be cut off.
    if (typeof content === "string") JSON.parse(content);
  }

  #checkAnswers(text: string): void {
    for (const line of text.split("\n")) {
      const { type, code } = JSON.parse(line);
      strictEqual(typeof type, "string");
      if (type === "welcome") this.#isWelcomed = true;
      else ok(this.#isWelcomed || type === "error", "welcome is first");
      if (!this.#isWelcomed) ok(code !== undefined);
    }
  }
}
