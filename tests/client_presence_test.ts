import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { mesh } from "../src/backplane/mesh/mesh_backplane.ts";
import { Channels } from "../src/channels.ts";
import { Cluster } from "../src/cluster.ts";
import { Endpoint } from "../src/endpoint.ts";
import { Presence } from "../src/presence.ts";
import type { PresenceOptions } from "../src/presence_options.ts";
import { serve, type ServeOptions, type Server } from "../src/serve.ts";
import { type ServerMessage, TestClient } from "./support/client.ts";

interface Options {
  readonly presence?: PresenceOptions;
  readonly server?: Omit<ServeOptions, "channels" | "port" | "presence">;
}

async function withServer(
  options: Options,
  body: (server: Server, presence: Presence) => Promise<void>,
): Promise<void> {
  const presence = new Presence(options.presence);
  const channels = new Channels();
  const server = await serve({ port: 0, channels, presence, ...options.server });
  try {
    await body(server, presence);
  } finally {
    await server.stop();
    await presence.stop();
  }
}

async function join(
  server: Server,
  message: Readonly<Record<string, unknown>> = {},
): Promise<{ client: TestClient; joined: ServerMessage }> {
  const client = await TestClient.connect(server);
  const joined = await client.request({ type: "join", channel: "room", ...message });
  return { client, joined };
}

test("a client joins and is told who is there, and the others are told of it", async () => {
  await withServer({}, async (server, presence) => {
    const ann = await join(server, { member: "ann", meta: { status: "busy" } });
    deepStrictEqual(ann.joined, {
      type: "joined",
      channel: "room",
      id: 1,
      member: "ann",
      count: 1,
      members: [{ member: "ann", meta: { status: "busy" } }],
    });
    const bob = await join(server, { member: "bob" });
    deepStrictEqual((bob.joined.members as { member: string }[]).map(({ member }) => member), [
      "ann",
      "bob",
    ]);
    deepStrictEqual(await ann.client.next("presence"), {
      type: "presence",
      channel: "room",
      joined: [{ member: "bob" }],
      count: 2,
    });
    strictEqual(
      (await bob.client.request({ type: "update", channel: "room", meta: 1 })).type,
      "updated",
    );
    deepStrictEqual((await ann.client.next("presence")).updated, [{ member: "bob", meta: 1 }]);
    strictEqual((await bob.client.request({ type: "leave", channel: "room" })).type, "left");
    deepStrictEqual((await ann.client.next("presence")).left, ["bob"]);
    deepStrictEqual(presence.members("room").map(({ member }) => member), ["ann"]);
    [ann, bob].forEach(({ client }) => client.destroy());
  });
});

test("a client that names no member gets a name of its own", async () => {
  await withServer({}, async (server, presence) => {
    const [left, right] = await Promise.all([join(server), join(server)]);
    ok(String(left.joined.member).startsWith(`${presence.nodeId}/`));
    strictEqual(presence.count("room"), 2);
    [left, right].forEach(({ client }) => client.destroy());
  });
});

test("when a connection ends, all that it has joined ends", async () => {
  await withServer({}, async (server, presence) => {
    const { client } = await join(server, { member: "ann" });
    await client.request({ type: "join", channel: "hall", member: "ann" });
    const changes = presence.changes();
    client.destroy();
    const left: string[] = [];
    for await (const { type, channel } of changes) {
      left.push(`${type} ${channel}`);
      if (left.length === 2) break;
    }
    deepStrictEqual(left.sort(), ["leave hall", "leave room"]);
  });
});

test("a page that is loaded again within the grace period has not left", async () => {
  await withServer({ presence: { graceMs: 60_000 } }, async (server, presence) => {
    const watcher = await join(server, { member: "watcher" });
    const { client } = await join(server, { member: "ann" });
    await watcher.client.until(({ type, count }) => type === "presence" && count === 2);
    client.destroy();
    await client.closed;
    const again = await join(server, { member: "ann" });
    await again.client.request({ type: "update", channel: "room", meta: "back" });
    const told = await watcher.client.next("presence");
    deepStrictEqual(told.updated, [{ member: "ann", meta: "back" }]);
    strictEqual(presence.count("room"), 2);
    [watcher, again].forEach(({ client }) => client.destroy());
  });
});

test("a client that joins again is there once, under its last name", async () => {
  await withServer({}, async (server, presence) => {
    const { client } = await join(server, { member: "ann" });
    await client.request({ type: "join", channel: "room", member: "Ann", meta: 1 });
    deepStrictEqual(presence.members("room").map((member) => member.toJSON()), [
      { member: "Ann", meta: 1 },
    ]);
    client.destroy();
  });
});

test("a large roster comes in pieces, and what changes meanwhile is told", async () => {
  await withServer({}, async (server, presence) => {
    const meta = "x".repeat(100);
    for (let index = 0; index < 5_000; index++) {
      void presence.join("room", `m${index}`, { meta });
    }
    const client = await TestClient.connect(server);
    client.send({ type: "members", channel: "room", id: 7, follow: true });
    const held = new Set<string>();
    let pieces = 0;
    for (let hasMore = true; hasMore;) {
      const told = await client.until(({ type }) => type === "members" || type === "presence");
      apply(held, told);
      if (told.type !== "members") continue;
      strictEqual(told.id, 7);
      hasMore = told.more === true;
      if (pieces++ === 0) {
        presence.leave("room", "m0");
        presence.leave("room", "m4999");
        void presence.join("room", "late");
      }
    }
    ok(pieces > 5);
    presence.leave("room", "m1");
    await client.until((told) => {
      apply(held, told);
      return told.type === "presence" && told.count === 4_998;
    });
    deepStrictEqual([...held].sort(), presence.members("room").map(({ member }) => member).sort());
    client.destroy();
  });
});

function apply(held: Set<string>, told: ServerMessage): void {
  for (const name of ["members", "joined", "updated"]) {
    for (const { member } of (told[name] ?? []) as { member: string }[]) held.add(member);
  }
  for (const member of (told.left ?? []) as string[]) held.delete(member);
}

test("only the number of members is told to who wants no more", async () => {
  await withServer({}, async (server, presence) => {
    for (let index = 0; index < 200; index++) void presence.join("room", `m${index}`);
    const { client, joined } = await join(server, { follow: "count", member: "ann" });
    deepStrictEqual(joined, {
      type: "joined",
      channel: "room",
      id: 1,
      member: "ann",
      count: 201,
    });
    void presence.join("room", "bob");
    const counts: unknown[] = [];
    while (counts.at(-1) !== 202) {
      const { type: _type, ...told } = await client.next("presence");
      deepStrictEqual(Object.keys(told), ["channel", "count"]);
      counts.push(told.count);
    }
    deepStrictEqual(await client.request({ type: "members", channel: "room", follow: "count" }), {
      type: "members",
      channel: "room",
      id: 2,
      count: 202,
    });
    client.destroy();
  });
});

test("who follows no longer is told nothing more", async () => {
  await withServer({}, async (server, presence) => {
    const { client } = await join(server, { member: "ann" });
    await client.request({ type: "members", channel: "room", follow: false });
    await client.request({ type: "members", channel: "hall", follow: true });
    void presence.join("room", "bob");
    void presence.join("hall", "bob");
    strictEqual((await client.next("presence")).channel, "hall");
    client.destroy();
  });
});

test("the application allows, refuses and rewrites what clients ask for", async () => {
  const server: Options["server"] = {
    authenticate: ({ url }) => ({ name: new URL(url).searchParams.get("name") }),
    authorize: (action, channel) => channel !== `no-${action}`,
  };
  const admit: PresenceOptions["admit"] = ({ identity, member, meta }) => {
    if (member === "eve") return Promise.resolve(false);
    if (member === "oops") throw new Error("thrown on purpose");
    return { member: String((identity as { name: string }).name), meta: { said: meta } };
  };
  await withServer({ presence: { admit }, server }, async (running, presence) => {
    const client = await TestClient.connect({ port: running.port, path: "/?name=ann" });
    const request = (message: Readonly<Record<string, unknown>>) =>
      client.request({ channel: "room", ...message });
    const joined = await request({ type: "join", member: "x", meta: 1 });
    strictEqual(joined.member, "ann");
    deepStrictEqual(presence.get("room", "ann")?.meta, { said: 1 });
    await request({ type: "update", meta: 2 });
    deepStrictEqual(presence.get("room", "ann")?.meta, { said: 2 });
    for (
      const message of [
        { type: "join", member: "eve" },
        { type: "join", channel: "no-join" },
        { type: "members", channel: "no-members" },
      ]
    ) strictEqual((await request(message)).code, "forbidden");
    let faults = 0;
    running.endpoint.addEventListener("fault", () => faults++);
    const answer = await request({ type: "join", member: "oops" });
    deepStrictEqual([answer.code, answer.message], ["forbidden", "The server could not decide"]);
    strictEqual(faults, 1);
    client.destroy();
  });
});

test("past a limit, or without having joined, the answer says so", async () => {
  const presence = { membersMax: 2, metaBytesMax: 10 };
  await withServer({ presence, server: { channelsMax: 2 } }, async (server) => {
    const { client } = await join(server, { member: "ann" });
    const codeOf = async (message: Readonly<Record<string, unknown>>) =>
      (await client.request({ channel: "room", ...message })).code;
    strictEqual(await codeOf({ type: "update", channel: "hall" }), "not_joined");
    strictEqual(await codeOf({ type: "update", meta: "x".repeat(9) }), "message_too_large");
    const other = await join(server, { member: "bob" });
    const third = await join(server, { member: "cid" });
    strictEqual(third.joined.code, "channel_full");
    strictEqual(await codeOf({ type: "join", channel: "two" }), undefined);
    strictEqual(await codeOf({ type: "join", channel: "three" }), "channel_limit");
    strictEqual(await codeOf({ type: "leave", channel: "three" }), undefined);
    [client, other.client, third.client].forEach((each) => each.destroy());
  });
});

test("without presence, clients are told that it is not available", async () => {
  const server = await serve({ port: 0, channels: new Channels() });
  const client = await TestClient.connect(server);
  const answer = await client.request({ type: "join", channel: "room" });
  strictEqual(answer.code, "unsupported");
  client.destroy();
  await server.stop();
  throws(() => new Endpoint({ channels: new Channels(), presence: {} as Presence }), {
    name: "TypeError",
    message: 'Cannot configure endpoint: "presence" must be a Presence object',
  });
});

test("clients of different nodes see each other, and move between nodes without a leave", async () => {
  const nodes = [];
  let port: number | undefined;
  for (const name of ["a", "b"]) {
    const backplane = mesh({ port: 0, peers: port === undefined ? [] : [`127.0.0.1:${port}`] });
    const cluster = new Cluster(backplane, { name });
    const channels = new Channels();
    const presence = new Presence({ graceMs: 30_000 });
    cluster.attach(channels);
    cluster.attach(presence);
    await cluster.start();
    port = backplane.port;
    nodes.push({ cluster, presence, server: await serve({ port: 0, channels, presence }) });
  }
  const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
  await b.cluster.whenReady();
  const ann = await join(a.server, { member: "ann" });
  const bob = await join(b.server, { member: "bob" });
  await ann.client.until(({ type, count }) => type === "presence" && count === 2);
  const events: string[] = [];
  a.presence.addEventListener("leave", ({ member }) => events.push(member));
  // The whole node goes: clients are told, their connections end, and then it says goodbye.
  b.server.drain();
  await bob.client.next("draining");
  await b.server.stop();
  await b.presence.stop();
  await b.cluster.stop();
  const again = await join(a.server, { member: "bob", meta: "moved" });
  strictEqual(again.joined.count, 2);
  deepStrictEqual((await ann.client.next("presence")).updated, [{ member: "bob", meta: "moved" }]);
  deepStrictEqual(events, []);
  [ann, bob, again].forEach(({ client }) => client.destroy());
  await a.server.stop();
  await a.presence.stop();
  await a.cluster.stop();
});

test("a client that is gone before the application has decided does not become a member", async () => {
  for (const by of ["admit", "authorize"]) {
    let decide = (): void => {};
    let isAsked = (): void => {};
    const asked = new Promise<void>((resolve) => isAsked = resolve);
    const judge = (channel: string | undefined) =>
      channel !== "room" ? true : new Promise<boolean>((resolve) => {
        decide = () => resolve(true);
        isAsked();
      });
    const options: Options = by === "admit"
      ? { presence: { admit: ({ channel }) => judge(channel) } }
      : { server: { authorize: (_action, channel) => judge(channel) } };
    await withServer(options, async (server, presence) => {
      const client = await TestClient.connect(server);
      await client.request({ type: "join", channel: "hall", member: "ann" });
      client.send({ type: "join", channel: "room", id: 2, member: "ann" });
      await asked;
      client.destroy();
      await until(presence, () => presence.count("hall") === 0);
      decide();
      const other = await join(server, { channel: "lobby" });
      deepStrictEqual(presence.channelsOf("ann"), []);
      other.client.destroy();
    });
  }
});

test("who may not know the members is told nothing of them", async () => {
  const authorize = (action: string) => action !== "members";
  await withServer({ server: { authorize } }, async (server, presence) => {
    const client = await TestClient.connect(server);
    for (const follow of [true, "count", false]) {
      const answer = await client.request({ type: "members", channel: "room", follow });
      strictEqual(answer.code, "forbidden");
    }
    await presence.join("room", "ann");
    // What it would be told comes before this.
    const pong = await client.request({ type: "ping" });
    strictEqual(pong.type, "pong");
    client.destroy();
  });
});

test("a client that joins more channels than it may is told so, and is in the first ones", async () => {
  await withServer({ server: { channelsMax: 100 } }, async (server, presence) => {
    const client = await TestClient.connect(server);
    for (let id = 1; id <= 10_000; id++) {
      client.send({ type: "join", channel: `c${id}`, id, member: "eve", follow: false });
    }
    const last = await client.until(({ id }) => id === 10_000);
    strictEqual(last.code, "channel_limit");
    strictEqual(presence.channelsOf("eve").length, 100);
    client.destroy();
    await until(presence, () => presence.channelsOf("eve").length === 0);
    strictEqual(presence.stats().channels, 0);
  });
});

async function until(presence: Presence, isRight: () => boolean): Promise<void> {
  const changes = presence.changes();
  if (isRight()) return changes.close();
  for await (const _change of changes) if (isRight()) return;
}

test("P10: a follower that does not read is closed, and the others are told all", async () => {
  const server = { bufferedBytesMax: 65_536, messageBytesMax: 65_536 };
  await withServer({ server }, async (running, presence) => {
    const slow = await TestClient.connect(running);
    await slow.request({ type: "members", channel: "room", follow: true });
    const quick = await TestClient.connect(running);
    await quick.request({ type: "members", channel: "room", follow: true });
    slow.raw.pause();
    const meta = "x".repeat(4_000);
    for (let round = 0; running.endpoint.clientCount === 2; round++) {
      for (let index = 0; index < 10; index++) {
        void presence.join("room", `m${index}`, { meta: `${round} ${meta.slice(10)}` });
      }
      await quick.next("presence");
    }
    strictEqual(running.endpoint.clientCount, 1);
    strictEqual(running.endpoint.stats().slowConsumers, 1);
    quick.destroy();
    slow.destroy();
  });
});
