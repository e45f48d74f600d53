import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Millis } from "../../src/core/machine.ts";
import { checkDelivery, type DeliveryTerms } from "./delivery_checkers.ts";
import { History, type Item, type Publication } from "./history.ts";

const SENT_AT = 1_000;
const FROZEN_AT = 900;
const THAWED_AT = 1_500;

// One burst of a publishing node, of which a subscriber on another heard nothing but gaps.
function loses(count: number, gapsAt: readonly Millis[], terms: Partial<DeliveryTerms>): string[] {
  const history = new History();
  for (const node of ["a", "b"]) {
    history.lives.set(node, { node, startedAt: 0, end: "running", endedAt: Infinity });
  }
  for (let index = 0; index < count; index++) history.publications.push(publication(index));
  history.stays.push({
    client: "client",
    node: "b",
    channel: "news",
    requestedAt: 0,
    confirmedAt: 0,
    positions: {},
    missing: [],
    endedAt: Infinity,
    items: gapsAt.map((at): Item => ({ kind: "gap", at })),
    heard: new Set(),
  });
  history.disturbances.push({
    kind: "freeze",
    addresses: ["a"],
    startedAt: FROZEN_AT,
    endedAt: THAWED_AT,
  });
  const settled = { isAmple: false, repeatableMax: 0, settleMs: 0, endedAt: 60_000 };
  return checkDelivery(history, { ...settled, ...terms });
}

function publication(index: number): Publication {
  const position = { node: "a", seq: index + 1 };
  return {
    index,
    node: "a",
    channel: "news",
    sentAt: SENT_AT,
    qos: 0,
    position,
    answeredAt: 1_001,
  };
}

const FOR_NO_LOSS = /has a gap at \d+ for no loss/;

for (
  const { what, count, repeatableMax, gapsAt, untrue } of [
    { what: "a gap before anything is lost is untrue", gapsAt: [999], untrue: 1 },
    { what: "what a node forgot is one gap", gapsAt: [2_000], untrue: 0 },
    { what: "what a node forgot is one gap, not two", gapsAt: [2_000, 2_010], untrue: 1 },
    {
      // A request came twice, and between the two answers the newest two were forgotten one by one.
      what: "what a node still repeated as it told a gap may be lost and be gaps of its own",
      repeatableMax: 2,
      gapsAt: [2_000, 2_010, 2_020],
      untrue: 0,
    },
    {
      what: "no more gaps than what it may have repeated",
      repeatableMax: 2,
      gapsAt: [2_000, 2_010, 2_020, 2_030],
      untrue: 1,
    },
    {
      what: "a gap tells of one message at least, however much may be repeated",
      count: 1,
      repeatableMax: 50,
      gapsAt: [2_000, 2_010],
      untrue: 1,
    },
    {
      what: "what was under way to a process that stood still is told by another gap",
      gapsAt: [1_600, 1_650],
      untrue: 0,
    },
  ]
) {
  test(`the checker of gaps: ${what}`, () => {
    const faults = loses(count ?? 10, gapsAt, { repeatableMax: repeatableMax ?? 0 });
    const told = faults.filter((fault) => FOR_NO_LOSS.test(fault));
    deepStrictEqual([told.length, faults.length], [untrue, untrue], faults.join("\n"));
  });
}
