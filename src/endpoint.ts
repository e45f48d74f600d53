import type { ChannelCore, Subscriber } from "./channel_core.ts";
import { Channels, coreOf } from "./channels.ts";
import { Client, type ClientOwner } from "./client_connection.ts";
import type { CancelTimer } from "./core/clock.ts";
import { BROADCAST_CHANNEL } from "./core/message.ts";
import { acceptSocket, type WebSocketLike } from "./edge/accept.ts";
import {
  type Admission,
  type ClientHandler,
  type ClientRequest,
  type ClientSocket,
  DEFAULT_EDGE_SETTINGS,
  type EdgeSettings,
} from "./edge/client_socket.ts";
import type { EdgeListener, EdgeListenOptions } from "./edge/listener.ts";
import type { BunHandlers, BunUpgrades } from "./edge/upgrade_bun.ts";
import type { NodeUpgradeArguments, NodeUpgrades } from "./edge/upgrade_node.ts";
import { ClusterError } from "./errors.ts";
import { FaultEvent, TypedEventTarget } from "./events.ts";
import { Presence, presenceCoreOf } from "./presence.ts";
import { requireBoolean, requireHook, requireInteger, requireKnown } from "./options.ts";
import { DEFAULT_SESSION_SETTINGS, type SessionSettings } from "./protocol/session_settings.ts";
import { isBun } from "./runtime/runtime_name.ts";

/** What a client asks to do. */
export type ClientAction =
  | "subscribe"
  | "publish"
  | "broadcast"
  /** To become a member of a channel and be told of the others, or to have other metadata there. */
  | "join"
  /** To know who is a member, without being one. */
  | "members";

/** Options of an {@linkcode Endpoint}. Only `channels` is needed. */
export interface EndpointOptions {
  /** The channels that clients subscribe to and publish on. */
  readonly channels: Channels;
  /**
   * The members of channels: with it, clients can join and ask who is there.
   *
   * @default {clients that try are told that it is not available}
   */
  readonly presence?: Presence;
  /**
   * Tells who a client is, from its upgrade request. What it returns is the client's identity;
   * `false` refuses the client with 401.
   *
   * @default {everybody is let in, with the identity `undefined`}
   */
  readonly authenticate?: (request: ClientRequest) => unknown;
  /**
   * Tells who a client is, from the token in its `hello`, for clients that cannot set a header.
   * With it, every client must send one before anything else. What it returns takes the place
   * of the identity; `false` refuses the client and closes its connection with 4401.
   */
  readonly authenticateToken?: (token: string, identity: unknown) => unknown;
  /**
   * Tells whether a client may do something. `channel` is `undefined` for a broadcast.
   *
   * @default {everything but broadcasts is allowed}
   */
  readonly authorize?: (
    action: ClientAction,
    channel: string | undefined,
    identity: unknown,
  ) => boolean | Promise<boolean>;
  /**
   * Whether clients may broadcast at all.
   *
   * @default {false}
   */
  readonly allowBroadcast?: boolean;
  /**
   * Largest message of a client in bytes. A larger one closes the connection with 1009.
   *
   * @default {1048576}
   */
  readonly messageBytesMax?: number;
  /**
   * Most bytes that may wait for a client that reads slowly. Past it the connection is closed
   * with 1013.
   *
   * @default {4194304}
   */
  readonly bufferedBytesMax?: number;
  /**
   * Most channels of one client.
   *
   * @default {1000}
   */
  readonly channelsMax?: number;
  /**
   * Messages that a client may send in a second, over time. 0 for no limit.
   *
   * @default {0}
   */
  readonly messagesPerSecondMax?: number;
  /**
   * Messages that a client may send at once, where `messagesPerSecondMax` is set.
   *
   * @default {1000}
   */
  readonly messagesBurstMax?: number;
  /**
   * After how much silence a client is pinged, in ms. One that does not answer is closed.
   *
   * @default {25000}
   */
  readonly pingIntervalMs?: number;
  /**
   * After how long without a message a client is closed, in ms. 0 for never.
   *
   * @default {0}
   */
  readonly idleTimeoutMs?: number;
}

/** The events of an {@linkcode Endpoint}. */
export interface EndpointEvents extends Readonly<Record<string, Event>> {
  /** Something failed and was dealt with: an `authorize` that threw. */
  readonly fault: FaultEvent;
}

/** A snapshot of counters and gauges. Counters only grow. */
export interface EndpointStats {
  /** Clients that are connected. */
  readonly connected: number;
  /** Clients that were let in. */
  readonly accepted: number;
  /** Clients that were refused by `authenticate`. */
  readonly refused: number;
  /** Clients whose connection is over, by close code. */
  readonly closed: Readonly<Record<number, number>>;
  /** Clients that were closed because they did not read. */
  readonly slowConsumers: number;
}

/** The names of all options, for those that have more. */
export const ENDPOINT_OPTIONS: readonly (keyof EndpointOptions)[] = [
  "channels",
  "presence",
  "authenticate",
  "authenticateToken",
  "authorize",
  "allowBroadcast",
  "messageBytesMax",
  "bufferedBytesMax",
  "channelsMax",
  "messagesPerSecondMax",
  "messagesBurstMax",
  "pingIntervalMs",
  "idleTimeoutMs",
];

const HOOKS = ["authenticate", "authenticateToken", "authorize"] as const;
const SWEEP_MS = 1_000;
const GOING_AWAY = 1001;
const SLOW_CONSUMER = 1013;
const STOPPED = "The server stops";

/**
 * Lets clients in, whatever server their sockets come from, and serves them channels.
 *
 * @example
 * ```ts
 * import { Channels, Endpoint } from "jsr:@chorus/cluster";
 *
 * const endpoint = new Endpoint({ channels: new Channels() });
 * Deno.serve((request) => {
 *   const { socket, response } = Deno.upgradeWebSocket(request);
 *   endpoint.accept(socket);
 *   return response;
 * });
 * ```
 */
export class Endpoint extends TypedEventTarget<EndpointEvents> implements AsyncDisposable {
  readonly #options: EndpointOptions;
  readonly #core: ChannelCore;
  readonly #edgeSettings: EdgeSettings;
  readonly #sessionSettings: SessionSettings;
  readonly #clients = new Set<Client>();
  readonly #owner: ClientOwner;
  readonly #flush: () => void;
  readonly #stopFlushing: () => void;
  #dirty: Client[] = [];
  #isFlushDue = false;
  #cancelSweep: CancelTimer | undefined;
  #nodeUpgrades: NodeUpgrades | Promise<NodeUpgrades> | undefined;
  #bunUpgrades: BunUpgrades | undefined;
  #accepted = 0;
  #refused = 0;
  readonly #closed: Record<number, number> = {};
  readonly #emptied = new Set<() => void>();
  readonly #listeners = new Set<EdgeListener>();
  #isStopping = false;
  #stopped: Promise<void> | undefined;

  /**
   * Makes an endpoint for channels.
   *
   * @param options See {@linkcode EndpointOptions}.
   * @throws {TypeError | RangeError} If an option is missing, unknown or out of bounds.
   */
  constructor(options: EndpointOptions) {
    super();
    requireKnown("endpoint", options, ENDPOINT_OPTIONS);
    if (!(options.channels instanceof Channels)) {
      throw new TypeError('Cannot configure endpoint: "channels" must be a Channels object');
    }
    if (options.presence !== undefined && !(options.presence instanceof Presence)) {
      throw new TypeError('Cannot configure endpoint: "presence" must be a Presence object');
    }
    for (const name of HOOKS) requireHook("endpoint", name, options[name]);
    this.#options = options;
    this.#core = coreOf(options.channels);
    this.#sessionSettings = resolveSessionSettings(options);
    this.#edgeSettings = resolveEdgeSettings(options);
    this.#owner = this.#createOwner();
    this.#flush = () => this.#flushAll();
    this.#stopFlushing = this.#core.onFlush(this.#flush);
    this.#subscribeToBroadcasts();
  }

  /** Number of clients that are connected. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /**
   * Takes a client from a `node:http` or `node:https` server: hand it the arguments of the
   * server's `upgrade` event. Works on Node, Deno and Bun.
   *
   * A request that is no proper upgrade is answered as RFC 6455 §4.2 says, and its socket closed.
   */
  upgrade(...upgrade: NodeUpgradeArguments): void {
    const upgrades = this.#nodeUpgrades;
    if (upgrades !== undefined && !(upgrades instanceof Promise)) {
      return upgrades.upgrade(...upgrade);
    }
    // Until the adapter is loaded, nobody else listens; a socket that breaks meanwhile is just gone.
    upgrade[1].on("error", ignore);
    void this.#loadNodeUpgrades().then((loaded) => {
      upgrade[1].removeListener("error", ignore);
      loaded.upgrade(...upgrade);
    });
  }

  /**
   * Makes the handlers that `Bun.serve` needs: `Bun.serve({ port, ...await endpoint.bun() })`.
   *
   * @throws {Error} If this is not Bun.
   */
  async bun(): Promise<BunHandlers> {
    return (await this.#loadBunUpgrades()).handlers;
  }

  /**
   * Listens for clients, on the fastest server that the runtime has.
   *
   * @throws {ClusterError} `listen_failed` if the port is taken or cannot be bound, `stopped` if
   *     the endpoint was stopped.
   */
  async listen(options: EdgeListenOptions): Promise<EdgeListener> {
    const upgrades = isBun() ? await this.#loadBunUpgrades() : await this.#loadNodeUpgrades();
    const listener = await upgrades.listen(options);
    this.#listeners.add(listener);
    if (!this.#isStopping) return listener;
    await listener.close();
    throw new ClusterError("stopped", "Cannot listen: the endpoint was stopped");
  }

  /**
   * Takes a Web-standard `WebSocket`, such as `Deno.upgradeWebSocket` gives. `authenticate` is not
   * called: say who it is. An endpoint that was stopped closes it with 1001.
   *
   * @param socket Open, or about to be.
   * @param identity What `authorize` is told.
   */
  accept(socket: WebSocketLike, identity?: unknown): void {
    acceptSocket(socket, this.#edgeSettings, (client) => {
      const handler = this.#open(client, identity);
      if (this.#isStopping) client.close(GOING_AWAY, STOPPED);
      return handler;
    });
  }

  /** Tells all clients to connect elsewhere soon. Their connections stay. */
  drain(): void {
    for (const client of this.#clients) client.drain();
  }

  /** A snapshot of counters and gauges. */
  stats(): EndpointStats {
    return {
      connected: this.#clients.size,
      accepted: this.#accepted,
      refused: this.#refused,
      closed: { ...this.#closed },
      slowConsumers: this.#closed[SLOW_CONSUMER] ?? 0,
    };
  }

  /** Closes all clients with 1001 and refuses new ones. Resolves when all are gone. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  /** The same as `stop`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #end(): Promise<void> {
    this.#isStopping = true;
    for (const client of [...this.#clients]) client.close(GOING_AWAY, STOPPED);
    this.#flushAll();
    const upgrades = [await this.#nodeUpgrades, this.#bunUpgrades];
    await Promise.all([
      ...[...this.#listeners].map((listener) => listener.close()),
      ...upgrades.map((each) => each?.close(GOING_AWAY, STOPPED)),
      this.#clients.size > 0 && new Promise<void>((resolve) => this.#emptied.add(resolve)),
    ]);
    this.#cancelSweep?.();
    this.#stopFlushing();
    this.#core.unsubscribe(BROADCAST_CHANNEL, this.#broadcasts);
  }

  #createOwner(): ClientOwner {
    return {
      core: this.#core,
      presence: this.#options.presence && presenceCoreOf(this.#options.presence),
      sessionSettings: this.#sessionSettings,
      soil: (client) => this.#soil(client),
      authorize: (client, { action, channel }) =>
        this.#options.authorize?.(action, channel, client.identity) ?? true,
      authenticate: (client, token) => this.#authenticateToken(client, token),
      closed: (client, code) => this.#onClosed(client, code),
      failed: (error) => this.#report(error),
    };
  }

  // Everyone who is connected is a subscriber of the broadcasts: one entry stands for them all.
  readonly #broadcasts: Subscriber = {
    deliver: (delivery) => {
      for (const client of this.#clients) client.broadcast(delivery);
    },
    gap: () => {
      for (const client of this.#clients) client.gap(BROADCAST_CHANNEL);
    },
  };

  // Without a hook it answers at once: a promise for each client would cost memory that stays.
  #admit(request: ClientRequest): Admission | Promise<Admission> {
    const { authenticate } = this.#options;
    if (authenticate === undefined) return this.#letIn(undefined);
    return this.#authenticate(request, authenticate);
  }

  async #authenticate(
    request: ClientRequest,
    authenticate: (request: ClientRequest) => unknown,
  ): Promise<Admission> {
    try {
      return this.#letIn(await authenticate(request));
    } catch (error) {
      this.#report(error);
      return this.#letIn(false);
    }
  }

  #letIn(identity: unknown): Admission {
    if (this.#isStopping) return { status: 503, reason: STOPPED };
    if (identity !== false) return { accept: (socket) => this.#open(socket, identity) };
    this.#refused++;
    return { status: 401, reason: "Unauthorized" };
  }

  async #authenticateToken(client: Client, token: string): Promise<boolean> {
    const identity = await this.#options.authenticateToken?.(token, client.identity);
    if (identity === false) {
      this.#refused++;
      return false;
    }
    client.identity = identity;
    return true;
  }

  #open(socket: ClientSocket, identity: unknown): ClientHandler {
    const name = (++this.#accepted).toString(36);
    const client = new Client(this.#owner, socket, { identity, name });
    this.#clients.add(client);
    this.#cancelSweep ??= this.#core.clock.setTimer(SWEEP_MS, () => this.#sweep());
    return client;
  }

  #sweep(): void {
    for (const client of this.#clients) client.wake();
    this.#cancelSweep = this.#clients.size === 0
      ? undefined
      : this.#core.clock.setTimer(SWEEP_MS, () => this.#sweep());
  }

  #soil(client: Client): void {
    client.isDirty = true;
    this.#dirty.push(client);
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#core.clock.defer(this.#flush);
  }

  #flushAll(): void {
    this.#isFlushDue = false;
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const client of dirty) {
      client.isDirty = false;
      client.flush();
    }
  }

  #onClosed(client: Client, code: number): void {
    if (!this.#clients.delete(client)) return;
    this.#closed[code] = (this.#closed[code] ?? 0) + 1;
    if (this.#clients.size === 0) { for (const resolve of this.#emptied) resolve(); }
  }

  #report(error: unknown): void {
    const known = error instanceof Error ? error : new Error(String(error));
    this.dispatchEvent(new FaultEvent(known));
  }

  #subscribeToBroadcasts(): void {
    this.#core.subscribe(BROADCAST_CHANNEL, this.#broadcasts, () => !this.#isStopping);
  }

  #loadNodeUpgrades(): Promise<NodeUpgrades> {
    this.#nodeUpgrades ??= import("./edge/upgrade_node.ts").then(({ NodeUpgrades }) => {
      const upgrades = new NodeUpgrades(this.#edgeSettings, (request) => this.#admit(request));
      this.#nodeUpgrades = upgrades;
      return upgrades;
    });
    return Promise.resolve(this.#nodeUpgrades);
  }

  async #loadBunUpgrades(): Promise<BunUpgrades> {
    const { BunUpgrades } = await import("./edge/upgrade_bun.ts");
    this.#bunUpgrades ??= new BunUpgrades(this.#edgeSettings, (request) => this.#admit(request));
    return this.#bunUpgrades;
  }
}

function ignore(): void {}

function resolveSessionSettings(options: EndpointOptions): SessionSettings {
  const { allowBroadcast = false, messageBytesMax, channelsMax = 1_000 } = options;
  const { messagesPerSecondMax = 0, messagesBurstMax = 1_000, idleTimeoutMs = 0 } = options;
  requireBoolean("endpoint", "allowBroadcast", allowBroadcast);
  requireInteger("endpoint", "channelsMax", channelsMax, { min: 1, max: 1_000_000 });
  requireInteger("endpoint", "messagesPerSecondMax", messagesPerSecondMax, { min: 0, max: 1e9 });
  requireInteger("endpoint", "messagesBurstMax", messagesBurstMax, { min: 1, max: 1e9 });
  requireInteger("endpoint", "idleTimeoutMs", idleTimeoutMs, { min: 0, max: 86_400_000 });
  return Object.freeze({
    ...DEFAULT_SESSION_SETTINGS,
    tokenRequired: options.authenticateToken !== undefined,
    authorizes: options.authorize !== undefined,
    allowsBroadcast: allowBroadcast,
    presence: presenceSetting(options.presence),
    messageBytesMax: messageBytesMax ?? DEFAULT_SESSION_SETTINGS.messageBytesMax,
    channelsMax,
    messagesPerSecondMax,
    messagesBurstMax,
    idleTimeoutMs,
  });
}

function presenceSetting(presence: Presence | undefined): SessionSettings["presence"] {
  if (presence === undefined) return "none";
  return presenceCoreOf(presence).admit === undefined ? "open" : "admitted";
}

function resolveEdgeSettings(options: EndpointOptions): EdgeSettings {
  const { messageBytesMax = 1_048_576, bufferedBytesMax = 4_194_304 } = options;
  const { pingIntervalMs = 25_000 } = options;
  requireInteger("endpoint", "messageBytesMax", messageBytesMax, { min: 1, max: 15_728_640 });
  requireInteger("endpoint", "bufferedBytesMax", bufferedBytesMax, {
    min: messageBytesMax,
    max: 1_073_741_824,
  });
  requireInteger("endpoint", "pingIntervalMs", pingIntervalMs, { min: 10, max: 3_600_000 });
  return Object.freeze({
    ...DEFAULT_EDGE_SETTINGS,
    messageBytesMax,
    bufferedBytesMax,
    pingIntervalMs,
  });
}
