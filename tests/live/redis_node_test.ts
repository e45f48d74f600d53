import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { TestClient } from "../support/client.ts";
import {
  type DemoNode,
  startDemoNode,
  type StartProcess,
  withProcesses,
} from "../support/process.ts";
import { type RedisServer, skipWithoutRedis, withRedis } from "../support/redis_server.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtime_command.ts";

const OPTIONS = { skip: skipWithoutRedis };
/** How long after their start nodes trust that who does not listen is gone. */
const TRUST_MS = 5_500;

type Body = (
  nodes: readonly [DemoNode, DemoNode, DemoNode],
  server: RedisServer,
  start: StartProcess,
) => Promise<void>;

/** Three nodes as processes, which have met over a Redis server. */
async function withNodes(
  runtimes: readonly RuntimeName[],
  body: Body,
  flags: readonly string[] = [],
): Promise<void> {
  await withRedis({ flags }, async (server) => {
    await withProcesses(async (start) => {
      const nodes: DemoNode[] = [];
      for (const [index, name] of ["a", "b", "c"].entries()) {
        const runtime = runtimes[index % runtimes.length]!;
        nodes.push(await startDemoNode(start, { name, runtime, redis: server.url }));
      }
      for (const node of nodes) {
        for (const other of nodes) {
          if (other !== node) await node.process.event("peerconnected", { peer: other.node });
        }
      }
      await body(nodes as unknown as [DemoNode, DemoNode, DemoNode], server, start);
    });
  });
}

async function statusOf(node: DemoNode): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${node.port}/readyz`);
  await response.body?.cancel();
  return response.status;
}

async function until(isSo: () => Promise<boolean>, limitMs: number): Promise<void> {
  const end = performance.now() + limitMs;
  while (!await isSo()) {
    ok(performance.now() < end, `not so within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("P1: clients of nodes on Node, Bun and Deno hear each other over Redis", OPTIONS, async () => {
  await withNodes(RUNTIMES, async (nodes) => {
    const clients = await Promise.all(nodes.map((node) => TestClient.connect(node)));
    await Promise.all(clients.map((client) => client.subscribe("news")));
    clients.forEach((client, index) => {
      for (let count = 0; count < 50; count++) client.publish("news", [index, count]);
    });
    for (const client of clients) {
      const received = await client.messages("news", 150) as [number, number][];
      for (const publisher of [0, 1, 2]) {
        const own = received.filter(([from]) => from === publisher).map(([, count]) => count);
        deepStrictEqual(own, Array.from({ length: 50 }, (_, count) => count));
      }
    }
    clients.forEach((client) => client.destroy());
  });
});

test(
  "P8: a process killed with SIGKILL is gone everywhere within about a second",
  OPTIONS,
  async () => {
    await withNodes(RUNTIMES, async ([a, b, c], server, start) => {
      await new Promise((resolve) => setTimeout(resolve, TRUST_MS));
      const killedAt = performance.now();
      c.process.kill("SIGKILL");
      for (const node of [a, b]) {
        await node.process.event("peerdisconnected", { peer: c.node, reason: "died" });
        const tookMs = performance.now() - killedAt;
        ok(tookMs < 1_500, `${tookMs} ms`);
      }
      const again = await startDemoNode(start, { name: "c", redis: server.url });
      for (const node of [a, b]) {
        await node.process.event("peerconnected", { peer: again.node });
      }
    });
  },
);

test("P8: a process that is told to end is gone at once", OPTIONS, async () => {
  await withNodes(RUNTIMES, async ([a, b, c]) => {
    b.process.kill("SIGTERM");
    for (const node of [a, c]) {
      await node.process.event("peerdisconnected", { peer: b.node, reason: "left" });
    }
    deepStrictEqual(await b.process.exited, { code: 0, signal: null });
  });
});

test(
  "P8: a frozen process is down within the node timeout, and back without loss",
  OPTIONS,
  async () => {
    await withNodes(RUNTIMES, async ([a, b]) => {
      const [onA, onB] = await Promise.all([TestClient.connect(a), TestClient.connect(b)]);
      await onB.subscribe("news");
      onA.publish("news", 0);
      await onB.messages("news", 1);
      const frozenAt = performance.now();
      b.process.kill("SIGSTOP");
      await a.process.event("peerdisconnected", { peer: b.node });
      const tookMs = performance.now() - frozenAt;
      ok(tookMs < 5_500, `${tookMs} ms`);
      onA.publish("news", 1);
      b.process.kill("SIGCONT");
      await a.process.event("peerconnected", { peer: b.node });
      onA.publish("news", 2);
      deepStrictEqual(await onB.messages("news", 3), [0, 1, 2]);
      deepStrictEqual(onB.gaps, []);
      [onA, onB].forEach((client) => client.destroy());
    });
  },
);

test(
  "P14: a process that stands still while the server drops its reader is not taken for dead",
  OPTIONS,
  async () => {
    // Each client gets less at once than a server keeps for a slow one, all together more than Redis.
    const channels = Array.from({ length: 10 }, (_, index) => `news${index}`);
    const count = 6;
    const body: Body = async ([a, b, c], server) => {
      const onA = await TestClient.connect(a);
      const onC = await Promise.all(channels.map(() => TestClient.connect(c)));
      await Promise.all(channels.map((channel, index) => onC[index]!.subscribe(channel)));
      await new Promise((resolve) => setTimeout(resolve, TRUST_MS));
      c.process.kill("SIGSTOP");
      for (let index = 0; index < count; index++) {
        for (const channel of channels) onA.publish(channel, "x".repeat(500_000));
      }
      await server.prints("overcoming of output buffer limits");
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      c.process.kill("SIGCONT");
      for (const [index, channel] of channels.entries()) {
        strictEqual((await onC[index]!.messages(channel, count)).length, count);
      }
      for (const node of [a, b, c]) ok(!node.process.output.includes("peerdisconnected"));
      [onA, ...onC].forEach((client) => client.destroy());
    };
    await withNodes(RUNTIMES, body, ["--client-output-buffer-limit", "pubsub 4mb 0 0"]);
  },
);

test(
  "P8, P13: without Redis a node is not ready, keeps its peers, and serves its own",
  OPTIONS,
  async () => {
    await withNodes(RUNTIMES, async (nodes, server) => {
      const [a, b] = nodes;
      const [onA, onB] = await Promise.all([TestClient.connect(a), TestClient.connect(b)]);
      await Promise.all([onA.subscribe("news"), onB.subscribe("news")]);
      await server.kill();
      for (const node of nodes) await until(async () => await statusOf(node) === 503, 3_000);
      onA.publish("news", 1);
      deepStrictEqual(await onA.messages("news", 1), [1]);
      // Longer than the node timeout.
      await new Promise((resolve) => setTimeout(resolve, 6_000));
      await server.start();
      for (const node of nodes) await until(async () => await statusOf(node) === 200, 5_000);
      deepStrictEqual(await onB.messages("news", 1), [1]);
      for (const node of nodes) ok(!node.process.output.includes("peerdisconnected"));
      [onA, onB].forEach((client) => client.destroy());
    });
  },
);

test("the demo says in one line what is wrong with its Redis", OPTIONS, async () => {
  await withProcesses(async (start) => {
    const cases: readonly (readonly [string[], RegExp])[] = [
      [["--redis", "redis://127.0.0.1:1"], /^Cannot connect with Redis at 127\.0\.0\.1:1: /],
      [["--redis", "http://127.0.0.1"], /^Cannot configure redis: "url" must be redis:/],
      [["--redis", "redis://127.0.0.1:1", "--redis-channel", "a b"], /"channel" must be 1 to 64/],
    ];
    for (const [args, says] of cases) {
      const child = start({ script: "demo/node.ts", args });
      strictEqual((await child.exited).code, 2);
      match(child.output, says);
      strictEqual(child.output.split("\n").length, 1);
    }
  });
});

test("the demo of three nodes runs over Redis, and over nothing else", OPTIONS, async () => {
  await withRedis({}, async (server) => {
    await withProcesses(async (start) => {
      const args = ["--json", "--port", "0", "--cluster-port", "0", "--redis", server.url];
      const child = start({ script: "demo/cluster.ts", args });
      const { url } = await child.line(({ event, name }) => {
        return event === "listening" && name === undefined;
      });
      const response = await fetch(`${url}/nodes`);
      const { nodes } = await response.json() as { nodes: { url: string }[] };
      strictEqual(nodes.length, 3);
      const clients = await Promise.all(nodes.map((node) => {
        return TestClient.connect({ port: Number(new URL(node.url).port) });
      }));
      await Promise.all(clients.map((client) => client.subscribe("news")));
      clients[0]!.publish("news", "hello");
      for (const client of clients) deepStrictEqual(await client.messages("news", 1), ["hello"]);
      match(await server.cli("pubsub", "numsub", "chorus:all"), /^chorus:all\n3$/);
      strictEqual(child.output.includes("clusterPort"), false);
      clients.forEach((client) => client.destroy());
      child.kill("SIGTERM");
      strictEqual((await child.exited).code, 0);
    });
  });
});
