import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_CONNECTION_SETTINGS } from "../../../src/backplane/redis/connection_settings.ts";
import {
  type SentinelSettings,
  SentinelTopology,
} from "../../../src/backplane/redis/sentinel_topology.ts";
import { createPrng } from "../../../src/core/prng.ts";
import { testBackplane } from "../../contract/backplane_contract.ts";
import { withRedisWatched } from "../../support/redis_fleet.ts";
import { createRedisGround } from "../../support/redis_room.ts";
import { skipWithoutRedis } from "../../support/redis_server.ts";
import { bulks, confirmation, HELLO_REPLY } from "../../support/redis_wire.ts";

testBackplane({
  name: "redis over a Sentinel",
  canBeAway: true,
  skip: skipWithoutRedis,
  run: (body) =>
    withRedisWatched({ replicas: 0, sentinels: 1 }, async ({ name, servers, sentinels }) => {
      const nodes = sentinels.map(({ port }) => `127.0.0.1:${port}`);
      const options = { sentinels: { name, nodes } };
      const broken = { sentinels: { name: "other", nodes } };
      const says = /Sentinel at 127\.0\.0\.1:\d+ knows no master "other"/;
      const all = [...servers, ...sentinels];
      await body(createRedisGround(all, options, { options: broken, says }));
    }),
});

test("a Sentinel that takes its time to greet is waited for, and has not failed", () => {
  const connection = DEFAULT_CONNECTION_SETTINGS;
  const times = { reconnectMinMs: 100, reconnectMaxMs: 2_000 };
  let number = 0;
  const context = { connection, tls: undefined, ...times, prng: createPrng(1) };
  const settings: SentinelSettings = {
    kind: "sentinel",
    name: "m",
    nodes: [{ hostname: "slow", port: 1 }, { hostname: "refusing", port: 2 }],
    access: { username: undefined, password: undefined, tls: undefined },
  };
  const topology = new SentinelTopology({ ...context, nextNumber: () => ++number }, settings, 0);
  topology.handle({ kind: "opened", connection: 1 }, 0);
  topology.handle({ kind: "dial_failed", connection: 2, cause: new Error("no") }, 0);
  for (let now = 0; now < 2_000; now += 150) topology.look(now);
  const said = (): string[] => {
    return topology.take().map(({ kind }) => kind).filter((kind) =>
      !/dial|write|hangup/.test(kind)
    );
  };
  deepStrictEqual(said(), []);
  const chunk = (text: string): Uint8Array => new TextEncoder().encode(text);
  topology.handle({ kind: "bytes", connection: 1, chunk: chunk(HELLO_REPLY) }, 2_000);
  topology.handle({ kind: "wake" }, 2_000);
  const confirmed = confirmation("subscribe", "+switch-master", 1);
  topology.handle({ kind: "bytes", connection: 1, chunk: chunk(confirmed) }, 2_000);
  topology.handle({ kind: "bytes", connection: 1, chunk: chunk(bulks("redis", "6379")) }, 2_000);
  deepStrictEqual(said(), ["changed"]);
  deepStrictEqual(topology.addresses, [{ hostname: "redis", port: 6379 }]);
});
