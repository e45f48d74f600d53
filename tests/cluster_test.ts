import { deepStrictEqual, match, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Channels } from "../src/channels.ts";
import { Cluster, type ClusterEvents, type ClusterOptions } from "../src/cluster.ts";
import type { BackplaneStart } from "../src/backplane/backplane.ts";
import type { ClusterError, LinkError } from "../src/errors.ts";
import type { FaultEvent, PeerEvent } from "../src/events.ts";
import { type Mesh, mesh, type MeshOptions } from "../src/backplane/mesh/mesh_backplane.ts";
import { redis } from "../src/backplane/redis/redis_backplane.ts";
import { FakeBackplane } from "./support/fake_backplane.ts";
import { SwallowingProxy } from "./support/swallowing_proxy.ts";

interface Node {
  readonly cluster: Cluster;
  readonly channels: Channels;
  readonly meshes: readonly Mesh[];
  readonly events: string[];
}

/** Starts a node whose mesh dials those of `peers`. */
async function startNode(
  name: string,
  peers: readonly Node[] = [],
  options: { readonly mesh?: MeshOptions; readonly cluster?: ClusterOptions; paths?: number } = {},
): Promise<Node> {
  const meshes = Array.from({ length: options.paths ?? 1 }, (_, path) =>
    mesh({
      port: 0,
      peers: peers.map((peer) => `127.0.0.1:${peer.meshes[path]!.port}`),
      ...options.mesh,
    }));
  const cluster = new Cluster(meshes, { name, ...options.cluster });
  const channels = new Channels();
  cluster.attach(channels);
  const events: string[] = [];
  for (const type of ["peerconnected", "peerdisconnected"] as const) {
    cluster.addEventListener(type, (event) => events.push(describe(event)));
  }
  await cluster.start();
  return { cluster, channels, meshes, events };
}

function describe({ type, name, reason }: PeerEvent): string {
  return type === "peerconnected" ? `+${name}` : `-${name} ${reason}`;
}

function stopAll(...nodes: readonly Node[]): Promise<unknown> {
  return Promise.all(nodes.map(({ cluster }) => cluster.stop()));
}

function once(cluster: Cluster, type: keyof ClusterEvents & string): Promise<FaultEvent> {
  return new Promise((resolve) => {
    cluster.addEventListener(type, (event) => resolve(event as FaultEvent), { once: true });
  });
}

async function read(subscription: AsyncIterable<{ data: unknown }>, count: number) {
  const received: unknown[] = [];
  for await (const { data } of subscription) {
    received.push(data);
    if (received.length === count) break;
  }
  return received;
}

test("P1: a message published on one node reaches server code on the others", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await b.cluster.whenReady();
  const news = b.channels.subscribe("news");
  deepStrictEqual(await news.confirmed, { missing: [] });
  for (const data of [1, 2, 3]) void a.channels.publish("news", data);
  deepStrictEqual(await read(news, 3), [1, 2, 3]);
  await stopAll(a, b);
});

test("P1: what was published before a node stops reaches the others, even in the same tick", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await b.cluster.whenReady();
  const news = b.channels.subscribe("news");
  await news.confirmed;
  void a.channels.publish("news", "last words");
  await a.cluster.stop();
  if (b.cluster.connectedPeerCount > 0) await once(b.cluster, "peerdisconnected");
  void b.channels.publish("news", "afterwards");
  deepStrictEqual(await read(news, 1), ["last words"]);
  await b.cluster.stop();
});

test("P9: ready is true with no peers configured, and with peers once one is connected", async () => {
  const a = await startNode("a");
  strictEqual(a.cluster.ready, true);
  const b = await startNode("b", [a]);
  await b.cluster.whenReady({ timeoutMs: 10_000 });
  strictEqual(b.cluster.ready, true);
  strictEqual(b.cluster.connectedPeerCount, 1);
  strictEqual(b.cluster.health, "ok");
  deepStrictEqual(b.cluster.peers.map(({ name, state }) => ({ name, state })), [
    { name: "a", state: "connected" },
  ]);
  await a.cluster.stop();
  if (b.cluster.connectedPeerCount > 0) await once(b.cluster, "peerdisconnected");
  strictEqual(b.cluster.ready, false);
  await b.cluster.stop();
});

test("P9: whenReady() fails when no peer comes in time, and when the cluster stops", async () => {
  const cluster = new Cluster(mesh({ port: 0, peers: ["127.0.0.1:1"] }));
  await cluster.start();
  strictEqual(cluster.ready, false);
  await rejects(cluster.whenReady({ timeoutMs: 50 }), { name: "ClusterError", code: "timed_out" });
  const waiting = rejects(cluster.whenReady(), { name: "ClusterError", code: "stopped" });
  await cluster.stop();
  await waiting;
});

test("P9: each peer connects and disconnects once", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await Promise.all([a.cluster.whenReady(), b.cluster.whenReady()]);
  if (a.cluster.connectedPeerCount === 0) await once(a.cluster, "peerconnected");
  await b.cluster.stop();
  if (a.cluster.connectedPeerCount > 0) await once(a.cluster, "peerdisconnected");
  deepStrictEqual(a.events, ["+b", "-b left"]);
  deepStrictEqual(b.events, ["+a", "-a stopped"]);
  deepStrictEqual([b.cluster.connectedPeerCount, b.cluster.peers], [0, []]);
  await a.cluster.stop();
});

test("P13: a node whose connection carries nothing says that it is deaf, and heals by itself", async () => {
  const times = { heartbeatMs: 100, deafMs: 1_000, nodeTimeoutMs: 60_000 };
  const a = await startNode("a", [], { cluster: times });
  const proxy = await SwallowingProxy.open(a.meshes[0]!.port);
  const b = await startNode("b", [], {
    cluster: times,
    mesh: { peers: [`127.0.0.1:${proxy.port}`] },
  });
  await b.cluster.whenReady();
  const feelings: string[] = [];
  const isHealed = new Promise<void>((resolve) => {
    b.cluster.addEventListener("healthchange", () => {
      feelings.push(b.cluster.health);
      if (b.cluster.health === "ok") resolve();
    });
  });
  proxy.swallowOpen();
  const swallowedAt = performance.now();
  await isHealed;
  // Long before the mesh itself gives up a silent connection.
  ok(performance.now() - swallowedAt < 5_000);
  deepStrictEqual(feelings, ["deaf", "ok"]);
  deepStrictEqual([a.events, b.events], [["+b"], ["+a"]]);
  ok(b.cluster.stats().cluster.pathsRebuilt >= 1);
  await stopAll(a, b);
  await proxy.close();
});

test("P16: a publish tells which nodes hold it, and which do not yet", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await b.cluster.whenReady();
  const news = b.channels.subscribe("news");
  await news.confirmed;
  const { position, nodes, missing } = await a.channels.publish("news", 1, { acknowledge: true });
  deepStrictEqual(position, { node: a.cluster.nodeId, seq: 1 });
  deepStrictEqual([...nodes].sort(), [a.cluster.nodeId, b.cluster.nodeId].sort());
  deepStrictEqual(missing, []);
  await stopAll(a, b);
});

test("P15: over two backplanes everything arrives once, also while one of them is lost", async () => {
  const a = await startNode("a", [], { paths: 2 });
  const b = await startNode("b", [a], { paths: 2 });
  await b.cluster.whenReady();
  const news = b.channels.subscribe("news");
  await news.confirmed;
  for (let index = 0; index < 300; index++) {
    void a.channels.publish("news", index);
    if (index === 100) void b.meshes[0]!.stop();
    if (index % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  deepStrictEqual(await read(news, 300), Array.from({ length: 300 }, (_, index) => index));
  deepStrictEqual(a.events, ["+b"]);
  await stopAll(a, b);
});

test("broadcasts reach every node", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await Promise.all([b.cluster.whenReady(), once(a.cluster, "peerconnected")]);
  const { nodes } = await a.channels.broadcast("hello", { acknowledge: true });
  strictEqual(nodes.length, 2);
  await stopAll(a, b);
});

test("what is attached goes on alone when the cluster stops", async () => {
  const a = await startNode("a");
  const news = a.channels.subscribe("news");
  await a.cluster.stop();
  await a.channels.publish("news", 1, { acknowledge: true });
  deepStrictEqual(await read(news, 1), [1]);
  const later = a.channels.subscribe("later");
  deepStrictEqual(await later.confirmed, { missing: [] });
  later.close();
});

test("a subscription that waits is settled when the cluster stops", async () => {
  const channels = new Channels();
  const cluster = new Cluster(mesh({ port: 0 }));
  cluster.attach(channels);
  const early = channels.subscribe("news");
  await cluster.start();
  await early.confirmed;
  early.close();
  await cluster.stop();
});

test("before the start nobody waits for other nodes, who learn of it afterwards", async () => {
  const a = await startNode("a");
  const cluster = new Cluster(mesh({ port: 0, peers: peersOf(a) }));
  const channels = new Channels();
  const before = channels.subscribe("news");
  cluster.attach(channels);
  const news = channels.subscribe("news");
  deepStrictEqual(await before.confirmed, { missing: [] });
  deepStrictEqual(await news.confirmed, { missing: [] });
  const { nodes } = await channels.publish("news", 1, { acknowledge: true });
  deepStrictEqual(nodes, [cluster.nodeId]);
  await cluster.start();
  await Promise.all([cluster.whenReady(), once(a.cluster, "peerconnected")]);
  const published = await a.channels.publish("news", 2, { acknowledge: true });
  deepStrictEqual(published.nodes.length, 2);
  deepStrictEqual(await read(news, 2), [1, 2]);
  await cluster.stop();
  await a.cluster.stop();
});

test("who waits is answered when a listener stops the cluster", async () => {
  const a = await startNode("a");
  const published: Promise<unknown>[] = [];
  const stopped = new Promise<void>((resolve) => {
    a.cluster.addEventListener("peerconnected", () => {
      published.push(a.channels.broadcast(1, { acknowledge: true, timeoutMs: 3_600_000 }));
      void a.cluster.stop().then(resolve);
    });
  });
  const b = await startNode("b", [a]);
  await stopped;
  strictEqual(published.length, 1);
  await Promise.all(published);
  await b.cluster.stop();
});

test("attach() and whenReady() say what is wrong with a call", async () => {
  const cluster = new Cluster(mesh({ port: 0 }));
  throws(() => cluster.attach({} as never), {
    name: "TypeError",
    message: "Cannot attach: expected Channels or Presence, received [object Object]",
  });
  await rejects(cluster.whenReady({ timeoutMs: -1 }), /"timeoutMs" must be an integer from 0/);
  await rejects(cluster.whenReady({ timeout: 1 } as object), /"timeout" is not an option/);
});

test("stop() is idempotent, works before start(), and start() works once", async () => {
  const cluster = new Cluster(mesh({ port: 0 }));
  await Promise.all([cluster.stop(), cluster.stop()]);
  await rejects(cluster.start(), { name: "ClusterError", code: "stopped" });
  strictEqual(cluster.health, "stopped");
});

test("start() fails when the cluster is stopped meanwhile", async () => {
  const cluster = new Cluster([mesh({ port: 0 }), mesh({ port: 0 })]);
  const starting = rejects(cluster.start(), { name: "ClusterError", code: "stopped" });
  await cluster.stop();
  await starting;
  throws(() => cluster.attach(new Channels()), { name: "ClusterError", code: "stopped" });
});

test("a backplane serves one cluster, and no second one takes it over", async () => {
  const shared = mesh({ port: 0 });
  const refusal = { name: "ClusterError", code: "stopped", message: /each cluster needs its own/ };
  await rejects(new Cluster([shared, shared]).start(), refusal);
  await rejects(new Cluster(shared).start(), refusal);
});

test("start() names the port that is taken", async () => {
  const a = await startNode("a");
  const { port } = a.meshes[0]!;
  await rejects(new Cluster(mesh({ port })).start(), (error: Error & { code?: string }) => {
    strictEqual(error.code, "listen_failed");
    match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}`));
    return true;
  });
  await a.cluster.stop();
});

function away(name: string): FakeBackplane {
  return new FakeBackplane(name, { state: "down", reason: new Error(`Cannot find ${name}`) });
}

test("P15: of several backplanes one is enough to start, and the others are used once they are up", async () => {
  const late = away("late");
  const cluster = new Cluster([late, mesh({ port: 0 })]);
  const channels = new Channels();
  cluster.attach(channels);
  channels.subscribe("before");
  const faults: string[] = [];
  cluster.addEventListener("fault", ({ error }) => void faults.push(error.message));
  await cluster.start();
  deepStrictEqual(faults, ["Cannot find late"]);
  // It delivers nothing, and nobody waits for it.
  deepStrictEqual(await channels.subscribe("after").confirmed, { missing: [] });
  strictEqual(cluster.stats().cluster.confirmTimeouts, 0);
  for (const state of [undefined, "up", "down"] as const) {
    if (state !== undefined) late.handler.state(state);
    deepStrictEqual([cluster.ready, cluster.health, cluster.stale], [true, "ok", false]);
  }
  for (const channel of ["before", "after"]) ok(late.channels.has(channel), channel);
  await cluster.stop();
  strictEqual(late.hasStopped, true);
  strictEqual(faults.length, 1);
});

test("P15: a node whose only backplane that was up is lost is deaf, until another one is up", async () => {
  const late = away("late");
  const first = new FakeBackplane("first", { state: "up" });
  const cluster = new Cluster([first, late]);
  await cluster.start();
  strictEqual(cluster.health, "ok");
  first.handler.state("down");
  deepStrictEqual([cluster.health, cluster.stale], ["deaf", true]);
  late.handler.state("up");
  deepStrictEqual([cluster.health, cluster.stale], ["ok", false]);
  await cluster.stop();
});

test("start() fails where no backplane can be had, and names each; alone, it says what that says", async () => {
  const all = [away("one"), away("two"), away("two")];
  await rejects(new Cluster(all).start(), (error: ClusterError) => {
    strictEqual(error.code, "unreachable");
    match(error.message, /one: Cannot find one; two: Cannot find two; two 2: Cannot find two$/);
    strictEqual((error.cause as AggregateError).errors.length, 3);
    return true;
  });
  ok(all.every(({ hasStopped }) => hasStopped));
  await rejects(new Cluster(away("one")).start(), { name: "Error", message: "Cannot find one" });
});

test("start() goes on with a backplane that came up while it was told of another, or of itself", async () => {
  for (const isItself of [false, true]) {
    let giveUp = (_start: BackplaneStart): void => {};
    const slow = new FakeBackplane("slow", new Promise((resolve) => giveUp = resolve));
    const late = away("late");
    const cluster = new Cluster([late, slow]);
    const starting = cluster.start();
    // By then the one start has come to nothing.
    await new Promise((resolve) => setImmediate(resolve));
    giveUp({ state: "down", reason: new Error("Cannot find slow") });
    (isItself ? slow : late).handler.state("up");
    await starting;
    strictEqual(cluster.health, "ok");
    await cluster.stop();
  }
});

test("start() fails when the cluster is stopped while it hears how the last start ended", async () => {
  let end = (_start: BackplaneStart): void => {};
  const slow = new FakeBackplane("slow", new Promise((resolve) => end = resolve));
  const cluster = new Cluster([slow]);
  const isTold = new Promise<void>((resolve) => {
    slow.subscribe = () => resolve();
  });
  const starting = rejects(cluster.start(), { name: "ClusterError", code: "stopped" });
  const channels = new Channels();
  cluster.attach(channels);
  channels.subscribe("news");
  end({ state: "up" });
  await isTold;
  await cluster.stop();
  await starting;
  strictEqual(cluster.health, "stopped");
});

test("start() fails where one of several backplanes has to be fixed, and leaves nothing open", async () => {
  const wrong = new FakeBackplane("wrong", Promise.reject(new Error("Cannot enter")));
  const links = mesh({ port: 0 });
  await rejects(new Cluster([links, wrong, away("late")]).start(), { message: "Cannot enter" });
  strictEqual(wrong.hasStopped, true);
  // The port is free again.
  const other = new Cluster(mesh({ port: links.port }));
  await other.start();
  await other.stop();
});

test("a wrong secret keeps a node out, and both sides can tell why", async () => {
  const a = await startNode("a", [], { mesh: { secret: "right" } });
  const fault = once(a.cluster, "fault");
  const b = await startNode("b", [a], { mesh: { secret: "wrong", peers: peersOf(a) } });
  const { error } = await fault;
  strictEqual((error as LinkError).code, "secret_wrong");
  strictEqual(a.cluster.connectedPeerCount + b.cluster.connectedPeerCount, 0);
  deepStrictEqual([...a.events, ...b.events], []);
  await stopAll(a, b);
});

function peersOf(node: Node): string[] {
  return [`127.0.0.1:${node.meshes[0]!.port}`];
}

test("attach() refuses channels that have published, and a second cluster", () => {
  const published = new Channels();
  void published.publish("a", 1);
  throws(() => new Cluster(mesh({ port: 0 })).attach(published), /before the first message/);
  const channels = new Channels();
  const cluster = new Cluster(mesh({ port: 0 }));
  cluster.attach(channels);
  throws(() => cluster.attach(new Channels()), /attached already/);
  throws(() => new Cluster(mesh({ port: 0 })).attach(channels), /attached to a cluster already/);
});

const BAD_OPTIONS: readonly (readonly [options: object, says: RegExp])[] = [
  [{ names: "a" }, /"names" is not an option/],
  [{ name: "a b" }, /"name" must be 1 to 64 letters.*received "a b"/],
  [{ heartbeatMs: 10 }, /"heartbeatMs" must be an integer from 100/],
  [{ deafMs: 1_500 }, /"deafMs" must be an integer from 2000/],
  [{ nodeTimeoutMs: 3_000 }, /"nodeTimeoutMs" must be an integer from 3001/],
];

for (const [options, says] of BAD_OPTIONS) {
  test(`the options ${JSON.stringify(options)} are refused`, () => {
    throws(() => new Cluster(mesh({ port: 0 }), options), says);
  });
}

test("P8: over Redis nobody is declared down before it is known whether the server stands still", () => {
  const times = { heartbeatMs: 500, deafMs: 1_500, nodeTimeoutMs: 3_499 };
  throws(() => new Cluster(redis(), times), /"nodeTimeoutMs" must be an integer from 3500/);
  throws(() => new Cluster([mesh({ port: 0 }), redis()], times), /from 3500/);
  ok(new Cluster(redis(), { ...times, nodeTimeoutMs: 3_500 }));
  ok(new Cluster(mesh({ port: 0 }), times));
});

test("a cluster needs a backplane", () => {
  throws(() => new Cluster([]), /at least one/);
  throws(() => new Cluster({} as never), /expected a backplane/);
});

test("stats() counts", async () => {
  const a = await startNode("a");
  const stats = a.cluster.stats();
  strictEqual(stats.node, a.cluster.nodeId);
  ok("mesh" in stats.backplanes);
  await a.cluster.stop();
});
