import { type Drive, drive } from "../../core/drive.ts";
import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import { createPrng } from "../../core/prng.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemSeed } from "../../runtime/crypto.ts";
import {
  type Backplane,
  type BackplaneHandler,
  type BackplaneStart,
  type BackplaneStats,
  startedAgain,
  stoppedEarly,
} from "../backplane.ts";
import { ClusterTopology } from "./cluster_topology.ts";
import { DEFAULT_CONNECTION_SETTINGS } from "./connection_settings.ts";
import { RedisDialer } from "./redis_dialer.ts";
import { Redis as RedisMachine } from "./redis.ts";
import type { RedisInput } from "./redis_input.ts";
import {
  type RedisOptions,
  type RedisSettings,
  type RedisTopology,
  resolveRedisOptions,
} from "./redis_options.ts";
import type { RedisOutput } from "./redis_output.ts";
import { SentinelTopology } from "./sentinel_topology.ts";
import { SingleTopology, type Topology } from "./topology.ts";
import type { WireContext } from "./wire.ts";

export type { RedisOptions, RedisSentinels } from "./redis_options.ts";

/**
 * Links nodes through a Redis server, or several: one server, Sentinels, or a Redis Cluster.
 *
 * Nodes with the same `channel` find each other. Nothing is stored in Redis: only its channels are
 * used. A node that loses its server keeps serving its own clients, says that it is deaf, takes
 * nobody for dead, and repairs what was missed when the server is back. One that starts while the
 * server is away fails, unless it has another backplane: then it comes up on that.
 *
 * @param options See {@linkcode RedisOptions}.
 * @throws {TypeError | RangeError} If an option is unknown, out of bounds, or contradicts another.
 *
 * @example
 * ```ts
 * import { Cluster, redis } from "jsr:@chorus/cluster";
 *
 * const cluster = new Cluster(redis({ url: "redis://127.0.0.1:6379", channel: "chorus" }));
 * ```
 */
export function redis(options: RedisOptions = {}): Backplane {
  return new RedisBackplane(resolveRedisOptions(options));
}

/** How long a goodbye may take to leave, before the connections are dropped. */
const GOODBYE_MS = 500;
/** A canary may be late for so long, and is looked for every now and then. */
const LOSS_NOTICE_MS = 3_000;

interface Starting {
  readonly resolve: (start: BackplaneStart) => void;
  readonly reject: (error: Error) => void;
}

class RedisBackplane implements Backplane {
  readonly name = "redis";
  // Nobody can tell who else uses the server: a first node is as good as any.
  readonly expectsPeers = false;
  readonly lossNoticeMs = LOSS_NOTICE_MS;
  readonly #settings: RedisSettings;
  readonly #dialer = new RedisDialer((input) => this.#drive?.feed(input));
  #connectionCount = 0;
  #machine: RedisMachine | undefined;
  #drive: Drive<RedisInput> | undefined;
  #handler: BackplaneHandler | undefined;
  #starting: Starting | undefined;
  #stopped: Promise<void> | undefined;
  #isStopping = false;

  constructor(settings: RedisSettings) {
    this.#settings = settings;
  }

  async start(id: NodeId, name: string, handler: BackplaneHandler): Promise<BackplaneStart> {
    if (this.#handler !== undefined) throw startedAgain(this.name);
    if (this.#isStopping) throw stoppedEarly(this.name);
    this.#handler = handler;
    const wires = this.#createWires(id);
    const now = systemClock.now();
    const topology = createTopology(wires, this.#settings.topology, now);
    const machine = new RedisMachine({ id, name, wires }, this.#settings, topology, now);
    this.#machine = machine;
    return await new Promise<BackplaneStart>((resolve, reject) => {
      this.#starting = { resolve, reject };
      this.#drive = drive(machine, systemClock, (output) => this.#perform(output));
    });
  }

  send(nodes: Iterable<NodeId> | undefined, payload: Uint8Array, channel?: string): void {
    this.#drive?.feed({ kind: "send", nodes, payload, channel });
  }

  subscribe(channel: string): void {
    this.#drive?.feed({ kind: "subscribe", channel });
  }

  unsubscribe(channel: string): void {
    this.#drive?.feed({ kind: "unsubscribe", channel });
  }

  rebuild(node: NodeId): void {
    this.#drive?.feed({ kind: "rebuild", node });
  }

  discover(): void {
    this.#drive?.feed({ kind: "discover" });
  }

  stats(): BackplaneStats {
    return this.#machine?.stats ?? {};
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  async #end(): Promise<void> {
    this.#isStopping = true;
    // A start that failed ends here from inside an output, and the others of its batch come first.
    await undefined;
    this.#drive?.feed({ kind: "leave" });
    this.#drive?.stop();
    this.#starting?.reject(stoppedEarly(this.name));
    await this.#dialer.end(GOODBYE_MS);
  }

  #createWires(id: NodeId): WireContext {
    const { access, queueBytesMax, connectTimeoutMs, ...times } = this.#settings;
    return {
      connection: {
        ...DEFAULT_CONNECTION_SETTINGS,
        username: access.username,
        password: access.password,
        clientName: `chorus:${id}`,
        handshakeTimeoutMs: connectTimeoutMs,
        // The backplane stops earlier, and this is for what it cannot foresee.
        queueBytesMax: 3 * queueBytesMax,
      },
      tls: access.tls,
      reconnectMinMs: times.reconnectMinMs,
      reconnectMaxMs: times.reconnectMaxMs,
      prng: createPrng(systemSeed()),
      nextNumber: () => ++this.#connectionCount,
    };
  }

  #perform(output: RedisOutput): void {
    const handler = this.#handler!;
    switch (output.kind) {
      case "write":
        return this.#dialer.write(output.connection, output.parts);
      case "received":
        return handler.received(output.node, output.payload);
      case "dial": {
        const { connection, address, tls } = output;
        const { connectTimeoutMs: timeoutMs } = this.#settings;
        return void this.#dialer.dial(connection, { address, tls, timeoutMs });
      }
      case "hangup":
        return this.#dialer.hangup(output.connection, output.isGraceful);
      case "up":
        return handler.up(output.node);
      case "down":
        return handler.down(output.node, output.loss);
      case "gone":
        return handler.gone(output.node);
      case "dropped":
        return handler.dropped(output.node);
      case "subscribed":
        return handler.subscribed(output.channel);
      case "state":
        return handler.state(output.state);
      case "fault":
        return handler.fault(output.error);
      case "started":
        return this.#starting?.resolve({ state: "up" });
      case "delayed":
        return this.#starting?.resolve({ state: "down", reason: output.error });
      case "failed":
        return this.#fail(output.error);
    }
  }

  #fail(error: Error): void {
    this.#starting?.reject(error);
    void this.stop();
  }
}

function createTopology(wires: WireContext, topology: RedisTopology, now: Millis): Topology {
  switch (topology.kind) {
    case "single":
      return new SingleTopology(topology.address);
    case "sentinel":
      return new SentinelTopology(wires, topology, now);
    case "cluster":
      return new ClusterTopology(wires, topology, now);
  }
}
