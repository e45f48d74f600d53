/**
 * Measures presence on three nodes with many members, over the mesh on loopback:
 * `npm run bench:presence`.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { TestClient } from "../tests/support/client.ts";
import { type StartProcess, type TestProcess, withProcesses } from "../tests/support/process.ts";
import { type RuntimeName, RUNTIMES } from "../tests/support/runtime_command.ts";
import type { PresenceOrder } from "./presence_node.ts";

const { values } = parseArgs({
  options: {
    runtime: { type: "string", multiple: true },
    members: { type: "string", default: "99000" },
    channels: { type: "string", multiple: true, default: ["1", "10000"] },
  },
});

/** What must hold, whatever the machine. */
const LIMITS = {
  "bytes a join, many at once": 100,
  "bytes a join, one at a time": 100,
  "resident bytes a member": 500,
  "ms for a fourth node": 2_000,
  "ms blocked by a roster": 50,
} as const;

const NODES = 3;
const WARM_UP_MEMBERS = 3_000;
const ONE_BY_ONE = 500;
const REST_MS = 5_000;
const SETTLE_MS = 500;
const SETTLE_READINGS_MAX = 12;

interface BenchNode {
  readonly child: TestProcess;
  readonly clusterPort: number;
  readonly clientPort: number;
  order(action: string, order?: PresenceOrder): Promise<Record<string, number>>;
}

type Figures = Record<string, number>;

for (const runtime of RUNTIMES) {
  if (values.runtime?.includes(runtime) === false) continue;
  for (const channels of values.channels) {
    await withProcesses(async (start) => {
      const figures = await measure(start, runtime, Number(channels));
      print(`${runtime}, ${values.members} members in ${channels} channels`, figures);
    });
  }
}

async function measure(
  start: StartProcess,
  runtime: RuntimeName,
  channels: number,
): Promise<Figures> {
  const count = Number(values.members) / NODES;
  const nodes: BenchNode[] = [];
  for (let index = 0; index < NODES; index++) {
    nodes.push(await startNode(start, runtime, `n${index + 1}`, nodes));
  }
  await until(async () => (await nodes[0]!.order("stats")).peers === NODES - 1);
  const figures: Figures = {};
  // What is paid once, such as code that is compiled, is paid before the first reading.
  await joinEverywhere(nodes, WARM_UP_MEMBERS, { channels, first: 10_000_000 });
  const restBefore = await bytesAtRest(nodes[0]!);
  const before = await memoryOf(nodes);
  figures["bytes a join, one at a time"] = await joinOneByOne(nodes, channels);
  const sent = (await nodes[0]!.order("stats")).bytesOut!;
  const { joinsPerSecond, nameBytes } = await joinEverywhere(nodes, count * NODES, { channels });
  figures["joins a second, until all nodes agree"] = joinsPerSecond;
  const bytes = (await nodes[0]!.order("stats")).bytesOut! - sent;
  figures["bytes a join, many at once"] = (bytes / (NODES - 1) - nameBytes) / count;
  const members = count * NODES + ONE_BY_ONE;
  const after = await memoryOf(nodes);
  figures["resident bytes a member"] = Math.max(
    ...after.map((each, index) => (each - before[index]!) / members),
  );
  figures["heartbeat bytes a second and peer, few members"] = restBefore;
  figures["heartbeat bytes a second and peer, all members"] = await bytesAtRest(nodes[0]!);
  if (channels === 1) figures["ms blocked by a roster"] = await rosterStall(nodes[0]!);
  figures["ms for a fourth node"] = await joinFourth(start, runtime, nodes, members);
  return figures;
}

async function startNode(
  start: StartProcess,
  runtime: RuntimeName,
  name: string,
  peers: readonly BenchNode[],
): Promise<BenchNode> {
  const child = start({
    script: "bench/presence_node.ts",
    runtime,
    args: [name, ...peers.map(({ clusterPort }) => `127.0.0.1:${clusterPort}`)],
    env: { NODE_OPTIONS: "--expose-gc", DENO_V8_FLAGS: "--expose-gc" },
  });
  const { control, clients, cluster } = await child.event("listening");
  return {
    child,
    clusterPort: Number(cluster),
    clientPort: Number(clients),
    async order(action, order = {}) {
      const query = new URLSearchParams(
        Object.entries(order).map(([key, value]) => [key, String(value)]),
      );
      const response = await fetch(`http://127.0.0.1:${control}/${action}?${query}`);
      return await response.json() as Record<string, number>;
    },
  };
}

/** All nodes join a share of the members at the same time. */
async function joinEverywhere(
  nodes: readonly BenchNode[],
  members: number,
  order: PresenceOrder,
): Promise<{ joinsPerSecond: number; nameBytes: number }> {
  const { first = 0 } = order;
  const { entries } = await nodes[0]!.order("stats");
  const count = members / nodes.length;
  const joined = await Promise.all(
    nodes.map((node, index) =>
      node.order("join", { ...order, count, first: first + index * count })
    ),
  );
  const agreed = await Promise.all(
    nodes.map((node) => node.order("wait", { entries: entries! + members })),
  );
  for (const { entries: found } of agreed) {
    if (found !== entries! + members) throw new Error(`The nodes never agreed: ${found}`);
  }
  const tookMs = Math.max(...agreed.map(({ at }) => at!)) -
    Math.min(...joined.map(({ began }) => began!));
  return { joinsPerSecond: members / tookMs * 1_000, nameBytes: joined[0]!.nameBytes! };
}

/** Each join in a tick of its own: nothing is shared. Bytes beyond names and metadata. */
async function joinOneByOne(nodes: readonly BenchNode[], channels: number): Promise<number> {
  const [node] = nodes;
  const { entries, bytesOut } = await node!.order("stats");
  const order = { count: ONE_BY_ONE, first: 20_000_000, perTick: 1, channels };
  const { nameBytes } = await node!.order("join", order);
  await Promise.all(nodes.map((each) => each.order("wait", { entries: entries! + ONE_BY_ONE })));
  const { bytesOut: after } = await node!.order("stats");
  return ((after! - bytesOut!) / (NODES - 1) - nameBytes!) / ONE_BY_ONE;
}

async function bytesAtRest(node: BenchNode): Promise<number> {
  const { bytesOut } = await node.order("stats");
  await pause(REST_MS);
  const { bytesOut: after } = await node.order("stats");
  return (after! - bytesOut!) / (NODES - 1) / (REST_MS / 1_000);
}

/** The longest time in which the node could do nothing else, while a client asks who is there. */
async function rosterStall(node: BenchNode): Promise<number> {
  const { worstMs, size } = await node.order("query");
  const client = await TestClient.connect({ port: node.clientPort });
  await node.order("stalls");
  client.send({ type: "members", channel: "channel-0", id: 1 });
  let received = 0;
  for (let hasMore = true; hasMore;) {
    const piece = await client.next("members");
    received += (piece.members as unknown[]).length;
    hasMore = piece.more === true;
  }
  if (received !== size) throw new Error(`The roster is not whole: ${received} of ${size}`);
  client.destroy();
  const { longestMs } = await node.order("stalls");
  return Math.max(worstMs!, longestMs!);
}

async function joinFourth(
  start: StartProcess,
  runtime: RuntimeName,
  nodes: readonly BenchNode[],
  members: number,
): Promise<number> {
  const fourth = await startNode(start, runtime, "n4", nodes);
  const began = performance.timeOrigin + performance.now();
  const { at, entries } = await fourth.order("wait", { entries: members + WARM_UP_MEMBERS });
  if (entries !== members + WARM_UP_MEMBERS) throw new Error(`Not the whole roster: ${entries}`);
  return Math.max(0, at! - began);
}

async function memoryOf(nodes: readonly BenchNode[]): Promise<number[]> {
  return await Promise.all(nodes.map(async ({ child, order }) => {
    let least = Infinity;
    for (let reading = 0; reading < SETTLE_READINGS_MAX; reading++) {
      await order("collect");
      await pause(SETTLE_MS);
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      const resident = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1_024;
      if (reading > 2 && resident >= least * 0.998) break;
      least = Math.min(least, resident);
    }
    return least;
  }));
}

function print(title: string, figures: Figures): void {
  process.stdout.write(`\n${title}\n`);
  for (const [name, value] of Object.entries(figures)) {
    const limit = (LIMITS as Figures)[name];
    const bound = limit === undefined ? "" : `  (at most ${limit})`;
    const shown = value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
    process.stdout.write(`  ${name.padEnd(50)} ${shown.padStart(10)}${bound}\n`);
    if (limit !== undefined && value > limit) process.exitCode = 1;
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await pause(20);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
