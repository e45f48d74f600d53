/**
 * Several real Redis servers that belong together: a Redis Cluster, or a master with replicas and
 * the Sentinels that watch them.
 *
 * @module
 */

import { type RedisServer, type RedisServerOptions, startRedis } from "./redis_server.ts";

const WAIT_LIMIT_MS = 30_000;
const PAUSE_MS = 50;
const SLOT_COUNT = 16_384;
const MASTERS = 3;
/** Silence after which the others take a server for gone. Short, so that tests are. */
const DOWN_AFTER_MS = 1_000;

/** Starts servers one after the other, and runs a body with them; stops them whatever happens. */
async function withServers(
  options: readonly RedisServerOptions[],
  body: (servers: readonly RedisServer[]) => Promise<void>,
): Promise<void> {
  const servers: RedisServer[] = [];
  try {
    for (const each of options) servers.push(await startRedis(each));
    await body(servers);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

const CLUSTER_FLAGS = [
  ...["--cluster-enabled", "yes", "--cluster-node-timeout", `${DOWN_AFTER_MS}`],
  ...["--cluster-replica-validity-factor", "0"],
];

/** A Redis Cluster of three masters, each with a replica. */
export class RedisCluster {
  readonly #servers: RedisServer[] = [];

  private constructor() {}

  /** All servers: the masters of the beginning first, then their replicas. */
  get servers(): readonly RedisServer[] {
    return this.#servers;
  }

  /** Starts six servers and brings them together. The caller stops them. */
  static async start(): Promise<RedisCluster> {
    const cluster = new RedisCluster();
    const servers = cluster.#servers;
    try {
      while (servers.length < 2 * MASTERS) {
        servers.push(await startRedis({ flags: CLUSTER_FLAGS }));
      }
      await assembleCluster(servers);
      await cluster.isInOrder();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** A server joins, as a master without slots. */
  async join(): Promise<RedisServer> {
    const server = await startRedis({ flags: CLUSTER_FLAGS });
    this.#servers.push(server);
    await this.#servers[0]!.cli("cluster", "meet", "127.0.0.1", `${server.port}`);
    for (const each of this.#servers) await knowsAll(each, this.#servers.length);
    await this.isInOrder();
    return server;
  }

  /** A server that has no slots any more leaves, and ends. */
  async leave(server: RedisServer): Promise<void> {
    const id = await server.cli("cluster", "myid");
    this.#servers.splice(this.#servers.indexOf(server), 1);
    for (const each of this.#servers) await each.cli("cluster", "forget", id);
    await server.stop();
  }

  /** Ends all servers. */
  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  /** The nodes as options name them. */
  get nodes(): string[] {
    return this.servers.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** The server that is in charge of a slot, as far as any that runs knows. */
  async masterOf(slot: number): Promise<RedisServer> {
    for (const server of this.servers) {
      if (server.pid === 0) continue;
      const id = await server.cli("cluster", "myid");
      const line = (await server.cli("cluster", "nodes")).split("\n").find((text) =>
        text.startsWith(id)
      );
      if (line?.includes("master") && ownsSlot(line, slot)) return server;
    }
    throw new Error(`Cannot find who is in charge of slot ${slot}`);
  }

  /** Moves a slot, which must be without keys, from its server to another one. */
  async moveSlot(slot: number, to: RedisServer): Promise<void> {
    const from = await this.masterOf(slot);
    const [fromId, toId] = await Promise.all([from, to].map((each) => each.cli("cluster", "myid")));
    await to.cli("cluster", "setslot", `${slot}`, "importing", fromId!);
    await from.cli("cluster", "setslot", `${slot}`, "migrating", toId!);
    // The new one first, so that the slot always has somebody in charge.
    await to.cli("cluster", "setslot", `${slot}`, "node", toId!);
    try {
      await from.cli("cluster", "setslot", `${slot}`, "node", toId!);
    } catch (error) {
      // Without its last slot it may have become the new one's replica by itself, and knows.
      if (!String(error).includes("only with masters")) throw error;
    }
  }

  /** Waits until so many subscribe to a channel at a server. */
  async hasSubscribers(server: RedisServer, channel: string, count: number): Promise<void> {
    const wanted = `${channel}\n${count}`;
    await until(async () => (await server.cli("pubsub", "shardnumsub", channel)).trim() === wanted);
  }

  /** Resolves when every server that runs finds the cluster in order. */
  async isInOrder(): Promise<void> {
    for (const server of this.servers) {
      if (server.pid === 0) continue;
      await until(async () => (await server.cli("cluster", "info")).includes("cluster_state:ok"));
    }
  }
}

async function assembleCluster(servers: readonly RedisServer[]): Promise<void> {
  for (const [index, server] of servers.entries()) {
    await server.cli("cluster", "set-config-epoch", `${index + 1}`);
    await servers[0]!.cli("cluster", "meet", "127.0.0.1", `${server.port}`);
    if (index >= MASTERS) continue;
    const start = Math.ceil((SLOT_COUNT * index) / MASTERS);
    const end = Math.ceil((SLOT_COUNT * (index + 1)) / MASTERS) - 1;
    await server.cli("cluster", "addslotsrange", `${start}`, `${end}`);
  }
  for (const server of servers) await knowsAll(server, servers.length);
  for (const [index, replica] of servers.slice(MASTERS).entries()) {
    const master = await servers[index]!.cli("cluster", "myid");
    await replica.cli("cluster", "replicate", master);
    await until(async () => (await replica.cli("role")).includes("connected"));
  }
  // Everybody must know the replicas as such, or a fail-over would find none.
  for (const server of servers) {
    await until(async () => {
      const lines = (await server.cli("cluster", "nodes")).split("\n");
      return lines.filter((line) => line.includes("slave")).length === servers.length - MASTERS;
    });
  }
}

async function knowsAll(server: RedisServer, count: number): Promise<void> {
  await until(async () => {
    const lines = (await server.cli("cluster", "nodes")).trim().split("\n");
    return lines.length === count && lines.every((line) => !line.includes("handshake"));
  });
}

/** A master, its replicas and their Sentinels. */
export interface RedisWatch {
  /** The name by which the Sentinels know the master. */
  readonly name: string;
  /** The master and its replicas, as it was at first. */
  readonly servers: readonly RedisServer[];
  /** The Sentinels. */
  readonly sentinels: readonly RedisServer[];
  /** The server that the first Sentinel takes for the master. */
  master(): Promise<RedisServer>;
}

/** Runs a body with a master, its replicas and their Sentinels. */
export async function withRedisWatched(
  counts: { readonly replicas: number; readonly sentinels: number },
  body: (watch: RedisWatch) => Promise<void>,
): Promise<void> {
  const name = "chorus-master";
  await withServers([{}], async ([first]) => {
    const flags = ["--replicaof", "127.0.0.1", `${first!.port}`];
    await withServers(Array(counts.replicas).fill({ flags }), async (replicas) => {
      for (const replica of replicas) {
        await until(async () => (await replica.cli("role")).includes("connected"));
      }
      const sentinel = [
        `sentinel monitor ${name} 127.0.0.1 ${first!.port} ${Math.ceil(counts.sentinels / 2)}`,
        `sentinel down-after-milliseconds ${name} ${DOWN_AFTER_MS}`,
        `sentinel failover-timeout ${name} 5000`,
      ];
      await withServers(Array(counts.sentinels).fill({ sentinel }), async (sentinels) => {
        for (const each of sentinels) await seesAll(each, name, counts);
        const servers = [first!, ...replicas];
        await body({ name, servers, sentinels, master: () => masterOf(sentinels, name, servers) });
      });
    });
  });
}

async function masterOf(
  sentinels: readonly RedisServer[],
  name: string,
  servers: readonly RedisServer[],
): Promise<RedisServer> {
  const answer = await sentinels[0]!.cli("sentinel", "get-master-addr-by-name", name);
  const port = Number(answer.split("\n")[1]);
  return servers.find((server) => server.port === port)!;
}

async function seesAll(
  sentinel: RedisServer,
  name: string,
  counts: { readonly replicas: number; readonly sentinels: number },
): Promise<void> {
  await until(async () => {
    const [others, replicas] = await Promise.all([
      sentinel.cli("sentinel", "sentinels", name),
      sentinel.cli("sentinel", "replicas", name),
    ]).then((texts) => texts.map((text) => text.split("\n").filter(isName).length));
    return others === counts.sentinels - 1 && replicas === counts.replicas;
  });
}

function isName(line: string): boolean {
  return line === "runid";
}

function ownsSlot(line: string, slot: number): boolean {
  return line.split(" ").slice(8).some((part) => {
    const [first, last = first] = part.split("-").map(Number);
    return slot >= first! && slot <= last!;
  });
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + WAIT_LIMIT_MS;
  while (!await isSo()) {
    if (performance.now() > end) throw new Error("Cannot bring the Redis servers together in time");
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
