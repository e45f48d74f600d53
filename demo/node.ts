// deno-lint-ignore-file no-console -- printing is what this program is for
/**
 * One node of a cluster: WebSocket clients on one port, the other nodes on another.
 *
 *     bun demo/node.ts --port 8080 --cluster-port 5410 --peer 127.0.0.1:5411
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import {
  type Backplane,
  Channels,
  Cluster,
  type ClusterOptions,
  type Mesh,
  mesh,
  Presence,
  redis,
  serve,
  type Server,
} from "../mod.ts";
import { readPageFile } from "./page_file.ts";

const HELP = `One Chorus node.

  --port N              where clients connect (default 8080, 0 for any)
  --host HOST           default 127.0.0.1
  --name NAME           this node's name (default "node")
  --cluster-port N      where the other nodes connect (default 5410, 0 for any)
  --cluster-host HOST   default 127.0.0.1; another needs --secret
  --peer HOST:PORT      another node; may be repeated
  --advertise HOST:PORT where the other nodes reach this one, if not there
  --node-timeout MS     a node that is silent for longer is down (default 5000, 500 to 300000)
  --grace MS            how long members stay whose connection has ended (default 0)
  --secret SECRET       what the nodes of this cluster share
  --redis URL           meet the other nodes over Redis: redis://, rediss:// or unix://; with
                        --cluster-port or --peer over both, else over Redis alone
  --redis-channel NAME  what the names of all Redis channels begin with (default "chorus")
  --page DIR            serve the files of a folder at /
  --json                print each line as a JSON object
  --help                print this
`;

// Below it a busy machine's pauses look like death.
const NODE_TIMEOUT_MS_MIN = 500;
/** Five heartbeats of the longest. */
const MILLIS_MAX = 300_000;

/** How long it waits to end by itself. */
const EXIT_MS = 1_000;

interface Flags {
  readonly port: number;
  readonly host: string;
  readonly name: string;
  readonly clusterPort: number | undefined;
  readonly clusterHost: string;
  readonly peers: readonly string[];
  readonly advertise: string | undefined;
  readonly nodeTimeoutMs: number;
  readonly graceMs: number;
  readonly secret: string | undefined;
  readonly redis: string | undefined;
  readonly redisChannel: string;
  readonly page: string | undefined;
  readonly json: boolean;
}

/** What cannot be started as asked: one line for the person who asked, and exit code 2. */
class UsageError extends Error {}

await main();

async function main(): Promise<void> {
  try {
    const flags = readFlags(process.argv.slice(2));
    if (flags === undefined) console.log(HELP);
    else await run(flags);
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split("\n");
    console.error(line);
    process.exit(2);
  }
}

async function run(flags: Flags): Promise<void> {
  const channels = new Channels();
  const presence = new Presence({ graceMs: flags.graceMs });
  const { links, backplanes } = createBackplanes(flags);
  const cluster = new Cluster(backplanes, { name: flags.name, ...timesOf(flags) });
  cluster.attach(channels);
  cluster.attach(presence);
  reportPeers(cluster, flags);
  await cluster.start();
  const server = await startServer(flags, { channels, presence, cluster });
  const node = cluster.nodeId;
  const { port, url } = server;
  const clusterPort = links?.port;
  const ways = [
    ...(links === undefined ? [] : [`cluster port ${clusterPort}`]),
    ...(flags.redis === undefined ? [] : [`Redis channel ${flags.redisChannel}`]),
  ];
  const text = `${flags.name} listens on ${url}, ${ways.join(", ")}, node ${node}`;
  // Whoever reads that it listens may end it at once.
  endOnSignal(flags, { presence, cluster }, server);
  print(flags, { event: "listening", url, port, clusterPort, node }, text);
}

interface Backplanes {
  readonly links: Mesh | undefined;
  readonly backplanes: readonly Backplane[];
}

function createBackplanes(flags: Flags): Backplanes {
  const { clusterHost: host, clusterPort, peers, secret, advertise, redis: url } = flags;
  if (url === undefined) {
    const links = mesh({ host, port: clusterPort ?? 5410, peers, secret, advertise });
    return { links, backplanes: [links] };
  }
  const server = redis({ url, channel: flags.redisChannel });
  if (clusterPort === undefined && peers.length === 0) {
    return { links: undefined, backplanes: [server] };
  }
  const links = mesh({ host, port: clusterPort ?? 5410, peers, secret, advertise });
  return { links, backplanes: [links, server] };
}

// A path must count as deaf in good time before its node counts as down.
function timesOf({ nodeTimeoutMs }: Flags): ClusterOptions {
  const heartbeatMs = Math.round(nodeTimeoutMs / 5);
  return { nodeTimeoutMs, heartbeatMs, deafMs: 3 * heartbeatMs };
}

interface Parts {
  readonly channels: Channels;
  readonly presence: Presence;
  readonly cluster: Cluster;
}

async function startServer(flags: Flags, parts: Parts): Promise<Server> {
  const started: { server?: Server } = {};
  try {
    started.server = await serve({
      port: flags.port,
      hostname: flags.host,
      channels: parts.channels,
      presence: parts.presence,
      allowBroadcast: true,
      fetch: (request) => answer(flags, { ...parts, ...started }, request),
    });
    return started.server;
  } catch (error) {
    await parts.cluster.stop();
    throw error;
  }
}

function reportPeers(cluster: Cluster, flags: Flags): void {
  cluster.addEventListener("peerconnected", ({ peer }) => {
    print(flags, { event: "peerconnected", peer }, `${peer} connected`);
  });
  cluster.addEventListener("peerdisconnected", ({ peer, reason }) => {
    print(flags, { event: "peerdisconnected", peer, reason }, `${peer} disconnected: ${reason}`);
  });
  cluster.addEventListener("fault", ({ error }) => {
    // A link that cannot be opened yet is ordinary while nodes start; the rest is worth a line.
    if ("code" in error && error.code === "connect_failed") return;
    print(flags, { event: "fault", message: error.message }, error.message);
  });
}

function endOnSignal(
  flags: Flags,
  { presence, cluster }: Pick<Parts, "presence" | "cluster">,
  server: Server,
): void {
  let isEnding = false;
  const end = async (): Promise<void> => {
    if (isEnding) return;
    isEnding = true;
    await Promise.all([server.stop(), cluster.stop()]);
    await presence.stop();
    print(flags, { event: "stopped" }, "stopped");
    process.exitCode = 0;
    // It ends by itself, unless this is Bun, which cannot take back a dial that nobody answers.
    setTimeout(() => process.exit(), EXIT_MS).unref();
    process.removeListener("SIGINT", onSignal);
    process.removeListener("SIGTERM", onSignal);
  };
  const onSignal = (): void => void end();
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
}

type Answerable = Parts & { readonly server?: Server };

async function answer(flags: Flags, parts: Answerable, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const { cluster } = parts;
  switch (pathname) {
    case "/healthz":
      return new Response("alive\n");
    case "/readyz":
      return new Response(`${cluster.health}\n`, {
        status: cluster.ready && cluster.health !== "deaf" ? 200 : 503,
      });
    case "/stats":
      return Response.json(describe(parts), {
        headers: { "access-control-allow-origin": "*", "cache-control": "no-store" },
      });
    default:
      return flags.page === undefined ? notFound() : await serveFile(flags.page, pathname);
  }
}

function describe({ cluster, channels, presence, server }: Answerable): unknown {
  const { nodeId: node, name, ready, health, stale, peers } = cluster;
  return {
    node,
    name,
    ready,
    health,
    stale,
    peers,
    clients: server?.stats(),
    channels: channels.stats(),
    presence: presence.stats(),
    cluster: cluster.stats(),
  };
}

async function serveFile(folder: string, pathname: string): Promise<Response> {
  const file = await readPageFile(folder, pathname);
  if (file === undefined) return notFound();
  return new Response(file.body, { headers: { "content-type": file.contentType } });
}

function notFound(): Response {
  return new Response("not found\n", { status: 404 });
}

function print(flags: Flags, fields: Readonly<Record<string, unknown>>, text: string): void {
  console.log(flags.json ? JSON.stringify(fields) : text);
}

function readFlags(argv: string[]): Flags | undefined {
  const { values } = parseArgs({
    args: argv,
    options: {
      port: { type: "string", default: "8080" },
      host: { type: "string", default: "127.0.0.1" },
      name: { type: "string", default: "node" },
      "cluster-port": { type: "string" },
      "cluster-host": { type: "string", default: "127.0.0.1" },
      peer: { type: "string", multiple: true, default: [] },
      advertise: { type: "string" },
      "node-timeout": { type: "string", default: "5000" },
      grace: { type: "string", default: "0" },
      secret: { type: "string" },
      redis: { type: "string" },
      "redis-channel": { type: "string", default: "chorus" },
      page: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help === true) return undefined;
  return {
    port: readPort("--port", values.port ?? "8080"),
    host: values.host ?? "127.0.0.1",
    name: values.name ?? "node",
    clusterPort: values["cluster-port"] === undefined
      ? undefined
      : readPort("--cluster-port", values["cluster-port"]),
    clusterHost: values["cluster-host"] ?? "127.0.0.1",
    peers: values.peer ?? [],
    advertise: values.advertise,
    nodeTimeoutMs: readMillis("--node-timeout", values["node-timeout"] ?? "5000", {
      min: NODE_TIMEOUT_MS_MIN,
    }),
    graceMs: readMillis("--grace", values.grace ?? "0", { min: 0 }),
    secret: values.secret,
    redis: values.redis,
    redisChannel: values["redis-channel"] ?? "chorus",
    page: values.page,
    json: values.json ?? false,
  };
}

function readPort(flag: string, text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new UsageError(`Cannot use ${flag} ${text}: expected a port from 0 to 65535`);
}

function readMillis(flag: string, text: string, { min }: { readonly min: number }): number {
  const millis = Number(text);
  if (/^\d{1,7}$/.test(text) && millis >= min && millis <= MILLIS_MAX) return millis;
  const range = `from ${min} to ${MILLIS_MAX}`;
  throw new UsageError(`Cannot use ${flag} ${text}: expected ms, a whole number ${range}`);
}
