import { testBackplane } from "../../contract/backplane_contract.ts";
import { createRedisGround } from "../../support/redis_room.ts";
import { skipWithoutRedis, withRedis } from "../../support/redis_server.ts";

testBackplane({
  name: "redis",
  skip: skipWithoutRedis,
  run: (body) =>
    withRedis({}, async (server) => {
      const { port } = server;
      const options = { port, username: "nobody", password: "wrong" };
      const says = new RegExp(`127.0.0.1:${port}.*WRONGPASS.*"password"`);
      await body(createRedisGround([server], { url: server.url }, { options, says }));
    }),
});
