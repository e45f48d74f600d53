/**
 * One node of the presence benchmark: does what it is told over HTTP, and answers with figures.
 *
 * @module
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { Channels, Cluster, mesh, Presence, serve } from "../mod.ts";

/** What a node can be told to do, by the path of the request. */
export interface PresenceOrder {
  /** Members to join, or to leave. */
  readonly count?: number;
  /** The first one's number. */
  readonly first?: number;
  /** Over so many channels. */
  readonly channels?: number;
  /** How many of them in one tick. */
  readonly perTick?: number;
  /** Entries to wait for. */
  readonly entries?: number;
}

const [name = "node", ...peers] = process.argv.slice(2);
const backplane = mesh({ port: 0, peers });
const cluster = new Cluster(backplane, { name });
const channels = new Channels();
const presence = new Presence();
cluster.attach(channels);
cluster.attach(presence);
const server = await serve({ port: 0, channels, presence });
const control = createServer((request, response) => void answer(request, response));
control.listen(0, "127.0.0.1", () => {
  const { port } = control.address() as AddressInfo;
  const ports = { control: port, clients: server.port };
  process.stdout.write(`${JSON.stringify({ event: "listening", ...ports })}\n`);
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url!, "http://node");
  const order = Object.fromEntries(
    [...url.searchParams].map(([key, value]) => [key, Number(value)]),
  );
  response.end(JSON.stringify(await perform(url.pathname.slice(1), order)));
}

async function perform(action: string, order: PresenceOrder): Promise<unknown> {
  switch (action) {
    case "start":
      return await start(order);
    case "join":
      return await join(order);
    case "leave":
      return await leave(order);
    case "wait":
      return await waitFor(order.entries ?? 0);
    case "collect":
      return collect();
    case "query":
      return await query();
    case "watch":
      return stalls.start();
    case "stalls":
      return stalls.end();
    default: {
      const { bytesOut = 0 } = cluster.stats().backplanes["mesh"]!;
      const { user, system } = process.cpuUsage();
      const peers = cluster.connectedPeerCount;
      return { bytesOut, cpuMs: (user + system) / 1_000, peers, ...presence.stats() };
    }
  }
}

/** Meets the others, and tells how long it took to have so many entries. */
async function start({ entries }: PresenceOrder): Promise<unknown> {
  const began = now();
  await cluster.start();
  const tookMs = entries === undefined ? 0 : (await waitFor(entries)).at - began;
  return { clusterPort: backplane.port, tookMs };
}

/** Joins members as the load generator wants them, and tells when the first one did. */
async function join(order: PresenceOrder): Promise<unknown> {
  const { count = 0, first = 0, channels = 1, perTick = 1_000 } = order;
  const began = now();
  let nameBytes = 0;
  for (let index = first; index < first + count; index++) {
    const channel = `channel-${index % channels}`;
    const { member, meta, connection } = whoIs(index);
    nameBytes += member.length + JSON.stringify(meta).length;
    if (channels > 1) nameBytes += channel.length;
    void presence.join(channel, member, { meta, connection });
    if ((index - first) % perTick === perTick - 1) await tick();
  }
  return { began, nameBytes };
}

/** Members leave again: their connections end. */
async function leave({ count = 0, first = 0, perTick = 1_000 }: PresenceOrder): Promise<unknown> {
  for (let index = first; index < first + count; index++) {
    presence.disconnect(whoIs(index).connection);
    if ((index - first) % perTick === perTick - 1) await tick();
  }
  return {};
}

function whoIs(index: number): { member: string; meta: { name: string }; connection: string } {
  const connection = `connection-${index}`;
  return { member: `member-${index}`, meta: { name: `Member ${index}` }, connection };
}

async function waitFor(entries: number): Promise<{ at: number; entries: number }> {
  const deadline = now() + 60_000;
  while (presence.stats().entries !== entries && now() < deadline) await tick();
  return { at: now(), entries: presence.stats().entries };
}

/** Lets garbage go, as far as the runtime can be told to. */
function collect(): unknown {
  const runtime = globalThis as unknown as {
    gc?: () => void;
    Bun?: { gc(force: boolean): void };
  };
  runtime.gc?.();
  runtime.Bun?.gc(true);
  return {};
}

/** What it costs to ask for a whole roster, in server code. */
async function query(): Promise<unknown> {
  const times: number[] = [];
  let size = 0;
  for (let round = 0; round < 10; round++) {
    await tick();
    const began = performance.now();
    size = presence.members("channel-0").length;
    times.push(performance.now() - began);
  }
  return { size, worstMs: Math.max(...times), bestMs: Math.min(...times) };
}

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Finds out for how long nothing else could run. */
class Stalls {
  #longestMs = 0;
  #last = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  start(): unknown {
    this.#longestMs = 0;
    this.#last = performance.now();
    this.#timer = setInterval(() => this.#look(), 1);
    return {};
  }

  end(): unknown {
    this.#look();
    clearInterval(this.#timer);
    return { longestMs: this.#longestMs };
  }

  #look(): void {
    const at = performance.now();
    this.#longestMs = Math.max(this.#longestMs, at - this.#last);
    this.#last = at;
  }
}

const stalls = new Stalls();
