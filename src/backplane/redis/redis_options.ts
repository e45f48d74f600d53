import { MESH_FRAME_BYTES_MAX } from "../../core/limits.ts";
import type { Millis } from "../../core/machine.ts";
import { requireBoolean, requireInteger, requireKnown, requireText } from "../../options.ts";
import type { TcpAddress, TcpTls } from "../../runtime/tcp.ts";
import { type HostPort, parseAddress } from "../mesh/address.ts";
import { parseRedisUrl, type RedisUrl } from "./redis_url.ts";

/** Where the Sentinels are, and what they watch. */
export interface RedisSentinels {
  /** The name under which the Sentinels know the master. */
  readonly name: string;
  /** The Sentinels, as `"host:port"`. All are asked, so that one that lags behind misleads nobody. */
  readonly nodes: readonly string[];
  /** The user name for the Sentinels themselves, if they want one. */
  readonly username?: string | undefined;
  /** The password for the Sentinels themselves, if they want one. */
  readonly password?: string | undefined;
  /** Speaks TLS with the Sentinels. `true` trusts the system's authorities. */
  readonly tls?: boolean | TcpTls | undefined;
}

/** Options of a Redis backplane. Every one may be left out. */
export interface RedisOptions {
  /**
   * Where the server is: `redis://user:password@host:port`, `rediss://` for TLS, or
   * `unix:///path/to/socket`. Instead of `host`, `port` and `path`.
   */
  readonly url?: string | undefined;
  /**
   * The server's name or address.
   *
   * Where it leads to a master, that must stay one: a server that becomes a replica, as in a
   * fail-over behind a name, is left, and the name is tried until it leads to a master again.
   *
   * @default {"127.0.0.1"}
   */
  readonly host?: string | undefined;
  /**
   * The server's port. 1 to 65,535.
   *
   * @default {6379}
   */
  readonly port?: number | undefined;
  /** The server's Unix socket, instead of `host` and `port`. */
  readonly path?: string | undefined;
  /** The user name, for a server with an access list. Default: the server's default user. */
  readonly username?: string | undefined;
  /** The password. */
  readonly password?: string | undefined;
  /** Speaks TLS. `true` trusts the system's authorities; certificates say otherwise. */
  readonly tls?: boolean | TcpTls | undefined;
  /**
   * Accepted because addresses often carry one. Channels belong to no database, so it changes
   * nothing; a Redis Cluster has only 0. At most 1,000,000.
   *
   * @default {0}
   */
  readonly database?: number | undefined;
  /** Finds the server through Sentinels, and follows it when they promote another. */
  readonly sentinels?: RedisSentinels | undefined;
  /**
   * Speaks to a Redis Cluster: its nodes to begin with as `"host:port"`, or `true` where `url` or
   * `host` names one. One that is up is enough. Messages travel over sharded channels.
   *
   * @default {false}
   */
  readonly cluster?: boolean | readonly string[] | undefined;
  /**
   * What the names of all Redis channels begin with. Nodes with different ones do not meet, so it
   * is the cluster's name too: 1 to 64 of letters, digits, `:`, `.`, `_` and `-`.
   *
   * @default {"chorus"}
   */
  readonly channel?: string | undefined;
  /**
   * How long a connection may take to open, in ms. 10 to 3,600,000. Lower finds an unreachable
   * server sooner.
   *
   * @default {3000}
   */
  readonly connectTimeoutMs?: Millis | undefined;
  /**
   * The shortest pause before a lost connection is tried again, in ms. 1 to 3,600,000. It doubles
   * with each failure, and chance spreads it.
   *
   * @default {100}
   */
  readonly reconnectMinMs?: Millis | undefined;
  /**
   * The longest pause before a lost connection is tried again, in ms. `reconnectMinMs` to
   * 3,600,000, and well below the cluster's `nodeTimeoutMs`: after a break of the server, who is not back by then counts as down.
   *
   * @default {2000}
   */
  readonly reconnectMaxMs?: Millis | undefined;
  /**
   * How many bytes may wait for the server. At least what the largest messages take, 16 MiB, or they
   * could never be sent; at most 4 GiB. Past it messages are dropped, to be repeated from the log later. Higher
   * rides out longer stalls and costs memory.
   *
   * @default {67108864}
   */
  readonly queueBytesMax?: number | undefined;
}

/** How a server is spoken to. */
export interface RedisAccess {
  /** The user name, if one was given. */
  readonly username: string | undefined;
  /** The password, if one was given. */
  readonly password: string | undefined;
  /** Certificates, if TLS is spoken. */
  readonly tls: TcpTls | undefined;
}

/** Which servers there are. */
export type RedisTopology =
  | { readonly kind: "single"; readonly address: TcpAddress }
  | {
    readonly kind: "sentinel";
    /** The name of the master. */
    readonly name: string;
    /** The Sentinels. */
    readonly nodes: readonly HostPort[];
    /** How the Sentinels are spoken to. */
    readonly access: RedisAccess;
  }
  | { readonly kind: "cluster"; readonly nodes: readonly HostPort[] };

/** {@linkcode RedisOptions}, complete and checked. */
export interface RedisSettings {
  /** Which servers there are. */
  readonly topology: RedisTopology;
  /** How the servers are spoken to. */
  readonly access: RedisAccess;
  /** What the names of all Redis channels begin with. */
  readonly channel: string;
  /** Time limit of a connection attempt. */
  readonly connectTimeoutMs: Millis;
  /** Shortest pause between attempts. */
  readonly reconnectMinMs: Millis;
  /** Longest pause between attempts. */
  readonly reconnectMaxMs: Millis;
  /** Bytes that may wait for the server. */
  readonly queueBytesMax: number;
}

const SUBJECT = "redis";
const OPTION_NAMES: readonly (keyof RedisOptions)[] = [
  "url",
  "host",
  "port",
  "path",
  "username",
  "password",
  "tls",
  "database",
  "sentinels",
  "cluster",
  "channel",
  "connectTimeoutMs",
  "reconnectMinMs",
  "reconnectMaxMs",
  "queueBytesMax",
];
const SENTINELS_NAMES: readonly (keyof RedisSentinels)[] = [
  "name",
  "nodes",
  "username",
  "password",
  "tls",
];
const CHANNEL_PATTERN = /^[A-Za-z0-9:._-]{1,64}$/;
const DATABASE_MAX = 1_000_000;
const HOUR_MS = 3_600_000;
const DEFAULT_PORT = 6379;

/**
 * Fills in defaults and checks every option.
 *
 * @throws {TypeError} If an option is of the wrong kind, unknown, or contradicts another.
 * @throws {RangeError} If a number is out of bounds.
 */
export function resolveRedisOptions(options: RedisOptions = {}): RedisSettings {
  requireKnown(SUBJECT, options, OPTION_NAMES);
  const url = options.url === undefined ? undefined : parseRedisUrl(options.url);
  requireOnce(options, url);
  const topology = resolveTopology(options, url);
  requireDatabase(options.database ?? url?.database ?? 0, topology.kind);
  const { connectTimeoutMs = 3_000, reconnectMinMs = 100, reconnectMaxMs = 2_000 } = options;
  const { queueBytesMax = 64 * 1024 * 1024 } = options;
  return Object.freeze({
    topology: Object.freeze(topology),
    access: resolveAccess("", {
      username: options.username ?? url?.username,
      password: options.password ?? url?.password,
      tls: options.tls ?? url?.isTls,
    }),
    channel: requireChannel(options.channel ?? "chorus"),
    connectTimeoutMs: requireMillis("connectTimeoutMs", connectTimeoutMs, 10),
    reconnectMinMs: requireMillis("reconnectMinMs", reconnectMinMs, 1),
    reconnectMaxMs: requireMillis("reconnectMaxMs", reconnectMaxMs, reconnectMinMs),
    queueBytesMax: requireInteger(SUBJECT, "queueBytesMax", queueBytesMax, {
      min: MESH_FRAME_BYTES_MAX,
      max: 4 * 1024 * 1024 * 1024,
    }),
  });
}

// Each fact is told in one place, so that none can be changed in the other and seem to be ignored.
function requireOnce(options: RedisOptions, url: RedisUrl | undefined): void {
  const { cluster, sentinels } = options;
  const places = (["url", "host", "port", "path"] as const).filter((name) =>
    options[name] !== undefined
  );
  const clashes: readonly (readonly [boolean, string, string])[] = [
    [sentinels !== undefined && places.length > 0, `"${places[0]}"`, `"sentinels"`],
    [Array.isArray(cluster) && places.length > 0, `"${places[0]}"`, `a list as "cluster"`],
    [sentinels !== undefined && isCluster(cluster), `"cluster"`, `"sentinels"`],
    [url !== undefined && places.length > 1, `"${places[1]}"`, `"url"`],
    [places.includes("path") && places.includes("host"), `"host"`, `"path"`],
    [places.includes("path") && places.includes("port"), `"port"`, `"path"`],
    [isCluster(cluster) && options.path !== undefined, `"path"`, `"cluster"`],
    [url?.username !== undefined && options.username !== undefined, `"username"`, `one in "url"`],
    [url?.password !== undefined && options.password !== undefined, `"password"`, `one in "url"`],
    [url?.database !== undefined && options.database !== undefined, `"database"`, `one in "url"`],
    [url?.isTls === true && options.tls === false, `"tls" as false`, `a "url" of rediss:`],
  ];
  for (const [isClash, one, other] of clashes) {
    if (isClash) throw new TypeError(`Cannot configure redis: ${one} cannot go with ${other}`);
  }
}

function isCluster(cluster: RedisOptions["cluster"]): boolean {
  return cluster !== undefined && cluster !== false;
}

function resolveTopology(options: RedisOptions, url: RedisUrl | undefined): RedisTopology {
  const { sentinels, cluster = false } = options;
  if (sentinels !== undefined) return resolveSentinels(sentinels);
  if (Array.isArray(cluster)) {
    return { kind: "cluster", nodes: requireNodes("cluster", cluster as readonly string[]) };
  }
  if (typeof cluster !== "boolean") {
    throw new TypeError(
      `Cannot configure redis: "cluster" must be true, false or an array of "host:port", ` +
        `received ${String(cluster)}`,
    );
  }
  const path = options.path ?? url?.path;
  if (path !== undefined && !cluster) {
    return { kind: "single", address: { path: requireText(SUBJECT, "path", path) } };
  }
  const hostname = requireText(SUBJECT, "host", options.host ?? url?.host ?? "127.0.0.1");
  const port = requireInteger(SUBJECT, "port", options.port ?? url?.port ?? DEFAULT_PORT, {
    min: 1,
    max: 65_535,
  });
  if (cluster) return { kind: "cluster", nodes: [{ hostname, port }] };
  return { kind: "single", address: { hostname, port } };
}

function resolveSentinels(sentinels: RedisSentinels): RedisTopology {
  if (typeof sentinels !== "object" || sentinels === null) {
    throw new TypeError(
      `Cannot configure redis: "sentinels" must be an object with "name" and "nodes", ` +
        `received ${String(sentinels)}`,
    );
  }
  requireKnown("redis sentinels", sentinels, SENTINELS_NAMES);
  return {
    kind: "sentinel",
    name: requireText(SUBJECT, "sentinels.name", sentinels.name),
    nodes: requireNodes("sentinels.nodes", sentinels.nodes),
    access: resolveAccess("sentinels.", sentinels),
  };
}

function requireNodes(name: string, nodes: readonly string[]): readonly HostPort[] {
  if (!Array.isArray(nodes) || nodes.length === 0) {
    throw new TypeError(
      `Cannot configure redis: "${name}" must be an array of at least one "host:port", ` +
        `received ${JSON.stringify(nodes)}`,
    );
  }
  return Object.freeze(nodes.map((node, index) => {
    const place = typeof node === "string" ? parseAddress(node) : undefined;
    if (place !== undefined) return Object.freeze(place);
    throw new TypeError(
      `Cannot configure redis: "${name}[${index}]" must be "host:port" with a port from 1 to ` +
        `65535, received ${JSON.stringify(node)}`,
    );
  }));
}

function resolveAccess(
  place: string,
  given: Pick<RedisOptions, "username" | "password" | "tls">,
): RedisAccess {
  const { username, password, tls } = given;
  if (username !== undefined) requireText(SUBJECT, `${place}username`, username);
  if (password !== undefined) requireText(SUBJECT, `${place}password`, password);
  if (username !== undefined && password === undefined) {
    throw new TypeError(
      `Cannot configure redis: "${place}username" needs a "${place}password" beside it`,
    );
  }
  return Object.freeze({ username, password, tls: resolveTls(`${place}tls`, tls) });
}

function resolveTls(name: string, tls: boolean | TcpTls | undefined): TcpTls | undefined {
  if (tls === undefined || tls === false) return undefined;
  if (typeof tls === "object" && tls !== null) return Object.freeze({ ...tls });
  return requireBoolean(SUBJECT, name, tls) ? Object.freeze({}) : undefined;
}

function requireDatabase(database: unknown, kind: RedisTopology["kind"]): void {
  const number = requireInteger(SUBJECT, "database", database, { min: 0, max: DATABASE_MAX });
  if (kind !== "cluster" || number === 0) return;
  throw new RangeError(
    `Cannot configure redis: "database" must be 0 for a Redis Cluster, which has no other, ` +
      `received ${number}`,
  );
}

function requireChannel(channel: string): string {
  if (typeof channel === "string" && CHANNEL_PATTERN.test(channel)) return channel;
  throw new TypeError(
    `Cannot configure redis: "channel" must be 1 to 64 letters, digits, ":", ".", "_" and "-", ` +
      `received ${JSON.stringify(channel)}`,
  );
}

function requireMillis(name: string, value: Millis, min: Millis): Millis {
  return requireInteger(SUBJECT, name, value, { min, max: HOUR_MS });
}
