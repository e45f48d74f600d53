import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Hub, type HubOutput, type HubSettings } from "../../src/channel/hub.ts";
import type { Message } from "../../src/core/message.ts";
import type { Positions } from "../../src/core/node.ts";
import { contentOf, toPayload } from "../support/payload.ts";

const SETTINGS: HubSettings = { logMessagesMax: 100, logBytesMax: 1_000_000, logAgeMs: 1_000 };

/** A hub whose subscribers are letters, and what it decides in short lines. */
class Stage {
  readonly hub: Hub<string>;
  now = 0;

  constructor(settings: Partial<HubSettings> = {}) {
    this.hub = new Hub("a~1", { ...SETTINGS, ...settings });
  }

  /** Subscribes and confirms at once. */
  joins(subscriber: string, channel = "c", after: Positions = {}): this {
    this.hub.handle({ kind: "subscribe", channel, subscriber }, this.now);
    this.hub.handle({ kind: "activate", channel, subscriber, after }, this.now);
    return this;
  }

  leaves(subscriber: string, channel = "c"): this {
    this.hub.handle({ kind: "unsubscribe", channel, subscriber }, this.now);
    return this;
  }

  publishes(
    data: string | Uint8Array,
    options: { channel?: string; except?: string; ticket?: string } = {},
  ) {
    const payload = toPayload(data);
    this.hub.handle({ kind: "publish", channel: "c", payload, ...options }, this.now);
    return this;
  }

  receives(messages: readonly Message[], channel = "c"): this {
    this.hub.handle({ kind: "receive", channel, messages }, this.now);
    return this;
  }

  endsTick(): this {
    this.hub.handle({ kind: "wake" }, this.now);
    return this;
  }

  /** What was decided since the last call. To be read before the hub is fed again. */
  decided(): string[] {
    return this.hub.take().map(describe);
  }
}

function describe(output: HubOutput<string>): string {
  switch (output.kind) {
    case "deliver": {
      const { channel, messages, subscribers, excepts } = output;
      const lines = messages.map((message, index) => {
        const except = excepts?.[index];
        const content = contentOf(message);
        return except === undefined ? content : `${content}-${except}`;
      });
      return `${channel} ${lines.join(",")} to ${[...subscribers].join("")}`;
    }
    case "announce":
      return output.channels
        .map(({ channel, messages }) => `announce ${channel} ${messages.map(({ seq }) => seq)}`)
        .join("; ");
    case "published":
      return `published ${String(output.ticket)} ${output.position.seq}`;
    case "interest":
      return `${output.wanted ? "wants" : "lets go of"} ${output.channel}`;
    case "gap":
      return `gap ${output.channel} to ${[...output.subscribers].join("")}`;
  }
}

function remote(seq: number, prev: number, data = `b${seq}`): Message {
  return { node: "b~1", seq, prev, ...toPayload(data) };
}

test("the messages of a channel and tick are one record, whoever published them", () => {
  const stage = new Stage().joins("x").joins("y").joins("z", "d");
  stage.decided();
  stage.publishes("1").receives([remote(7, 0), remote(8, 7)]).publishes("2", { channel: "d" });
  stage.publishes("3");
  deepStrictEqual(stage.decided(), []);
  strictEqual(stage.hub.deadline, 0);
  deepStrictEqual(stage.endsTick().decided(), [
    "c 1,b7,b8,3 to xy",
    "d 2 to z",
    "announce c 1,3; announce d 2",
  ]);
  strictEqual(stage.hub.deadline, undefined);
});

test("P1: local subscribers get everything before other nodes hear of it", () => {
  const stage = new Stage().joins("x", "c").joins("y", "d");
  stage.decided();
  stage.publishes("1", { channel: "d" }).publishes("2", { channel: "c" });
  const decided = stage.endsTick().decided().map((line) => line.split(" ")[0]);
  deepStrictEqual(decided, ["d", "c", "announce"]);
});

test("what is published as text or as bytes is delivered and remembered as what it is", () => {
  const stage = new Stage().joins("x");
  stage.decided();
  for (const content of ["1", Uint8Array.of(0, 255), ""]) stage.publishes(content);
  strictEqual(stage.endsTick().decided()[0], "c 1,0,255, to x");
  const { messages } = stage.hub.read("c", "a~1", { after: 0, limit: 9 });
  deepStrictEqual(messages.map(contentOf), ["1", Uint8Array.of(0, 255), ""]);
});

test("messages of other nodes are not announced again", () => {
  const stage = new Stage().receives([remote(7, 0)]);
  deepStrictEqual(stage.endsTick().decided(), []);
});

test("a channel without a subscriber is announced and remembered, and leaves nothing behind", () => {
  const stage = new Stage().publishes("1").endsTick();
  deepStrictEqual(stage.decided(), ["announce c 1"]);
  strictEqual(stage.hub.channelCount, 0);
  deepStrictEqual(stage.hub.positions("c"), { "a~1": 1 });
});

test("seq counts all messages of the node, and prev those of the channel", () => {
  const stage = new Stage();
  stage.publishes("1").publishes("2", { channel: "d" }).publishes("3").endsTick();
  const { messages } = stage.hub.read("c", "a~1", { after: 0, limit: 9 });
  deepStrictEqual(messages.map(({ seq, prev }) => [seq, prev]), [[1, 0], [3, 1]]);
});

test("a publisher that asks is told the position, before the message is announced", () => {
  const stage = new Stage().publishes("1").publishes("2", { ticket: "t" });
  deepStrictEqual(stage.decided(), ["published t 2"]);
});

test("a message passes over the subscriber that it excepts, and over nobody else", () => {
  const stage = new Stage().joins("x").joins("y");
  stage.decided();
  stage.publishes("1").publishes("2", { except: "x" }).publishes("3").endsTick();
  strictEqual(stage.decided()[0], "c 1,2-x,3 to xy");
  stage.publishes("4", { except: "x" }).endsTick();
  strictEqual(stage.decided()[0], "c 4-x to xy");
  stage.publishes("5").endsTick();
  strictEqual(stage.decided()[0], "c 5 to xy");
});

test("who subscribes in mid-tick gets what comes then; the others have had the rest before", () => {
  const stage = new Stage().joins("x");
  stage.decided();
  stage.publishes("1").joins("y", "c", { "a~1": 1 }).publishes("2").endsTick();
  deepStrictEqual(stage.decided().slice(0, 2), ["c 1 to x", "c 2 to xy"]);
});

test("who unsubscribes in mid-tick gets what came before, and nothing after", () => {
  const stage = new Stage().joins("x").joins("y");
  stage.decided();
  stage.publishes("1").leaves("x").publishes("2").endsTick();
  deepStrictEqual(stage.decided().slice(0, 2), ["c 1 to xy", "c 2 to y"]);
});

test("the last to leave gets what came before, and interest ends", () => {
  const stage = new Stage().joins("x");
  stage.decided();
  stage.publishes("1").leaves("x");
  deepStrictEqual(stage.decided(), ["c 1 to x", "lets go of c"]);
  deepStrictEqual(stage.endsTick().decided(), ["announce c 1"]);
  strictEqual(stage.hub.channelCount, 0);
});

test("who comes in the tick in which the last one left finds the channel there afterwards", () => {
  const stage = new Stage().joins("x");
  stage.publishes("1").leaves("x").joins("y", "c", { "a~1": 1 }).endsTick();
  strictEqual(stage.hub.channelCount, 1);
  stage.decided();
  stage.publishes("2").endsTick();
  deepStrictEqual(stage.decided(), ["c 2 to y", "announce c 2"]);
});

test("interest begins with the first who waits, and ends with the last, confirmed or not", () => {
  const stage = new Stage();
  const wait = (subscriber: string): void =>
    stage.hub.handle({ kind: "subscribe", channel: "c", subscriber }, 0);
  wait("x");
  wait("y");
  deepStrictEqual(stage.decided(), ["wants c"]);
  deepStrictEqual(stage.leaves("x").decided(), []);
  deepStrictEqual(stage.leaves("y").decided(), ["lets go of c"]);
  deepStrictEqual(stage.leaves("y").decided(), []);
  strictEqual(stage.hub.channelCount, 0);
  wait("x");
  deepStrictEqual(stage.decided(), ["wants c"]);
  deepStrictEqual(stage.hub.subscribedChannels(), ["c"]);
});

test("before it is confirmed a subscription delivers nothing; then all since it was asked for", () => {
  const stage = new Stage().publishes("1").endsTick();
  const before = stage.hub.positions("c");
  stage.hub.handle({ kind: "subscribe", channel: "c", subscriber: "x" }, 0);
  stage.publishes("2").receives([remote(7, 5)]).endsTick();
  stage.publishes("3");
  stage.decided();
  const after = stage.hub.start("c", before);
  deepStrictEqual(after, { "a~1": 1, "b~1": 5 });
  stage.hub.handle({ kind: "activate", channel: "c", subscriber: "x", after }, 0);
  stage.publishes("4").endsTick();
  deepStrictEqual(stage.decided().slice(0, 2), ["c 2,3,b7 to x", "c 4 to x"]);
});

test("history and live messages have no message in common and none between them", () => {
  // At each moment of a tick, with another subscriber there or not.
  for (let at = 0; at <= 4; at++) {
    for (const others of ["", "o"]) {
      const stage = new Stage();
      const got: string[] = [];
      for (const other of others) stage.joins(other);
      for (let index = 0; index < 4; index++) {
        if (index === at) stage.joins("x", "c", { "a~1": 1 });
        stage.publishes(String(index + 1));
        if (index === 1) got.push(...stage.endsTick().decided());
      }
      if (at === 4) stage.joins("x", "c", { "a~1": 1 });
      got.push(...stage.endsTick().decided());
      const lines = got.filter((line) => /^c .*x$/.test(line));
      const data = lines.flatMap((line) => line.split(" ")[1]!.split(","));
      deepStrictEqual(data, at === 0 ? ["1", "2", "3", "4"] : ["2", "3", "4"], `${at} ${others}`);
    }
  }
});

test("a start is never before what is remembered: it claims no message that is gone", () => {
  const stage = new Stage({ logMessagesMax: 2 });
  stage.publishes("1").endsTick();
  const before = stage.hub.positions("c");
  for (const data of ["2", "3", "4", "5"]) stage.publishes(data).endsTick();
  deepStrictEqual(stage.hub.start("c", before), { "a~1": 3 });
  deepStrictEqual(stage.hub.start("c", { "a~1": 4 }), { "a~1": 4 });
});

test("a subscriber that is confirmed twice is there once", () => {
  const stage = new Stage().joins("x").joins("x");
  stage.decided();
  stage.publishes("1").endsTick();
  strictEqual(stage.decided()[0], "c 1 to x");
  deepStrictEqual(stage.leaves("x").decided(), ["lets go of c"]);
});

test("a gap comes after the messages before it, and only to those who are subscribed", () => {
  const stage = new Stage().joins("x");
  stage.decided();
  stage.receives([remote(7, 0)]);
  stage.hub.handle({ kind: "gap", channel: "c" }, 0);
  stage.hub.handle({ kind: "gap", channel: "nobody" }, 0);
  deepStrictEqual(stage.decided(), ["c b7 to x", "gap c to x"]);
});

test("a stream that is followed from a position tells it to whoever subscribes", () => {
  const stage = new Stage();
  stage.hub.handle({ kind: "rebase", channel: "c", node: "b~1", seq: 9 }, 0);
  deepStrictEqual(stage.hub.start("c", {}), { "b~1": 9 });
  deepStrictEqual(stage.hub.positions("c"), { "b~1": 9 });
});

test("messages are forgotten by age at the end of a tick", () => {
  const stage = new Stage().publishes("1").endsTick();
  stage.now = 1_001;
  stage.publishes("2", { channel: "d" }).endsTick();
  const { messages, floor } = stage.hub.read("c", "a~1", { after: 0, limit: 9 });
  deepStrictEqual([messages.length, floor], [0, 1]);
});

test("an early wake changes nothing", () => {
  const stage = new Stage().joins("x");
  stage.decided();
  deepStrictEqual(stage.endsTick().decided(), []);
});

test("a node is renamed before its first message only", () => {
  const stage = new Stage();
  stage.hub.rename("z~1");
  stage.publishes("1");
  deepStrictEqual(stage.hub.positions("c"), { "z~1": 1 });
  throws(() => stage.hub.rename("y~1"), /has published/);
});
