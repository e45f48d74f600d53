import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { ChannelCore, type ChannelUplink, type Subscriber } from "../src/channel_core.ts";
import type { Clock } from "../src/core/clock.ts";
import { contentOf, toPayload } from "./support/payload.ts";

const SETTINGS = { logMessagesMax: 100, logBytesMax: 1_000_000, logAgeMs: 60_000 };

/** A core on a clock whose tick ends when it is told to, and all that happens, in short lines. */
class Desk {
  readonly lines: string[] = [];
  readonly core: ChannelCore;
  readonly confirmations: ((missing: readonly string[]) => void)[] = [];
  readonly #deferred: (() => void)[] = [];

  constructor() {
    const clock: Clock = {
      now: () => 0,
      setTimer: () => () => {},
      defer: (callback) => void this.#deferred.push(callback),
    };
    this.core = new ChannelCore("a~1", SETTINGS, clock);
  }

  /** Attaches to a cluster that notes what it is told, and confirms when it is told to. */
  attached(): this {
    const uplink: ChannelUplink = {
      subscribe: (channel, confirmed) => {
        this.lines.push(`wants ${channel}`);
        this.confirmations.push(confirmed);
      },
      unsubscribe: (channel) => void this.lines.push(`lets go of ${channel}`),
      announce: (channels) => {
        for (const { channel, messages } of channels) {
          this.lines.push(`announce ${channel} ${messages.map(({ seq }) => seq)}`);
        }
      },
      acknowledge: ({ channel, seq }, settled) => {
        this.lines.push(`acknowledge ${channel} ${seq}`);
        settled({ nodes: ["b~1"], missing: ["c~1"] });
      },
    };
    this.core.attach("a~2", uplink);
    return this;
  }

  subscriber(name: string): Subscriber {
    return {
      deliver: ({ channel, messages }) => {
        this.lines.push(`${name} ${channel} ${messages.map(contentOf)}`);
      },
      gap: (channel) => void this.lines.push(`${name} gap ${channel}`),
    };
  }

  joins(name: string, accepts = true): Subscriber {
    const subscriber = this.subscriber(name);
    this.core.subscribe("c", subscriber, ({ missing }) => {
      this.lines.push([`${name} confirmed`, ...missing].join(" "));
      return accepts;
    });
    return subscriber;
  }

  endsTick(): string[] {
    for (const callback of this.#deferred.splice(0)) callback();
    return this.lines.splice(0);
  }
}

test("P1: in one tick subscribers here have it, their sockets are written, and then others hear", () => {
  const desk = new Desk().attached();
  desk.joins("x");
  desk.confirmations[0]!([]);
  desk.endsTick();
  desk.core.publish("c", toPayload("1"));
  desk.core.publish("c", toPayload("2"));
  deepStrictEqual(desk.endsTick(), ["x c 1,2", "announce c 1,2"]);
});

test("P4: a gap is told to every subscriber of the channel, after the messages before it", () => {
  const desk = new Desk();
  desk.joins("x");
  desk.joins("y");
  desk.endsTick();
  desk.core.receive("c", [{ node: "b~1", seq: 1, prev: 0, ...toPayload("1") }]);
  desk.core.gap("c");
  deepStrictEqual(desk.endsTick(), ["x c 1", "y c 1", "x gap c", "y gap c"]);
});

test("whoever is left out of a message gets the others, and everybody else gets all", () => {
  const desk = new Desk();
  const [x] = ["x", "y"].map((name) => desk.joins(name));
  desk.endsTick();
  desk.core.publish("c", toPayload("1"), x);
  deepStrictEqual(desk.endsTick(), ["y c 1"]);
  desk.core.publish("c", toPayload("2"));
  desk.core.publish("c", toPayload("3"), x);
  deepStrictEqual(desk.endsTick(), ["x c 2", "y c 2,3"]);
});

test("P2: a subscription waits for the cluster, and is told who has not answered", () => {
  const desk = new Desk().attached();
  desk.joins("x");
  desk.core.publish("c", toPayload("1"));
  deepStrictEqual(desk.endsTick(), ["wants c", "announce c 1"]);
  desk.confirmations[0]!(["b~1"]);
  deepStrictEqual(desk.endsTick(), ["x confirmed b~1", "x c 1"]);
});

test("who goes while it waits is asked, gets nothing, and leaves nothing behind", () => {
  const desk = new Desk().attached();
  const x = desk.joins("x", false);
  desk.core.unsubscribe("c", x);
  desk.confirmations[0]!([]);
  desk.core.publish("c", toPayload("1"));
  deepStrictEqual(desk.endsTick(), [
    "wants c",
    "lets go of c",
    "x confirmed",
    "announce c 1",
  ]);
  strictEqual(desk.core.hub.channelCount, 0);
});

test("who goes and comes again while it waits is there once, and goes for good", () => {
  const desk = new Desk().attached();
  const x = desk.joins("x", false);
  desk.core.unsubscribe("c", x);
  desk.joins("x");
  for (const confirmed of desk.confirmations) confirmed([]);
  desk.endsTick();
  desk.core.publish("c", toPayload("1"));
  deepStrictEqual(desk.endsTick(), ["x c 1", "announce c 1"]);
  strictEqual(desk.core.hub.channelCount, 1);
});

test("P16: alone nobody else holds a message, and in a cluster the cluster says who does", () => {
  const told: unknown[] = [];
  const publish = (desk: Desk): void =>
    desk.core.publishAcknowledged(
      { channel: "c", payload: toPayload("1") },
      100,
      (position, held) => {
        told.push([position, held.nodes, held.missing]);
      },
    );
  publish(new Desk());
  const desk = new Desk().attached();
  publish(desk);
  deepStrictEqual(told, [
    [{ node: "a~1", seq: 1 }, [], []],
    [{ node: "a~2", seq: 1 }, ["b~1"], ["c~1"]],
  ]);
  deepStrictEqual(desk.endsTick(), ["acknowledge c 1", "announce c 1"]);
});

test("what was subscribed before it is attached is told to the cluster, and goes on alone after", () => {
  const desk = new Desk();
  desk.joins("x");
  desk.attached();
  deepStrictEqual(desk.lines.splice(0), ["x confirmed", "wants c"]);
  desk.core.detach();
  desk.core.publish("c", toPayload("1"));
  deepStrictEqual(desk.endsTick(), ["x c 1"]);
});

test("channels are attached once, and before their first message", () => {
  throws(() => new Desk().attached().attached(), /attached to a cluster already/);
  const desk = new Desk();
  desk.core.publish("c", toPayload("1"));
  throws(() => desk.attached(), /before the first message/);
});

test("a position is told at once, also to who publishes while it is delivered to", () => {
  const desk = new Desk();
  const seqs: number[] = [];
  const echo: Subscriber = {
    deliver: () => void seqs.push(desk.core.publishAt("d", toPayload("2")).seq),
    gap: () => {},
  };
  desk.core.subscribe("c", echo, () => true);
  seqs.push(desk.core.publishAt("c", toPayload("1")).seq);
  desk.endsTick();
  deepStrictEqual(seqs, [1, 2]);
});
