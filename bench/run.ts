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
  type RelayName,
  RELAYS,
  type System,
} from "./load.ts";

const HELP = `CPU time per delivery, and its ratio to a peer's.

  --runtime NAME   node, bun or deno; may be repeated (default: all)
  --case NAME      ${Object.keys(CASES).join(", ")}; may be repeated (default: all)
  --seconds N      how long a run measures (default 4)
  --rounds N       how often each run is done; the median counts (default 3)
  --backplane NAME mesh, beside nats-server; or redis, beside Socket.IO (default mesh)
  --no-peer        without the peer
  --relay          with bare relays on the same runtimes; on the mesh alone
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
/** The row below a system that tells what its redis-server took. */
const REDIS = "of it redis-server";

/** µs of CPU per delivery in each round, by row and case. */
type Figures = Map<string, readonly number[]>;

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
  const figures: Figures = new Map();
  const add = (row: string, name: CaseName, value: number): void => {
    const key = `${row} ${name}`;
    figures.set(key, [...(figures.get(key) ?? []), value]);
  };
  for (const name of cases) {
    // Systems take turns, so that what else the machine does meets all of them.
    for (let round = 0; round < rounds; round++) {
      add(WRITES, name, await measureFloor(name, 1));
      for (const system of systems) {
        const measurement = await measure(system, name, { seconds, backplane });
        const { cpuMicros, redisMicros, lost, closed } = measurement;
        add(system, name, cpuMicros);
        if (redisMicros !== undefined) add(`${system} ${REDIS}`, name, redisMicros);
        if (lost !== 0 || closed !== 0) process.exitCode = 1;
        write(`${describe(system, name, measurement)}\n`);
      }
    }
  }
  write(`\n${formatTable(options, figures)}`);
}

function describe(system: System, name: CaseName, measurement: Measurement): string {
  const { cpuMicros, redisMicros, deliveriesPerSecond, medianMicros, lost, closed } = measurement;
  const redis = redisMicros === undefined ? "" : `, ${REDIS} ${redisMicros.toFixed(3)}`;
  const cells = [
    `${cpuMicros.toFixed(3)} us/delivery${redis}`,
    `${Math.round(deliveriesPerSecond)} deliveries/s`,
    `median ${medianMicros} us`,
  ];
  if (lost !== 0) cells.push(`LOST ${lost}`);
  if (closed !== 0) cells.push(`CLOSED ${closed}`);
  return `${name.padEnd(10)} ${system.padEnd(18)} ${cells.join(", ")}`;
}

/**
 * Writes Markdown: per row and case the median µs of CPU per delivery, and the ratio to the peer's.
 * The ratio is the median of the rounds' own: what else the machine does changes from round to
 * round, and within one hardly.
 */
function formatTable(
  { backplane, peer, systems, cases }: Options,
  figures: Readonly<Figures>,
): string {
  const read = (row: string, name: CaseName): readonly number[] => {
    return figures.get(`${row} ${name}`) ?? [];
  };
  const plain = (row: string) => cases.map((name) => median(read(row, name)).toFixed(2));
  const besidePeer = (row: string) => {
    if (peer === undefined || row === peer) return plain(row);
    return cases.map((name) => {
      const theirs = read(peer, name);
      const ratios = read(row, name).map((value, round) => value / theirs[round]!);
      return `${median(read(row, name)).toFixed(2)} (${median(ratios).toFixed(2)})`;
    });
  };
  const rows = [
    ["µs per delivery", ...cases],
    ["---", ...cases.map(() => "---")],
    ...systems.flatMap((system) => [
      [system, ...besidePeer(system)],
      ...(backplane === "redis" ? [[REDIS, ...plain(`${system} ${REDIS}`)]] : []),
    ]),
    [WRITES, ...besidePeer(WRITES)],
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
      "relay": { type: "boolean", default: false },
      "help": { type: "boolean", default: false },
    },
  });
  if (values.help === true) return undefined;
  const [backplane] = pick("--backplane", ["mesh", "redis"], [values.backplane ?? ""]);
  if (values.relay === true && backplane !== "mesh") refuse("--relay is for the mesh alone");
  const peer: PeerName | undefined = backplane === "redis"
    ? "socket.io"
    : hasNats()
    ? "nats-server"
    : undefined;
  const isMeasured = peer !== undefined && values["no-peer"] !== true;
  if (!isMeasured) write("without a peer, so there are no ratios\n");
  const runtimes = pick("--runtime", RUNTIMES, values.runtime) as RuntimeName[];
  return {
    backplane: backplane as BackplaneName,
    peer: isMeasured ? peer : undefined,
    systems: [
      ...(isMeasured ? [peer] : []),
      ...runtimes,
      ...(values.relay === true ? relaysOn(runtimes) : []),
    ],
    cases: pick("--case", Object.keys(CASES), values.case) as CaseName[],
    seconds: readNumber("--seconds", values.seconds),
    rounds: readNumber("--rounds", values.rounds),
  };
}

function relaysOn(runtimes: readonly RuntimeName[]): RelayName[] {
  const names = Object.keys(RELAYS) as RelayName[];
  return names.filter((name) => runtimes.includes(RELAYS[name]));
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
