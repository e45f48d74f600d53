import { deepStrictEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { redis, type RedisOptions } from "../../mod.ts";
import { keySlot } from "../../src/backplane/redis/key_slot.ts";
import { ClusterSample, ClusterTraffic, withSamples } from "../support/cluster_traffic.ts";
import { RedisCluster, type RedisWatch, withRedisWatched } from "../support/redis_fleet.ts";
import { skipWithoutRedis } from "../support/redis_server.ts";

const OPTIONS = { skip: skipWithoutRedis };

type Disturb = (nodes: readonly ClusterSample[], traffic: ClusterTraffic) => Promise<void>;

/** Three nodes under load, and then all of it must have arrived, once, in order. */
async function underLoad(options: RedisOptions, disturb: Disturb): Promise<void> {
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

function watched(watch: RedisWatch): RedisOptions {
  const nodes = watch.sentinels.map(({ port }) => `127.0.0.1:${port}`);
  return { sentinels: { name: watch.name, nodes } };
}

test("a master that is killed under load is replaced, and nothing is lost", OPTIONS, async () => {
  await withRedisWatched({ replicas: 2, sentinels: 3 }, async (watch) => {
    await underLoad(watched(watch), async (nodes, traffic) => {
      const master = await watch.master();
      await master.kill();
      for (const node of nodes) await node.until("it is deaf", () => node.health.includes("deaf"));
      for (const node of nodes) await node.meets(2);
      await traffic.runs(50);
      ok(await watch.master() !== master);
    });
  });
});

test("a fail-over by hand moves every node to the new master without loss", OPTIONS, async () => {
  await withRedisWatched({ replicas: 2, sentinels: 3 }, async (watch) => {
    await underLoad(watched(watch), async (nodes, traffic) => {
      const master = await watch.master();
      await watch.sentinels[0]!.cli("sentinel", "failover", watch.name);
      await watch.sentinels[0]!.prints("+switch-master");
      for (const node of nodes) await node.meets(2);
      await traffic.runs(100);
      ok(await watch.master() !== master);
      const clients = await master.cli("client", "list", "type", "pubsub");
      ok(!clients.includes("chorus"), `${nodes.map(({ name }) => name)} stay: ${clients}`);
    });
  });
});

test("slots that move to other servers under load take their channels along", OPTIONS, async () => {
  await withRedisCluster(async (cluster) => {
    await underLoad({ cluster: cluster.nodes.slice(0, 1) }, async (nodes, traffic) => {
      const [first, second] = cluster.servers;
      const own = nodes.map(({ cluster: { nodeId } }) => `chorus:n:${nodeId}`);
      for (const channel of ["chorus:c/x", "chorus:all", ...own]) {
        const slot = keySlot(channel);
        const from = await cluster.masterOf(slot);
        await cluster.moveSlot(slot, from === first ? second! : first!);
        await traffic.runs(50);
      }
    });
  });
});

test(
  "a master of a Cluster that is killed under load is replaced without loss",
  OPTIONS,
  async () => {
    await withRedisCluster(async (cluster) => {
      await underLoad({ cluster: cluster.nodes.slice(0, 2) }, async (nodes, traffic) => {
        const slot = keySlot("chorus:all");
        const master = await cluster.masterOf(slot);
        await master.kill();
        for (const node of nodes) {
          await node.until("it is deaf", () => node.health.includes("deaf"));
        }
        for (const node of nodes) await node.meets(2);
        await traffic.runs(50);
        ok(await cluster.masterOf(slot) !== master);
      });
    });
  },
);

async function withRedisCluster(body: (cluster: RedisCluster) => Promise<void>): Promise<void> {
  const cluster = await RedisCluster.start();
  try {
    await body(cluster);
  } finally {
    await cluster.stop();
  }
}
