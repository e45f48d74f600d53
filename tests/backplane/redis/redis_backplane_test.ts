import type { Backplane } from "../../../src/backplane/backplane.ts";
import { redis } from "../../../src/backplane/redis/redis_backplane.ts";
import { testBackplane } from "../../contract/backplane_contract.ts";
import { skipWithoutRedis, withRedis } from "../../support/redis_server.ts";

testBackplane({
  name: "redis",
  skip: skipWithoutRedis,
  run: (body) =>
    withRedis({}, async (server) => {
      const { port } = server;
      let rooms = 0;
      const channels = new Map<Backplane, string>();
      await body({
        create: (seed) => {
          const channel = seed === undefined ? `room${++rooms}` : channels.get(seed)!;
          const backplane = redis({ url: server.url, channel });
          channels.set(backplane, channel);
          return backplane;
        },
        createBroken: () => ({
          backplane: redis({ port, username: "nobody", password: "wrong" }),
          says: new RegExp(`127.0.0.1:${port}.*WRONGPASS.*"password"`),
        }),
        isOpen: async () => (await server.cli("client", "list")).includes("name=chorus"),
      });
    }),
});
