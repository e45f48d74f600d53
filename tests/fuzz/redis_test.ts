import { fail, ok } from "node:assert/strict";
import { test } from "node:test";
import { ClusterTopology } from "../../src/backplane/redis/cluster_topology.ts";
import { DEFAULT_CONNECTION_SETTINGS } from "../../src/backplane/redis/connection_settings.ts";
import { Redis } from "../../src/backplane/redis/redis.ts";
import type { RedisInput } from "../../src/backplane/redis/redis_input.ts";
import { type RedisOptions, resolveRedisOptions } from "../../src/backplane/redis/redis_options.ts";
import type { RedisOutput } from "../../src/backplane/redis/redis_output.ts";
import { SentinelTopology } from "../../src/backplane/redis/sentinel_topology.ts";
import { SingleTopology, type Topology } from "../../src/backplane/redis/topology.ts";
import type { WireContext } from "../../src/backplane/redis/wire.ts";
import { createPrng, type Prng } from "../../src/core/prng.ts";
import { bulk, bulks, commandsOf, confirmation, HELLO_REPLY } from "../support/redis_wire.ts";
import { randomPush, randomReply, toBytes } from "../support/resp_reply.ts";

const SEEDS = 60;
const STEPS = 600;
const SERVERS: readonly RedisOptions[] = [
  {},
  { sentinels: { name: "m", nodes: ["s1:1", "s2:2", "s3:3"] } },
  { cluster: ["c1:1", "c2:2"] },
];
/** Connections of three Sentinels or one Cluster node, and of as many servers as any answer names. */
const CONNECTIONS_MAX = 20;

test("P11: whatever Redis, Sentinels or a Cluster answer, the backplane goes on", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new World(createPrng(seed), SERVERS[seed % SERVERS.length]!);
    try {
      for (let step = 0; step < STEPS; step++) world.steps();
    } catch (error) {
      fail(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
    }
    // A machine that asks for the same moment over and over would keep its process busy.
    ok(world.now > 4_000, `seed ${seed} is at ${world.now} ms`);
    ok(world.openCount <= CONNECTIONS_MAX, `seed ${seed} has ${world.openCount} connections`);
  }
});

/** A backplane in virtual time among servers that answer as chance will have it. */
class World {
  now = 0;
  readonly #random: Prng;
  readonly #machine: Redis;
  readonly #open = new Set<number>();

  constructor(random: Prng, options: RedisOptions) {
    this.#random = random;
    let number = 0;
    const times = { reconnectMinMs: 100, reconnectMaxMs: 2_000, prng: random };
    const connection = DEFAULT_CONNECTION_SETTINGS;
    const wires = { connection, tls: undefined, ...times, nextNumber: () => ++number };
    const settings = resolveRedisOptions(options);
    const topology = createTopology(wires, settings.topology);
    this.#machine = new Redis({ id: "a~1", name: "a", wires }, settings, topology, this.now);
    this.#settles();
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Goes to the next moment that the machine wants, and sometimes asks something of it. */
  steps(): void {
    const { deadline = this.now } = this.#machine;
    ok(deadline < Infinity, "it wants to be woken");
    this.now = Math.max(this.now, deadline);
    this.#feed({ kind: "wake" });
    const channel = `c${Math.floor(this.#random() * 5)}`;
    const chance = this.#random();
    if (chance < 0.05) this.#feed({ kind: "subscribe", channel });
    else if (chance < 0.1) this.#feed({ kind: "unsubscribe", channel });
    else if (chance < 0.15) {
      this.#feed({ kind: "send", nodes: undefined, payload: new Uint8Array(9), channel });
    }
  }

  #feed(input: RedisInput): void {
    this.#machine.handle(input, this.now);
    this.#settles();
  }

  #settles(): void {
    const machine = this.#machine;
    for (let outputs = machine.take(); outputs.length > 0; outputs = machine.take()) {
      for (const output of outputs) if ("connection" in output) this.#perform(output);
    }
  }

  #perform(output: RedisOutput & { readonly connection: number }): void {
    const { connection } = output;
    const isDialled = output.kind === "dial" && this.#random() < 0.85;
    if (isDialled) {
      this.#open.add(connection);
      this.#machine.handle({ kind: "opened", connection }, this.now);
    } else if (output.kind === "dial") {
      this.#machine.handle({ kind: "dial_failed", connection, cause: undefined }, this.now);
    } else if (output.kind === "write") this.#serve(connection, output.parts);
    else if (this.#open.delete(connection)) {
      this.#machine.handle({ kind: "ended", connection, cause: undefined }, this.now);
    }
  }

  #serve(connection: number, parts: readonly Uint8Array[]): void {
    const text = parts.map((part) => new TextDecoder().decode(part)).join("");
    for (const command of commandsOf(text)) {
      if (!this.#open.has(connection) || this.#random() < 0.03) continue;
      const chunk = toBytes(answerTo(command, this.#random));
      this.#machine.handle({ kind: "bytes", connection, chunk }, this.now);
    }
  }
}

function createTopology(
  wires: WireContext,
  topology: ReturnType<typeof resolveRedisOptions>["topology"],
): Topology {
  if (topology.kind === "single") return new SingleTopology(topology.address);
  if (topology.kind === "sentinel") return new SentinelTopology(wires, topology, 0);
  return new ClusterTopology(wires, topology, 0);
}

const ODD = ["+OK\r\n", ":0\r\n", "_\r\n", "*0\r\n", "*-1\r\n", "*2\r\n+a\r\n+b\r\n", "#t\r\n"]
  .concat(["%1\r\n+a\r\n:1\r\n", ">1\r\n+x\r\n", ",nan\r\n", "*1\r\n*1\r\n_\r\n", "-\r\n"]);
const REFUSALS = ["-MOVED 5 h9:7\r\n", "-MOVED x\r\n", "-ASK 1 :7\r\n", "-CLUSTERDOWN\r\n"]
  .concat(["-BUSY x\r\n", "-NOPERM x\r\n", "-READONLY x\r\n", "-LOADING x\r\n"]);

// Mostly of the right kind, so that the machine gets somewhere, and often not of the right content.
function answerTo(command: readonly string[], random: Prng): string {
  const chance = random();
  if (chance < 0.1) return pick(REFUSALS, random);
  if (chance < 0.2) return pick(ODD, random);
  if (chance < 0.25) return randomReply(random, 3).wire;
  if (chance < 0.3) return randomPush(random).wire;
  const [name = "", word = ""] = command;
  if (name === "HELLO") return HELLO_REPLY.replace("$6\r\nmaster", pick(ROLES, random));
  if (name.endsWith("SUBSCRIBE")) return confirmation(name.toLowerCase(), word, 1);
  if (name === "SENTINEL") return bulks(pick(HOSTS, random), pick(["1", "2", "x", "-1"], random));
  if (word === "SHARDS") return shards(random);
  if (name === "PUBSUB") return `*2\r\n${bulk(command[2] ?? "")}:${pick([0, 1, -1], random)}\r\n`;
  return name === "PING" ? "+PONG\r\n" : ":1\r\n";
}

const ROLES = ["$6\r\nmaster", "$6\r\nmaster", "$7\r\nreplica", "$3\r\nodd"];
const HOSTS = ["h1", "h1", "h2", "", "?"];

function shards(random: Prng): string {
  const [first, last] = [pick([0, 0, -5, 20_000], random), pick([16_383, 99_999, -1], random)];
  const port = pick([7_000, 7_001, 0, -3], random);
  const node = `%4\r\n${bulk("endpoint")}${bulk(pick(HOSTS, random))}${bulk("port")}:${port}\r\n` +
    `${bulk("role")}${bulk(pick(["master", "master", "replica"], random))}` +
    `${bulk("health")}${bulk(pick(["online", "online", "loading"], random))}`;
  const slots = `*2\r\n:${first}\r\n:${last}\r\n`;
  return `*1\r\n%2\r\n${bulk("slots")}${slots}${bulk("nodes")}*1\r\n${node}`;
}

function pick<Item>(items: readonly Item[], random: Prng): Item {
  return items[Math.floor(random() * items.length)]!;
}
