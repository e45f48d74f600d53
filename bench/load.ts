/**
 * The load generator `wsload`, and the servers that it is pointed at.
 *
 * @module
 */

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startDemoNode, withProcesses } from "../tests/support/process.ts";
import { type RedisServer, withRedis } from "../tests/support/redis_server.ts";
import type { RuntimeName } from "../tests/support/runtime_command.ts";
import { SOCKET_IO_FRAMES, withSocketIo } from "./socket_io.ts";

const FOLDER = join(tmpdir(), "chorus-bench");
const LOAD = "wsload";
const FLOOR = "floor";
const START_TIME_LIMIT_MS = 10_000;

/** What is measured: two nodes of the demo on a runtime, two bare relays on it, or two of a peer. */
export type System = RuntimeName | RelayName | PeerName;

/** Two bare relays on a runtime, as a table calls them. */
export type RelayName = `bare relay on ${RuntimeName}`;

/** The runtimes that bare relays run on. */
export const RELAYS: Readonly<Record<RelayName, RuntimeName>> = {
  "bare relay on node": "node",
  "bare relay on bun": "bun",
  "bare relay on deno": "deno",
};

/** Who is measured against: nats-server beside the mesh, Socket.IO with its adapter beside Redis. */
export type PeerName = "nats-server" | "socket.io";

/** What links the nodes of the demo. */
export type BackplaneName = "mesh" | "redis";

/** The cases: what `wsload` does to the servers. */
export const CASES = {
  "fan": "--subs 500 --channels 1 --pubs 1 --payload 128 --window 8",
  "fan-deep": "--subs 500 --channels 1 --pubs 1 --payload 128 --window 64",
  "pairs": "--subs 500 --channels 250 --pubs 8 --payload 128 --window 256",
  "pairs-calm": "--subs 500 --channels 250 --pubs 8 --payload 128 --window 16",
  "big": "--subs 100 --channels 1 --pubs 1 --payload 16384 --window 16",
  "calm": "--subs 500 --channels 1 --pubs 1 --payload 128 --rate 100",
} as const;

/** The writes of each case: how many bytes a message takes, and how many may leave in one write. */
const WRITES: Readonly<Record<CaseName, string>> = {
  "fan": "--bytes 210 --joined 8",
  "fan-deep": "--bytes 210 --joined 64",
  "pairs": "--bytes 210 --joined 1",
  "pairs-calm": "--bytes 210 --joined 1",
  "big": "--bytes 16500 --joined 8",
  "calm": "--bytes 210 --joined 1 --pause-ms 10",
};

/** The name of a case. */
export type CaseName = keyof typeof CASES;

/** What one run found. */
export interface Measurement {
  /** CPU time of all servers for one delivery, in µs. */
  readonly cpuMicros: number;
  /** Of it that of redis-server, where there is one. */
  readonly redisMicros: number | undefined;
  /** Deliveries a second. */
  readonly deliveriesPerSecond: number;
  /** The median time from publish to delivery, in µs. */
  readonly medianMicros: number;
  /** Deliveries that did not come. */
  readonly lost: number;
  /** Connections that the server closed. */
  readonly closed: number;
}

interface Servers {
  readonly ports: readonly number[];
  readonly pids: readonly (number | undefined)[];
  /** The process id of the redis-server between them, if there is one. */
  readonly redis?: number;
}

/** Compiles what is written in C, unless that was done before. @throws {Error} Without gcc. */
export function compileLoad(): void {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of [LOAD, FLOOR]) {
    const source = fileURLToPath(new URL(`./${name}.c`, import.meta.url));
    const binary = join(FOLDER, name);
    const isNew = existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs;
    if (!isNew) execFileSync("gcc", ["-O2", "-w", "-o", binary, source], { stdio: "inherit" });
  }
}

/** Measures what the write system calls of a case cost by themselves, in µs for each message. */
export async function measureFloor(name: CaseName, seconds: number): Promise<number> {
  const args = [...WRITES[name].split(" "), "--seconds", `${seconds}`];
  const { stdout } = await promisify(execFile)(join(FOLDER, FLOOR), args);
  return Number(stdout);
}

/** Tells whether nats-server is installed. */
export function hasNats(): boolean {
  try {
    execFileSync("nats-server", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Starts two servers, measures them with one case, and ends them. */
export async function measure(
  system: System,
  name: CaseName,
  { seconds, backplane }: { readonly seconds: number; readonly backplane: BackplaneName },
): Promise<Measurement> {
  const found: Measurement[] = [];
  const run = async (servers: Servers, frames: readonly string[]): Promise<void> => {
    found.push(
      await runLoad(`${name} ${system}`, servers, [
        ...frames,
        ...CASES[name].split(" "),
        "--seconds",
        `${seconds}`,
      ]),
    );
  };
  if (system === "nats-server") await withNats((servers) => run(servers, NATS_FRAMES));
  else if (isRelay(system)) {
    await withRelays(RELAYS[system], (servers) => run(servers, CHORUS_FRAMES));
  } else if (backplane === "mesh") {
    await withNodes(system as RuntimeName, undefined, (servers) => run(servers, CHORUS_FRAMES));
  } else await withRedis({ flags: REDIS_FLAGS }, (server) => overRedis(system, server, run));
  return found[0]!;
}

function isRelay(system: System): system is RelayName {
  return system in RELAYS;
}

/** A subscriber that falls behind is to catch up, and not to be thrown out. */
const REDIS_FLAGS = ["--client-output-buffer-limit", "pubsub", "0", "0", "0"];

// The server's CPU time counts: without it nothing would be delivered.
async function overRedis(
  system: Exclude<System, RelayName | "nats-server">,
  { url, pid: redis }: RedisServer,
  run: (servers: Servers, frames: readonly string[]) => Promise<void>,
): Promise<void> {
  if (system !== "socket.io") {
    return await withNodes(system, url, (nodes) => run({ ...nodes, redis }, CHORUS_FRAMES));
  }
  const ports = await freePorts(2);
  await withSocketIo(ports, url, (pids) => run({ ports, pids, redis }, SOCKET_IO_FRAMES));
}

const CHORUS_FRAMES = [
  "--init-sub",
  `{"type":"subscribe","channel":"ch%c","id":1}`,
  "--msg",
  `{"type":"publish","channel":"ch%c","data":"%p"}`,
];

const NATS_HELLO = String.raw`CONNECT {"verbose":false,"pedantic":false}\r\n`;
const NATS_FRAMES = [
  "--binary",
  "--init-sub",
  String.raw`${NATS_HELLO}SUB ch.%c 1\r\n`,
  "--init-pub",
  NATS_HELLO,
  "--msg",
  String.raw`PUB ch.%c %l\r\n%p\r\n`,
];

async function runLoad(
  name: string,
  { ports, pids, redis }: Servers,
  args: readonly string[],
): Promise<Measurement> {
  const { stdout } = await promisify(execFile)(join(FOLDER, LOAD), [
    ...["--name", name, "--sub-ports", ports.join(), "--pub-ports", `${ports[0]}`],
    ...["--pids", [...pids, ...(redis === undefined ? [] : [redis])].join()],
    ...args,
  ]);
  const read = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? Number.NaN);
  return {
    cpuMicros: read(/total us\/deliv=([\d.]+)/),
    redisMicros: redis === undefined
      ? undefined
      : read(new RegExp(`pid${pids.length} .*?us/deliv=([\\d.]+)`)),
    deliveriesPerSecond: read(/deliv\/s=([\d.]+)/),
    medianMicros: read(/p50=([\d.]+)/),
    lost: read(/lost=(-?[\d.]+)/),
    closed: read(/closed=([\d.]+)/),
  };
}

async function withNodes(
  runtime: RuntimeName,
  redis: string | undefined,
  body: (servers: Servers) => Promise<void>,
): Promise<void> {
  await withProcesses(async (start) => {
    const a = await startDemoNode(start, { name: "a", runtime, ...(redis && { redis }) });
    const peers = redis === undefined ? [a.clusterPort] : [];
    const b = await startDemoNode(start, { name: "b", runtime, peers, ...(redis && { redis }) });
    await Promise.all([
      a.process.event("peerconnected", { peer: b.node }),
      b.process.event("peerconnected", { peer: a.node }),
    ]);
    await body({ ports: [a.port, b.port], pids: [a.process.pid, b.process.pid] });
  });
}

async function withRelays(
  runtime: RuntimeName,
  body: (servers: Servers) => Promise<void>,
): Promise<void> {
  await withProcesses(async (start) => {
    const a = start({ script: "bench/relay.ts", runtime });
    const { port: portA, linkPort } = await a.event("listening");
    const b = start({ script: "bench/relay.ts", runtime, args: [`${linkPort}`] });
    const { port: portB } = await b.event("listening");
    await Promise.all([a.event("linked"), b.event("linked")]);
    await body({ ports: [Number(portA), Number(portB)], pids: [a.pid, b.pid] });
  });
}

async function withNats(body: (servers: Servers) => Promise<void>): Promise<void> {
  const [port1, port2, web1, web2, link1, link2, info1, info2] = await freePorts(8);
  const routes = `["nats://127.0.0.1:${link1}", "nats://127.0.0.1:${link2}"]`;
  const nodes = [[port1, web1, link1, info1], [port2, web2, link2, info2]] as const;
  const started: ChildProcess[] = [];
  try {
    for (const [index, [port, web, link, info]] of nodes.entries()) {
      const config = join(FOLDER, `nats${index}.conf`);
      writeFileSync(
        config,
        `server_name: n${index}
host: 127.0.0.1
port: ${port}
http: "127.0.0.1:${info}"
websocket { port: ${web}, host: "127.0.0.1", no_tls: true }
cluster { name: c, listen: "127.0.0.1:${link}", routes: ${routes} }
`,
      );
      started.push(spawn("nats-server", ["-c", config], { stdio: "ignore" }));
    }
    for (const [, , , info] of nodes) await untilRouted(info!);
    await body({ ports: [web1!, web2!], pids: started.map(({ pid }) => pid) });
  } finally {
    for (const child of started) child.kill("SIGKILL");
  }
}

/** Waits until a nats-server tells that it has a route to the other. */
async function untilRouted(port: number): Promise<void> {
  const end = performance.now() + START_TIME_LIMIT_MS;
  while (performance.now() < end) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/routez`);
      const { num_routes: count } = await response.json() as { num_routes: number };
      if (count > 0) return;
    } catch {
      // It does not listen yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("Cannot measure nats-server: its two nodes are not linked");
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (typeof address === "object" && address !== null) ports.push(address.port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
