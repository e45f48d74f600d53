import { testBackplane } from "../../contract/backplane_contract.ts";
import { withRedisWatched } from "../../support/redis_fleet.ts";
import { createRedisGround } from "../../support/redis_room.ts";
import { skipWithoutRedis } from "../../support/redis_server.ts";

testBackplane({
  name: "redis over a Sentinel",
  skip: skipWithoutRedis,
  run: (body) =>
    withRedisWatched({ replicas: 0, sentinels: 1 }, async ({ name, servers, sentinels }) => {
      const nodes = sentinels.map(({ port }) => `127.0.0.1:${port}`);
      const options = { sentinels: { name, nodes } };
      const broken = { sentinels: { name: "other", nodes } };
      const says = /Sentinel at 127\.0\.0\.1:\d+ knows no master "other"/;
      const all = [...servers, ...sentinels];
      await body(createRedisGround(all, options, { options: broken, says }));
    }),
});
