import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { DownReason } from "../../src/cluster/membership.ts";
import { Repair, type RepairOutput } from "../../src/cluster/repair.ts";
import {
  PARK_MS,
  REPAIR_ATTEMPTS_MAX,
  REPAIR_RETRY_MS,
  REPAIR_WAITING_MAX,
} from "../../src/cluster/settings.ts";
import type { Message } from "../../src/core/message.ts";
import { createPrng } from "../../src/core/prng.ts";
import { toPayload } from "../support/payload.ts";

const LEFT_MS = 2 * REPAIR_ATTEMPTS_MAX * REPAIR_RETRY_MS;
const STRANGER_SETTLES_MS = 5_000;

/** A message as `seq`, or `[seq, prev]` where its `prev` is not the seq before. */
type Link = number | readonly [seq: number, prev: number];

/** What node a~1 says in channel c, and what the repair makes of it, in short lines. */
class Listener {
  owedSince = Infinity;
  readonly repair = new Repair(() => this.owedSince);
  now = 0;

  hears(links: readonly Link[], options: { repair?: boolean; acknowledge?: boolean } = {}): this {
    const messages = links.map((link) => {
      const [seq, prev] = typeof link === "number" ? [link, link - 1] : link;
      return { node: "a~1", seq, prev, ...toPayload(String(seq)) };
    });
    const { repair = false, acknowledge = false } = options;
    this.repair.receive({ channel: "c", node: "a~1", repair, acknowledge, messages }, this.now);
    return this;
  }

  /** The answer to a request, in the order in which it is sent. */
  isAnswered(floor: number, links: readonly Link[], from = "a~1"): this {
    this.repair.answer({ from, channel: "c", node: "a~1", floor }, this.now);
    return this.hears(links, { repair: true });
  }

  learnsHead(seq: number, isExact = true): this {
    this.repair.head({ channel: "c", node: "a~1", seq, isExact }, this.now);
    return this;
  }

  loses(reason: DownReason): this {
    this.repair.absent("a~1", reason, this.now);
    return this;
  }

  meets(): this {
    this.repair.present("a~1", this.now);
    return this;
  }

  waits(ms: number): this {
    for (const end = this.now + ms; this.now < end;) {
      this.now += 250;
      this.repair.tick(this.now);
    }
    return this;
  }

  decided(): string[] {
    return this.repair.take().map(describe);
  }
}

function describe(output: RepairOutput): string {
  switch (output.kind) {
    case "deliver":
      return `deliver ${output.messages.map(({ seq }) => seq).join(",")}`;
    case "rebase":
      return `rebase ${output.seq}`;
    case "request":
      return `request ${output.after}`;
    case "gap":
      return "gap";
    case "ack":
      return `ack ${output.seq}${output.after > 0 ? ` after ${output.after}` : ""}`;
  }
}

function following(seq: number): Listener {
  const listener = new Listener().learnsHead(seq);
  listener.decided();
  return listener;
}

test("what is next in line goes on as the very list that came", () => {
  const { repair } = following(0);
  const messages = [{ node: "a~1", seq: 4, prev: 0, ...toPayload("4") }];
  repair.receive({ channel: "c", node: "a~1", repair: false, acknowledge: false, messages }, 0);
  const [output] = repair.take();
  strictEqual(output?.kind === "deliver" && output.messages, messages);
});

test("a stream is followed from its head, or from before its first message", () => {
  deepStrictEqual(new Listener().learnsHead(5).hears([6]).decided(), ["rebase 5", "deliver 6"]);
  deepStrictEqual(new Listener().hears([[9, 7]]).decided(), ["deliver 9"]);
  deepStrictEqual(new Listener().learnsHead(0).hears([[3, 0]]).decided(), [
    "rebase 0",
    "deliver 3",
  ]);
});

test("a stream is followed from where it is owed, if that is before", () => {
  const listener = (owedSince: number) => Object.assign(new Listener(), { owedSince });
  deepStrictEqual(listener(3).learnsHead(5).decided(), ["rebase 3", "request 3"]);
  deepStrictEqual(listener(3).hears([[9, 7]]).decided(), ["request 3"]);
  deepStrictEqual(listener(7).learnsHead(5).decided(), ["rebase 5"]);
});

test("repeats are dropped and counted, wherever they stand in what comes", () => {
  const listener = following(2);
  deepStrictEqual(listener.hears([1, 2, 3]).hears([2, 3, 4]).hears([4]).decided(), [
    "deliver 3",
    "deliver 4",
  ]);
  strictEqual(listener.repair.repeats, 5);
});

test("a hole is asked for at once, and what came behind it follows when it is filled", () => {
  const listener = following(1);
  deepStrictEqual(listener.hears([3]).hears([5, 6]).decided(), ["request 1"]);
  strictEqual(listener.repair.holeCount, 1);
  deepStrictEqual(listener.isAnswered(0, [2]).decided(), ["deliver 2", "deliver 3", "request 3"]);
  deepStrictEqual(listener.isAnswered(0, [4]).decided(), ["deliver 4", "deliver 5,6"]);
  deepStrictEqual([listener.repair.holeCount, listener.repair.gaps], [0, 0]);
});

test("any order and any number of copies becomes the order, once each, within the bound", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = createPrng(seed);
    const listener = following(0);
    const seqs = Array.from({ length: 60 }, (_, index) => index + 1);
    const bag = [...seqs, ...seqs, ...seqs].map((seq) => ({ seq, at: seq + random() * 30 }));
    for (const { seq } of bag.sort((left, right) => left.at - right.at)) listener.hears([seq]);
    const delivered = listener.decided().filter((line) => line.startsWith("deliver"));
    const heard = delivered.flatMap((line) => line.slice(8).split(",").map(Number));
    deepStrictEqual(heard, seqs, `seed ${seed}`);
    strictEqual(listener.repair.repeats, 120);
    strictEqual(listener.repair.holeCount, 0);
  }
});

test("a head past what is here finds the loss of the last message", () => {
  const listener = following(1);
  deepStrictEqual(listener.learnsHead(1).learnsHead(0).decided(), []);
  deepStrictEqual(listener.learnsHead(3).decided(), ["request 1"]);
  deepStrictEqual(listener.isAnswered(0, [2, 3]).decided(), ["deliver 2,3"]);
  strictEqual(listener.repair.holeCount, 0);
});

test("what the publishing node no longer has is one gap, and the rest is delivered", () => {
  const listener = following(1);
  listener.hears([9]).decided();
  deepStrictEqual(listener.isAnswered(5, [6, 7, 8, 9]).decided(), [
    "gap",
    "rebase 5",
    "deliver 6,7,8,9",
  ]);
  deepStrictEqual([listener.repair.gaps, listener.repair.holeCount], [1, 0]);
});

test("what comes late, after it was told to be lost, is dropped", () => {
  const listener = following(1);
  listener.hears([9]).isAnswered(5, []).decided();
  deepStrictEqual(listener.hears([3, 4]).decided(), []);
  deepStrictEqual(listener.isAnswered(5, [6, 7, 8]).decided(), ["deliver 6,7,8", "deliver 9"]);
});

test("another holder's floor proves no loss", () => {
  const listener = following(1);
  listener.hears([4]).decided();
  deepStrictEqual(listener.isAnswered(3, [], "b~1").decided(), []);
  strictEqual(listener.repair.gaps, 0);
});

test("an answer that was cut into parts is asked for part by part, without a pause", () => {
  const listener = following(0).learnsHead(9);
  listener.decided();
  deepStrictEqual(listener.isAnswered(0, [1, 2, 3]).decided(), ["deliver 1,2,3", "request 3"]);
  deepStrictEqual(listener.isAnswered(0, [1, 2, 3]).decided(), []);
  strictEqual(listener.repair.repeats, 3);
  deepStrictEqual(listener.isAnswered(0, [4, 5, 6, 7, 8, 9]).decided(), ["deliver 4,5,6,7,8,9"]);
});

test("without an answer a living node is asked again and again, at the pace of the retry", () => {
  const listener = following(1);
  listener.hears([3]).waits(10_000);
  const requests = 1 + 10_000 / REPAIR_RETRY_MS;
  deepStrictEqual(listener.decided(), Array(requests).fill("request 1"));
  strictEqual(listener.repair.requests, requests);
  deepStrictEqual([listener.repair.gaps, listener.repair.holeCount], [0, 1]);
});

test("others are asked in turn: each request in vain counts, until the node answers", () => {
  const listener = following(1).hears([3]).waits(1_000);
  const attempts = (): number[] =>
    listener.repair.take().flatMap((each) => each.kind === "request" ? [each.attempt] : []);
  deepStrictEqual(attempts(), [0, 1, 2]);
  listener.isAnswered(0, []).waits(1_000);
  deepStrictEqual(attempts(), [1, 2]);
  listener.waits(250).isAnswered(0, []).waits(REPAIR_RETRY_MS - 250);
  deepStrictEqual(attempts(), []);
});

for (const reason of ["left", "died"] as const) {
  test(`what nobody repeats of a node that ${reason} is lost after some attempts, and told`, () => {
    const listener = following(1).hears([3]).learnsHead(5).loses(reason);
    listener.decided();
    listener.waits(REPAIR_ATTEMPTS_MAX * REPAIR_RETRY_MS);
    deepStrictEqual(listener.decided(), Array(REPAIR_ATTEMPTS_MAX).fill("request 1"));
    listener.waits(REPAIR_RETRY_MS);
    deepStrictEqual(listener.decided(), ["gap", "rebase 2", "deliver 3"]);
    listener.waits(REPAIR_RETRY_MS);
    deepStrictEqual(listener.decided(), ["gap", "rebase 5"]);
    strictEqual(listener.repair.holeCount, 0);
  });
}

test("a node out of reach is waited for, and its hole is told only when its place is given up", () => {
  const listener = following(1).hears([3]).loses("timed_out").waits(PARK_MS - 250);
  strictEqual(listener.repair.gaps, 0);
  listener.decided();
  deepStrictEqual(listener.waits(250).decided().at(-1), "gap");
  strictEqual(listener.repair.gaps, 1);
  strictEqual(listener.repair.holeCount, 0);
});

for (const reason of ["died", "timed_out"] as const) {
  test(`a node that seemed ${reason} and returns goes on where it was`, () => {
    const listener = following(1).loses(reason).waits(60_000).meets();
    deepStrictEqual(listener.hears([3]).decided(), ["request 1"]);
    deepStrictEqual(listener.isAnswered(0, [2]).decided(), ["deliver 2", "deliver 3"]);
    deepStrictEqual(listener.waits(PARK_MS).hears([5]).decided(), ["request 3"]);
  });
}

const RETURNS: readonly (readonly [reason: DownReason, after: number])[] = [
  ["left", LEFT_MS],
  ["died", PARK_MS],
  ["timed_out", PARK_MS],
];

for (const [reason, after] of RETURNS) {
  test(`a node that ${reason} and returns after its place was given up is told as a gap`, () => {
    const byHead = following(1).loses(reason).waits(after).meets().learnsHead(7);
    deepStrictEqual(byHead.decided(), ["gap", "rebase 7"]);
    const byMessage = following(1).loses(reason).waits(after).meets().waits(1_000).hears([8]);
    deepStrictEqual(byMessage.decided(), ["gap", "deliver 8"]);
    strictEqual(byMessage.repair.gaps, 1);
  });
}

test("a node that returns without having published is no gap, nor one that settled long ago", () => {
  const silent = following(0).loses("died").waits(PARK_MS).meets().learnsHead(0);
  deepStrictEqual(silent.decided(), ["rebase 0"]);
  const settled = following(1).loses("died").waits(PARK_MS).meets();
  deepStrictEqual(settled.waits(STRANGER_SETTLES_MS).learnsHead(7).decided(), ["rebase 7"]);
});

test("a head that is only a bound, from a node that forgot, is a gap", () => {
  const listener = following(3);
  deepStrictEqual(listener.learnsHead(3, false).decided(), []);
  deepStrictEqual(listener.learnsHead(8, false).decided(), ["gap", "rebase 8"]);
  deepStrictEqual(listener.hears([[12, 0]]).decided(), ["deliver 12"]);
});

test("a stream that begins again passes over nothing that is known to be missing", () => {
  const waiting = following(1).hears([5]).hears([[9, 0]]);
  deepStrictEqual(waiting.decided(), ["request 1"]);
  deepStrictEqual(waiting.isAnswered(0, [2, 3, 4]).decided(), ["deliver 2,3,4", "deliver 5,9"]);
  const told = following(1).learnsHead(5).hears([[9, 0]]);
  deepStrictEqual(told.decided(), ["request 1"]);
  deepStrictEqual(told.isAnswered(7, [[9, 0]]).decided(), ["gap", "rebase 7", "deliver 9"]);
  const dead = following(1).learnsHead(5).hears([[9, 0]]).loses("died").waits(10_000);
  deepStrictEqual(dead.decided().slice(-3), ["gap", "rebase 5", "deliver 9"]);
  strictEqual(dead.repair.holeCount, 0);
});

test("past its bound nothing more waits: it is counted, and asked for again", () => {
  const listener = following(0);
  const seqs = Array.from({ length: REPAIR_WAITING_MAX + 10 }, (_, index) => index + 2);
  for (const seq of seqs) listener.hears([seq]);
  deepStrictEqual(listener.decided(), ["request 0"]);
  strictEqual(listener.repair.overflows, 10);
  const lines = listener.isAnswered(0, [1]).decided();
  strictEqual(lines.at(-1), `request ${REPAIR_WAITING_MAX + 1}`);
  listener.isAnswered(0, seqs.slice(REPAIR_WAITING_MAX));
  strictEqual(listener.repair.holeCount, 0);
});

test("copies of what waits do not fill its place", () => {
  const listener = following(0);
  for (let copy = 0; copy < 3; copy++) listener.hears([5, 3]);
  strictEqual(listener.repair.repeats, 4);
  deepStrictEqual(listener.isAnswered(0, [1, 2]).decided().slice(1, 3), [
    "deliver 1,2",
    "deliver 3",
  ]);
  listener.isAnswered(0, [4, 5]);
  deepStrictEqual([listener.repair.holeCount, listener.repair.repeats], [0, 5]);
});

test("what waits behind a hole keeps no memory but its own, whatever memory it came in", () => {
  const { repair } = following(0);
  const memory = new Uint8Array(65_536).fill(7);
  const message = (seq: number): Message => {
    const data = memory.subarray(seq * 100, seq * 101);
    return { node: "a~1", seq, prev: seq - 1, data, isText: false };
  };
  const batch = { channel: "c", node: "a~1", repair: false, acknowledge: false };
  repair.receive({ ...batch, messages: [message(3), message(2)] }, 0);
  memory.fill(9);
  repair.receive({ ...batch, messages: [message(1)] }, 0);
  const delivered = repair.take().flatMap((output) => {
    return output.kind === "deliver" ? output.messages : [];
  });
  deepStrictEqual(delivered.map(({ seq, prev }) => [seq, prev]), [[1, 0], [2, 1], [3, 2]]);
  for (const { data, seq, isText } of delivered.slice(1)) {
    deepStrictEqual([data, isText], [new Uint8Array(seq).fill(7), false]);
    strictEqual(data.buffer.byteLength, seq);
  }
});

test("an acknowledgement is given when all up to it is here, also through a repair", () => {
  const listener = following(0);
  deepStrictEqual(listener.hears([1], { acknowledge: true }).decided(), ["deliver 1", "ack 1"]);
  deepStrictEqual(listener.hears([3, 4], { acknowledge: true }).decided(), ["request 1"]);
  deepStrictEqual(listener.isAnswered(0, [2]).decided(), ["deliver 2", "deliver 3,4", "ack 4"]);
  deepStrictEqual(listener.hears([5]).decided(), ["deliver 5"]);
});

test("a copy that asks for an acknowledgement gets it again, and takes back none that is due", () => {
  const listener = following(0).hears([1]).hears([4], { acknowledge: true });
  listener.decided();
  deepStrictEqual(listener.hears([1], { acknowledge: true }).decided(), []);
  deepStrictEqual(listener.isAnswered(0, [2]).decided(), ["deliver 2", "ack 2", "request 2"]);
  deepStrictEqual(listener.isAnswered(0, [3]).decided(), ["deliver 3", "deliver 4", "ack 4"]);
  deepStrictEqual(listener.hears([4], { acknowledge: true }).decided(), ["ack 4"]);
});

test("what was lost is not acknowledged", () => {
  const listener = following(0).hears([3], { acknowledge: true });
  listener.isAnswered(5, []).hears([6], { acknowledge: true });
  const told = ["request 0", "gap", "rebase 5", "deliver 6", "ack 6 after 5"];
  deepStrictEqual(listener.decided(), told);
});

test("what came before a stream is followed is not acknowledged", () => {
  const listener = new Listener().learnsHead(5).hears([6], { acknowledge: true });
  deepStrictEqual(listener.decided(), ["rebase 5", "deliver 6", "ack 6 after 5"]);
});

test("a channel that is let go of is forgotten, and a late answer does not bring it back", () => {
  const listener = following(1).hears([3]);
  listener.repair.forget("c");
  strictEqual(listener.repair.holeCount, 0);
  listener.decided();
  deepStrictEqual(listener.isAnswered(5, [2, 3]).waits(1_000).decided(), []);
  strictEqual(listener.repair.repeats, 2);
  deepStrictEqual(listener.learnsHead(9).decided(), ["rebase 9"]);
});

test("a long hole costs each message what a short one does", () => {
  const count = 200_000;
  const listener = following(0);
  const start = performance.now();
  for (let seq = 2; seq < count; seq++) listener.hears([seq]);
  ok(performance.now() - start < 2_000, `${performance.now() - start} ms`);
});
