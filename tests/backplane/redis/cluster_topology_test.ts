import { ok } from "node:assert/strict";
import { test } from "node:test";
import { testBackplane } from "../../contract/backplane_contract.ts";
import { RedisCluster } from "../../support/redis_fleet.ts";
import { createRedisGround } from "../../support/redis_room.ts";
import { skipWithoutRedis, startRedis } from "../../support/redis_server.ts";

// One for all tests of this file, which run one after the other: it takes a while to come together.
let cluster: RedisCluster | undefined;
const OPTIONS = { skip: skipWithoutRedis };

test("a Redis Cluster of six servers comes together", OPTIONS, async () => {
  cluster = await RedisCluster.start();
});

testBackplane({
  name: "redis over a Redis Cluster",
  isOrderPerChannel: true,
  canBeAway: true,
  skip: skipWithoutRedis,
  run: async (body) => {
    ok(cluster !== undefined);
    const options = { cluster: cluster.nodes.slice(0, 1) };
    // A server that is no part of a Cluster.
    const alone = await startRedis();
    try {
      const broken = { cluster: [`127.0.0.1:${alone.port}`] };
      const says = /127\.0\.0\.1:\d+.*cluster support disabled/;
      await body(createRedisGround(cluster.servers, options, { options: broken, says }));
    } finally {
      await alone.stop();
    }
  },
});

test("the Redis Cluster ends", OPTIONS, async () => {
  await cluster?.stop();
});
