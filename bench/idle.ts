/**
 * Measures what an idle connection costs a node in resident memory, on each runtime:
 * `npm run bench:idle`.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { parseArgs } from "node:util";
import { startDemoNode, withProcesses } from "../tests/support/process.ts";
import { type RuntimeName, RUNTIMES } from "../tests/support/runtime_command.ts";

/** At most so many KB for each connection. */
const TARGETS: Readonly<Record<RuntimeName, number>> = { node: 7, bun: 3, deno: 7 };
/** Opened and closed before the first reading, so that what is paid once is not counted. */
const WARM_UP_CONNECTIONS = 500;
const OPEN_AT_ONCE = 100;
const SETTLE_MS = 500;
const SETTLE_READINGS_MAX = 20;
const OPEN_FILES_SPARE = 1_000;

const { values } = parseArgs({
  options: {
    runtime: { type: "string", multiple: true },
    connections: { type: "string", default: "8000" },
  },
});
const connections = Number(values.connections);
requireOpenFiles(connections + OPEN_FILES_SPARE);
for (const runtime of RUNTIMES) {
  if (values.runtime?.includes(runtime) === false) continue;
  const kilobytes = await measure(runtime);
  const cells = [`${kilobytes.toFixed(2)} KB for each of ${connections} idle connections`];
  cells.push(`at most ${TARGETS[runtime]}`);
  process.stdout.write(`${runtime.padEnd(5)} ${cells.join(", ")}\n`);
  if (kilobytes > TARGETS[runtime]) process.exitCode = 1;
}

async function measure(runtime: RuntimeName): Promise<number> {
  const found: number[] = [];
  await withProcesses(async (start) => {
    const { port, process: { pid } } = await startDemoNode(start, { name: "idle", runtime });
    for (const socket of await openAll(port, WARM_UP_CONNECTIONS)) socket.destroy();
    const before = await readSettledMemory(pid);
    const sockets = await openAll(port, connections);
    const after = await readSettledMemory(pid);
    for (const socket of sockets) socket.destroy();
    found.push((after - before) / connections);
  });
  return found[0]!;
}

async function openAll(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Math.min(OPEN_AT_ONCE, count - sockets.length);
    sockets.push(...await Promise.all(Array.from({ length: batch }, () => open(port))));
  }
  return sockets;
}

/** Opens a WebSocket and resolves when the node's welcome has come. */
function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let heard = "";
    socket.once("error", reject);
    socket.on("data", (chunk: Uint8Array) => {
      heard += new TextDecoder("latin1").decode(chunk);
      if (heard.includes(`"welcome"`)) resolve(socket);
    });
    socket.write(
      `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
  });
}

/** Reads resident memory in KB once it no longer falls: collectors take their time. */
async function readSettledMemory(pid: number): Promise<number> {
  let last = Infinity;
  for (let reading = 0; reading < SETTLE_READINGS_MAX; reading++) {
    const now = readStatus(pid, "VmRSS");
    if (reading > 2 && now >= last * 0.998) return Math.min(now, last);
    last = now;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  }
  return last;
}

function readStatus(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]);
}

// The runtimes raise their soft limit to the hard one by themselves.
function requireOpenFiles(count: number): void {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? "unlimited";
  if (hard === "unlimited" || Number(hard) >= count) return;
  process.stderr.write(`Cannot open ${count} files: the limit is ${hard}; raise it (ulimit -n)\n`);
  process.exit(2);
}
