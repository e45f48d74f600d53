/**
 * Breaks the library in one way at a time, in a copy of it, and shows how soon the swarm notices:
 * `npm run sim:mutants`, `npm run sim:mutants -- --only gap`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { hunt } from "./mutant_hunt.ts";
import { MUTANTS } from "./mutant_list.ts";

function main(): void {
  const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
  const mutants = MUTANTS.filter(({ name }) => name.includes(values.only));
  process.stdout.write("| Mutant | Promise | Seeds allowed | Caught by seed | First fault |\n");
  process.stdout.write("| --- | --- | ---: | ---: | --- |\n");
  for (const mutant of mutants) {
    const { seed, fault } = hunt(mutant);
    if (seed === undefined) process.exitCode = 1;
    const { name, promise, seeds } = mutant;
    process.stdout.write(
      `| ${name} | ${promise} | ${seeds} | ${seed ?? "SURVIVED"} | ${fault} |\n`,
    );
  }
}

main();
