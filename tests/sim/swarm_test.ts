import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { CURRENT_RUNTIME } from "../support/runtime_command.ts";
import { simulate } from "./simulation.ts";
import { formatTotals, SwarmTotals } from "./swarm_totals.ts";

/** A seed decides the same on each runtime, so one of them runs them all. */
const SEEDS = CURRENT_RUNTIME === "node" ? 500 : 50;
const REPLAYED_SEEDS = [1, 2, 3];

test(`every promise holds under ${SEEDS} seeds of faults`, (context) => {
  const totals = new SwarmTotals();
  const faults: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = simulate(seed);
    totals.add(result);
    faults.push(...result.faults.slice(0, 3).map((fault) => `seed ${seed}: ${fault}`));
  }
  context.diagnostic?.(formatTotals(totals));
  deepStrictEqual(faults, []);
  ok(totals.delivered > totals.published, "the swarm did something");
  ok(totals.memberChanges > SEEDS, "members came and went");
  ok(totals.injected > SEEDS, "and something went wrong in it");
});

test("a seed replays to the byte, and another seed does something else", () => {
  for (const seed of REPLAYED_SEEDS) {
    const [first, again] = [traceOf(seed), traceOf(seed)];
    ok(first.length > 100);
    strictEqual(first.join("\n"), again.join("\n"));
    notStrictEqual(first.join("\n"), traceOf(seed + 100).join("\n"));
  }
});

function traceOf(seed: number): string[] {
  const lines: string[] = [];
  simulate(seed, { write: (line) => lines.push(line) });
  return lines;
}
