import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Debts } from "../../src/cluster/debts.ts";
import { DEBTS_MAX, PARK_MS } from "../../src/cluster/settings.ts";

function owing(...learned: readonly (readonly [version: number, seq: number])[]): Debts {
  const debts = new Debts();
  for (const [version, seq] of learned) debts.learn("b~1", { version, seq });
  return debts;
}

function told(debts: Debts, node = "b~1"): string[] {
  return debts.owedTo(node).map(({ version, seq }) => `${version} since ${seq}`);
}

test("a node is owed what it wants from when that was learned first", () => {
  const debts = owing([0, 0], [3, 10], [3, 20], [2, 30], [4, 40]);
  deepStrictEqual(told(debts), ["0 since 0", "3 since 10", "4 since 40"]);
  deepStrictEqual(told(debts, "c~1"), []);
});

test("past the bound more is owed, and nothing less", () => {
  const debts = owing();
  for (let version = 1; version <= DEBTS_MAX + 2; version++) {
    debts.learn("b~1", { version, seq: 10 * version });
  }
  const since = told(debts);
  strictEqual(since.length, DEBTS_MAX);
  deepStrictEqual(since.slice(0, 2), ["3 since 10", "4 since 40"]);
});

test("what a node wants is owed to it since the first version learned that has it", () => {
  const debts = new Debts();
  strictEqual(debts.owedBy("b~1", 1), Infinity);
  debts.claim("b~1", [{ version: 3, seq: 10 }, { version: 5, seq: 40 }]);
  const owed = [1, 3, 4, 5, 6, Infinity].map((version) => debts.owedBy("b~1", version));
  deepStrictEqual(owed, [10, 10, 40, 40, Infinity, Infinity]);
  strictEqual(debts.owedBy("c~1", 1), Infinity);
});

test("P11: of a claim without end only a part is kept", () => {
  const debts = new Debts();
  const since = Array.from({ length: DEBTS_MAX + 1 }, (_, version) => ({ version, seq: version }));
  debts.claim("b~1", since);
  strictEqual(debts.owedBy("b~1", DEBTS_MAX - 1), DEBTS_MAX - 1);
  strictEqual(debts.owedBy("b~1", DEBTS_MAX), Infinity);
});

test("what is owed outlives a node's absence, but not a long one, and claims do not", () => {
  const debts = owing([1, 10]);
  debts.claim("b~1", [{ version: 1, seq: 1 }]);
  debts.absent("b~1", 0);
  strictEqual(debts.owedBy("b~1", 1), Infinity);
  debts.tick(PARK_MS - 1);
  debts.present("b~1");
  debts.tick(PARK_MS);
  deepStrictEqual(told(debts), ["1 since 10"]);
  debts.absent("b~1", PARK_MS);
  debts.tick(2 * PARK_MS);
  deepStrictEqual(told(debts), []);
});
