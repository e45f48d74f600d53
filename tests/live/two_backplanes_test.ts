import { deepStrictEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { type Backplane, type Mesh, mesh, redis } from "../../mod.ts";
import { ClusterJournal } from "../support/cluster_journal.ts";
import { ClusterSample, ClusterTraffic } from "../support/cluster_traffic.ts";
import { withProcesses } from "../support/process.ts";
import { skipWithoutRedis, withRedis } from "../support/redis_server.ts";
import { RUNTIMES } from "../support/runtime_command.ts";

const OPTIONS = { skip: skipWithoutRedis };

/** What a node is linked by. */
type Ways = "mesh" | "both" | "redis";

/** Makes nodes that are linked by a mesh, by Redis, or by both. */
class Ground {
  readonly meshes: Mesh[] = [];
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  create(name: string, ways: Ways): ClusterSample {
    const server: Backplane = redis({ url: this.#url });
    if (ways === "redis") return new ClusterSample(name, server);
    const peers = this.meshes.filter(({ port }) => port > 0).map(({ port }) => `127.0.0.1:${port}`);
    const links = mesh({ port: 0, peers });
    this.meshes.push(links);
    return new ClusterSample(name, ways === "both" ? [links, server] : links);
  }
}

test(
  "P15: with mesh and Redis either may fail under load, and nothing is lost",
  OPTIONS,
  async () => {
    await withRedis({}, async (server) => {
      const ground = new Ground(server.url);
      const nodes: ClusterSample[] = [];
      try {
        for (const name of ["a", "b", "c"]) {
          nodes.push(ground.create(name, "both"));
          await nodes.at(-1)!.cluster.start();
        }
        for (const node of nodes) await node.until("it has all ways", () => hasWays(node, 2));
        const traffic = new ClusterTraffic(nodes);
        await traffic.start();
        await traffic.runs(50);
        await server.kill();
        await traffic.runs(1_000);
        // The other one decides: nobody is deaf, nobody is stale.
        for (const { cluster } of nodes) {
          deepStrictEqual([cluster.health, cluster.stale], ["ok", false]);
        }
        await server.start();
        for (const node of nodes) await node.until("it has all ways", () => hasWays(node, 2));
        await ground.meshes[1]!.stop();
        await traffic.runs(500);
        await traffic.stop();
        traffic.assertWhole();
        for (const { name, events } of nodes) {
          deepStrictEqual(events.filter((event) => event.startsWith("-")), [], name);
        }
      } finally {
        await Promise.all(nodes.map(({ cluster }) => cluster.stop()));
      }
    });
  },
);

test(
  "P15: a node that starts while Redis is away is there over the mesh, and over both once it is back",
  OPTIONS,
  async () => {
    await withRedis({}, async (server) => {
      const ground = new Ground(server.url);
      await server.kill();
      const nodes: ClusterSample[] = [];
      try {
        for (const name of ["a", "b", "c"]) {
          nodes.push(ground.create(name, "both"));
          await nodes.at(-1)!.cluster.start();
        }
        for (const node of nodes) await node.meets(2);
        const traffic = new ClusterTraffic(nodes);
        await traffic.start();
        await traffic.runs(200);
        for (const { cluster, faults } of nodes) {
          deepStrictEqual([cluster.health, cluster.stale, cluster.ready], ["ok", false, true]);
          deepStrictEqual([faults.length, faults[0]?.includes(server.url.slice(8))], [1, true]);
        }
        await server.start();
        for (const node of nodes) await node.until("it has all ways", () => hasWays(node, 2));
        await traffic.runs(200);
        // It has every channel that was wanted before it was there.
        await ground.meshes[1]!.stop();
        await traffic.runs(500);
        await traffic.stop();
        traffic.assertWhole();
        for (const { name, events, faults } of nodes) {
          deepStrictEqual(events.filter((event) => event.startsWith("-")), [], name);
          deepStrictEqual(faults.filter((fault) => fault.includes("Redis")).length, 1, name);
        }
      } finally {
        await Promise.all(nodes.map(({ cluster }) => cluster.stop()));
      }
    });
  },
);

test("P15: a process whose node stops while a backplane is still away ends by itself", async () => {
  await withProcesses(async (start) => {
    for (const runtime of RUNTIMES) {
      const child = start({ script: "tests/support/late_process.ts", runtime });
      await child.event("stopped");
      const stoppedAt = performance.now();
      deepStrictEqual(await child.exited, { code: 0, signal: null });
      const tookMs = performance.now() - stoppedAt;
      ok(tookMs < 1_000, `${runtime} took ${tookMs} ms`);
    }
  });
});

test(
  "P15: a running cluster moves from mesh to Redis and back, node by node",
  OPTIONS,
  async () => {
    await withRedis({}, async (server) => {
      const ground = new Ground(server.url);
      const journal = new ClusterJournal();
      const nodes = new Map<string, ClusterSample>();
      const open = async (name: string, ways: Ways): Promise<void> => {
        const node = ground.create(name, ways);
        nodes.set(name, node);
        await journal.open(node);
      };
      try {
        for (const name of ["a", "b", "c"]) await open(name, "mesh");
        for (const ways of ["both", "redis", "both", "mesh"] as const) {
          for (const [name, node] of [...nodes]) {
            for (const each of nodes.values()) await each.meets(2);
            await journal.publishes(20);
            await journal.close(node);
            await journal.publishes(20);
            await open(name, ways);
          }
        }
        await journal.publishes(20);
        for (const node of nodes.values()) await journal.close(node);
      } finally {
        await journal.abandon();
      }
      ok(journal.checkedCount > 1_000, `${journal.checkedCount} messages were checked`);
    });
  },
);

function hasWays({ cluster }: ClusterSample, count: number): boolean {
  const { peers } = cluster;
  return peers.length === 2 && peers.every(({ backplanes }) => backplanes.length === count);
}
