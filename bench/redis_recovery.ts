/**
 * Measures how long a cluster over Redis is disturbed by what befalls its servers, and prints a
 * table: `npm run bench:recovery`.
 *
 * Three nodes publish without a pause, and something happens. How late the latest message came
 * tells how long it took until all was heard again; nothing may be missing, come twice or be
 * reported as a gap. Where servers must agree on a new master first, the time from then on is
 * what this library adds.
 *
 * @module
 */

import process from "node:process";
import { redis, type RedisOptions } from "../mod.ts";
import { keySlot } from "../src/backplane/redis/key_slot.ts";
import { ClusterSample, ClusterTraffic, withSamples } from "../tests/support/cluster_traffic.ts";
import { RedisCluster, type RedisWatch, withRedisWatched } from "../tests/support/redis_fleet.ts";
import { type RedisServer, withRedis } from "../tests/support/redis_server.ts";
import { SwallowingProxy } from "../tests/support/swallowing_proxy.ts";

const ROUNDS = 3;
/** Channels of every server of a Cluster. */
const CHANNELS = ["v", "w", "x", "y", "z"];
/** What comes later than this was held up by what happened. */
const LATE_MS = 100;
const WATCH = { replicas: 2, sentinels: 3 };

/** What one run found, in ms. */
interface Recovery {
  /** How late the latest message came. */
  readonly latestMs: number;
  /** From the time when the servers were in order until the last late message came. */
  readonly sinceReadyMs: number;
}

/** Lets something happen, and resolves when the servers are in order again. */
type Disturb = () => Promise<unknown>;

const CASES: Readonly<Record<string, () => Promise<Recovery>>> = {
  "CLIENT KILL of all subscribers": () => {
    return onServer((server) => server.cli("client", "kill", "type", "pubsub"));
  },
  "DEBUG SLEEP 1": () => onServer((server) => server.cli("debug", "sleep", "1")),
  "server killed, and started again": () => onServer((server) => server.restart()),
  "half-open connections of one node": measureHalfOpen,
  "Sentinel: fail-over by hand": () => onWatch((watch) => failOver(watch)),
  "Sentinel: master killed": () => {
    return onWatch(async (watch) => {
      await (await watch.master()).kill();
      await watch.sentinels[0]!.prints("+switch-master");
    });
  },
  "Cluster: slot of all nodes' channel moved": () => {
    return onCluster(async (cluster) => {
      const slot = keySlot("chorus:all");
      const from = await cluster.masterOf(slot);
      const to = cluster.servers.slice(0, 3).find((server) => server !== from)!;
      await cluster.moveSlot(slot, to);
    });
  },
  "Cluster: master killed": () => {
    return onCluster(async (cluster) => {
      const slot = keySlot("chorus:all");
      await (await cluster.masterOf(slot)).kill();
      while (!await hasMaster(cluster, slot)) await pause(20);
    });
  },
};

for (const [name, run] of Object.entries(CASES)) {
  const found: Recovery[] = [];
  for (let round = 0; round < ROUNDS; round++) found.push(await run());
  const show = (values: number[]): string => {
    return values.map((value) => Math.round(value)).sort((a, b) => a - b).join(", ");
  };
  const latest = show(found.map(({ latestMs }) => latestMs));
  const sinceReady = show(found.map(({ sinceReadyMs }) => sinceReadyMs));
  process.stdout.write(`| ${name} | ${latest} | ${sinceReady} |\n`);
}

async function measure(nodes: readonly ClusterSample[], disturb: Disturb): Promise<Recovery> {
  const traffic = new ClusterTraffic(nodes, CHANNELS);
  let latestMs = 0;
  let lastLateAt = 0;
  await traffic.start();
  await traffic.runs(100);
  traffic.onDelay = (delayMs) => {
    latestMs = Math.max(latestMs, delayMs);
    if (delayMs > LATE_MS) lastLateAt = performance.now();
  };
  await disturb();
  const readyAt = performance.now();
  await traffic.runs(200);
  for (const node of nodes) await node.meets(nodes.length - 1);
  await traffic.stop();
  traffic.assertWhole();
  return { latestMs, sinceReadyMs: Math.max(0, lastLateAt - readyAt) };
}

async function withNodes(options: readonly RedisOptions[], disturb: Disturb): Promise<Recovery> {
  const nodes = options.map((each, index) => new ClusterSample("abc"[index]!, redis(each)));
  const found: Recovery[] = [];
  await withSamples(nodes, async () => void found.push(await measure(nodes, disturb)));
  return found[0]!;
}

async function onServer(disturb: (server: RedisServer) => Promise<unknown>): Promise<Recovery> {
  const found: Recovery[] = [];
  await withRedis({ flags: ["--enable-debug-command", "yes"] }, async (server) => {
    const options = { url: server.url };
    found.push(await withNodes([options, options, options], () => disturb(server)));
  });
  return found[0]!;
}

async function measureHalfOpen(): Promise<Recovery> {
  const found: Recovery[] = [];
  await withRedis({}, async (server) => {
    const proxy = await SwallowingProxy.open(server.port);
    const direct = { url: server.url };
    const options = [{ port: proxy.port }, direct, direct];
    found.push(await withNodes(options, () => Promise.resolve(proxy.swallowOpen())));
    await proxy.close();
  });
  return found[0]!;
}

async function onWatch(disturb: (watch: RedisWatch) => Promise<void>): Promise<Recovery> {
  const found: Recovery[] = [];
  await withRedisWatched(WATCH, async (watch) => {
    const sentinels = watch.sentinels.map(({ port }) => `127.0.0.1:${port}`);
    const options = { sentinels: { name: watch.name, nodes: sentinels } };
    found.push(await withNodes([options, options, options], () => disturb(watch)));
  });
  return found[0]!;
}

async function failOver(watch: RedisWatch): Promise<void> {
  await watch.sentinels[0]!.cli("sentinel", "failover", watch.name);
  await watch.sentinels[0]!.prints("+switch-master");
}

async function onCluster(disturb: (cluster: RedisCluster) => Promise<void>): Promise<Recovery> {
  const cluster = await RedisCluster.start();
  try {
    const options = { cluster: cluster.nodes };
    return await withNodes([options, options, options], () => disturb(cluster));
  } finally {
    await cluster.stop();
  }
}

async function hasMaster(cluster: RedisCluster, slot: number): Promise<boolean> {
  try {
    await cluster.masterOf(slot);
    return true;
  } catch {
    // Nobody is in charge yet.
    return false;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
