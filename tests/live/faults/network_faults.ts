import type { Network } from "../../support/network.ts";
import { allLost, type Fault, NODE_NAMES, pass, type Scene } from "./fault.ts";
import type { Member } from "./fault_cluster.ts";

/** What can happen to the network between nodes. */
export const NETWORK_FAULTS: readonly Fault[] = [
  {
    name: "partition",
    links: ["mesh"],
    promise: "P4, P8: a node that is cut off from the others misses nothing when it is back",
    need: "network",
    bystanders: ["a", "b"],
    noticedInMs: (nodeTimeoutMs) => nodeTimeoutMs + 500,
    convergesInMs: 10_000,
    run: (scene) =>
      partition(scene, {
        block: (network) => blockBothWays(network, [[2, 0], [2, 1]]),
        split: [["a", "b"], ["c"]],
      }),
  },
  {
    name: "one-way partition",
    links: ["mesh"],
    promise: "P4, P8: a node that hears the others and is not heard misses nothing in the end",
    need: "network",
    bystanders: ["a", "b"],
    noticedInMs: (nodeTimeoutMs) => 2 * nodeTimeoutMs + 500,
    convergesInMs: 10_000,
    run: (scene) =>
      partition(scene, {
        block: (network) => [0, 1].forEach((to) => network.block(2, to)),
        split: [["a", "b"], ["c"]],
      }),
  },
  {
    name: "partition of a pair",
    links: ["mesh"],
    promise: "P4, P8: two nodes that do not reach each other miss nothing, nor does a third",
    need: "network",
    bystanders: [],
    noticedInMs: (nodeTimeoutMs) => 2 * nodeTimeoutMs + 500,
    convergesInMs: 10_000,
    run: (scene) =>
      partition(scene, {
        block: (network) => blockBothWays(network, [[0, 2]]),
        split: [["a"], ["c"]],
      }),
  },
  {
    name: "short partition",
    links: ["mesh"],
    promise: "P4, P14: a partition shorter than the node timeout goes by unnoticed, with no loss",
    need: "network",
    bystanders: ["a", "b"],
    convergesInMs: 10_000,
    run: async ({ network, nodeTimeoutMs }) => {
      blockBothWays(network!, [[2, 0], [2, 1]]);
      await pass(0.5 * nodeTimeoutMs);
      network!.unblock();
    },
  },
  {
    name: "narrow cable",
    promise:
      "P10, P14: a node whose cable is too narrow for a while falls behind, and slows nobody",
    need: "tbf",
    bystanders: ["a", "b"],
    convergesInMs: 10_000,
    run: async ({ network, nodeTimeoutMs, holdMs }) => {
      const end = performance.now() + holdMs;
      for (;;) {
        network!.narrow(2, { kilobitsPerSecond: 64, queueBytes: 16_000 });
        await pass(0.5 * nodeTimeoutMs);
        network!.repair();
        if (performance.now() > end) return;
        await pass(0.5 * nodeTimeoutMs);
      }
    },
  },
  {
    name: "delay and loss",
    promise: "P1, P14: late and lost packets cost time, and nothing else",
    need: "netem",
    bystanders: [],
    convergesInMs: 10_000,
    run: async ({ network, holdMs }) => {
      for (const index of NODE_NAMES.keys()) {
        network!.impair(index, { delayMs: 50, jitterMs: 20, lossPercent: 2 });
      }
      await pass(holdMs);
      network!.repair();
    },
  },
];

interface Partition {
  /** Drops packets. */
  readonly block: (network: Network) => void;
  /** Who loses whom, both ways. */
  readonly split: readonly [readonly string[], readonly string[]];
}

async function partition(scene: Scene, { block, split }: Partition): Promise<void> {
  const { cluster, network, holdMs } = scene;
  const healAt = performance.now() + holdMs;
  const [ones, others] = split.map((names) => names.map((name) => cluster.member(name)));
  block(network!);
  scene.begun();
  await Promise.all(bothWays(ones!, others!).map(([one, other]) => allLost(cluster, one, other)));
  scene.noticed();
  await pass(healAt - performance.now());
  network!.unblock();
}

function bothWays<T extends readonly Member[]>(ones: T, others: T): [T, T][] {
  return [[ones, others], [others, ones]];
}

function blockBothWays(network: Network, pairs: readonly (readonly [number, number])[]): void {
  for (const [one, other] of pairs) {
    network.block(one, other);
    network.block(other, one);
  }
}
