/**
 * Runs many seeds, or shows one: `npm run sim -- --seeds 1000`, `deno task sim --seeds 1000`,
 * `npm run sim -- --seed 7 --trace`. With `--until-fault` the first seed that fails is the last.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { formatTotals, SwarmTotals } from "./swarm_totals.ts";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "500" },
    first: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    "until-fault": { type: "boolean", default: false },
  },
});

const FAULTS_SHOWN_MAX = 5;

function main(): void {
  const first = values.seed === undefined
    ? readNumber("--first", values.first)
    : readNumber("--seed", values.seed);
  const count = values.seed === undefined ? readNumber("--seeds", values.seeds) : 1;
  const totals = new SwarmTotals();
  for (let seed = first; seed < first + count; seed++) {
    const write = values.trace ? print : undefined;
    const result = simulate(seed, { write });
    totals.add(result);
    if (values.seed !== undefined) print(JSON.stringify(result.options));
    if (result.faults.length === 0) continue;
    print(`seed ${seed}: ${result.faults.length} faults`);
    for (const fault of result.faults.slice(0, FAULTS_SHOWN_MAX)) print(`  ${fault}`);
    process.exitCode = 1;
    if (values["until-fault"]) break;
  }
  print(formatTotals(totals));
}

function readNumber(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`Cannot use ${flag} ${text}: expected a whole number from 1 on`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

// Whoever reads a trace may have seen enough of it.
process.stdout.on("error", () => process.exit());
try {
  main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
