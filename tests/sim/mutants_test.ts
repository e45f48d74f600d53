import { ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CURRENT_RUNTIME, ROOT } from "../support/runtime_command.ts";
import { hunt } from "./mutant_hunt.ts";
import { applyMutant, MUTANTS } from "./mutant_list.ts";

test("each mutant has its place in the library", () => {
  for (const mutant of MUTANTS) {
    const text = readFileSync(`${ROOT}${mutant.file}`, "utf8");
    ok(applyMutant(mutant, text) !== text, mutant.name);
  }
});

// A seed decides the same on each runtime, so one of them hunts.
for (const mutant of CURRENT_RUNTIME === "node" ? MUTANTS : []) {
  const { name, promise, seeds } = mutant;
  test(`${promise}: the swarm notices within ${seeds} seeds when ${name}`, () => {
    const { seed, fault } = hunt(mutant);
    ok(seed !== undefined, fault);
  });
}
