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
import { type RuntimeName, RUNTIMES, runtimeVersion } from "../tests/support/runtime_command.ts";
import type { PresenceOrder } from "./presence_node.ts";

const { values } = parseArgs({
  options: {
    runtime: { type: "string", multiple: true, default: [...RUNTIMES] },
    members: { type: "string", default: "100000" },
    channels: { type: "string", multiple: true, default: ["1", "10000"] },
  },
});

/** What must hold, whatever the machine. */
const LIMITS = {
  "bytes a join, one at a time": 100,
  "bytes a join, many at once": 100,
  "resident bytes a member": 500,
  "ms for a fourth node": 2_000,
  "ms blocked by a roster": 50,
} as const;

// V8 keeps up to 48 MB or more for what is new, members or not. Held small, it leaves what members
// take to be seen.
const V8_FLAGS = ["--expose-gc", "--max-semi-space-size=4"];

const NODES = 3;
/** Members that are there from the beginning, and those that join one by one. */
const WARM_UP_MEMBERS = 3_000;
const ONE_BY_ONE = 1_000;
/** One of so many comes and goes before the first reading. */
const WARM_UP_SHARE = 4;
const REST_MS = 5_000;
const SETTLE_MS = 500;
const SETTLE_READINGS_MAX = 12;

interface BenchNode {
  readonly child: TestProcess;
  readonly clientPort: number;
  /** Where the other nodes connect, once it has been told to start. */
  clusterPort: number;
  order(action: string, order?: PresenceOrder): Promise<Record<string, number>>;
}

type Figures = Record<string, number>;

const columns: { readonly title: string; readonly figures: Figures }[] = [];
for (const runtime of RUNTIMES) {
  if (!values.runtime.includes(runtime)) continue;
  for (const channels of values.channels) {
    await withProcesses(async (start) => {
      const figures = await measure(start, runtime, Number(channels));
      columns.push({ title: `${runtime} ${runtimeVersion(runtime)}, ${channels}`, figures });
    });
  }
}
printTable();

async function measure(
  start: StartProcess,
  runtime: RuntimeName,
  channels: number,
): Promise<Figures> {
  const members = Number(values.members);
  const atOnce = members - WARM_UP_MEMBERS - ONE_BY_ONE;
  const nodes: BenchNode[] = [];
  for (let index = 0; index < NODES; index++) {
    const node = await startNode(start, runtime, `n${index + 1}`, nodes);
    ({ clusterPort: node.clusterPort = 0 } = await node.order("start"));
    nodes.push(node);
  }
  await until(async () => (await nodes[0]!.order("stats")).peers === NODES - 1);
  const figures: Figures = {};
  await warmUp(nodes, channels, members);
  const before = await memoryOf(nodes);
  const restBefore = await costAtRest(nodes[0]!);
  figures["bytes a join, one at a time"] = await joinOneByOne(nodes, channels);
  const { joinsPerSecond, bytesPerJoin } = await joinEverywhere(nodes, atOnce, { channels });
  figures["bytes a join, many at once"] = bytesPerJoin;
  // Where a machine is so busy that links break, what was missed is told again.
  figures["questions for what was missed"] = await questions(nodes);
  figures["joins a second, until all nodes agree"] = joinsPerSecond;
  const after = await memoryOf(nodes);
  figures["resident bytes a member"] = Math.max(
    ...after.map((each, index) => (each - before[index]!) / (members - WARM_UP_MEMBERS)),
  );
  const restAfter = await costAtRest(nodes[0]!);
  figures[`bytes a second and peer at rest, ${WARM_UP_MEMBERS} members`] = restBefore.bytes;
  figures["bytes a second and peer at rest, all members"] = restAfter.bytes;
  figures[`ms of CPU a second at rest, ${WARM_UP_MEMBERS} members`] = restBefore.cpuMs;
  figures["ms of CPU a second at rest, all members"] = restAfter.cpuMs;
  // With the room that its runtime gives it, as it is to be looked at for its times.
  const fourth = await startNode(start, runtime, "n4", nodes, ["--expose-gc"]);
  figures["ms for a fourth node"] = (await fourth.order("start", { entries: members })).tookMs!;
  await expectEntries([...nodes, fourth], members);
  if (channels === 1) figures["ms blocked by a roster"] = await rosterStall(fourth);
  return figures;
}

async function startNode(
  start: StartProcess,
  runtime: RuntimeName,
  name: string,
  peers: readonly BenchNode[],
  flags: readonly string[] = V8_FLAGS,
): Promise<BenchNode> {
  const child = start({
    script: "bench/presence_node.ts",
    runtime,
    args: [name, ...peers.map(({ clusterPort }) => `127.0.0.1:${clusterPort}`)],
    env: { NODE_OPTIONS: flags.join(" "), DENO_V8_FLAGS: flags.join(",") },
  });
  const { control, clients } = await child.event("listening");
  return {
    child,
    clusterPort: 0,
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

/**
 * What is paid once is paid before the first reading: code that is compiled, and the room that a
 * runtime keeps for what is new. So some members come and go before those who stay.
 */
async function warmUp(
  nodes: readonly BenchNode[],
  channels: number,
  members: number,
): Promise<void> {
  await joinEverywhere(nodes, WARM_UP_MEMBERS, { channels, first: 10_000_000 });
  const count = Math.floor(members / WARM_UP_SHARE / NODES);
  const first = 30_000_000;
  await joinEverywhere(nodes, count * NODES, { channels, first });
  await Promise.all(
    nodes.map((node, index) => node.order("leave", { count, first: first + index * count })),
  );
  await expectEntries(nodes, WARM_UP_MEMBERS);
}

/** All nodes join a share of the members at the same time. */
async function joinEverywhere(
  nodes: readonly BenchNode[],
  members: number,
  order: PresenceOrder,
): Promise<{ joinsPerSecond: number; bytesPerJoin: number }> {
  const { first = 0 } = order;
  const { entries = 0, bytesOut: before = 0 } = await nodes[0]!.order("stats");
  const count = members / nodes.length;
  const joined = await Promise.all(
    nodes.map((node, index) =>
      node.order("join", { ...order, count, first: first + index * count })
    ),
  );
  const agreed = await expectEntries(nodes, entries + members);
  const tookMs = Math.max(...agreed) - Math.min(...joined.map(({ began }) => began!));
  const { bytesOut: after = 0 } = await nodes[0]!.order("stats");
  const bytesPerJoin = ((after - before) / (NODES - 1) - joined[0]!.nameBytes!) / count;
  return { joinsPerSecond: members / tookMs * 1_000, bytesPerJoin };
}

/** Waits until all nodes have so many entries. Returns when each had. */
async function expectEntries(nodes: readonly BenchNode[], entries: number): Promise<number[]> {
  const found = await Promise.all(nodes.map((node) => node.order("wait", { entries })));
  const wrong = found.find((each) => each.entries !== entries);
  if (wrong !== undefined) throw new Error(`Not ${entries} entries, but ${wrong.entries}`);
  return found.map(({ at }) => at!);
}

/** Each join in a tick of its own: nothing is shared. Bytes beyond names and metadata. */
async function joinOneByOne(nodes: readonly BenchNode[], channels: number): Promise<number> {
  const [node] = nodes;
  const { entries, bytesOut } = await node!.order("stats");
  const order = { count: ONE_BY_ONE, first: 20_000_000, perTick: 1, channels };
  const { nameBytes } = await node!.order("join", order);
  await expectEntries(nodes, entries! + ONE_BY_ONE);
  const { bytesOut: after } = await node!.order("stats");
  return ((after! - bytesOut!) / (NODES - 1) - nameBytes!) / ONE_BY_ONE;
}

async function questions(nodes: readonly BenchNode[]): Promise<number> {
  const asked = await Promise.all(nodes.map(async (node) => (await node.order("stats")).asked!));
  return asked.reduce((total, count) => total + count, 0);
}

/** What a second costs in which nobody says anything. */
async function costAtRest(node: BenchNode): Promise<{ bytes: number; cpuMs: number }> {
  const before = await node.order("stats");
  await pause(REST_MS);
  const after = await node.order("stats");
  const seconds = REST_MS / 1_000;
  return {
    bytes: (after.bytesOut! - before.bytesOut!) / (NODES - 1) / seconds,
    cpuMs: (after.cpuMs! - before.cpuMs!) / seconds,
  };
}

/** The longest time in which the node could do nothing else, while a client asks who is there. */
async function rosterStall(node: BenchNode): Promise<number> {
  const { worstMs, size } = await node.order("query");
  const client = await TestClient.connect({ port: node.clientPort });
  await node.order("watch");
  client.send({ type: "members", channel: "channel-0", id: 1 });
  let received = 0;
  for (let hasMore = true; hasMore;) {
    const piece = await client.next("members");
    received += (piece.members as unknown[]).length;
    hasMore = piece.more === true;
  }
  const { longestMs } = await node.order("stalls");
  if (received !== size) throw new Error(`The roster is not whole: ${received} of ${size}`);
  client.destroy();
  return Math.max(worstMs!, longestMs!);
}

/** Resident memory of each node, when its garbage has gone as far as it can be told to. */
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

/** All that was measured, in Markdown. */
function printTable(): void {
  const lines = [
    ["", ...columns.map(({ title }) => title), "at most"],
    ["---", ...columns.map(() => "---:"), "---:"],
  ];
  for (const name of Object.keys(columns[0]?.figures ?? {})) {
    const limit = (LIMITS as Figures)[name];
    const found = columns.map(({ figures }) => figures[name]);
    if (limit !== undefined && found.some((value) => value! > limit)) process.exitCode = 1;
    lines.push([name, ...found.map(show), limit === undefined ? "" : show(limit)]);
  }
  process.stdout.write(`${values.members} members on ${NODES} nodes, in so many channels\n\n`);
  for (const cells of lines) process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

function show(value: number | undefined): string {
  if (value === undefined) return "-";
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await pause(20);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
