import { ok } from "node:assert/strict";
import { test } from "node:test";
import { keySlot } from "../../src/backplane/redis/key_slot.ts";
import { RedisCluster } from "../support/redis_fleet.ts";
import { underLoad } from "../support/redis_load.ts";
import { skipWithoutRedis } from "../support/redis_server.ts";

const OPTIONS = { skip: skipWithoutRedis };

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
  "servers that join and leave a Cluster under load take channels and give them back",
  OPTIONS,
  async () => {
    await withRedisCluster(async (cluster) => {
      await underLoad({ cluster: cluster.nodes.slice(0, 1) }, async (nodes, traffic) => {
        const slots = ["chorus:c/x", "chorus:all"].map(keySlot);
        const before = await Promise.all(slots.map((slot) => cluster.masterOf(slot)));
        const fresh = await cluster.join();
        for (const slot of slots) await cluster.moveSlot(slot, fresh);
        await traffic.runs(100);
        for (const node of nodes) await node.meets(2);
        await cluster.hasSubscribers(fresh, "chorus:all", nodes.length);
        for (const [index, slot] of slots.entries()) await cluster.moveSlot(slot, before[index]!);
        await cluster.leave(fresh);
        await traffic.runs(100);
      });
    });
  },
);

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
