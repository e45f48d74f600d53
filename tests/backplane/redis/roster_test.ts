import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HERE_WANTS } from "../../../src/backplane/redis/packet.ts";
import { ABSENCE_CHECK_MS, ABSENCE_MS, Roster } from "../../../src/backplane/redis/roster.ts";

const TRUST_AFTER_MS = 3_000;

/** A roster, a clock, and what came out since it was last asked. */
class Sample {
  readonly roster: Roster = new Roster("a~1", TRUST_AFTER_MS);
  now = 0;

  constructor() {
    this.roster.opened(this.now);
    this.said();
  }

  said(): string[] {
    return this.roster.take().map((output) => {
      switch (output.kind) {
        case "up":
          return `+${output.node.name}`;
        case "down":
          return `-${output.node} ${output.loss}`;
        case "gone":
          return `?${output.node}`;
        case "tell":
          return `tell ${output.to ?? "all"} ${output.wants}`;
      }
    });
  }

  /** Looks who listens, as often as the engine does, for so long. */
  looks(durationMs: number, count: number): string[] {
    const said: string[] = [];
    for (const end = this.now + durationMs; this.now <= end; this.now += ABSENCE_CHECK_MS) {
      for (const node of this.roster.suspects(this.now)) {
        const isThorough = this.roster.isAbsent(node);
        this.roster.looked(node, { count, isThorough, askedAt: this.now });
      }
      said.push(...this.said());
    }
    return said;
  }
}

test("a node that can be heard asks all others to answer, and to begin anew with it", () => {
  const roster = new Roster("a~1", TRUST_AFTER_MS);
  roster.opened(0);
  deepStrictEqual(roster.take(), [{ kind: "tell", to: undefined, wants: HERE_WANTS.renewal }]);
});

test("two nodes that hear of each other say so, and then are silent", () => {
  const [a, b] = [new Roster("a~1", TRUST_AFTER_MS), new Roster("b~1", TRUST_AFTER_MS)];
  a.opened(0);
  b.opened(0);
  a.take();
  b.take();
  b.here("a~1", "a", HERE_WANTS.renewal);
  const answers: number[] = [];
  for (let round = 0; round < 4; round++) {
    const [from, to, name] = round % 2 === 0 ? [b, a, "b"] as const : [a, b, "a"] as const;
    const told = from.take().filter((output) => output.kind === "tell");
    answers.push(told.length);
    for (const { wants } of told) to.here(`${name}~1`, name, wants);
  }
  deepStrictEqual(answers, [1, 1, 0, 0]);
  deepStrictEqual([a.isUp("b~1"), b.isUp("a~1")], [true, true]);
});

test("a node that begins anew is lost first, so that what was sent to it is repaired", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.said();
  sample.roster.here("b~1", "b", HERE_WANTS.renewal);
  deepStrictEqual(sample.said(), ["-b~1 lost", "+b", "tell b~1 0"]);
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  deepStrictEqual(sample.said(), []);
});

test("what a stranger sends is not handed on, and it is asked once a second who it is", () => {
  const sample = new Sample();
  strictEqual(sample.roster.heard("b~1", 0), false);
  strictEqual(sample.roster.heard("b~1", 999), false);
  deepStrictEqual(sample.said(), ["tell b~1 2"]);
  strictEqual(sample.roster.heard("b~1", 1_000), false);
  deepStrictEqual(sample.said(), ["tell b~1 2"]);
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  strictEqual(sample.roster.heard("b~1", 1_001), true);
});

test("P8: a node for which nobody listens is gone within half a second, and said to be", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.said();
  sample.now = TRUST_AFTER_MS;
  sample.looks(1_000, 1);
  const said = sample.looks(ABSENCE_MS + ABSENCE_CHECK_MS, 0);
  deepStrictEqual(said.slice(0, 2), ["-b~1 refused", "?b~1"]);
  strictEqual(ABSENCE_MS + ABSENCE_CHECK_MS < 500, true);
});

test("a node that is gone is forgotten after a while, and may return", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.now = TRUST_AFTER_MS;
  sample.said();
  deepStrictEqual(sample.looks(10_000, 0), ["-b~1 refused", ...Array(9).fill("?b~1")]);
  sample.roster.here("b~1", "b", HERE_WANTS.renewal);
  deepStrictEqual(sample.said(), ["+b", "tell b~1 0"]);
});

test("a node that is absent for a moment, as it subscribes anew, is not gone", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.now = TRUST_AFTER_MS;
  sample.said();
  for (let round = 0; round < 5; round++) {
    deepStrictEqual([...sample.looks(ABSENCE_MS - 1, 0), ...sample.looks(0, 1)], []);
  }
});

test("P14: that nobody listens is no proof before any sign of life was looked for", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.now = TRUST_AFTER_MS;
  sample.said();
  for (let count = 0; count < 10; count++, sample.now += ABSENCE_CHECK_MS) {
    sample.roster.looked("b~1", { count: 0, isThorough: false, askedAt: sample.now });
  }
  strictEqual(sample.roster.isAbsent("b~1"), true);
  sample.roster.looked("b~1", { count: 1, isThorough: true, askedAt: sample.now });
  strictEqual(sample.roster.isAbsent("b~1"), false);
  deepStrictEqual(sample.said(), []);
});

test("after a break of its own a node trusts no absence for a while", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.said();
  deepStrictEqual(sample.looks(TRUST_AFTER_MS - ABSENCE_CHECK_MS, 0), []);
  sample.roster.distrust(sample.now);
  deepStrictEqual(sample.looks(TRUST_AFTER_MS - ABSENCE_CHECK_MS, 0), []);
});

test("a look that was asked for before a break proves nothing after it", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.said();
  const look = { count: 0, isThorough: true };
  sample.roster.looked("b~1", { ...look, askedAt: TRUST_AFTER_MS });
  sample.roster.distrust(TRUST_AFTER_MS);
  sample.roster.looked("b~1", { ...look, askedAt: TRUST_AFTER_MS + ABSENCE_MS });
  deepStrictEqual(sample.said(), []);
});

test("when this node hears no longer, all are lost, and none is dead", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.roster.here("c~1", "c", HERE_WANTS.nothing);
  sample.said();
  sample.roster.closed();
  deepStrictEqual(sample.said(), ["-b~1 lost", "-c~1 lost"]);
  sample.roster.here("b~1", "b", HERE_WANTS.renewal);
  deepStrictEqual([...sample.looks(10_000, 0)], []);
  sample.roster.opened(sample.now);
  deepStrictEqual(sample.said(), ["tell all 2"]);
});

test("a node that left is not taken back because of a word that was late", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.said();
  sample.roster.goodbye("b~1");
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  strictEqual(sample.roster.heard("b~1", sample.now), false);
  deepStrictEqual(sample.said(), ["-b~1 left"]);
});

test("a path that is built anew is lost, and up when the node answers", () => {
  const sample = new Sample();
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  sample.said();
  sample.roster.rebuild("b~1", 0);
  deepStrictEqual(sample.said(), ["-b~1 lost", "tell b~1 2"]);
  sample.roster.tick(1_000);
  deepStrictEqual(sample.said(), ["tell b~1 1"]);
  sample.roster.here("b~1", "b", HERE_WANTS.nothing);
  deepStrictEqual(sample.said(), ["+b", "tell b~1 0"]);
  sample.roster.rebuild("nobody~1", 0);
  deepStrictEqual(sample.said(), []);
});

test("a node says now and then that it is there", () => {
  const sample = new Sample();
  sample.roster.tick(4_999);
  deepStrictEqual(sample.said(), []);
  sample.roster.tick(5_000);
  deepStrictEqual(sample.said(), ["tell all 0"]);
});
