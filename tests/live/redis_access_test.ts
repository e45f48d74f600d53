import { rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { redis, type RedisOptions } from "../../mod.ts";
import { accessLine } from "../../src/backplane/redis/access_line.ts";
import { resolveRedisOptions } from "../../src/backplane/redis/redis_options.ts";
import { AUTHORITY } from "../support/certificate.ts";
import { ClusterSample, ClusterTraffic, withSamples } from "../support/cluster_traffic.ts";
import { RedisCluster } from "../support/redis_fleet.ts";
import { type RedisServer, skipWithoutRedis, withRedis } from "../support/redis_server.ts";

const OPTIONS = { skip: skipWithoutRedis };

/** Two nodes that can do all that they need to. */
async function works(options: RedisOptions): Promise<readonly ClusterSample[]> {
  const nodes = ["a", "b"].map((name) => new ClusterSample(name, redis(options)));
  await withSamples(nodes, async () => {
    const traffic = new ClusterTraffic(nodes);
    await traffic.start();
    await traffic.runs(100);
    await traffic.stop();
    traffic.assertWhole();
  });
  for (const { faults } of nodes) strictEqual(faults.join(), "");
  return nodes;
}

/** Makes a user with what the backplane's own line says, and nothing more. */
async function createUser(server: RedisServer, options: RedisOptions): Promise<void> {
  const { username, password } = options;
  await server.cli("acl", "setuser", username!, "reset", "on", `>${password}`);
  const [, , ...words] = accessLine(resolveRedisOptions(options)).split(" ");
  await server.cli("acl", "setuser", ...words);
}

test("a user with what the access line grants can do all that is needed", OPTIONS, async () => {
  await withRedis({}, async (server) => {
    const options = { port: server.port, username: "me", password: "secret", channel: "mine" };
    await createUser(server, options);
    await works(options);
    const log = await server.cli("acl", "log");
    strictEqual(log, "", "nothing was refused");
  });
});

test("a user with what the access line grants can use a Redis Cluster", OPTIONS, async () => {
  const cluster = await RedisCluster.start();
  try {
    const [seed] = cluster.nodes;
    const options = { cluster: [seed!], username: "me", password: "secret" };
    for (const server of cluster.servers) await createUser(server, options);
    await works(options);
    for (const server of cluster.servers) strictEqual(await server.cli("acl", "log"), "");
  } finally {
    await cluster.stop();
  }
});

test("a password alone is enough where the server has no users", OPTIONS, async () => {
  await withRedis({ password: "se:cr@t/" }, async ({ port }) => {
    await works({ url: `redis://:${encodeURIComponent("se:cr@t/")}@127.0.0.1:${port}/3` });
  });
});

test("a server that speaks RESP2 only is as good", OPTIONS, async () => {
  await withRedis({ flags: ["--rename-command", "HELLO", ""] }, async (server) => {
    await works({ url: server.url });
  });
});

test("nodes meet over a Unix socket", OPTIONS, async () => {
  await withRedis({}, async (server) => {
    await works({ url: `unix://${server.path}` });
  });
});

test(
  "nodes meet over TLS, and a certificate that cannot be trusted is refused",
  OPTIONS,
  async () => {
    await withRedis({ isTls: true }, async ({ port }) => {
      await works({ url: `rediss://localhost:${port}`, tls: { ca: AUTHORITY } });
      const stranger = new ClusterSample("c", redis({ url: `rediss://localhost:${port}` }));
      await rejects(stranger.cluster.start(), /Cannot connect with Redis at localhost/);
    });
  },
);
