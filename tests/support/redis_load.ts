import { deepStrictEqual } from "node:assert/strict";
import { redis, type RedisOptions } from "../../mod.ts";
import { ClusterSample, ClusterTraffic, withSamples } from "./cluster_traffic.ts";

/** Lets something happen to servers while nodes use them. */
export type Disturb = (
  nodes: readonly ClusterSample[],
  traffic: ClusterTraffic,
) => Promise<void>;

/** Three nodes under load, and then all of it must have arrived, once, in order. */
export async function underLoad(options: RedisOptions, disturb: Disturb): Promise<void> {
  const nodes = ["a", "b", "c"].map((name) => new ClusterSample(name, redis(options)));
  await withSamples(nodes, async () => {
    // Channels of every server of a Cluster.
    const traffic = new ClusterTraffic(nodes, ["v", "w", "x", "y", "z"]);
    await traffic.start();
    await traffic.runs(50);
    await disturb(nodes, traffic);
    for (const node of nodes) await node.meets(2);
    await traffic.runs(50);
    await traffic.stop();
    traffic.assertWhole();
    for (const { name, events } of nodes) {
      deepStrictEqual(events.filter((event) => event.startsWith("-")), [], name);
    }
  });
}
