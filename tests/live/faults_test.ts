import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { CURRENT_RUNTIME } from "../support/runtime_command.ts";
import { type Fault, faultsOn, whyImpossible } from "./faults/fault.ts";
import { type NodeMix, runRound } from "./faults/fault_round.ts";
import { NETWORK_FAULTS } from "./faults/network_faults.ts";
import { PROCESS_FAULTS } from "./faults/process_faults.ts";
import { REDIS_FAULTS } from "./faults/redis_faults.ts";

// `npm run test:faults` runs all faults, and for longer.
const OPTIONS = { seconds: 3, clientsPerNode: 2, messagesPerSecond: 50 };
// It takes up to 3 s to know that Redis stands still, and nobody may be declared down sooner.
const NODE_TIMEOUT_MS: Readonly<Record<string, number>> = { mesh: 2_000, redis: 4_000 };
const SHORT_NETWORK_FAULTS = ["partition", "one-way partition", "narrow cable"];
const MIXED_FAULTS = ["rolling restart", "partition"];
const SHORT_REDIS_FAULTS = ["kill", "long freeze", "Redis out of reach", "Redis killed"];

const FAULTS = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS.filter(({ name }) => SHORT_NETWORK_FAULTS.includes(name)),
];

for (const fault of FAULTS) {
  const isShown = MIXED_FAULTS.includes(fault.name) && CURRENT_RUNTIME === "node";
  const mixes: readonly NodeMix[] = isShown ? [CURRENT_RUNTIME, "mixed"] : [CURRENT_RUNTIME];
  for (const mix of mixes) hold(fault, "mesh", mix);
}

if (CURRENT_RUNTIME === "node") {
  for (const fault of faultsOn("redis", [...PROCESS_FAULTS, ...REDIS_FAULTS])) {
    if (SHORT_REDIS_FAULTS.includes(fault.name)) hold(fault, "redis", "mixed");
  }
}

function hold(fault: Fault, link: string, mix: NodeMix): void {
  const skip = whyImpossible(fault, link) ?? false;
  const where = `on ${mix} nodes over ${link === "redis" ? "Redis" : "the mesh"} under load`;
  test(`${fault.promise}, ${where}`, { skip }, async () => {
    const result = await runRound(fault, {
      ...OPTIONS,
      nodeTimeoutMs: NODE_TIMEOUT_MS[link]!,
      mix,
      link,
    });
    deepStrictEqual(result.findings, []);
    // A round in which nothing was said would hold every promise.
    const { published, delivered, changes } = result;
    strictEqual(published > 500 && delivered > 3_000 && changes > 50, true);
  });
}
