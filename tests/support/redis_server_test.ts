import { rejects, strictEqual } from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { skipWithoutRedis, startRedis, withRedis } from "./redis_server.ts";

test("a Redis server is killed, started again at its port, and leaves nothing", {
  skip: skipWithoutRedis,
}, async () => {
  const server = await startRedis();
  const { port, pid } = server;
  strictEqual(await server.cli("SET", "a", "1"), "OK");
  await server.kill();
  await rejects(server.cli("PING"));
  await server.start();
  strictEqual(server.port, port);
  strictEqual(server.pid === pid, false);
  strictEqual(await server.cli("GET", "a"), "");
  await server.stop();
  await server.stop();
  strictEqual(existsSync(server.folder), false);
});

test("redis-cli knows the password of its Redis server", { skip: skipWithoutRedis }, async () => {
  await withRedis({ password: "open sesame" }, async (server) => {
    strictEqual(await server.cli("PING"), "PONG");
  });
});

test("a Redis server that cannot start says what it printed", {
  skip: skipWithoutRedis,
}, async () => {
  await rejects(startRedis({ flags: ["--maxclients", "many"] }), /maxclients/);
});
