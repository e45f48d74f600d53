import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_CONNECTION_SETTINGS } from "../../../src/backplane/redis/connection_settings.ts";
import { Redis } from "../../../src/backplane/redis/redis.ts";
import { resolveRedisOptions } from "../../../src/backplane/redis/redis_options.ts";
import type { Topology, TopologyOutput } from "../../../src/backplane/redis/topology.ts";
import { createPrng } from "../../../src/core/prng.ts";
import type { TcpAddress } from "../../../src/runtime/tcp.ts";

/** A topology of one server, which is another one when the test says so. */
class MovingTopology implements Topology {
  readonly isSharded = false;
  readonly role = "any";
  readonly deadline = undefined;
  addresses: readonly TcpAddress[] = [{ hostname: "first", port: 1 }];
  #outputs: TopologyOutput[] = [];

  moves(hostname: string): void {
    this.addresses = [{ hostname, port: 1 }];
    this.#outputs.push({ kind: "changed" });
  }

  addressOf(): TcpAddress | undefined {
    return this.addresses[0];
  }

  handle(): void {}

  take(): TopologyOutput[] {
    return this.#outputs.splice(0);
  }

  look(): void {}

  close(): void {}
}

test("a server that is given up while it is dialled is hung up on when it answers", () => {
  let number = 0;
  const connection = DEFAULT_CONNECTION_SETTINGS;
  const times = { reconnectMinMs: 100, reconnectMaxMs: 2_000, prng: createPrng(1) };
  const wires = { connection, tls: undefined, ...times, nextNumber: () => ++number };
  const topology = new MovingTopology();
  const context = { id: "a~1", name: "a", wires };
  const machine = new Redis(context, resolveRedisOptions(), topology, 0);
  const said = (): string[] => {
    return machine.take().map((output) => {
      return "connection" in output ? `${output.kind} ${output.connection}` : output.kind;
    });
  };
  deepStrictEqual(said(), ["dial 2", "dial 1"]);
  topology.moves("second");
  machine.handle({ kind: "wake" }, 1);
  deepStrictEqual(said(), ["dial 4", "dial 3"]);
  for (const connection of [1, 2]) machine.handle({ kind: "opened", connection }, 2);
  deepStrictEqual(said(), ["hangup 1", "hangup 2"]);
});
