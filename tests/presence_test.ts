import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { type Mesh, mesh } from "../src/backplane/mesh/mesh_backplane.ts";
import { Cluster } from "../src/cluster.ts";
import type { PresenceError } from "../src/errors.ts";
import type { PresenceEvent } from "../src/events.ts";
import { Presence } from "../src/presence.ts";
import type { PresenceOptions } from "../src/presence_options.ts";

interface Node {
  readonly cluster: Cluster;
  readonly presence: Presence;
  readonly mesh: Mesh;
  /** `+room/ann`, `*room/ann`, `-room/ann`. */
  readonly changes: string[];
}

async function startNode(
  name: string,
  peers: readonly Node[] = [],
  options: PresenceOptions = {},
): Promise<Node> {
  const backplane = mesh({ port: 0, peers: peers.map(({ mesh }) => `127.0.0.1:${mesh.port}`) });
  const cluster = new Cluster(backplane, { name });
  const presence = new Presence(options);
  cluster.attach(presence);
  const changes = record(presence);
  await cluster.start();
  if (peers.length > 0) await cluster.whenReady();
  return { cluster, presence, mesh: backplane, changes };
}

function record(presence: Presence): string[] {
  const changes: string[] = [];
  for (const [type, sign] of [["join", "+"], ["update", "*"], ["leave", "-"]] as const) {
    presence.addEventListener(type, ({ channel, member }) => {
      changes.push(`${sign}${channel}/${member}`);
    });
  }
  return changes;
}

function stopAll(...nodes: readonly Node[]): Promise<unknown> {
  return Promise.all(nodes.map(({ cluster }) => cluster.stop()));
}

/** Resolves when something has changed so that the roster is as it should be. */
async function until(presence: Presence, isRight: () => boolean): Promise<void> {
  const changes = presence.changes();
  if (isRight()) return changes.close();
  for await (const _change of changes) if (isRight()) return;
}

function membersOf({ presence }: { presence: Presence }, channel: string): string[] {
  return presence.members(channel).map(({ member }) => member).sort();
}

test("without a cluster, presence serves one process", async () => {
  const presence = new Presence();
  const changes = record(presence);
  await presence.join("room", "ann", { meta: { status: "busy" } });
  await presence.join("room", "bob");
  deepStrictEqual(presence.members("room").map((member) => member.toJSON()), [
    { member: "ann", meta: { status: "busy" } },
    { member: "bob", meta: undefined },
  ]);
  strictEqual(presence.count("room"), 2);
  deepStrictEqual(presence.get("room", "ann")?.meta, { status: "busy" });
  strictEqual(presence.get("room", "cid"), undefined);
  deepStrictEqual(presence.channelsOf("ann"), ["room"]);
  await presence.update("room", "ann", null);
  strictEqual(presence.get("room", "ann")?.meta, null);
  strictEqual(presence.leave("room", "ann"), true);
  strictEqual(presence.leave("room", "ann"), false);
  deepStrictEqual(changes, ["+room/ann", "+room/bob", "*room/ann", "-room/ann"]);
  strictEqual(presence.stale, false);
  await presence.stop();
  await presence.stop();
});

test("whoever has joined is there when the call returns, before anything is awaited", () => {
  const presence = new Presence();
  void presence.join("room", "ann");
  strictEqual(presence.count("room"), 1);
});

test("a member is there as long as one of its connections is", async () => {
  const presence = new Presence();
  const changes = record(presence);
  await presence.join("room", "ann", { connection: "tab 1", meta: 1 });
  await presence.join("hall", "ann", { connection: "tab 1" });
  await presence.join("room", "ann", { connection: "tab 2", meta: 2 });
  deepStrictEqual(presence.connections("room", "ann").map(({ meta }) => meta), [1, 2]);
  presence.disconnect("tab 2");
  strictEqual(presence.get("room", "ann")?.meta, 1);
  presence.disconnect("tab 1");
  presence.disconnect("tab 1");
  deepStrictEqual(changes, [
    "+room/ann",
    "+hall/ann",
    "*room/ann",
    "*room/ann",
    "-room/ann",
    "-hall/ann",
  ]);
});

test("a connection that is back within the grace period was never gone", async () => {
  const presence = new Presence({ graceMs: 100 });
  const changes = record(presence);
  await presence.join("room", "ann", { connection: "1" });
  await presence.join("room", "bob", { connection: "2" });
  presence.disconnect("1");
  presence.disconnect("2");
  await presence.join("room", "ann", { connection: "1" });
  await until(presence, () => presence.count("room") === 1);
  deepStrictEqual(changes, ["+room/ann", "+room/bob", "-room/bob"]);
});

test("changes can be iterated over, of one channel or of all, up to a bound", async () => {
  const presence = new Presence();
  const all = presence.changes(undefined, { queueChangesMax: 3 });
  const room = presence.changes("room");
  await presence.join("hall", "ann");
  await presence.join("room", "ann", { meta: 1 });
  await presence.update("room", "ann", 2);
  presence.leave("room", "ann");
  const seen: unknown[] = [];
  for await (const { type, channel, member, meta } of room) {
    seen.push([type, channel, member, meta]);
    if (type === "leave") break;
  }
  deepStrictEqual(seen, [
    ["join", "room", "ann", 1],
    ["update", "room", "ann", 2],
    ["leave", "room", "ann", 2],
  ]);
  all.close();
  const types: string[] = [];
  for await (const { type } of all) types.push(type);
  deepStrictEqual(types, ["join", "update", "leave"]);
  strictEqual(all.droppedCount, 1);
});

test("the application accepts, refuses or rewrites whoever joins or changes", async () => {
  const asked: unknown[] = [];
  const presence = new Presence({
    admit: ({ action, channel, member, meta, identity }) => {
      asked.push([action, channel, member, meta, identity]);
      if (member === "eve") return false;
      if (member === "ann") return { member: "Ann", meta: { seen: meta } };
      return Promise.resolve(true);
    },
  });
  const { member, meta } = await presence.join("room", "ann", { meta: 1 });
  deepStrictEqual([member, meta], ["Ann", { seen: 1 }]);
  await presence.join("room", "bob");
  await rejects(presence.join("room", "eve"), { name: "PresenceError", code: "refused" });
  await presence.update("room", "bob", 2);
  deepStrictEqual(membersOf({ presence }, "room"), ["Ann", "bob"]);
  deepStrictEqual(asked, [
    ["join", "room", "ann", 1, undefined],
    ["join", "room", "bob", undefined, undefined],
    ["join", "room", "eve", undefined, undefined],
    ["update", "room", "bob", 2, undefined],
  ]);
});

test("past a limit a join fails with the reason, and changes nothing", async () => {
  const presence = new Presence({ membersMax: 2, metaBytesMax: 6 });
  await presence.join("room", "ann", { meta: "1234" });
  await rejects(presence.join("room", "bob", { meta: "äää" }), {
    name: "PresenceError",
    code: "meta_too_large",
    message: "Cannot take metadata: 8 bytes, at most 6",
  });
  await presence.join("room", "bob");
  await rejects(presence.join("room", "cid"), {
    name: "PresenceError",
    code: "channel_full",
    message: 'Cannot join "room": it has 2 members',
  });
  await presence.join("room", "ann", { connection: "another" });
  await rejects(presence.update("room", "cid", 1), { code: "not_joined" });
  strictEqual(presence.count("room"), 2);
  await presence.stop();
  await rejects(presence.join("hall", "ann"), { code: "stopped" });
});

test("what is no name, no JSON or no option is refused with the reason", async () => {
  const presence = new Presence();
  await rejects(presence.join("", "ann"), { name: "TypeError", message: /Cannot use channel ""/ });
  await rejects(presence.join("room", "\n"), {
    name: "TypeError",
    message: 'Cannot use member "\\n": a member name has no control characters',
  });
  await rejects(presence.join("room", "ann", { meta: () => {} }), { name: "TypeError" });
  throws(() => new Presence({ graceMs: -1 }), { name: "RangeError", message: /"graceMs"/ });
  throws(() => new Presence({ grace: 1 } as object), /"grace" is not an option/);
  throws(() => new Presence({ admit: 1 } as object), /"admit" must be a function/);
});

test("P7: the roster is the union over all nodes, answered on each of them", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await a.presence.join("room", "ann", { meta: "a" });
  await until(b.presence, () => b.presence.count("room") === 1);
  await b.presence.join("room", "ann", { meta: "b" });
  await b.presence.join("room", "bob");
  await until(a.presence, () => a.presence.count("room") === 2);
  for (const node of [a, b]) {
    deepStrictEqual(membersOf(node, "room"), ["ann", "bob"]);
    strictEqual(node.presence.get("room", "ann")?.meta, "b");
    const nodes = node.presence.connections("room", "ann").map(({ node }) => node);
    deepStrictEqual(nodes, [a.cluster.nodeId, b.cluster.nodeId]);
  }
  a.presence.leave("room", "ann");
  b.presence.leave("room", "ann");
  for (const { presence } of [a, b]) await until(presence, () => presence.count("room") === 1);
  for (const { changes } of [a, b]) {
    deepStrictEqual(changes.filter((change) => change.endsWith("ann") && change[0] !== "*"), [
      "+room/ann",
      "-room/ann",
    ]);
  }
  await stopAll(a, b);
});

test("P7: a node that joins later gets everybody, and so do those that know it already", async () => {
  const a = await startNode("a");
  for (let index = 0; index < 3_000; index++) {
    void a.presence.join("room", `m${index}`, { meta: { index } });
  }
  const b = await startNode("b", [a]);
  void b.presence.join("room", "late");
  for (const { presence } of [a, b]) await until(presence, () => presence.count("room") === 3_001);
  deepStrictEqual(membersOf(b, "room"), membersOf(a, "room"));
  await stopAll(a, b);
});

test("P8: a node that says goodbye takes its members with it, at once", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await b.presence.join("room", "bob", { connection: "1" });
  await until(a.presence, () => a.presence.count("room") === 1);
  await b.cluster.stop();
  await until(a.presence, () => a.presence.count("room") === 0);
  deepStrictEqual(a.changes, ["+room/bob", "-room/bob"]);
  // What is left goes on alone.
  deepStrictEqual(membersOf(b, "room"), ["bob"]);
  await a.cluster.stop();
});

test("P8: a node that drains hands its members over, and those who return never left", async () => {
  const a = await startNode("a", [], { graceMs: 300 });
  const b = await startNode("b", [a], { graceMs: 300 });
  await b.presence.join("room", "bob", { connection: "1" });
  await b.presence.join("room", "ann", { connection: "2" });
  await until(a.presence, () => a.presence.count("room") === 2);
  b.presence.disconnect("1");
  await b.presence.stop();
  await b.cluster.stop();
  deepStrictEqual(membersOf(a, "room"), ["ann", "bob"]);
  await a.presence.join("room", "bob", { connection: "1" });
  await until(a.presence, () => a.presence.count("room") === 1);
  deepStrictEqual(a.changes, ["+room/bob", "+room/ann", "-room/ann"]);
  await a.cluster.stop();
});

test("presence that is stopped is gone elsewhere, though its node goes on", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await b.presence.join("room", "bob");
  await until(a.presence, () => a.presence.count("room") === 1);
  await b.presence.stop();
  await until(a.presence, () => a.presence.count("room") === 0);
  strictEqual(a.cluster.connectedPeerCount, 1);
  await stopAll(a, b);
});

test("presence is attached once", async () => {
  const a = await startNode("a");
  throws(() => a.cluster.attach(new Presence()), /this cluster has presence attached already/);
  const other = new Cluster(mesh({ port: 0 }));
  throws(() => other.attach(a.presence), /it is attached to a cluster already/);
  await a.cluster.stop();
});

test("a roster of 100,000 members is answered within 50 ms", () => {
  const presence = new Presence();
  const meta = { name: "somebody", status: "online" };
  for (let index = 0; index < 100_000; index++) void presence.join("room", `m${index}`, { meta });
  const times = Array.from({ length: 5 }, () => {
    const begin = performance.now();
    strictEqual(presence.members("room").length, 100_000);
    return performance.now() - begin;
  });
  ok(Math.min(...times) < 50, `${times.join(", ")} ms`);
});

test("events come with what they tell, typed", async () => {
  const presence = new Presence();
  const joined = new Promise<PresenceEvent>((resolve) => {
    presence.addEventListener("join", resolve, { once: true });
  });
  await presence.join("room", "ann", { meta: { a: 1 } });
  const { type, channel, member, meta } = await joined;
  deepStrictEqual([type, channel, member, meta], ["join", "room", "ann", { a: 1 }]);
});

test("a join that waits to be admitted is called off when its connection ends, or it leaves", async () => {
  const admissions: (() => void)[] = [];
  const presence = new Presence({
    admit: () => new Promise((resolve) => admissions.push(() => resolve(true))),
  });
  const calledOff = { name: "PresenceError", code: "cancelled" };
  const ended = rejects(presence.join("room", "ann", { connection: "1" }), calledOff);
  presence.disconnect("1");
  const left = rejects(presence.join("room", "bob", { connection: "2" }), calledOff);
  presence.leave("room", "bob", { connection: "2" });
  const withoutConnection = rejects(presence.join("room", "cid"), calledOff);
  presence.leave("room", "cid");
  const again = presence.join("room", "ann", { connection: "1" });
  for (const admit of admissions) admit();
  await Promise.all([ended, left, withoutConnection, again]);
  deepStrictEqual(membersOf({ presence }, "room"), ["ann"]);
  await presence.stop();
});

test("only true or an object lets anybody in, whatever kind of promise it comes in", async () => {
  const thenable = (value: unknown) => ({
    then: (resolve: (value: unknown) => void) => resolve(value),
  });
  for (const no of [false, undefined, null, 0, "yes", Promise.resolve(), thenable(false)]) {
    const presence = new Presence({ admit: () => no as boolean });
    await rejects(presence.join("room", "eve"), { code: "refused" }, String(no));
    strictEqual(presence.count("room"), 0);
  }
  for (const yes of [true, {}, Promise.resolve({}), thenable(true)]) {
    const presence = new Presence({ admit: () => yes as boolean });
    await presence.join("room", "ann");
    strictEqual(presence.count("room"), 1);
  }
});

test("an admit that throws or rejects refuses, and says why", async () => {
  const error = new Error("thrown on purpose");
  const admits: readonly PresenceOptions["admit"][] = [
    () => {
      throw error;
    },
    () => Promise.reject(error),
    () => ({ member: "\n" }),
  ];
  for (const admit of admits) {
    const presence = new Presence({ admit: admit! });
    await rejects(presence.join("room", "ann"), (thrown: PresenceError) => {
      strictEqual(thrown.code, "refused");
      ok(thrown.cause !== undefined);
      return true;
    });
    strictEqual(presence.count("room"), 0);
  }
});

test("metadata that is no JSON is refused with the reason", async () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;
  const toJSON = () => {
    throw new Error("thrown on purpose");
  };
  const presence = new Presence();
  for (const meta of [circular, 1n, Symbol("meta"), () => {}, { toJSON }, { a: [1n] }]) {
    await rejects(presence.join("room", "ann", { meta }), {
      name: "TypeError",
      message: /^Cannot take metadata: expected a JSON value, /,
    });
  }
  strictEqual(presence.count("room"), 0);
});

test("names are taken as they are, up to their bounds", async () => {
  const presence = new Presence();
  const names = ["__proto__", "constructor", "ä", "a\u0308", "😀".repeat(63), "x".repeat(255), " "];
  for (const name of names) await presence.join(name, name, { connection: name, meta: name });
  for (const name of names) {
    deepStrictEqual(presence.members(name).map((each) => each.toJSON()), [
      { member: name, meta: name },
    ]);
    deepStrictEqual(presence.channelsOf(name), [name]);
  }
  for (
    const name of ["", "x".repeat(256), "ä".repeat(128), "a\u0000", "\u007f", "\ud800", 1, null]
  ) {
    await rejects(presence.join("room", name as string), { name: "TypeError" });
    await rejects(presence.join(name as string, "ann"), { name: "TypeError" });
  }
});

test("metadata may have as many bytes as the limit says, and not one more", async () => {
  const presence = new Presence();
  await presence.join("room", "ann", { meta: "x".repeat(4_094) });
  await presence.join("room", "bob", { meta: "ä".repeat(2_047) });
  for (const meta of ["x".repeat(4_095), "ä".repeat(2_048)]) {
    await rejects(presence.update("room", "ann", meta), { code: "meta_too_large" });
  }
  const none = new Presence({ metaBytesMax: 0 });
  await none.join("room", "ann");
  await rejects(none.update("room", "ann", null), { code: "meta_too_large" });
});

test("an option that nobody knows is refused", async () => {
  const presence = new Presence();
  await rejects(presence.join("room", "ann", { metadata: 1 } as object), { name: "TypeError" });
  throws(() => presence.changes("room", { queueMax: 1 } as object), { name: "TypeError" });
});

test("presence that is stopped ends whoever follows it, and knows that it is stale", async () => {
  const presence = new Presence();
  const changes = presence.changes();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { type } of changes) seen.push(type);
  })();
  await presence.join("room", "ann");
  await presence.stop();
  await reading;
  deepStrictEqual(seen, ["join"]);
  for await (const _change of presence.changes()) ok(false, "nothing changes any more");
  strictEqual(presence.stale, true);
});

test("a listener may stop presence, and the others are told", async () => {
  const a = await startNode("a");
  const b = await startNode("b", [a]);
  await b.presence.join("room", "bob");
  await until(a.presence, () => a.presence.count("room") === 1);
  b.presence.addEventListener("join", () => void b.presence.stop());
  await b.presence.join("room", "cid");
  await until(a.presence, () => a.presence.count("room") === 0);
  await stopAll(a, b);
});

test("presence may be attached to a cluster that runs already", async () => {
  const a = await startNode("a");
  const backplane = mesh({ port: 0, peers: [`127.0.0.1:${a.mesh.port}`] });
  const cluster = new Cluster(backplane, { name: "b" });
  await cluster.start();
  await cluster.whenReady();
  await a.presence.join("room", "ann");
  const presence = new Presence();
  await presence.join("room", "bob");
  cluster.attach(presence);
  for (const each of [a.presence, presence]) await until(each, () => each.count("room") === 2);
  presence.leave("room", "bob");
  await until(a.presence, () => a.presence.count("room") === 1);
  await cluster.stop();
  await a.cluster.stop();
});

test("presence that a cluster has let go goes on alone, and may be attached to another", async () => {
  const a = await startNode("a", [], { graceMs: 100 });
  await a.presence.join("room", "ann", { connection: "1" });
  await a.cluster.stop();
  const b = await startNode("b");
  const cluster = new Cluster(mesh({ port: 0, peers: [`127.0.0.1:${b.mesh.port}`] }), {
    name: "c",
  });
  cluster.attach(a.presence);
  await cluster.start();
  await until(b.presence, () => b.presence.count("room") === 1);
  strictEqual(b.presence.connections("room", "ann")[0]?.node, cluster.nodeId);
  await a.presence.update("room", "ann", 2, { connection: "1" });
  await until(b.presence, () => b.presence.get("room", "ann")?.meta === 2);
  await cluster.stop();
  await b.cluster.stop();
});

test("a join that waits when presence is stopped fails, as does one after it", async () => {
  let admit = (): void => {};
  const presence = new Presence({ admit: () => new Promise((yes) => admit = () => yes(true)) });
  const joining = rejects(presence.join("room", "ann"), { code: "stopped" });
  await presence.stop();
  admit();
  await joining;
  strictEqual(presence.count("room"), 0);
});

test("nodes that have the same name are told apart", async () => {
  const a = await startNode("same");
  const b = await startNode("same", [a]);
  await a.presence.join("room", "ann");
  await b.presence.join("room", "bob");
  for (const { presence } of [a, b]) {
    await until(presence, () => presence.count("room") === 2);
    strictEqual(presence.connections("room", "ann")[0]?.node, a.cluster.nodeId);
    strictEqual(presence.connections("room", "bob")[0]?.node, b.cluster.nodeId);
  }
  await stopAll(a, b);
});
