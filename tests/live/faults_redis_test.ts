import { CURRENT_RUNTIME } from "../support/runtime_command.ts";
import { faultsOn } from "./faults/fault.ts";
import { PROCESS_FAULTS } from "./faults/process_faults.ts";
import { REDIS_FAULTS } from "./faults/redis_faults.ts";
import { testFault } from "./faults/short_round.ts";

const SHORT_FAULTS = ["kill", "long freeze", "Redis out of reach", "Redis killed"];
// It takes up to 3 s to know that Redis stands still, and nobody may be declared down sooner.
const NODE_TIMEOUT_MS = 4_000;

const skip = CURRENT_RUNTIME === "node" ? false : "its nodes are on all runtimes: once is enough";

for (const fault of faultsOn("redis", [...PROCESS_FAULTS, ...REDIS_FAULTS])) {
  if (!SHORT_FAULTS.includes(fault.name)) continue;
  testFault(fault, { link: "redis", mix: "mixed", nodeTimeoutMs: NODE_TIMEOUT_MS, skip });
}
