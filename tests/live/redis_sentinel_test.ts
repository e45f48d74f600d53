import { ok } from "node:assert/strict";
import { test } from "node:test";
import type { RedisOptions } from "../../mod.ts";
import { type RedisWatch, withRedisWatched } from "../support/redis_fleet.ts";
import { underLoad } from "../support/redis_load.ts";
import { skipWithoutRedis } from "../support/redis_server.ts";

const OPTIONS = { skip: skipWithoutRedis };

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
