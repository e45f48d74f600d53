/**
 * Prints what a mesh of many nodes costs, from the simulator: the shipped cluster and mesh on a
 * virtual network with 1 ms from each node to each other. `npm run bench:scale`, or
 * `npm run bench:scale -- --nodes 2 --nodes 50`.
 *
 * Messages and bytes are what nodes hand to their connections; what TCP and IP add is not in them.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Millis } from "../src/core/machine.ts";
import { CalmWorld } from "../tests/sim/calm_world.ts";
import type { Process } from "../tests/sim/process.ts";
import { toPayload } from "../tests/support/payload.ts";

const NODES: readonly number[] = [2, 3, 5, 10, 20, 50, 100, 200, 300];
const PAYLOAD = toPayload(JSON.stringify("x".repeat(126)));
/** As long as the mesh takes to repeat its gossip. */
const REST_MS = 30_000;
const MEET_MS = 5_000;
const STEP_MS = 50;
const WAIT_MAX_MS = 20_000;
/** The least of so many publishes is one in which no heartbeat falls. */
const TRIES = 9;
const TRY_MS = 4;
const TRY_PAUSE_MS = 137;
const MEMORY_CHANNELS = 2_000;
const MEMORY_NODES = [4, 16] as const;
const SUBSCRIBER = { deliver: () => {}, gap: () => {} };

/** What left one node, and what left all. */
interface Traffic {
  readonly ownMessages: number;
  readonly ownBytes: number;
  readonly allMessages: number;
  readonly allBytes: number;
}

const { values } = parseArgs({ options: { nodes: { type: "string", multiple: true } } });
const started = performance.now();
printLine([
  "nodes",
  "at rest, a node in 1 s: messages",
  "bytes",
  "CPU ms",
  "publish to 1 node: messages, bytes",
  "to 10 %",
  "to all",
  "first subscriber on a node: messages, bytes",
  "all know of a crash, ms",
  "of a lost power cord",
  "of a join",
  "of a leave",
]);
printLine(Array.from({ length: 12 }, () => "---:"));
for (const count of values.nodes?.map(Number) ?? NODES) printLine(measureRow(count));
printMemory();
print(`\ntook ${((performance.now() - started) / 1_000).toFixed(0)} s`);

function measureRow(count: number): (string | number)[] {
  const world = new CalmWorld({ nodeCount: count });
  world.passes(MEET_MS);
  requireWhole(world, count);
  const cpuBefore = process.cpuUsage().user;
  const rest = measure(world, () => world.passes(REST_MS));
  const cpuMs = (process.cpuUsage().user - cpuBefore) / 1_000;
  const perSecond = count * REST_MS / 1_000;
  return [
    count,
    Math.round(rest.allMessages / perSecond),
    Math.round(rest.allBytes / perSecond),
    (cpuMs / perSecond).toFixed(2),
    ...[1, Math.ceil(count / 10), count - 1].map((nodes) => show(publish(world, nodes))),
    show(subscribe(world)),
    ...times(world).map(Math.round),
  ];
}

// What a publish costs the publisher it costs in all: nobody passes anything on.
function show({ ownMessages, ownBytes, allMessages, allBytes }: Traffic): string {
  const own = `${ownMessages}, ${ownBytes}`;
  return allBytes === ownBytes ? own : `${own} (in all ${allMessages}, ${allBytes})`;
}

// The first node publishes; those after it are interested.
function publish(world: CalmWorld, interested: number): Traffic {
  const [publisher, ...others] = world.openProcesses();
  const channel = `news/${interested}`;
  for (const { channels } of others.slice(0, interested)) {
    channels.subscribe(channel, SUBSCRIBER, () => true);
  }
  world.passes(1_000);
  return leastOf(world, () => publisher!.channels.publish(channel, PAYLOAD));
}

function subscribe(world: CalmWorld): Traffic {
  const [{ channels }] = world.openProcesses() as [Process];
  let count = 0;
  return leastOf(world, () => {
    channels.subscribe(`sport/${++count}`, SUBSCRIBER, () => true);
  });
}

// What falls between two heartbeats.
function leastOf(world: CalmWorld, act: () => void): Traffic {
  const found: Traffic[] = [];
  while (found.length < TRIES) {
    world.passes(TRY_PAUSE_MS);
    found.push(measure(world, () => {
      act();
      world.passes(TRY_MS);
    }));
  }
  return found.reduce((least, each) => each.allBytes < least.allBytes ? each : least);
}

// How long it takes until all know.
function times(world: CalmWorld): Millis[] {
  const crashMs = crash(world, false);
  const joinMs = join(world);
  const powerMs = crash(world, true);
  join(world);
  return [crashMs, powerMs, joinMs, leave(world)];
}

function crash(world: CalmWorld, isDark: boolean): Millis {
  const machine = world.machines.at(-1)!;
  const { id } = machine.process!;
  machine.process!.crash(isDark);
  machine.process = undefined;
  return waitUntil(world, () => countTold(world, id, false) >= world.openProcesses().length);
}

function join(world: CalmWorld): Millis {
  const { id } = world.startProcess(world.machines.at(-1)!);
  const others = world.openProcesses().length - 1;
  return waitUntil(world, () => {
    const known = world.history.peerChanges.filter(({ observer }) => observer === id).length;
    return known === others && countTold(world, id, true) === others;
  });
}

function leave(world: CalmWorld): Millis {
  const machine = world.machines.at(-1)!;
  const { id } = machine.process!;
  machine.process!.stop();
  machine.process = undefined;
  return waitUntil(world, () => countTold(world, id, false) >= world.openProcesses().length);
}

function countTold(world: CalmWorld, node: string, isConnected: boolean): number {
  return world.history.peerChanges.filter((change) =>
    change.node === node && change.isConnected === isConnected
  ).length;
}

function waitUntil(world: CalmWorld, isTrue: () => boolean): Millis {
  const start = world.schedule.now;
  while (!isTrue()) {
    if (world.schedule.now > start + WAIT_MAX_MS) throw new Error("Not all nodes know in time");
    world.passes(STEP_MS);
  }
  return world.history.peerChanges.at(-1)!.at - start;
}

function measure(world: CalmWorld, act: () => void): Traffic {
  const before = trafficOf(world);
  act();
  const after = trafficOf(world);
  return {
    ownMessages: after.ownMessages - before.ownMessages,
    ownBytes: after.ownBytes - before.ownBytes,
    allMessages: after.allMessages - before.allMessages,
    allBytes: after.allBytes - before.allBytes,
  };
}

function trafficOf(world: CalmWorld): Traffic {
  const sent = world.openProcesses().map(({ paths }) => paths[0]!.stats());
  const sum = (name: string): number => sent.reduce((total, stats) => total + stats[name]!, 0);
  return {
    ownMessages: sent[0]!["payloadsOut"]!,
    ownBytes: sent[0]!["bytesOut"]!,
    allMessages: sum("payloadsOut"),
    allBytes: sum("bytesOut"),
  };
}

function requireWhole(world: CalmWorld, count: number): void {
  for (const { id, cluster } of world.openProcesses()) {
    if (cluster.connectedCount === count - 1) continue;
    throw new Error(`${id} has met ${cluster.connectedCount} of ${count - 1} nodes`);
  }
}

// What grows with the square of the nodes is what they know of each other.
function printMemory(): void {
  if ("bun" in process.versions || "deno" in process.versions) return;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const [small, large] = MEMORY_NODES.map((count) => {
    const world = new CalmWorld({ nodeCount: count });
    world.passes(MEET_MS);
    collect();
    const before = process.memoryUsage().heapUsed;
    for (const { channels } of world.openProcesses()) {
      for (let index = 0; index < MEMORY_CHANNELS; index++) {
        channels.subscribe(`rooms/${index}`, SUBSCRIBER, () => true);
      }
    }
    world.passes(MEET_MS);
    collect();
    const used = process.memoryUsage().heapUsed - before;
    // Still needed here, or it would be collected.
    requireWhole(world, count);
    return used / count / MEMORY_CHANNELS;
  });
  const [few, many] = MEMORY_NODES;
  const perOther = (large! - small!) / (many - few);
  const own = small! - perOther * (few - 1);
  print(
    `\nheap per channel: ${own.toFixed(0)} B where it is subscribed to, ` +
      `and ${perOther.toFixed(0)} B for each other node that is interested`,
  );
}

function printLine(cells: readonly (string | number)[]): void {
  print(`| ${cells.join(" | ")} |`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
