/**
 * One client at work, in a process of its own: prints the CPU time that an operation took it.
 *
 *     redis_worker.ts CLIENT CASE PORT COUNT
 *
 * @module
 */

import process from "node:process";
import {
  type BenchClient,
  type CaseName,
  type ClientName,
  connectClient,
  PAYLOAD_BYTES,
} from "./redis_clients.ts";

const CHANNEL = "chorus:bench";
/** Operations that run before the measurement, as a share of it: the compilers do their work. */
const WARM_UP = 0.2;
/** Commands in one tick, where commands are pipelined. */
const BATCH = 500;

const [name, caseName, port, count] = process.argv.slice(2);
await main(name as ClientName, caseName as CaseName | "feed", Number(port), Number(count));
process.exit(0);

async function main(
  name: ClientName,
  caseName: CaseName | "feed",
  port: number,
  count: number,
): Promise<void> {
  const client = await connectClient(name, port, caseName !== "one-by-one");
  const warmUp = Math.ceil(count * WARM_UP);
  switch (caseName) {
    case "feed":
      return await publishBatches(client, count + warmUp);
    case "receive":
      return await receive(client, warmUp, count);
    case "pipelined":
      await publishBatches(client, warmUp);
      return await measure(count, () => publishBatches(client, count));
    case "one-by-one":
      await publishEach(client, warmUp);
      return await measure(count, () => publishEach(client, count));
  }
}

async function publishBatches(client: BenchClient, count: number): Promise<void> {
  for (let done = 0; done < count; done += BATCH) await client.publishMany(CHANNEL, BATCH);
}

async function publishEach(client: BenchClient, count: number): Promise<void> {
  for (let done = 0; done < count; done++) await client.publish(CHANNEL);
}

async function receive(client: BenchClient, warmUp: number, count: number): Promise<void> {
  let heard = 0;
  let onWarm: () => void = () => {};
  let onAll: () => void = () => {};
  const warm = new Promise<void>((resolve) => onWarm = resolve);
  const all = new Promise<void>((resolve) => onAll = resolve);
  await client.subscribe(CHANNEL, ({ length }) => {
    if (length !== PAYLOAD_BYTES) throw new Error(`Cannot measure: a message of ${length} bytes`);
    heard++;
    if (heard === warmUp) onWarm();
    if (heard === warmUp + count) onAll();
  });
  report({ event: "ready" });
  await warm;
  await measure(count, () => all);
}

async function measure(count: number, work: () => Promise<unknown>): Promise<void> {
  const start = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(start);
  report({
    event: "measured",
    cpuMicros: (user + system) / count,
    systemMicros: system / count,
    perSecond: count / seconds,
  });
}

function report(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
