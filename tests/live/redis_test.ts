import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { redis, type RedisOptions } from "../../mod.ts";
import { ClusterSample, ClusterTraffic, withSamples } from "../support/cluster_traffic.ts";
import { type RedisServer, skipWithoutRedis, withRedis } from "../support/redis_server.ts";
import { SwallowingProxy } from "../support/swallowing_proxy.ts";

const OPTIONS = { skip: skipWithoutRedis };

function samples(count: number, options: RedisOptions): ClusterSample[] {
  return ["a", "b", "c"].slice(0, count).map((name) => new ClusterSample(name, redis(options)));
}

/** Three nodes under load on one server, and then all of it must have arrived, once, in order. */
async function underLoad(
  server: RedisServer,
  disturb: (nodes: readonly ClusterSample[], traffic: ClusterTraffic) => Promise<void>,
): Promise<void> {
  const nodes = samples(3, { url: server.url });
  await withSamples(nodes, async () => {
    const traffic = new ClusterTraffic(nodes);
    await traffic.start();
    await traffic.runs(50);
    await disturb(nodes, traffic);
    await traffic.runs(50);
    await traffic.stop();
    traffic.assertWhole();
  });
}

/** Two nodes, of which the second one reaches the server through a proxy. */
async function behindProxy(
  server: RedisServer,
  body: (nodes: readonly [ClusterSample, ClusterSample], proxy: SwallowingProxy) => Promise<void>,
): Promise<void> {
  const proxy = await SwallowingProxy.open(server.port);
  try {
    const a = new ClusterSample("a", redis({ url: server.url }));
    const b = new ClusterSample("b", redis({ port: proxy.port }));
    await withSamples([a, b], () => body([a, b], proxy));
  } finally {
    await proxy.close();
  }
}

test(
  "P1, P2: every message reaches every node once, from the confirmation on",
  OPTIONS,
  async () => {
    await withRedis({}, async (server) => {
      await underLoad(server, async (nodes, traffic) => {
        await traffic.runs(200);
        for (const { cluster } of nodes) strictEqual(cluster.stats().cluster.repairsRequested, 0);
      });
    });
  },
);

test("P3: messages go only to nodes that have a subscriber", OPTIONS, async () => {
  await withRedis({}, async (server) => {
    const [a, b, c] = samples(3, { url: server.url }) as [
      ClusterSample,
      ClusterSample,
      ClusterSample,
    ];
    await withSamples([a, b, c], async () => {
      const news = b.channels.subscribe("news");
      await news.confirmed;
      const before = c.cluster.stats().backplanes["redis"]!["bytesIn"]!;
      const { nodes } = await a.channels.publish("news", "x".repeat(500_000), {
        acknowledge: true,
      });
      deepStrictEqual([...nodes].sort(), [a.cluster.nodeId, b.cluster.nodeId].sort());
      const after = c.cluster.stats().backplanes["redis"]!["bytesIn"]!;
      ok(after - before < 50_000, `${after - before} bytes`);
    });
  });
});

test("P4: a server that is killed and restarted under load loses nothing", OPTIONS, async () => {
  await withRedis({}, async (server) => {
    await underLoad(server, async (nodes, traffic) => {
      await server.kill();
      await traffic.runs(300);
      for (const node of nodes) {
        await node.until("it is deaf", () => node.cluster.health === "deaf" && node.cluster.stale);
      }
      await server.start();
      for (const node of nodes) await node.meets(2);
      for (const { events } of nodes) {
        deepStrictEqual(events.filter((event) => event.startsWith("-")), []);
      }
    });
  });
});

test("P4: connections that the server cuts under load lose nothing", OPTIONS, async () => {
  await withRedis({}, async (server) => {
    await underLoad(server, async (nodes, traffic) => {
      for (const type of ["pubsub", "normal", "pubsub"]) {
        await server.cli("client", "kill", "type", type);
        await traffic.runs(50);
      }
      for (const { events } of nodes) {
        deepStrictEqual(events.filter((event) => event.startsWith("-")), []);
      }
    });
  });
});

test("P8: a server that stands still for 4 s makes nobody purge anybody", OPTIONS, async () => {
  await withRedis({ flags: ["--enable-debug-command", "yes"] }, async (server) => {
    await underLoad(server, async (nodes, traffic) => {
      await server.cli("debug", "sleep", "4");
      for (const node of nodes) await node.meets(2);
      await traffic.runs(50);
      await server.cli("client", "pause", "4000", "all");
      for (const node of nodes) await node.until("it is deaf", () => node.health.includes("deaf"));
      for (const node of nodes) await node.meets(2);
      for (const { events } of nodes) {
        deepStrictEqual(events.filter((event) => event.startsWith("-")), []);
      }
    });
  });
});

test("P4: a reader that the server drops for being slow is repaired", OPTIONS, async () => {
  const flags = ["--client-output-buffer-limit", "pubsub 2mb 0 0"];
  await withRedis({ flags }, async (server) => {
    await behindProxy(server, async ([a, b], proxy) => {
      const traffic = new ClusterTraffic([a, b]);
      await traffic.start();
      proxy.hold();
      // More than the sockets on the way and the server keep for a reader.
      for (let index = 0; index < 400; index++) void a.channels.publish("z", "x".repeat(60_000));
      await server.prints("closed ASAP for overcoming of output buffer limits");
      proxy.release();
      await traffic.runs(50);
      await traffic.stop();
      traffic.assertWhole();
      deepStrictEqual([a.events, b.events], [["+b"], ["+a"]]);
    });
  });
});

test(
  "P13: a subscription that hears nothing is found within 3 s and rebuilt",
  OPTIONS,
  async () => {
    await withRedis({}, async (server) => {
      await behindProxy(server, async ([a, b], proxy) => {
        const traffic = new ClusterTraffic([a, b]);
        await traffic.start();
        await traffic.runs(50);
        let latestMs = 0;
        traffic.onDelay = (delayMs) => latestMs = Math.max(latestMs, delayMs);
        const start = performance.now();
        proxy.swallowOpen();
        await b.until("it is deaf", () => b.health.includes("deaf"));
        ok(performance.now() - start < 3_000, `${performance.now() - start} ms`);
        await b.meets(1);
        await traffic.runs(50);
        await traffic.stop();
        traffic.assertWhole();
        ok(latestMs < 3_000, `all is heard again after ${latestMs} ms`);
        deepStrictEqual(b.events, ["+a"]);
      });
    });
  },
);

test(
  "P13: who stays with a server that was demoted behind its address is moved to the new master",
  OPTIONS,
  async () => {
    await withRedis({}, async (old) => {
      const flags = ["--replicaof", "127.0.0.1", `${old.port}`];
      await withRedis({ flags }, async (next) => {
        const proxy = await SwallowingProxy.open(old.port);
        const nodes = samples(2, { port: proxy.port });
        await withSamples(nodes, async () => {
          const traffic = new ClusterTraffic(nodes);
          await traffic.start();
          await traffic.runs(50);
          // What is connected stays so: nothing but the role of the old server tells.
          proxy.targetPort = next.port;
          await next.cli("replicaof", "no", "one");
          await old.cli("replicaof", "127.0.0.1", `${next.port}`);
          for (const node of nodes) {
            await node.until("it is told", () => node.faults.length > 0, 3_000);
            match(node.faults[0]!, /it is no master any more/);
          }
          for (const node of nodes) {
            await node.until(
              "it is back",
              () => node.cluster.stats().backplanes["redis"]!["links"] === 1,
            );
          }
          const clients = await next.cli("client", "list", "type", "pubsub");
          strictEqual(clients.split("\n").length, 4);
          await traffic.runs(50);
          await traffic.stop();
          traffic.assertWhole();
          for (const { events } of nodes) strictEqual(events.length, 1, events.join());
        }).finally(() => proxy.close());
      });
    });
  },
);

test("P8: a node cut off from Redis purges nobody, and returns without loss", OPTIONS, async () => {
  await withRedis({}, async (server) => {
    await behindProxy(server, async ([a, c], proxy) => {
      const b = new ClusterSample("c", redis({ url: server.url }));
      await b.cluster.start();
      for (const node of [a, b, c]) await node.meets(2);
      const traffic = new ClusterTraffic([a, b, c]);
      await traffic.start();
      await traffic.runs(50);
      proxy.isSwallowing = true;
      await a.until("it is purged", () => a.events.some((event) => event.startsWith("-")), 8_000);
      ok(c.cluster.stale);
      strictEqual(c.cluster.connectedPeerCount, 2);
      proxy.isSwallowing = false;
      proxy.breakAll();
      for (const node of [a, b, c]) await node.meets(2);
      await traffic.runs(50);
      await traffic.stop();
      traffic.assertWhole();
      deepStrictEqual(c.events.filter((event) => event.startsWith("-")), []);
      await b.cluster.stop();
    });
  });
});

test(
  "P9: a node is ready at once, and each peer connects and disconnects once",
  OPTIONS,
  async () => {
    await withRedis({}, async (server) => {
      const [a, b] = samples(2, { url: server.url }) as [ClusterSample, ClusterSample];
      await a.cluster.start();
      strictEqual(a.cluster.ready, true);
      await b.cluster.start();
      await Promise.all([a.meets(1), b.meets(1)]);
      await b.cluster.stop();
      await a.until("b is gone", () => a.events.length === 2);
      deepStrictEqual([a.events, b.events], [["+b", "-b left"], ["+a", "-a stopped"]]);
      await a.cluster.stop();
    });
  },
);

test(
  "clusters with other prefixes on one server do not meet or hear each other",
  OPTIONS,
  async () => {
    await withRedis({}, async (server) => {
      // Were names just joined, the last one would take messages of the first for its nodes' words.
      const [there, below] = ["there", "here:c"].map((channel) => {
        return new ClusterSample("x", redis({ url: server.url, channel }));
      }) as [ClusterSample, ClusterSample];
      const here = samples(3, { url: server.url, channel: "here" });
      await there.cluster.start();
      await below.cluster.start();
      await withSamples(here, async () => {
        const traffic = new ClusterTraffic(here, ["all", "news"]);
        await traffic.start();
        await traffic.runs(50);
        await traffic.stop();
        traffic.assertWhole();
        for (const { cluster, events } of [there, below]) {
          const { packetsIn } = cluster.stats().backplanes["redis"]!;
          deepStrictEqual([packetsIn, events], [0, []]);
        }
        for (const { events } of here) strictEqual(events.length, 2);
      });
      await there.cluster.stop();
      await below.cluster.stop();
    });
  },
);

test("start() says in one line why Redis cannot be used", OPTIONS, async () => {
  await withRedis({ password: "right" }, async (server) => {
    const { port } = server;
    await server.cli("acl", "setuser", "poor", "on", ">p", "+ping", "resetchannels", "&other:*");
    const part = ["&chorus:all", "&chorus:n:*", "&chorus:l:*"];
    await server.cli("acl", "setuser", "part", "on", ">p", "+@all", "resetchannels", ...part);
    const cases: readonly (readonly [RedisOptions, RegExp])[] = [
      [{ port, password: "wrong" }, /127\.0\.0\.1:\d+.*WRONGPASS.*check "username" and "password"/],
      [{ port }, /NOAUTH.*set "password"/],
      [{ port: 1 }, /Cannot connect with Redis at 127\.0\.0\.1:1: /],
      [{ path: `${server.folder}/none.sock` }, /Cannot connect with Redis at .*none\.sock: /],
      [{ port, username: "part", password: "p" }, /SUBSCRIBE.*NOPERM.*granted by: .* &chorus:\* /],
      [{ port, username: "poor", password: "p" }, /NOPERM.*granted by: ACL SETUSER poor reset/],
    ];
    for (const [options, says] of cases) {
      const sample = new ClusterSample("a", redis(options));
      await rejects(sample.cluster.start(), (error: Error) => {
        match(error.message, says);
        ok(!error.message.includes("\n"));
        return true;
      });
    }
  });
});

test("start() tells a server that is not Redis", OPTIONS, async () => {
  const { createServer } = await import("node:http");
  const server = createServer((_request, response) => void response.end("hello"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const sample = new ClusterSample("a", redis({ port }));
  await rejects(sample.cluster.start(), { name: "RedisError", code: "not_redis" });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
