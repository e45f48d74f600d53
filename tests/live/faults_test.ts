import { CURRENT_RUNTIME } from "../support/runtime_command.ts";
import type { NodeMix } from "./faults/fault_round.ts";
import { NETWORK_FAULTS } from "./faults/network_faults.ts";
import { PROCESS_FAULTS } from "./faults/process_faults.ts";
import { testFault } from "./faults/short_round.ts";

const SHORT_NETWORK_FAULTS = ["partition", "one-way partition", "narrow cable"];
const MIXED_FAULTS = ["rolling restart", "partition"];

const FAULTS = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS.filter(({ name }) => SHORT_NETWORK_FAULTS.includes(name)),
];

for (const fault of FAULTS) {
  const isShown = MIXED_FAULTS.includes(fault.name) && CURRENT_RUNTIME === "node";
  const mixes: readonly NodeMix[] = isShown ? [CURRENT_RUNTIME, "mixed"] : [CURRENT_RUNTIME];
  for (const mix of mixes) testFault(fault, { link: "mesh", mix, nodeTimeoutMs: 2_000 });
}
