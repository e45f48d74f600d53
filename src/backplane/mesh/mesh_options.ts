import { MESH_FRAME_BYTES_MAX } from "../../core/limits.ts";
import type { Millis } from "../../core/machine.ts";
import { requireBoolean, requireInteger, requireKnown, requireText } from "../../options.ts";
import type { TcpTls } from "../../runtime/tcp.ts";
import { type HostPort, isLoopback, parseAddress } from "./address.ts";

/** Options of a mesh. Every one may be left out. */
export interface MeshOptions {
  /**
   * The address to listen on for other nodes. Anything but this machine's own needs a `secret`.
   *
   * @default {"127.0.0.1"}
   */
  readonly host?: string | undefined;
  /**
   * The port to listen on for other nodes. 0 takes a free one.
   *
   * @default {5410}
   */
  readonly port?: number | undefined;
  /**
   * The `"host:port"` at which other nodes reach this one, if it is not `host` and `port`, as
   * behind a port mapping. A node that listens on all addresses and sets nothing here is dialled
   * at the address that its connections come from.
   */
  readonly advertise?: string | undefined;
  /**
   * Nodes to begin with, as `"host:port"`, an IPv6 address in brackets. One that is up is enough;
   * the node itself may be among them. A name stands for all its addresses and is looked up again.
   *
   * @default {[]}
   */
  readonly peers?: readonly string[] | undefined;
  /** What all nodes of the cluster know and nobody else does: long and random. Never empty. */
  readonly secret?: string | undefined;
  /**
   * Listens on other addresses than this machine's own without a secret: whoever reaches the
   * port reads and writes everything.
   *
   * @default {false}
   */
  readonly insecure?: boolean | undefined;
  /**
   * The cluster's name, of at most 255 characters. Nodes of different clusters refuse each other.
   *
   * @default {"chorus"}
   */
  readonly cluster?: string | undefined;
  /** Encrypts links with TLS: `cert` and `key` are needed, as every node listens. */
  readonly tls?: TcpTls | undefined;
  /**
   * How long a handshake may take, in ms. 10 ms to an hour. Lower frees what strangers hold sooner; higher suits
   * slow networks.
   *
   * @default {3000}
   */
  readonly handshakeTimeoutMs?: Millis | undefined;
  /**
   * How long a connection may take to open, in ms. 10 ms to an hour. Lower finds an unreachable node sooner.
   *
   * @default {3000}
   */
  readonly connectTimeoutMs?: Millis | undefined;
  /**
   * The shortest pause before an address that failed is dialled again, in ms. 1 ms to an hour. It
   * doubles with each failure, and chance spreads it.
   *
   * @default {100}
   */
  readonly reconnectMinMs?: Millis | undefined;
  /**
   * The longest pause before an address that failed is dialled again, in ms: at least
   * `reconnectMinMs`, up to an hour. Lower finds a returning node sooner and costs connection
   * attempts.
   *
   * @default {5000}
   */
  readonly reconnectMaxMs?: Millis | undefined;
  /**
   * How often names among `peers` are looked up again, in ms. A second to an hour. Lower finds new
   * nodes behind a name sooner and costs queries.
   *
   * @default {30000}
   */
  readonly resolveIntervalMs?: Millis | undefined;
  /**
   * After how much silence a link is closed and built anew, in ms: at least 6,000, as an idle link
   * speaks every 3 s, up to an hour. Lower finds a dead link sooner, and ends those that are merely
   * slow.
   *
   * @default {10000}
   */
  readonly linkSilenceMs?: Millis | undefined;
  /**
   * How many bytes may wait for one peer: at least one frame of the largest size, 16 MiB, or what
   * is in it could never be sent, up to 4 GiB. Past it messages to that peer are dropped, to be repeated from
   * the log later. Higher rides out longer stalls and costs memory.
   *
   * @default {67108864}
   */
  readonly queueBytesMax?: number | undefined;
}

/** {@linkcode MeshOptions}, complete and checked. */
export interface MeshSettings {
  /** The address to listen on. */
  readonly host: string;
  /** The port to listen on, or 0. */
  readonly port: number;
  /** Where others reach this node, if it was told. */
  readonly advertise: string | undefined;
  /** Nodes to begin with. */
  readonly seeds: readonly HostPort[];
  /** The secret as a key: empty without one. */
  readonly key: Uint8Array;
  /** The cluster's name. */
  readonly cluster: string;
  /** Certificates, if links are encrypted. */
  readonly tls: TcpTls | undefined;
  /** Time limit of a handshake. */
  readonly handshakeTimeoutMs: Millis;
  /** Time limit of a connection attempt. */
  readonly connectTimeoutMs: Millis;
  /** Shortest pause between attempts. */
  readonly reconnectMinMs: Millis;
  /** Longest pause between attempts. */
  readonly reconnectMaxMs: Millis;
  /** Pause between look-ups of a name. */
  readonly resolveIntervalMs: Millis;
  /** Silence after which a link is closed. */
  readonly linkSilenceMs: Millis;
  /** Bytes that may wait for one peer. */
  readonly queueBytesMax: number;
}

const SUBJECT = "mesh";
const OPTION_NAMES: readonly (keyof MeshOptions)[] = [
  "host",
  "port",
  "advertise",
  "peers",
  "secret",
  "insecure",
  "cluster",
  "tls",
  "handshakeTimeoutMs",
  "connectTimeoutMs",
  "reconnectMinMs",
  "reconnectMaxMs",
  "resolveIntervalMs",
  "linkSilenceMs",
  "queueBytesMax",
];
const CLUSTER_NAME_LENGTH_MAX = 255;
const HOUR_MS = 3_600_000;
const textEncoder = new TextEncoder();

/** How long a link may be idle before it sends a ping. */
export const PING_INTERVAL_MS = 3_000;

/**
 * Fills in defaults and checks every option.
 *
 * @throws {TypeError} If an option is of the wrong kind, unknown, or unsafe without `insecure`.
 * @throws {RangeError} If a number is out of bounds.
 */
export function resolveMeshOptions(options: MeshOptions = {}): MeshSettings {
  requireKnown(SUBJECT, options, OPTION_NAMES);
  const { port = 5410, peers = [], cluster = "chorus", host = "127.0.0.1" } = options;
  const { queueBytesMax = 64 * 1024 * 1024 } = options;
  requireText(SUBJECT, "host", host);
  requireSafety(host, options);
  return Object.freeze({
    host,
    port: requireInteger(SUBJECT, "port", port, { min: 0, max: 65_535 }),
    advertise: resolveAdvertise(options.advertise),
    seeds: resolveSeeds(peers),
    key: textEncoder.encode(options.secret ?? ""),
    cluster: resolveCluster(cluster),
    tls: resolveTls(options.tls),
    ...resolveTimes(options),
    queueBytesMax: requireInteger(SUBJECT, "queueBytesMax", queueBytesMax, {
      min: MESH_FRAME_BYTES_MAX,
      max: 4 * 1024 * 1024 * 1024,
    }),
  });
}

function requireSafety(host: string, options: MeshOptions): void {
  const { secret, insecure = false } = options;
  requireBoolean(SUBJECT, "insecure", insecure);
  if (secret !== undefined) requireText(SUBJECT, "secret", secret);
  if (secret !== undefined || insecure || isLoopback(host)) return;
  throw new TypeError(
    `Cannot configure mesh: "secret" must be set to listen on ${JSON.stringify(host)}, which ` +
      `other machines can reach; or set "insecure" to true where the network is trusted`,
  );
}

function resolveAdvertise(advertise: string | undefined): string | undefined {
  if (advertise === undefined) return undefined;
  requireAddress("advertise", advertise);
  return advertise;
}

function resolveSeeds(peers: readonly string[]): readonly HostPort[] {
  if (!Array.isArray(peers)) {
    throw new TypeError(
      `Cannot configure mesh: "peers" must be an array of "host:port", received ${String(peers)}`,
    );
  }
  return Object.freeze(peers.map((peer, index) => requireAddress(`peers[${index}]`, peer)));
}

function requireAddress(name: string, value: unknown): HostPort {
  const place = typeof value === "string" ? parseAddress(value) : undefined;
  if (place !== undefined) return Object.freeze(place);
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  throw new TypeError(
    `Cannot configure mesh: "${name}" must be "host:port" with a port from 1 to 65535, ` +
      `received ${shown}`,
  );
}

function resolveCluster(cluster: string): string {
  requireText(SUBJECT, "cluster", cluster);
  if (cluster.length <= CLUSTER_NAME_LENGTH_MAX) return cluster;
  throw new RangeError(
    `Cannot configure mesh: "cluster" must have at most ${CLUSTER_NAME_LENGTH_MAX} characters, ` +
      `received ${cluster.length}`,
  );
}

function resolveTls(tls: TcpTls | undefined): TcpTls | undefined {
  if (tls === undefined) return undefined;
  requireText(SUBJECT, "tls.cert", tls?.cert);
  requireText(SUBJECT, "tls.key", tls?.key);
  return Object.freeze({ ...tls });
}

type Times = Pick<
  MeshSettings,
  | "handshakeTimeoutMs"
  | "connectTimeoutMs"
  | "reconnectMinMs"
  | "reconnectMaxMs"
  | "resolveIntervalMs"
  | "linkSilenceMs"
>;

function resolveTimes(options: MeshOptions): Times {
  const { handshakeTimeoutMs = 3_000, connectTimeoutMs = 3_000, linkSilenceMs = 10_000 } = options;
  const { reconnectMinMs = 100, reconnectMaxMs = 5_000, resolveIntervalMs = 30_000 } = options;
  requireMillis("handshakeTimeoutMs", handshakeTimeoutMs, 10);
  requireMillis("connectTimeoutMs", connectTimeoutMs, 10);
  requireMillis("reconnectMinMs", reconnectMinMs, 1);
  requireMillis("reconnectMaxMs", reconnectMaxMs, reconnectMinMs);
  requireMillis("resolveIntervalMs", resolveIntervalMs, 1_000);
  // Twice the ping interval, or one late ping would end a healthy link.
  requireMillis("linkSilenceMs", linkSilenceMs, 2 * PING_INTERVAL_MS);
  return {
    handshakeTimeoutMs,
    connectTimeoutMs,
    reconnectMinMs,
    reconnectMaxMs,
    resolveIntervalMs,
    linkSilenceMs,
  };
}

function requireMillis(name: string, value: Millis, min: Millis): void {
  requireInteger(SUBJECT, name, value, { min, max: HOUR_MS });
}
