import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { type Fault, whyImpossible } from "./fault.ts";
import { type NodeMix, runRound } from "./fault_round.ts";

/** How a short round is run. */
export interface ShortRoundOptions {
  /** What the nodes run on. */
  readonly mix: NodeMix;
  /** How the nodes are linked. */
  readonly link: string;
  /** After how much silence a node is down. */
  readonly nodeTimeoutMs: number;
  /** Why it is not run here, or `false` if it is. Default: `false`. */
  readonly skip?: string | false;
}

/** Tests that everything holds under a fault. `npm run test:faults` runs all of them, and longer. */
export function testFault(fault: Fault, options: ShortRoundOptions): void {
  const { mix, link, nodeTimeoutMs } = options;
  const skip = options.skip || (whyImpossible(fault, link) ?? false);
  const where = `on ${mix} nodes over ${link === "redis" ? "Redis" : "the mesh"} under load`;
  test(`${fault.promise}, ${where}`, { skip }, async () => {
    const load = { seconds: 3, clientsPerNode: 2, messagesPerSecond: 50 };
    const result = await runRound(fault, { ...load, mix, link, nodeTimeoutMs });
    deepStrictEqual(result.findings, []);
    // A round in which nothing was said would hold every promise.
    const { published, delivered, changes } = result;
    strictEqual(published > 500 && delivered > 3_000 && changes > 50, true);
  });
}
