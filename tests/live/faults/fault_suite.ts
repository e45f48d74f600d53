/**
 * Runs every fault on real processes under load, on each runtime and on a cluster of all three,
 * and prints a table of what came of it: `npm run test:faults`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { RUNTIMES } from "../../support/runtime_command.ts";
import { type Fault, faultsOn, whyImpossible } from "./fault.ts";
import { type NodeMix, type RoundResult, runRound } from "./fault_round.ts";
import { formatTable } from "./fault_table.ts";
import { LINKINGS } from "./linking.ts";
import { NETWORK_FAULTS } from "./network_faults.ts";
import { PROCESS_FAULTS } from "./process_faults.ts";
import { REDIS_FAULTS } from "./redis_faults.ts";

const HELP = `Faults on real processes, under load.

  --runtime NAME     what the nodes run on: node, bun, deno or mixed, one of each; may be repeated
                     (default: all four)
  --only SUBSTRING   only faults whose name contains it; may be repeated
  --seconds N        how long each fault's load lasts (default 30)
  --node-timeout MS  after how much silence a node is down (default 5000)
  --clients N        clients for each node (default 2)
  --rate N           messages that each client publishes a second (default 50)
  --link NAME        how nodes are linked: ${Object.keys(LINKINGS).join(", ")}; may be repeated
                     (default: all)
  --help             print this
`;

const MIXES: readonly NodeMix[] = [...RUNTIMES, "mixed"];

interface Options {
  readonly mixes: readonly NodeMix[];
  readonly faults: readonly Fault[];
  readonly seconds: number;
  readonly nodeTimeoutMs: number;
  readonly clientsPerNode: number;
  readonly messagesPerSecond: number;
  readonly links: readonly string[];
}

// Nodes and networks that are there go with the process.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => process.exit(130));
}
try {
  const options = readOptions();
  if (options === undefined) print(HELP);
  else await main(options);
} catch (error) {
  print(error instanceof Error ? error.stack ?? error.message : String(error));
  process.exitCode = 2;
}

async function main(options: Options): Promise<void> {
  const results: RoundResult[] = [];
  for (const link of options.links) {
    const faults = faultsOn(link, options.faults).filter((fault) => isPossible(fault, link));
    for (const mix of options.mixes) {
      for (const fault of faults) {
        const result = await runRound(fault, { ...options, mix, link });
        results.push(result);
        const { findings } = result;
        const verdict = findings.length === 0 ? "ok  " : "FAIL";
        print(`${verdict}  ${link}, ${mix}, ${fault.name}: ${fault.promise}`);
        for (const finding of findings) print(`      ${finding}`);
      }
    }
  }
  print(`\n${formatTable(results)}`);
  const failed = results.filter(({ findings }) => findings.length > 0).length;
  print(`\n${results.length - failed} of ${results.length} rounds hold`);
  process.exitCode = failed > 0 || results.length === 0 ? 1 : 0;
}

function isPossible(fault: Fault, link: string): boolean {
  const reason = whyImpossible(fault, link);
  if (reason !== undefined) print(`skip  ${link}, ${fault.name}: ${reason}`);
  return reason === undefined;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      "runtime": { type: "string", multiple: true, default: [...MIXES] },
      "only": { type: "string", multiple: true, default: [""] },
      "seconds": { type: "string", default: "30" },
      "node-timeout": { type: "string", default: "5000" },
      "clients": { type: "string", default: "2" },
      "rate": { type: "string", default: "50" },
      "link": { type: "string", multiple: true, default: Object.keys(LINKINGS) },
      "help": { type: "boolean", default: false },
    },
  });
  if (values.help === true) return undefined;
  const { only = [], link: links = [] } = values;
  const unknown = links.find((link) => LINKINGS[link] === undefined);
  if (unknown !== undefined) throw new Error(`Cannot use --link ${unknown}`);
  return {
    mixes: (values.runtime ?? []).map(readMix),
    faults: [...PROCESS_FAULTS, ...NETWORK_FAULTS, ...REDIS_FAULTS].filter(({ name }) =>
      only.some((part) => name.includes(part))
    ),
    seconds: readCount("--seconds", values.seconds),
    nodeTimeoutMs: readCount("--node-timeout", values["node-timeout"]),
    clientsPerNode: readCount("--clients", values.clients),
    messagesPerSecond: readCount("--rate", values.rate),
    links,
  };
}

function readMix(name: string): NodeMix {
  const mix = MIXES.find((known) => known === name);
  if (mix !== undefined) return mix;
  throw new Error(`Cannot use --runtime ${name}: expected one of ${MIXES.join(", ")}`);
}

function readCount(flag: string, text: string | undefined): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  throw new Error(`Cannot use ${flag} ${text}: expected a whole number from 1 on`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
