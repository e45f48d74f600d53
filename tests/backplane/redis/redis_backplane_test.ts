import { ok, rejects } from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { redis } from "../../../src/backplane/redis/redis_backplane.ts";
import { testBackplane } from "../../contract/backplane_contract.ts";
import { BackplaneSide } from "../../support/backplane_side.ts";
import { createRedisGround } from "../../support/redis_room.ts";
import { skipWithoutRedis, withRedis } from "../../support/redis_server.ts";

testBackplane({
  name: "redis",
  canBeAway: true,
  skip: skipWithoutRedis,
  run: (body) =>
    withRedis({}, async (server) => {
      const { port } = server;
      const options = { port, username: "nobody", password: "wrong" };
      const says = new RegExp(`127.0.0.1:${port}.*WRONGPASS.*"password"`);
      await body(createRedisGround([server], { url: server.url }, { options, says }));
    }),
});

test("a start that fails hangs up at once, and does not wait for the server to", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.resume();
    socket.write("220 not.redis ESMTP\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const side = new BackplaneSide("a", redis({ port }));
  const start = performance.now();
  await rejects(side.start(), { code: "not_redis" });
  await side.stop();
  const tookMs = performance.now() - start;
  ok(tookMs < 400, `${tookMs} ms`);
  await new Promise((resolve) => server.close(resolve));
});
