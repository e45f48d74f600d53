import { type Drive, drive } from "../../core/drive.ts";
import type { NodeId } from "../../core/node.ts";
import { createPrng } from "../../core/prng.ts";
import { TcpError } from "../../errors.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemDigests, systemRandomBytes, systemSeed } from "../../runtime/crypto.ts";
import { resolveAll } from "../../runtime/dns.ts";
import { toListenError } from "../../runtime/listen_error.ts";
import { loadTcp } from "../../runtime/load_tcp.ts";
import type { Tcp, TcpConnection, TcpHandler, TcpListener } from "../../runtime/tcp.ts";
import {
  type Backplane,
  type BackplaneHandler,
  type BackplaneStart,
  type BackplaneStats,
  startedAgain,
  stoppedEarly,
} from "../backplane.ts";
import { formatAddress, isWildcard } from "./address.ts";
import { Mesh as MeshMachine } from "./mesh.ts";
import type { MeshInput } from "./mesh_input.ts";
import type { MeshOutput } from "./mesh_output.ts";
import { type MeshOptions, type MeshSettings, resolveMeshOptions } from "./mesh_options.ts";
import type { DialPlace } from "./targets.ts";

export type { MeshOptions };

/** A backplane of direct TCP links between nodes. Made by {@linkcode mesh}. */
export interface Mesh extends Backplane {
  /** The port on which other nodes are accepted, once started. 0 before, if it was given as 0. */
  readonly port: number;
  /**
   * Counters and gauges, by name.
   *
   * Gauges are `links` and `connections` that are open, `addresses` that are known, and
   * `queueBytes` that wait for peers. Counters are `linksOpened`, `handshakesFailed`, `dials`,
   * `dialsFailed`, `lookupsFailed`, `payloadsIn`, `payloadsOut`, `bytesIn`, `bytesOut`,
   * `messagesDropped` at `queueBytesMax`, `strangersTurnedAway` as too many connected at once,
   * `framesUnknown`, `stalledMs`, and one `faults_…` for each `LinkErrorCode` that ended a link.
   */
  stats(): BackplaneStats;
}

/**
 * Links nodes directly over TCP: nothing else to run.
 *
 * Every node listens, and dials its `peers`; those tell it of the others, so one that is up is
 * enough. Without a `secret` it listens on this machine only.
 *
 * @param options See {@linkcode MeshOptions}.
 * @throws {TypeError | RangeError} If an option is unknown, out of bounds, or unsafe.
 *
 * @example
 * ```ts
 * import { Cluster, mesh } from "jsr:@chorus/cluster";
 *
 * const secret = "long and random";
 * const cluster = new Cluster(mesh({ port: 5410, peers: ["10.0.0.2:5410"], secret }));
 * ```
 */
export function mesh(options: MeshOptions = {}): Mesh {
  return new MeshBackplane(resolveMeshOptions(options));
}

/** How long a goodbye may take to leave, before the connections are dropped. */
const GOODBYE_MS = 500;

class MeshBackplane implements Mesh {
  readonly name = "mesh";
  // It runs on nothing but its links.
  readonly lossNoticeMs = 0;
  readonly #settings: MeshSettings;
  readonly #connections = new Map<number, TcpConnection>();
  #port: number;
  #linkCount = 0;
  #machine: MeshMachine | undefined;
  #drive: Drive<MeshInput> | undefined;
  #tcp: Tcp | undefined;
  #listener: TcpListener | undefined;
  #handler: BackplaneHandler | undefined;
  #emptied: (() => void) | undefined;
  #stopped: Promise<void> | undefined;
  /** Takes back what is dialled when it stops. */
  readonly #stopping = new AbortController();
  #isStopping = false;

  constructor(settings: MeshSettings) {
    this.#settings = settings;
    this.#port = settings.port;
  }

  get port(): number {
    return this.#port;
  }

  get expectsPeers(): boolean {
    return this.#settings.seeds.length > 0;
  }

  async start(id: NodeId, name: string, handler: BackplaneHandler): Promise<BackplaneStart> {
    if (this.#handler !== undefined) throw startedAgain(this.name);
    this.#handler = handler;
    this.#tcp = await loadTcp();
    if (this.#isStopping) throw stoppedEarly(this.name);
    this.#listener = await this.#listen(this.#tcp);
    if (this.#isStopping) {
      await this.#listener.close();
      throw stoppedEarly(this.name);
    }
    this.#port = this.#listener.port;
    const context = {
      id,
      name,
      address: this.#address(),
      digests: systemDigests,
      randomBytes: systemRandomBytes,
      prng: createPrng(systemSeed()),
    };
    this.#machine = new MeshMachine(context, this.#settings, systemClock.now());
    this.#drive = drive(this.#machine, systemClock, (output) => this.#perform(output));
    return { state: "up" };
  }

  send(nodes: Iterable<NodeId> | undefined, payload: Uint8Array, channel?: string): void {
    this.#drive?.feed({ kind: "send", nodes, payload, isRepeatable: channel !== undefined });
  }

  // Every link carries what its receiver asked the senders for: there is nothing to ask of a mesh.
  subscribe(channel: string): void {
    if (!this.#isStopping) this.#handler?.subscribed(channel);
  }

  unsubscribe(_channel: string): void {}

  rebuild(node: NodeId): void {
    this.#drive?.feed({ kind: "rebuild", node });
  }

  discover(nodes: readonly NodeId[]): void {
    this.#drive?.feed({ kind: "discover", nodes });
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
    await this.#listener?.close();
    this.#drive?.feed({ kind: "leave" });
    this.#drive?.stop();
    this.#stopping.abort();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = systemClock.setTimer(GOODBYE_MS, () => {
        for (const connection of this.#connections.values()) connection.destroy();
        resolve();
      });
      this.#emptied = () => {
        cancel();
        resolve();
      };
    });
  }

  async #listen(tcp: Tcp): Promise<TcpListener> {
    const { host: hostname, port, tls } = this.#settings;
    try {
      return await tcp.listen({ hostname, port }, { tls }, (connection) => {
        return this.#open(connection, undefined);
      });
    } catch (cause) {
      throw toListenError(`listen for nodes on ${formatAddress({ hostname, port })}`, cause);
    }
  }

  #address(): string {
    const { host: hostname, advertise } = this.#settings;
    if (advertise !== undefined) return advertise;
    return isWildcard(hostname) ? `:${this.#port}` : formatAddress({ hostname, port: this.#port });
  }

  #open(connection: TcpConnection, dialled: string | undefined): TcpHandler {
    const link = ++this.#linkCount;
    this.#connections.set(link, connection);
    const remote = connection.remoteAddress;
    const feed = (input: MeshInput): void => this.#drive?.feed(input);
    if (this.#isStopping) connection.destroy();
    else feed({ kind: "opened", link, dialled, remote });
    return {
      data: (chunk) => feed({ kind: "bytes", link, chunk }),
      drain: () => feed({ kind: "queued", link, byteLength: 0 }),
      end: (cause) => {
        this.#connections.delete(link);
        feed({ kind: "ended", link, cause });
        if (this.#connections.size === 0) this.#emptied?.();
      },
    };
  }

  #perform(output: MeshOutput): void {
    const handler = this.#handler!;
    switch (output.kind) {
      case "write":
        return this.#write(output.link, output.parts);
      case "received":
        return handler.received(output.node, output.payload);
      case "dial":
        return void this.#dial(output.place, output.address);
      case "resolve":
        return void this.#resolve(output.hostname);
      case "hangup": {
        const connection = this.#connections.get(output.link);
        return output.isGraceful ? connection?.close() : connection?.destroy();
      }
      case "up":
        return handler.up(output.node);
      case "down":
        return handler.down(output.node, output.loss);
      case "gone":
        return handler.gone(output.node);
      case "dropped":
        return handler.dropped(output.node);
      case "fault":
        return handler.fault(output.error);
    }
  }

  #write(link: number, parts: readonly Uint8Array[]): void {
    const connection = this.#connections.get(link);
    if (connection === undefined) return;
    let isTaken = true;
    for (const part of parts) isTaken = connection.write(part);
    if (isTaken) return;
    this.#drive?.feed({ kind: "queued", link, byteLength: connection.queuedBytes });
  }

  async #dial(place: DialPlace, address: string): Promise<void> {
    const { connectTimeoutMs: timeoutMs } = this.#settings;
    const tls = this.#settings.tls && { serverName: place.serverName, ...this.#settings.tls };
    const { signal } = this.#stopping;
    try {
      await this.#tcp!.connect(place, { timeoutMs, tls, signal }, (connection) => {
        return this.#open(connection, address);
      });
    } catch (cause) {
      const isRefused = hasCode(cause, "refused") || hasCode(cause, "reset");
      this.#drive?.feed({ kind: "dial_failed", address, isRefused, cause });
    }
  }

  async #resolve(hostname: string): Promise<void> {
    let addresses: readonly string[] = [];
    let cause: unknown;
    try {
      addresses = await resolveAll(hostname);
    } catch (error) {
      cause = error;
    }
    this.#drive?.feed({ kind: "resolved", hostname, addresses, cause });
  }
}

function hasCode(cause: unknown, code: TcpError["code"]): boolean {
  return cause instanceof TcpError && cause.code === code;
}
