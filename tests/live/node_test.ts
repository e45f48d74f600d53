import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { TestClient } from "../support/client.ts";
import { createDeafPort } from "../support/deaf_port.ts";
import { LinkCutter } from "../support/link_cutter.ts";
import {
  type DemoNode,
  startDemoNode,
  type StartProcess,
  withProcesses,
} from "../support/process.ts";
import { RawClient } from "../support/raw_client.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtime_command.ts";

async function startPair(start: StartProcess): Promise<[DemoNode, DemoNode]> {
  const a = await startDemoNode(start, { name: "a" });
  const b = await startDemoNode(start, { name: "b", peers: [a.clusterPort] });
  await Promise.all([
    a.process.event("peerconnected", { peer: b.node }),
    b.process.event("peerconnected", { peer: a.node }),
  ]);
  return [a, b];
}

/** Publishes numbers at a steady pace until it is told to stop; `stop` returns how many. */
function publishSteadily(client: TestClient, channel: string): { stop(): number } {
  let count = 0;
  const timer = setInterval(() => client.publish(channel, count++), 5);
  return {
    stop: () => {
      clearInterval(timer);
      return count;
    },
  };
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

async function status(node: DemoNode, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${node.port}${path}`);
  await response.body?.cancel();
  return response.status;
}

test("P1: clients of three nodes, which know one address, hear each other in order", async () => {
  await withProcesses(async (start) => {
    const nodes = [await startDemoNode(start, { name: "a" })];
    const peers = [nodes[0]!.clusterPort];
    nodes.push(await startDemoNode(start, { name: "b", peers }));
    nodes.push(await startDemoNode(start, { name: "c", peers }));
    for (const node of nodes) {
      for (const other of nodes) {
        if (other !== node) await node.process.event("peerconnected", { peer: other.node });
      }
    }
    const clients = await Promise.all(nodes.map((node) => TestClient.connect(node)));
    await Promise.all(clients.map((client) => client.subscribe("news")));
    for (const client of clients) {
      for (const index of numbers(100)) client.publish("news", [clients.indexOf(client), index]);
    }
    for (const client of clients) {
      const received = await client.messages("news", 300) as [number, number][];
      strictEqual(received.length, 300);
      for (const publisher of numbers(3)) {
        const own = received.filter(([from]) => from === publisher).map(([, index]) => index);
        deepStrictEqual(own, numbers(100));
      }
    }
    clients.forEach((client) => client.destroy());
  });
});

test("P1: nodes on Node, Bun and Deno work in one cluster", async () => {
  await withProcesses(async (start) => {
    const runtimes: readonly RuntimeName[] = RUNTIMES;
    const nodes: DemoNode[] = [];
    for (const runtime of runtimes) {
      const peers = nodes.map((node) => node.clusterPort);
      nodes.push(await startDemoNode(start, { name: runtime, runtime, peers }));
    }
    for (const node of nodes.slice(1)) {
      await nodes[0]!.process.event("peerconnected", { peer: node.node });
    }
    await nodes[1]!.process.event("peerconnected", { peer: nodes[2]!.node });
    const clients = await Promise.all(nodes.map((node) => TestClient.connect(node)));
    await Promise.all(clients.map((client) => client.subscribe("news")));
    clients.forEach((client, index) => client.publish("news", index));
    for (const client of clients) {
      const received = await client.messages("news", 3);
      deepStrictEqual([...received].sort(), [0, 1, 2]);
    }
    clients.forEach((client) => client.destroy());
  });
});

test("P8: a node killed with SIGKILL is gone within a second, and its successor is a new node", async () => {
  await withProcesses(async (start) => {
    const [a, b] = await startPair(start);
    const killedAt = performance.now();
    b.process.kill("SIGKILL");
    await a.process.event("peerdisconnected", { peer: b.node, reason: "died" });
    const tookMs = performance.now() - killedAt;
    ok(tookMs < 1_000, `${tookMs} ms`);
    const args = ["--cluster-port", `${b.clusterPort}`];
    const again = await startDemoNode(start, { name: "b", peers: [a.clusterPort], args });
    await a.process.event("peerconnected", { peer: again.node });
    ok(again.node !== b.node);
  });
});

test("P8: a node frozen for longer than the node timeout is down once, and back once", async () => {
  await withProcesses(async (start) => {
    const [a, b] = await startPair(start);
    const [onA, onB] = await Promise.all([TestClient.connect(a), TestClient.connect(b)]);
    await onB.subscribe("news");
    onA.publish("news", 0);
    await onB.messages("news", 1);
    const frozenAt = performance.now();
    b.process.kill("SIGSTOP");
    await a.process.event("peerdisconnected", { peer: b.node, reason: "timed_out" });
    const tookMs = performance.now() - frozenAt;
    ok(tookMs < 5_500, `${tookMs} ms`);
    onA.publish("news", 1);
    b.process.kill("SIGCONT");
    await a.process.event("peerconnected", { peer: b.node });
    onA.publish("news", 2);
    deepStrictEqual(await onB.messages("news", 3), [0, 1, 2]);
    [onA, onB].forEach((client) => client.destroy());
  });
});

test("P8: a node frozen for less than the node timeout stays, and misses nothing", async () => {
  await withProcesses(async (start) => {
    const [a, b] = await startPair(start);
    const [onA, onB] = await Promise.all([TestClient.connect(a), TestClient.connect(b)]);
    await onB.subscribe("news");
    b.process.kill("SIGSTOP");
    const publishing = publishSteadily(onA, "news");
    // Longer than the 3 s after which a path is built anew, shorter than the node timeout of 5 s.
    await new Promise((resolve) => setTimeout(resolve, 3_600));
    b.process.kill("SIGCONT");
    const count = publishing.stop();
    deepStrictEqual(await onB.messages("news", count), numbers(count));
    deepStrictEqual(onB.gaps, []);
    ok(!a.process.output.includes("peerdisconnected"), a.process.output);
    ok(!b.process.output.includes("peerdisconnected"), b.process.output);
    [onA, onB].forEach((client) => client.destroy());
  });
});

test("P4: a link that is cut again and again while messages flow loses nothing", async () => {
  await withProcesses(async (start) => {
    // Each node says that it is reached at its proxy, so every link runs through one.
    const targets = [{ port: 0 }, { port: 0 }];
    const proxies = await Promise.all(targets.map((target) => LinkCutter.start(target)));
    const [argsA, argsB] = proxies.map(({ port }) => ["--advertise", `127.0.0.1:${port}`]);
    const a = await startDemoNode(start, { name: "a", args: argsA! });
    targets[0]!.port = a.clusterPort;
    const peers = [proxies[0]!.port];
    const b = await startDemoNode(start, { name: "b", peers, args: argsB! });
    targets[1]!.port = b.clusterPort;
    await b.process.event("peerconnected", { peer: a.node });
    await a.process.event("peerconnected", { peer: b.node });
    const [onA, onB] = await Promise.all([TestClient.connect(a), TestClient.connect(b)]);
    await Promise.all([onA.subscribe("from b"), onB.subscribe("from a")]);
    const publishing = [publishSteadily(onA, "from a"), publishSteadily(onB, "from b")];
    for (const [client, channel] of [[onB, "from a"], [onA, "from b"], [onB, "from a"]] as const) {
      await client.messages(channel, (client.received.get(channel)?.length ?? 0) + 100);
      const cut = proxies.reduce((count, proxy) => count + proxy.cut(), 0);
      ok(cut > 0, "no link ran through a proxy");
    }
    await onB.messages("from a", onB.received.get("from a")!.length + 100);
    const [fromA, fromB] = publishing.map((each) => each.stop());
    deepStrictEqual(await onB.messages("from a", fromA!), numbers(fromA!));
    deepStrictEqual(await onA.messages("from b", fromB!), numbers(fromB!));
    deepStrictEqual([...onA.gaps, ...onB.gaps], []);
    ok(!`${a.process.output}${b.process.output}`.includes("peerdisconnected"));
    [onA, onB].forEach((client) => client.destroy());
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });
});

test("SIGTERM says goodbye to peers and clients, and ends within 2 s, whoever else is connected", async () => {
  await withProcesses(async (start) => {
    const [a, b] = await startPair(start);
    const unfinished = [connect(b.port, "127.0.0.1"), connect(b.clusterPort, "127.0.0.1")];
    for (const socket of unfinished) socket.on("error", () => {}).write("GET / HTTP/1.1\r\n");
    const client = await TestClient.connect(b);
    const toldAt = performance.now();
    b.process.kill("SIGTERM");
    const [closed, exit] = await Promise.all([client.closed, b.process.exited]);
    ok(performance.now() - toldAt < 2_000);
    strictEqual(closed.code, 1001);
    deepStrictEqual(exit, { code: 0, signal: null });
    await a.process.event("peerdisconnected", { peer: b.node, reason: "left" });
    for (const socket of unfinished) socket.destroy();
  });
});

test("SIGTERM ends a node within 2 s although it dials one that never answers", async () => {
  const deaf = await createDeafPort();
  try {
    await withProcesses(async (start) => {
      const node = await startDemoNode(start, { name: "a", peers: [deaf.port] });
      const toldAt = performance.now();
      node.process.kill("SIGTERM");
      deepStrictEqual(await node.process.exited, { code: 0, signal: null });
      ok(performance.now() - toldAt < 2_000);
    });
  } finally {
    await deaf.close();
  }
});

test("P9: readyz is 503 until a peer is connected and when it is gone, healthz is always 200", async () => {
  await withProcesses(async (start) => {
    const alone = await startDemoNode(start, { name: "alone" });
    strictEqual(await status(alone, "/readyz"), 200);
    const waiting = await startDemoNode(start, { name: "b", peers: [1] });
    strictEqual(await status(waiting, "/readyz"), 503);
    strictEqual(await status(waiting, "/healthz"), 200);
    const [a, b] = await startPair(start);
    strictEqual(await status(b, "/readyz"), 200);
    a.process.kill("SIGKILL");
    await b.process.event("peerdisconnected");
    strictEqual(await status(b, "/readyz"), 503);
  });
});

test("P13: a node whose only peer is frozen says within 3 s that it hears nothing", async () => {
  await withProcesses(async (start) => {
    const [a, b] = await startPair(start);
    strictEqual(await status(b, "/readyz"), 200);
    a.process.kill("SIGSTOP");
    const frozenAt = performance.now();
    while (await status(b, "/readyz") === 200) {
      ok(performance.now() - frozenAt < 4_000, "readyz stays 200");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    ok(!b.process.output.includes("peerdisconnected"));
    a.process.kill("SIGCONT");
    while (await status(b, "/readyz") !== 200) {
      ok(performance.now() - frozenAt < 12_000, "readyz stays 503");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
});

test("P11: hostile bytes on both ports leave the node and its clients undisturbed", async () => {
  await withProcesses(async (start) => {
    const [a, b] = await startPair(start);
    const [onA, onB] = await Promise.all([TestClient.connect(a), TestClient.connect(b)]);
    await onB.subscribe("news");
    for (const port of [a.port, a.clusterPort]) {
      for (const bytes of HOSTILE) await throwAt(port, bytes);
    }
    const raw = await RawClient.connect(a);
    raw.bytes(Uint8Array.of(0xff, 0xff, 1, 2, 3));
    strictEqual((await raw.closed).code, 1002);
    onA.publish("news", "still here");
    deepStrictEqual(await onB.messages("news", 1), ["still here"]);
    ok(!a.process.output.includes("peerdisconnected"), a.process.output);
    [onA, onB].forEach((client) => client.destroy());
  });
});

test("P10: a client that never reads is closed, and slows nobody", async () => {
  await withProcesses(async (start) => {
    const [a, b] = await startPair(start);
    const [publisher, reader, deaf] = await Promise.all(
      [a, b, b].map((node) => TestClient.connect(node)),
    );
    await Promise.all([reader!.subscribe("news"), deaf!.subscribe("news")]);
    deaf!.raw.pause();
    const big = "x".repeat(100_000);
    const slowConsumers = async (): Promise<number> => {
      const response = await fetch(`http://127.0.0.1:${b.port}/stats`);
      return (await response.json()).clients.slowConsumers;
    };
    // More than any system buffers for a socket; then little, until the close that is never
    // answered is over and counted.
    let count = 0;
    while (count < 100_000 && await slowConsumers() === 0) {
      const text = count < 1_000 ? big : "small";
      for (let index = 0; index < 20; index++) publisher!.publish("news", [count++, text]);
      await reader!.messages("news", count);
    }
    strictEqual(await slowConsumers(), 1);
    const received = await reader!.messages("news", count) as [number, string][];
    deepStrictEqual(received.map(([index]) => index), numbers(count));
    [publisher, reader, deaf].forEach((client) => client!.destroy());
  });
});

const BAD_STARTS: readonly (readonly [title: string, args: readonly string[], says: RegExp])[] = [
  ["an unknown flag", ["--prot", "80"], /--prot/],
  ["a port that is no number", ["--port", "http"], /--port http: expected a port/],
  ["a port that is too large", ["--port", "65536"], /--port 65536: expected a port/],
  ["a peer without a port", ["--peer", "somewhere"], /"somewhere"/],
  ["another host without a secret", ["--cluster-host", "0.0.0.0"], /secret/],
  ["a name with a space", ["--name", "a b"], /"a b"/],
  [
    "a node timeout that is too short",
    ["--node-timeout", "499"],
    /--node-timeout 499: .* from 500/,
  ],
  [
    "a node timeout that is too long",
    ["--node-timeout", "300001"],
    /--node-timeout 300001: .* to 300000/,
  ],
  ["a flag without its value", ["--port", "--json"], /--port/],
  ["an advertised address without a port", ["--advertise", "here"], /"here"/],
];

for (const [title, args, says] of BAD_STARTS) {
  test(`${title} is one clear line and exit code 2`, async () => {
    await withProcesses(async (start) => {
      const child = start({ script: "demo/node.ts", args });
      deepStrictEqual(await child.exited, { code: 2, signal: null });
      match(child.output, says);
      strictEqual(child.output.split("\n").length, 1, child.output);
    });
  });
}

test("a port in use is one clear line and exit code 2, for clients and for nodes", async () => {
  await withProcesses(async (start) => {
    const a = await startDemoNode(start, { name: "a" });
    for (const flag of ["--port", "--cluster-port"]) {
      const args = ["--port", "0", "--cluster-port", "0"];
      args[args.indexOf(flag) + 1] = `${flag === "--port" ? a.port : a.clusterPort}`;
      const child = start({ script: "demo/node.ts", args });
      deepStrictEqual(await child.exited, { code: 2, signal: null });
      const place = `127\\.0\\.0\\.1:${args[args.indexOf(flag) + 1]}`;
      match(child.output, new RegExp(`^Cannot listen .*${place}: the port is in use$`));
      strictEqual(child.output.split("\n").length, 1, child.output);
    }
  });
});

const HOSTILE: readonly Uint8Array[] = [
  Uint8Array.of(0),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1, 2, 3),
  new Uint8Array(100_000).fill(0x41),
  new TextEncoder().encode("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
  new TextEncoder().encode("\r\n\r\n\r\n\0\0\0"),
];

/** Sends bytes and waits until the other side has hung up, or has had its time to. */
function throwAt(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.on("data", () => {});
    socket.on("connect", () => socket.end(bytes));
    setTimeout(() => socket.destroy(), 300);
  });
}
