import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Acknowledgements } from "../../src/cluster/acknowledgements.ts";
import { ACKNOWLEDGEMENTS_MAX } from "../../src/cluster/settings.ts";

/** Waits for nodes by their letters, and tells what was settled in short lines. */
class Desk {
  readonly acknowledgements = new Acknowledgements();

  expects(ticket: string, seq: number, nodes: string, options: { channel?: string } = {}): this {
    const { channel = "c" } = options;
    const wait = { ticket, seq, nodes: new Set(nodes), giveUpAt: 100 };
    this.acknowledgements.expect(channel, wait);
    return this;
  }

  hears(node: string, seq: number, channel = "c", after = 0): this {
    this.acknowledgements.acknowledge(channel, node, { seq, after });
    return this;
  }

  settled(): string[] {
    return this.acknowledgements.take().map(({ ticket, nodes, missing }) =>
      `${String(ticket)} held ${nodes.join("")} missing ${missing.join("")}`
    );
  }
}

test("a message is settled when the last node holds it, and not before", () => {
  const desk = new Desk().expects("t", 5, "xyz");
  deepStrictEqual(desk.hears("z", 5).hears("x", 9).settled(), []);
  strictEqual(desk.acknowledgements.count, 1);
  deepStrictEqual(desk.hears("y", 5).settled(), ["t held zxy missing "]);
  strictEqual(desk.acknowledgements.count, 0);
});

test("a message that concerns nobody is settled at once", () => {
  const desk = new Desk().expects("t", 5, "");
  deepStrictEqual(desk.settled(), ["t held  missing "]);
  strictEqual(desk.acknowledgements.isAwaited("c"), false);
});

test("one acknowledgement settles all messages up to its seq, in their order", () => {
  const desk = new Desk();
  for (const seq of [3, 4, 5, 6]) desk.expects(`t${seq}`, seq, "x");
  deepStrictEqual(desk.hears("x", 5).settled(), [
    "t3 held x missing ",
    "t4 held x missing ",
    "t5 held x missing ",
  ]);
  strictEqual(desk.acknowledgements.count, 1);
});

test("an acknowledgement says nothing of what came before it starts: that is missing there", () => {
  const desk = new Desk();
  for (const seq of [3, 4, 5]) desk.expects(`t${seq}`, seq, "xy");
  desk.hears("y", 5);
  deepStrictEqual(desk.hears("x", 5, "c", 4).settled(), [
    "t3 held y missing x",
    "t4 held y missing x",
    "t5 held yx missing ",
  ]);
});

test("what comes twice, too early, from a stranger or for another channel settles nothing", () => {
  const desk = new Desk().expects("t", 5, "xy").expects("u", 5, "x", { channel: "d" });
  desk.hears("x", 5).hears("x", 5).hears("y", 4).hears("q", 5).hears("y", 5, "e");
  deepStrictEqual(desk.settled(), []);
  deepStrictEqual(desk.hears("y", 5).hears("x", 5, "d").settled(), [
    "t held xy missing ",
    "u held x missing ",
  ]);
});

test("a node that is down is missing, in every channel, and settles what waited for it alone", () => {
  const desk = new Desk().expects("t", 1, "xy").expects("u", 2, "x", { channel: "d" });
  desk.hears("y", 1).acknowledgements.forget("x");
  deepStrictEqual(desk.settled(), ["t held y missing x", "u held  missing x"]);
  strictEqual(desk.acknowledgements.count, 0);
});

test("a node that has let a channel go is not waited for there, and neither holds nor lacks it", () => {
  const desk = new Desk().expects("t", 1, "xy").expects("u", 2, "x", { channel: "d" });
  desk.acknowledgements.excuse("x", (channel) => channel === "d");
  deepStrictEqual(desk.settled(), []);
  deepStrictEqual(desk.hears("y", 1).settled(), ["t held y missing "]);
  deepStrictEqual(desk.hears("x", 2, "d").settled(), ["u held x missing "]);
});

test("when the time is up, those who have not answered are missing", () => {
  const desk = new Desk().expects("t", 1, "xyz").hears("y", 1);
  desk.acknowledgements.tick(99);
  deepStrictEqual(desk.settled(), []);
  desk.acknowledgements.tick(100);
  deepStrictEqual(desk.settled(), ["t held y missing xz"]);
  deepStrictEqual(desk.hears("x", 1).settled(), []);
});

test("acknowledgements of a channel are awaited as long as one of its messages is", () => {
  const desk = new Desk().expects("t", 1, "x").expects("u", 2, "x");
  strictEqual(desk.acknowledgements.isAwaited("c"), true);
  strictEqual(desk.acknowledgements.isAwaited("d"), false);
  desk.hears("x", 1);
  strictEqual(desk.acknowledgements.isAwaited("c"), true);
  desk.hears("x", 2);
  strictEqual(desk.acknowledgements.isAwaited("c"), false);
});

test("the nodes that a message waits for are those of the moment when it was published", () => {
  const desk = new Desk();
  const nodes = new Set(["x"]);
  desk.acknowledgements.expect("c", { ticket: "t", seq: 1, nodes, giveUpAt: 100 });
  nodes.add("y");
  deepStrictEqual(desk.hears("x", 1).settled(), ["t held x missing "]);
});

test("P10: past its bound a message is not waited for, and its nodes are told as missing", () => {
  const desk = new Desk();
  for (let seq = 1; seq <= ACKNOWLEDGEMENTS_MAX; seq++) desk.expects(`${seq}`, seq, "xy");
  deepStrictEqual(desk.settled(), []);
  const last = ACKNOWLEDGEMENTS_MAX + 1;
  deepStrictEqual(desk.expects("last", last, "xy").settled(), ["last held  missing xy"]);
  strictEqual(desk.acknowledgements.refusedCount, 1);
  strictEqual(desk.acknowledgements.count, ACKNOWLEDGEMENTS_MAX);
  desk.hears("x", 1).hears("y", 1);
  deepStrictEqual(desk.settled(), ["1 held xy missing "]);
  deepStrictEqual(desk.expects("last", last, "x").settled(), []);
});
