/**
 * Prints what a mesh of many nodes costs, from the simulator: the shipped cluster and mesh on a
 * virtual network with 1 ms from each node to each other. `npm run bench:scale`, or
 * `npm run bench:scale -- --nodes 2 --nodes 50`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Millis } from "../src/core/machine.ts";
import { CalmWorld } from "../tests/sim/calm_world.ts";

const NODES: readonly number[] = [2, 3, 5, 10, 20, 50, 100, 200, 300];
const PAYLOAD = JSON.stringify("x".repeat(126));
/** As long as the mesh takes to repeat its gossip. */
const REST_MS = 30_000;
const MEET_MS = 15_000;
const STEP_MS = 50;
const WAIT_MAX_MS = 20_000;
/** The least of so many publishes is one in which no heartbeat falls. */
const PUBLISH_TRIES = 9;
const PUBLISH_MS = 4;
const MEMORY_CHANNELS = 2_000;
const MEMORY_NODES = [4, 16] as const;
const SUBSCRIBER = { deliver: () => {}, gap: () => {} };

interface Traffic {
  readonly bytes: number;
  readonly messages: number;
}

const { values } = parseArgs({ options: { nodes: { type: "string", multiple: true } } });

print(
  "nodes | at rest, of each node in a second | one publish of 128 bytes, per share of nodes | known to all after, ms",
);
print("--- | --- | --- | ---");
for (const count of values.nodes?.map(Number) ?? NODES) printRow(count);
printMemory();

function printRow(count: number): void {
  const world = new CalmWorld({ nodeCount: count });
  world.passes(MEET_MS);
  requireWhole(world, count);
  const cpuBefore = process.cpuUsage().user;
  const rest = measure(world, () => world.passes(REST_MS));
  const cpuMs = (process.cpuUsage().user - cpuBefore) / 1_000;
  const perSecond = count * REST_MS / 1_000;
  const atRest = [
    `${(rest.messages / perSecond).toFixed(1)} messages`,
    `${(rest.bytes / perSecond / 1_000).toFixed(2)} KB`,
    `${(cpuMs / perSecond).toFixed(2)} ms of CPU`,
  ];
  const publishes = [1, Math.ceil(count / 10), count].map((nodes) => publish(world, nodes));
  const times = [crash(world), join(world), leave(world)].map((time) => time.toFixed(0));
  print([
    count,
    atRest.join(", "),
    publishes.map(({ messages, bytes }) => `${messages} sent, ${bytes} B`).join("; "),
    `crash ${times[0]}, join ${times[1]}, leave ${times[2]}`,
  ].join(" | "));
}

// The first publishes; those after it are interested.
function publish(world: CalmWorld, interested: number): Traffic {
  const processes = world.openProcesses();
  const channel = `news/${interested}`;
  const listening = processes.slice(1, 1 + Math.min(interested, processes.length - 1));
  for (const { channels } of listening) channels.subscribe(channel, SUBSCRIBER, () => true);
  world.passes(1_000);
  const found: Traffic[] = [];
  while (found.length < PUBLISH_TRIES) {
    world.passes(137);
    found.push(measure(world, () => {
      processes[0]!.channels.publish(channel, PAYLOAD);
      world.passes(PUBLISH_MS);
    }));
  }
  return found.reduce((least, each) => each.bytes < least.bytes ? each : least);
}

function crash(world: CalmWorld): Millis {
  const machine = world.machines.at(-1)!;
  const { id } = machine.process!;
  machine.process!.crash(false);
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
  return { bytes: after.bytes - before.bytes, messages: after.messages - before.messages };
}

function trafficOf(world: CalmWorld): Traffic {
  let messages = 0;
  for (const { paths } of world.openProcesses()) messages += paths[0]!.stats()["payloadsOut"]!;
  return { bytes: world.network.bytesCarried, messages };
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

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
