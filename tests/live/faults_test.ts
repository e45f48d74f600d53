import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { CURRENT_RUNTIME } from "../support/runtime_command.ts";
import { whyImpossible } from "./faults/fault.ts";
import { type NodeMix, runRound } from "./faults/fault_round.ts";
import { NETWORK_FAULTS } from "./faults/network_faults.ts";
import { PROCESS_FAULTS } from "./faults/process_faults.ts";

// `npm run test:faults` runs all faults, and for longer.
const OPTIONS = {
  link: "mesh",
  seconds: 3,
  nodeTimeoutMs: 2_000,
  clientsPerNode: 2,
  messagesPerSecond: 50,
};
const SHORT_NETWORK_FAULTS = ["partition", "one-way partition", "narrow cable"];
const MIXED_FAULTS = ["rolling restart", "partition"];

const FAULTS = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS.filter(({ name }) => SHORT_NETWORK_FAULTS.includes(name)),
];

for (const fault of FAULTS) {
  const isShown = MIXED_FAULTS.includes(fault.name) && CURRENT_RUNTIME === "node";
  const mixes: readonly NodeMix[] = isShown ? [CURRENT_RUNTIME, "mixed"] : [CURRENT_RUNTIME];
  const skip = whyImpossible(fault) ?? false;
  for (const mix of mixes) {
    test(`${fault.promise}, on ${mix} nodes under load`, { skip }, async () => {
      const result = await runRound(fault, { ...OPTIONS, mix });
      deepStrictEqual(result.findings, []);
      // A round in which nothing was said would hold every promise.
      strictEqual(result.published > 500 && result.delivered > 3_000, true);
    });
  }
}
