import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Channels, coreOf } from "../src/channels.ts";
import { toPayload } from "./support/payload.ts";

test("server code gets what server code publishes, in order", async () => {
  const channels = new Channels();
  const news = channels.subscribe("news");
  await news.confirmed;
  for (const data of [1, "two", { three: [3] }, null]) void channels.publish("news", data);
  const received: unknown[] = [];
  for await (const message of news) {
    received.push(message.data);
    if (received.length === 4) break;
  }
  deepStrictEqual(received, [1, "two", { three: [3] }, null]);
});

test("bytes arrive as the bytes that they were when they were published", async () => {
  const channels = new Channels();
  const news = channels.subscribe("news");
  const bytes = Uint8Array.of(1, 2, 3);
  void channels.publish("news", bytes);
  bytes.fill(0);
  for await (const message of news) {
    deepStrictEqual(message.data, Uint8Array.of(1, 2, 3));
    break;
  }
});

test("publish() tells the position, which only grows", async () => {
  const channels = new Channels();
  const first = await channels.publish("a", 1);
  const second = await channels.publish("b", 2, { acknowledge: true });
  deepStrictEqual(first, {
    position: { node: channels.nodeId, seq: 1 },
    nodes: [channels.nodeId],
    missing: [],
  });
  strictEqual(second.position.seq, 2);
});

test("leaving the loop ends the subscription", async () => {
  const channels = new Channels();
  const news = channels.subscribe("news");
  void channels.publish("news", 1);
  for await (const _message of news) break;
  strictEqual(channels.stats().channels, 0);
});

test("close() ends the loop after the messages that are here already", async () => {
  const channels = new Channels();
  const news = channels.subscribe("news");
  await news.confirmed;
  void channels.publish("news", 1);
  await delivered(channels);
  news.close();
  news.close();
  const received: unknown[] = [];
  for await (const message of news) received.push(message.data);
  deepStrictEqual(received, [1]);
});

test("a loop that reads too slowly loses the oldest messages, and is told", async () => {
  const channels = new Channels();
  const news = channels.subscribe("news", { queueMessagesMax: 3 });
  let gaps = 0;
  news.addEventListener("gap", () => gaps++);
  for (const data of [1, 2, 3, 4, 5]) void channels.publish("news", data);
  await delivered(channels);
  const received: unknown[] = [];
  for await (const message of news) {
    received.push(message.data);
    if (received.length === 3) break;
  }
  deepStrictEqual(received, [3, 4, 5]);
  strictEqual(news.droppedCount, 2);
  ok(gaps > 0);
});

for (const name of ["", "a\nb", "x".repeat(256), "\ud800", undefined as never, null as never]) {
  test(`${JSON.stringify(name)?.slice(0, 9)} (${name?.length}) is no channel`, async () => {
    const channels = new Channels();
    throws(() => channels.subscribe(name), { name: "TypeError", message: /Cannot use channel/ });
    await rejects(channels.publish(name, 1), { name: "TypeError", message: /Cannot use channel/ });
  });
}

test("what is no JSON, or is too large, is refused with the reason", async () => {
  const channels = new Channels({ messageBytesMax: 10 });
  await rejects(channels.publish("a", undefined), { name: "TypeError", message: /JSON value/ });
  await rejects(channels.publish("a", "xxxxxxxxx"), {
    name: "RangeError",
    message: "Cannot publish: 11 bytes, at most 10",
  });
  strictEqual(channels.stats().published, 0);
});

for (const data of [new ArrayBuffer(2), new DataView(new ArrayBuffer(2)), new Float32Array(1)]) {
  test(`${data.constructor.name} is refused, since JSON would make nothing of it`, async () => {
    await rejects(new Channels().publish("a", data), {
      name: "TypeError",
      message:
        `Cannot publish: expected a JSON value or a Uint8Array, received ${data.constructor.name}`,
    });
  });
}

test("bytes of a subclass whose slice() shares its memory are copied all the same", async () => {
  class Shared extends Uint8Array {
    override slice(): Shared {
      return this;
    }
  }
  const channels = new Channels();
  const news = channels.subscribe("news");
  const bytes = Shared.of(1, 2, 3);
  void channels.publish("news", bytes);
  bytes.fill(0);
  for await (const { data } of news) {
    deepStrictEqual(data, Uint8Array.of(1, 2, 3));
    break;
  }
});

test("what another node vouches for and is no JSON is a gap to its reader, and breaks nothing", async () => {
  const channels = new Channels();
  const news = channels.subscribe("news");
  let gaps = 0;
  news.addEventListener("gap", () => gaps++);
  const node = "b~1";
  coreOf(channels).receive("news", [
    { node, seq: 1, prev: 0, ...toPayload("{") },
    { node, seq: 2, prev: 1, ...toPayload("2") },
  ]);
  for await (const { data } of news) {
    strictEqual(data, 2);
    break;
  }
  strictEqual(gaps, 1);
});

const BAD_CALLS: readonly (readonly [call: (channels: Channels) => unknown, says: RegExp])[] = [
  [(channels) => channels.publish("a", 1, { acknowledge: true, timeoutMs: 0 }), /"timeoutMs" must/],
  [(channels) => channels.publish("a", 1, { timeoutMs: 1.5 }), /"timeoutMs" must be an integer/],
  [(channels) => channels.publish("a", 1, { timeout: 5 } as object), /"timeout" is not an option/],
  [(channels) => channels.publish("a", 1, { acknowledge: 1 as never }), /must be true or false/],
  [(channels) => channels.publish("a", 1, null as never), /options must be an object/],
  [(channels) => channels.broadcast(1, { timeoutMs: "5" as never }), /received "5"/],
  [(channels) => channels.subscribe("a", { queueMessagesMax: 0 }), /"queueMessagesMax" must/],
  [(channels) => channels.subscribe("a", { queue: 1 } as object), /"queue" is not an option/],
  [
    (channels) => channels.subscribe("a", null as never),
    /options must be an object, received null/,
  ],
];

BAD_CALLS.forEach(([call, says], index) => {
  test(`a wrong call says what is wrong with it: ${says.source} (${index})`, async () => {
    const channels = new Channels();
    await rejects(async () => await call(channels), says);
    deepStrictEqual([channels.stats().published, channels.stats().channels], [0, 0]);
  });
});

test("a misspelt or impossible option is refused by name", () => {
  throws(() => new Channels({ logMessageMax: 1 } as object), /"logMessageMax" is not an option/);
  throws(() => new Channels({ logAgeMs: -1 }), {
    name: "RangeError",
    message: /"logAgeMs" must be an integer from 0 to 86400000, received -1/,
  });
});

/** Resolves when all that was published so far has been delivered. */
async function delivered(channels: Channels): Promise<void> {
  const witness = channels.subscribe("witness");
  void channels.publish("witness", null);
  for await (const _message of witness) return;
}
