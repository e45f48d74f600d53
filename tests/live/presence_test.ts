import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { type ServerMessage, TestClient } from "../support/client.ts";
import {
  type DemoNode,
  startDemoNode,
  type StartProcess,
  withProcesses,
} from "../support/process.ts";
import { type RedisServer, skipWithoutRedis, startRedis } from "../support/redis_server.ts";
import { RUNTIMES } from "../support/runtime_command.ts";

const GRACE_MS = 2_000;
const LINKS = [["mesh", false], ["Redis", skipWithoutRedis]] as const;

interface Stage {
  readonly nodes: readonly [DemoNode, DemoNode, DemoNode];
  readonly redis: RedisServer | undefined;
  readonly start: StartProcess;
}

/** Three nodes, one on each runtime, which have met over a backplane. */
async function withNodes(
  link: "mesh" | "Redis",
  flags: readonly string[],
  body: (stage: Stage) => Promise<void>,
): Promise<void> {
  const redis = link === "Redis" ? await startRedis() : undefined;
  try {
    await withProcesses(async (start) => {
      const nodes: DemoNode[] = [];
      for (const [index, runtime] of RUNTIMES.entries()) {
        const peers = nodes.map(({ clusterPort }) => clusterPort);
        const ways = redis === undefined ? { peers } : { redis: redis.url };
        nodes.push(
          await startDemoNode(start, { name: "abc"[index]!, runtime, args: flags, ...ways }),
        );
      }
      for (const node of nodes) {
        for (const other of nodes) {
          if (other !== node) await node.process.event("peerconnected", { peer: other.node });
        }
      }
      await body({ nodes: nodes as unknown as Stage["nodes"], redis, start });
    });
  } finally {
    await redis?.stop();
  }
}

/** A client that has joined, and one that sees everybody, from what it is told. */
async function join(node: DemoNode, member: string): Promise<TestClient> {
  const client = await TestClient.connect(node);
  const answer = await client.request({ type: "join", channel: "lobby", member });
  strictEqual(answer.type, "joined", JSON.stringify(answer));
  return client;
}

/** What a watcher is told of who comes and goes, as `+ann`, `-ann`, until it fits. */
async function changesUntil(
  watcher: TestClient,
  changes: string[],
  isEnough: () => boolean,
): Promise<void> {
  while (!isEnough()) {
    const { joined = [], left = [] } = await watcher.next("presence") as ServerMessage & {
      readonly joined?: readonly { readonly member: string }[];
      readonly left?: readonly string[];
    };
    changes.push(
      ...left.map((member) => `-${member}`),
      ...joined.map(({ member }) => `+${member}`),
    );
  }
}

for (const [link, skip] of LINKS) {
  test(`P8: over ${link}, a node that is told to end is purged at once`, { skip }, async () => {
    await withNodes(link, [], async ({ nodes: [a, b, c] }) => {
      const watchers = [await join(a, "ann"), await join(c, "cid")];
      const bob = await join(b, "bob");
      const changes: string[][] = watchers.map(() => []);
      const seen = (text: string) =>
        Promise.all(
          watchers.map((watcher, index) =>
            changesUntil(watcher, changes[index]!, () => changes[index]!.includes(text))
          ),
        );
      await seen("+bob");
      const endedAt = performance.now();
      b.process.kill("SIGTERM");
      await seen("-bob");
      const tookMs = performance.now() - endedAt;
      ok(tookMs < 500, `${tookMs} ms`);
      [...watchers, bob].forEach((client) => client.destroy());
    });
  });

  test(
    `P8: over ${link}, whom a draining node hands over and who is back in time has not left`,
    { skip },
    async () => {
      await withNodes(link, ["--grace", `${GRACE_MS}`], async ({ nodes: [a, b, c] }) => {
        const watcher = await join(c, "cid");
        const [ann, bob] = [await join(b, "ann"), await join(b, "bob")];
        const changes: string[] = [];
        await changesUntil(watcher, changes, () => changes.includes("+bob"));
        b.process.kill("SIGTERM");
        await ann.closed;
        const again = await join(a, "ann");
        const endedAt = performance.now();
        await b.process.exited;
        // Only who does not return leaves, when the time is over.
        await changesUntil(watcher, changes, () => changes.some((text) => text.startsWith("-")));
        const tookMs = performance.now() - endedAt;
        deepStrictEqual(changes.filter((text) => text !== "+cid").slice(-1), ["-bob"]);
        ok(tookMs < GRACE_MS + 500, `${tookMs} ms`);
        const elsewhere: string[] = [];
        await changesUntil(again, elsewhere, () => elsewhere.includes("-bob"));
        ok(!elsewhere.includes("-ann"));
        [watcher, ann, bob, again].forEach((client) => client.destroy());
      });
    },
  );
}

for (const [link, skip] of LINKS) {
  test(
    `P8: over ${link}, a killed node's members are gone before its successor's show`,
    { skip },
    async () => {
      await withNodes(link, [], async ({ nodes: [a, b, c], redis, start }) => {
        const watchers = [await join(a, "ann"), await join(c, "cid")];
        const bob = await join(b, "bob");
        const changes: string[][] = watchers.map(() => []);
        const seen = (text: string) =>
          Promise.all(
            watchers.map((watcher, index) =>
              changesUntil(watcher, changes[index]!, () => changes[index]!.includes(text))
            ),
          );
        await seen("+bob");
        b.process.kill("SIGKILL");
        const peers = [a.clusterPort, c.clusterPort];
        const ways = redis === undefined ? { peers } : { redis: redis.url };
        const successor = await startDemoNode(start, { name: "b", runtime: "bun", ...ways });
        const next = await join(successor, "next");
        await seen("+next");
        for (const each of changes) deepStrictEqual(each.slice(-2), ["-bob", "+next"]);
        [...watchers, bob, next].forEach((client) => client.destroy());
      });
    },
  );
}

test("P8: without Redis nobody leaves, and clients are told that the roster is stale", {
  skip: skipWithoutRedis,
}, async () => {
  await withNodes("Redis", [], async ({ nodes, redis }) => {
    const clients: TestClient[] = [];
    for (const [index, node] of nodes.entries()) clients.push(await join(node, `m${index}`));
    const rosterOf = async (client: TestClient): Promise<readonly [string[], unknown]> => {
      const { members, stale } = await client.request({ type: "members", channel: "lobby" });
      return [(members as { member: string }[]).map(({ member }) => member).sort(), stale];
    };
    const whole = ["m0", "m1", "m2"];
    const until = async (client: TestClient, isStale: unknown): Promise<void> => {
      for (;;) {
        const [members, stale] = await rosterOf(client);
        if (members.length === whole.length && stale === isStale) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    for (const client of clients) await until(client, undefined);
    await redis!.kill();
    for (const client of clients) await until(client, true);
    // Longer than the node timeout, all the while with everybody in it.
    const end = performance.now() + 6_000;
    while (performance.now() < end) {
      for (const client of clients) deepStrictEqual(await rosterOf(client), [whole, true]);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await redis!.start();
    for (const client of clients) await until(client, undefined);
    for (const node of nodes) ok(!node.process.output.includes("peerdisconnected"));
    clients.forEach((client) => client.destroy());
  });
});
