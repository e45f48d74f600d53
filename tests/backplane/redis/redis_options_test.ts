import { deepStrictEqual, doesNotMatch, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import {
  type RedisOptions,
  resolveRedisOptions,
} from "../../../src/backplane/redis/redis_options.ts";

test("without options it is the server on this machine, with all defaults", () => {
  const settings = resolveRedisOptions();
  deepStrictEqual({ ...settings, access: { ...settings.access } }, {
    topology: { kind: "single", address: { hostname: "127.0.0.1", port: 6379 } },
    access: { username: undefined, password: undefined, tls: undefined },
    channel: "chorus",
    connectTimeoutMs: 3_000,
    reconnectMinMs: 100,
    reconnectMaxMs: 2_000,
    queueBytesMax: 67_108_864,
  });
  ok(Object.isFrozen(settings) && Object.isFrozen(settings.access));
});

const PLACES: readonly (readonly [options: RedisOptions, topology: unknown])[] = [
  [{ host: "r", port: 1 }, { kind: "single", address: { hostname: "r", port: 1 } }],
  [{ path: "/run/r.sock" }, { kind: "single", address: { path: "/run/r.sock" } }],
  [{ url: "redis://r:7000" }, { kind: "single", address: { hostname: "r", port: 7000 } }],
  [{ url: "redis://r/3" }, { kind: "single", address: { hostname: "r", port: 6379 } }],
  [{ url: "redis://" }, { kind: "single", address: { hostname: "127.0.0.1", port: 6379 } }],
  [{ url: "redis://[::1]:7000" }, { kind: "single", address: { hostname: "::1", port: 7000 } }],
  [{ url: "unix:///run/r.sock" }, { kind: "single", address: { path: "/run/r.sock" } }],
  [{ url: "redis://r", cluster: true }, {
    kind: "cluster",
    nodes: [{ hostname: "r", port: 6379 }],
  }],
  [{ cluster: ["a:1", "b:2"] }, {
    kind: "cluster",
    nodes: [{ hostname: "a", port: 1 }, { hostname: "b", port: 2 }],
  }],
];

for (const [options, topology] of PLACES) {
  test(`${JSON.stringify(options)} leads to the right servers`, () => {
    deepStrictEqual(resolveRedisOptions(options).topology, topology);
  });
}

test("user and password come from the address, unescaped, or from the options", () => {
  const { access } = resolveRedisOptions({ url: "rediss://me:p%40ss@r" });
  deepStrictEqual({ ...access }, { username: "me", password: "p@ss", tls: {} });
  const told = resolveRedisOptions({ url: "redis://r", username: "me", password: "p", tls: true });
  deepStrictEqual({ ...told.access }, { username: "me", password: "p", tls: {} });
  const old = resolveRedisOptions({ url: "redis://:p@r" });
  deepStrictEqual({ ...old.access }, { username: undefined, password: "p", tls: undefined });
});

test("Sentinels have an access of their own", () => {
  const { topology } = resolveRedisOptions({
    password: "p",
    sentinels: { name: "m", nodes: ["a:26379"], password: "s", tls: { ca: "c" } },
  });
  deepStrictEqual(topology, {
    kind: "sentinel",
    name: "m",
    nodes: [{ hostname: "a", port: 26_379 }],
    access: { username: undefined, password: "s", tls: { ca: "c" } },
  });
});

const REFUSED: readonly (readonly [options: object, says: RegExp])[] = [
  [{ uri: "redis://r" }, /"uri" is not an option, expected one of url, host/],
  [{ url: "http://r" }, /"url" must be redis:.*received http:/],
  [{ url: "r" }, /"url" must be redis:/],
  [{ url: "redis://r?db=1" }, /no options may follow behind a "\?"/],
  [{ url: "redis://r/a" }, /only the number of a database may follow/],
  [{ url: "redis://r/1", cluster: true }, /"database" must be 0 for a Redis Cluster.*received 1/],
  [{ cluster: ["a:1"], database: 2 }, /"database" must be 0 for a Redis Cluster/],
  [{ database: -1 }, /"database" must be an integer from 0/],
  [{ url: "redis://r", host: "r" }, /"host" cannot go with "url"/],
  [{ path: "/r", port: 1 }, /"port" cannot go with "path"/],
  [{ path: "/r", cluster: true }, /"path" cannot go with "cluster"/],
  [{ url: "redis://me:p@r", password: "q" }, /"password" cannot go with one in "url"/],
  [{ url: "redis://r/1", database: 2 }, /"database" cannot go with one in "url"/],
  [{ url: "rediss://r", tls: false }, /"tls" as false cannot go with/],
  [{ host: "r", cluster: ["a:1"] }, /"host" cannot go with a list as "cluster"/],
  [{ sentinels: { name: "m", nodes: ["a:1"] }, cluster: true }, /"cluster" cannot go with "sent/],
  [{ sentinels: { name: "m", nodes: [] } }, /"sentinels.nodes" must be an array of at least one/],
  [{ sentinels: { nodes: ["a:1"] } }, /"sentinels.name" must be a string/],
  [{ sentinels: { name: "m", nodes: ["a"] } }, /"sentinels.nodes\[0\]" must be "host:port"/],
  [{ sentinels: { name: "m", node: ["a:1"] } }, /"node" is not an option/],
  [{ cluster: "a:1" }, /"cluster" must be true, false or an array/],
  [{ port: 0 }, /"port" must be an integer from 1/],
  [{ username: "me" }, /"username" needs a "password" beside it/],
  [{ tls: "yes" }, /"tls" must be true or false, received "yes"/],
  [{ channel: "a b" }, /"channel" must be 1 to 64 letters.*received "a b"/],
  [{ channel: "{a}" }, /"channel" must be 1 to 64 letters/],
  [{ reconnectMinMs: 200, reconnectMaxMs: 100 }, /"reconnectMaxMs" must be an integer from 200/],
  [{ queueBytesMax: 1 }, /"queueBytesMax" must be an integer from 16777216/],
];

for (const [options, says] of REFUSED) {
  test(`the options ${JSON.stringify(options)} are refused`, () => {
    throws(() => resolveRedisOptions(options as RedisOptions), says);
  });
}

test("no error repeats a password", () => {
  for (
    const url of [
      "redis://me:secret@r:x",
      "secret",
      "http://a:secret@r",
      "redis://:%secret@r",
      "redis://me:1?secret@r",
      "redis://me:1/secret@r",
      "redis://me:1#secret@r",
      "redis://me:se/secret@r",
    ]
  ) {
    throws(() => resolveRedisOptions({ url }), (error: Error) => {
      doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});
