import { ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CURRENT_RUNTIME, ROOT } from "../support/runtime_command.ts";
import { hunt } from "./mutant_hunt.ts";
import { applyMutant, type Mutant } from "./mutant_list.ts";

/** Tests that the swarm notices each of some mutants, within as many seeds as it is given. */
export function testMutants(mutants: readonly Mutant[]): void {
  test("each mutant has its place in the library", () => {
    for (const mutant of mutants) {
      const text = readFileSync(`${ROOT}${mutant.file}`, "utf8");
      ok(applyMutant(mutant, text) !== text, mutant.name);
    }
  });

  // A seed decides the same on each runtime, so one of them hunts.
  for (const mutant of CURRENT_RUNTIME === "node" ? mutants : []) {
    const { name, promise, seeds } = mutant;
    test(`${promise}: the swarm notices within ${seeds} seeds when ${name}`, () => {
      const { seed, fault } = hunt(mutant);
      ok(seed !== undefined, fault);
    });
  }
}
