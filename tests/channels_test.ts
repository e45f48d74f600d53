import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Channels } from "../src/channels.ts";

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

for (const name of ["", "a\nb", "x".repeat(256), "\ud800"]) {
  test(`${JSON.stringify(name.slice(0, 9))} (${name.length}) is no channel`, async () => {
    const channels = new Channels();
    throws(() => channels.subscribe(name), { name: "TypeError", message: /Cannot use channel/ });
    throws(() => channels.publish(name, 1), { name: "TypeError", message: /Cannot use channel/ });
    await Promise.resolve();
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
