/**
 * Measures the Redis client against ioredis, node-redis and Bun's own, on one `redis-server` in
 * the same minutes, and prints a table of CPU time per operation: `npm run bench:redis`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { withProcesses } from "../tests/support/process.ts";
import { type RedisServer, withRedis } from "../tests/support/redis_server.ts";
import { type RuntimeName, RUNTIMES } from "../tests/support/runtime_command.ts";
import { installPeers } from "./peers.ts";
import { type CaseName, CASES, type ClientName, CLIENTS, isMeant } from "./redis_clients.ts";

const HELP = `CPU time of the client per operation, and its ratio to the best npm client's.

  --runtime NAME   node, bun or deno; may be repeated (default: all)
  --case NAME      ${CASES.join(", ")}; may be repeated (default: all)
  --client NAME    ${CLIENTS.join(", ")}; may be repeated (default: all)
  --rounds N       how often each run is done; the median counts (default 3)
  --scale N        multiplies the number of operations (default 1)
`;

/** Operations of one run. */
const COUNTS: Readonly<Record<CaseName, number>> = {
  "pipelined": 1_000_000,
  "one-by-one": 30_000,
  "receive": 1_000_000,
};
const TARGET = 0.7;
const TIME_LIMIT_MS = 120_000;
/** A subscriber that falls behind is to catch up, and not to be thrown out. */
const FLAGS = ["--client-output-buffer-limit", "pubsub", "0", "0", "0"];

interface Options {
  readonly runtimes: readonly RuntimeName[];
  readonly cases: readonly CaseName[];
  readonly clients: readonly ClientName[];
  readonly rounds: number;
  readonly scale: number;
}

/** What one run found. */
interface Measurement {
  /** CPU time of the client's process for one operation, in µs. */
  readonly cpuMicros: number;
  /** How much of it the system took. */
  readonly systemMicros: number;
  /** Operations a second. */
  readonly perSecond: number;
}

type Medians = ReadonlyMap<string, number>;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => process.exit(130));
}
const options = readOptions();
if (options === undefined) process.stdout.write(HELP);
else {
  installPeers();
  await withRedis({ flags: FLAGS }, async (server) => {
    for (const runtime of options.runtimes) await measureRuntime(server, runtime, options);
  });
}

async function measureRuntime(
  server: RedisServer,
  runtime: RuntimeName,
  { cases, clients, rounds, scale }: Options,
): Promise<void> {
  const medians = new Map<string, number>();
  for (const name of cases) {
    const here = clients.filter((client) => isMeant(client, name, runtime));
    const runs = new Map<ClientName, number[]>(here.map((client) => [client, []]));
    // Clients take turns, so that what else the machine does meets all of them.
    for (let round = 0; round < rounds; round++) {
      for (const client of here) {
        const count = Math.ceil(COUNTS[name] * scale);
        const { cpuMicros, systemMicros, perSecond } = await measure(server, runtime, {
          client,
          name,
          count,
        });
        runs.get(client)?.push(cpuMicros);
        const speed = `${Math.round(perSecond)}/s`;
        const cost = `${cpuMicros.toFixed(3)} us (system ${systemMicros.toFixed(3)})`;
        process.stdout.write(
          `${runtime} ${name.padEnd(10)} ${client.padEnd(16)} ${cost} ${speed}\n`,
        );
      }
    }
    for (const [client, values] of runs) medians.set(`${client} ${name}`, median(values));
  }
  process.stdout.write(`\n${formatTable(runtime, cases, medians)}\n`);
}

async function measure(
  server: RedisServer,
  runtime: RuntimeName,
  run: { readonly client: ClientName; readonly name: CaseName; readonly count: number },
): Promise<Measurement> {
  const { client, name, count } = run;
  const found: Measurement[] = [];
  await withProcesses(async (start) => {
    const script = "bench/redis_worker.ts";
    const worker = start({ script, runtime, args: [client, name, `${server.port}`, `${count}`] });
    if (name === "receive") {
      await worker.event("ready");
      start({ script, runtime: "node", args: ["chorus", "feed", `${server.port}`, `${count}`] });
    }
    const line = await worker.line(({ event }) => event === "measured", TIME_LIMIT_MS);
    found.push(line as unknown as Measurement);
  });
  return found[0]!;
}

/** Writes Markdown: per client and case the µs of CPU, and what ours is to the best npm client's. */
function formatTable(runtime: RuntimeName, cases: readonly CaseName[], medians: Medians): string {
  const best = (name: CaseName, prefix: string): number => {
    const own = CLIENTS.filter((client) => client.startsWith(prefix));
    return Math.min(...own.map((client) => medians.get(`${client} ${name}`) ?? Infinity));
  };
  const show = (value: number): string => Number.isFinite(value) ? value.toFixed(2) : "";
  const npm = (name: CaseName): number => Math.min(best(name, "ioredis"), best(name, "redis"));
  const row = (title: string, cell: (name: CaseName) => number): string[] => {
    return [title, ...cases.map((name) => show(cell(name)))];
  };
  const rows = [
    [`µs per operation, ${runtime}`, ...cases],
    ["---", ...cases.map(() => "---")],
    row("chorus", (name) => best(name, "chorus")),
    row("ioredis", (name) => best(name, "ioredis")),
    row("redis", (name) => best(name, "redis")),
    ...(runtime === "bun" ? [row("Bun.RedisClient", (name) => best(name, "bun"))] : []),
    row("node:net alone", (name) => best(name, "socket")),
    row("chorus to the better of ioredis and redis", (name) => best(name, "chorus") / npm(name)),
    ...(runtime === "node" ? [row("at most", () => TARGET)] : []),
  ];
  return rows.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      "runtime": { type: "string", multiple: true },
      "case": { type: "string", multiple: true },
      "client": { type: "string", multiple: true },
      "rounds": { type: "string", default: "3" },
      "scale": { type: "string", default: "1" },
      "help": { type: "boolean", default: false },
    },
  });
  if (values.help === true) return undefined;
  return {
    runtimes: pick("--runtime", RUNTIMES, values.runtime),
    cases: pick("--case", CASES, values.case),
    clients: pick("--client", CLIENTS, values.client),
    rounds: readNumber("--rounds", values.rounds),
    scale: readNumber("--scale", values.scale),
  };
}

function pick<Name extends string>(
  flag: string,
  known: readonly Name[],
  wanted: readonly string[] | undefined,
): readonly Name[] {
  for (const name of wanted ?? []) {
    if (!known.includes(name as Name)) {
      refuse(`${flag} must be one of ${known.join(", ")}, received ${name}`);
    }
  }
  return (wanted as readonly Name[] | undefined) ?? known;
}

function readNumber(flag: string, text: string | undefined): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1_000)) refuse(`${flag} must be above 0 and at most 1000`);
  return value;
}

function refuse(problem: string): never {
  process.stderr.write(`Cannot measure: ${problem}\n`);
  process.exit(2);
}
