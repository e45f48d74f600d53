/**
 * Measures two nodes on each runtime in the same minutes as their peers, and prints a table of CPU
 * time per delivery: on the mesh against two nats-servers, over Redis against two nodes of
 * Socket.IO with its Redis adapter. `npm run bench`.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { type RuntimeName, RUNTIMES } from "../tests/support/runtime_command.ts";
import { installSocketIo } from "./socket_io.ts";
import {
  type BackplaneName,
  type CaseName,
  CASES,
  compileLoad,
  hasNats,
  measure,
  measureFloor,
  type Measurement,
  type PeerName,
  type System,
} from "./load.ts";

const HELP = `CPU time per delivery, and its ratio to a peer's.

  --runtime NAME   node, bun or deno; may be repeated (default: all)
  --case NAME      ${Object.keys(CASES).join(", ")}; may be repeated (default: all)
  --seconds N      how long a run measures (default 4)
  --rounds N       how often each run is done; the median counts (default 3)
  --backplane NAME mesh, beside nats-server; or redis, beside Socket.IO (default mesh)
  --no-peer        without the peer
`;

/** At most this ratio to the peer's CPU time per delivery, on each runtime. */
const TARGETS: Readonly<Record<BackplaneName, Readonly<Record<CaseName, number>>>> = {
  mesh: {
    "fan": 0.4,
    "fan-deep": 0.3,
    "pairs": 0.8,
    "pairs-calm": 0.8,
    "big": 0.3,
    "calm": 0.65,
  },
  redis: {
    "fan": 0.25,
    "fan-deep": 0.25,
    "pairs": 0.25,
    "pairs-calm": 0.25,
    "big": 0.25,
    "calm": 0.25,
  },
};

/** The row of the bare system calls. */
const WRITES = "write(2) alone";

interface Options {
  readonly backplane: BackplaneName;
  readonly peer: PeerName | undefined;
  readonly systems: readonly System[];
  readonly cases: readonly CaseName[];
  readonly seconds: number;
  readonly rounds: number;
}

const options = readOptions();
if (options === undefined) write(HELP);
else await main(options);

async function main(options: Options): Promise<void> {
  const { backplane, peer, systems, cases, seconds, rounds } = options;
  compileLoad();
  if (peer === "socket.io") installSocketIo();
  const medians = new Map<string, number>();
  for (const name of cases) {
    const runs = new Map<System, Measurement[]>(systems.map((system) => [system, []]));
    const floors: number[] = [];
    // Systems take turns, so that what else the machine does meets all of them.
    for (let round = 0; round < rounds; round++) {
      floors.push(await measureFloor(name, 1));
      for (const system of systems) {
        const measurement = await measure(system, name, { seconds, backplane });
        runs.get(system)?.push(measurement);
        write(`${describe(system, name, measurement)}\n`);
      }
    }
    medians.set(`${WRITES} ${name}`, median(floors));
    for (const [system, measurements] of runs) {
      medians.set(`${system} ${name}`, median(measurements.map(({ cpuMicros }) => cpuMicros)));
      if (measurements.some(({ lost, closed }) => lost !== 0 || closed !== 0)) process.exitCode = 1;
    }
  }
  write(`\n${formatTable(options, medians)}`);
}

function describe(system: System, name: CaseName, measurement: Measurement): string {
  const { cpuMicros, deliveriesPerSecond, medianMicros, lost, closed } = measurement;
  const cells = [
    `${cpuMicros.toFixed(3)} us/delivery`,
    `${Math.round(deliveriesPerSecond)} deliveries/s`,
    `median ${medianMicros} us`,
  ];
  if (lost !== 0) cells.push(`LOST ${lost}`);
  if (closed !== 0) cells.push(`CLOSED ${closed}`);
  return `${name.padEnd(10)} ${system.padEnd(11)} ${cells.join(", ")}`;
}

/** Writes Markdown: per system and case the µs of CPU per delivery, and the ratio to the peer's. */
function formatTable(
  { backplane, peer, systems, cases }: Options,
  medians: ReadonlyMap<string, number>,
): string {
  const cell = (system: string, name: CaseName): string => {
    const value = medians.get(`${system} ${name}`) ?? Number.NaN;
    const theirs = medians.get(`${peer} ${name}`);
    if (theirs === undefined || system === peer) return value.toFixed(2);
    return `${value.toFixed(2)} (${(value / theirs).toFixed(2)})`;
  };
  const rows = [
    ["µs per delivery", ...cases],
    ["---", ...cases.map(() => "---")],
    ...[...systems, WRITES].map((row) => [row, ...cases.map((name) => cell(row, name))]),
    ["at most, ratio", ...cases.map((name) => TARGETS[backplane][name].toFixed(2))],
  ];
  return rows.map((row) => `| ${row.join(" | ")} |\n`).join("");
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
      "seconds": { type: "string", default: "4" },
      "rounds": { type: "string", default: "3" },
      "backplane": { type: "string", default: "mesh" },
      "no-peer": { type: "boolean", default: false },
      "help": { type: "boolean", default: false },
    },
  });
  if (values.help === true) return undefined;
  const [backplane] = pick("--backplane", ["mesh", "redis"], [values.backplane ?? ""]);
  const peer: PeerName | undefined = backplane === "redis"
    ? "socket.io"
    : hasNats()
    ? "nats-server"
    : undefined;
  const isMeasured = peer !== undefined && values["no-peer"] !== true;
  if (!isMeasured) write("without a peer, so there are no ratios\n");
  return {
    backplane: backplane as BackplaneName,
    peer: isMeasured ? peer : undefined,
    systems: [
      ...(isMeasured ? [peer] : []),
      ...pick("--runtime", RUNTIMES, values.runtime) as RuntimeName[],
    ],
    cases: pick("--case", Object.keys(CASES), values.case) as CaseName[],
    seconds: readNumber("--seconds", values.seconds),
    rounds: readNumber("--rounds", values.rounds),
  };
}

function pick(flag: string, known: readonly string[], wanted: string[] | undefined): string[] {
  for (const name of wanted ?? []) {
    if (!known.includes(name)) {
      refuse(`${flag} must be one of ${known.join(", ")}, received ${name}`);
    }
  }
  return wanted ?? [...known];
}

function readNumber(flag: string, text: string | undefined): number {
  const value = Number(text);
  if (!(value >= 1 && value <= 1_000)) refuse(`${flag} must be from 1 to 1000, received ${text}`);
  return value;
}

function refuse(problem: string): never {
  process.stderr.write(`Cannot measure: ${problem}\n`);
  process.exit(2);
}

function write(text: string): void {
  process.stdout.write(text);
}
