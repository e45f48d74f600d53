import type { ChannelCore, Subscriber } from "./channel_core.ts";
import { coreOf } from "./channels.ts";
import { Client, type ClientOwner } from "./client_connection.ts";
import type { CancelTimer } from "./core/clock.ts";
import { BROADCAST_CHANNEL } from "./core/message.ts";
import { acceptSocket, type WebSocketLike } from "./edge/accept.ts";
import type {
  Admission,
  ClientHandler,
  ClientRequest,
  ClientSocket,
  EdgeSettings,
} from "./edge/client_socket.ts";
import { EdgeTally } from "./edge/edge_counters.ts";
import type { EdgeListener, EdgeListenOptions, FetchHandler } from "./edge/listener.ts";
import type { BunHandlers, BunUpgrades } from "./edge/upgrade_bun.ts";
import type { NodeUpgradeArguments, NodeUpgrades } from "./edge/upgrade_node.ts";
import {
  type EndpointOptions,
  requireEndpointOptions,
  resolveEdgeSettings,
  resolveSessionSettings,
} from "./endpoint_options.ts";
import { ClusterError } from "./errors.ts";
import { FaultEvent, TypedEventTarget } from "./events.ts";
import { presenceCoreOf } from "./presence.ts";
import type { SessionSettings } from "./protocol/session_settings.ts";
import { isBun } from "./runtime/runtime_name.ts";

/** The events of an {@linkcode Endpoint}. */
export interface EndpointEvents extends Readonly<Record<string, Event>> {
  /** The application's code failed and was dealt with: a hook or `fetch` that threw. */
  readonly fault: FaultEvent;
}

/** A snapshot of counters and gauges. Counters only grow. */
export interface EndpointStats {
  /** Clients that are connected. */
  readonly connected: number;
  /** Clients that were let in. */
  readonly accepted: number;
  /** Clients that were refused by `authenticate` or `authenticateToken`. */
  readonly refused: number;
  /** Requests to upgrade that were answered with an HTTP error, whoever refused them. */
  readonly upgradesRefused: number;
  /** Clients whose connection is over, by close code. */
  readonly closed: Readonly<Record<number, number>>;
  /** Clients that were closed because they did not read. */
  readonly slowConsumers: number;
  /** Clients that were closed because they broke the rules or the limits of WebSocket. */
  readonly protocolErrors: number;
  /** Clients that were dropped because they answered no ping. */
  readonly unanswered: number;
  /** Messages that were not looked at, as their client sent too many: see `messagesPerSecondMax`. */
  readonly rateLimited: number;
  /** Calls of the application's code that failed: of hooks and of `fetch`. */
  readonly failures: number;
}

const SWEEP_MS = 1_000;
const GOING_AWAY = 1001;
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
  readonly #deferFlush: () => void;
  #dirty: Client[] = [];
  #isFlushDue = false;
  #cancelSweep: CancelTimer | undefined;
  #nodeUpgrades: NodeUpgrades | Promise<NodeUpgrades> | undefined;
  #bunUpgrades: BunUpgrades | undefined;
  // What happens to sockets that are handed in open. The other ways in count by themselves.
  readonly #tally = new EdgeTally();
  #accepted = 0;
  #refused = 0;
  #rateLimited = 0;
  #failures = 0;
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
    requireEndpointOptions(options);
    this.#options = options;
    this.#core = coreOf(options.channels);
    this.#sessionSettings = resolveSessionSettings(options);
    this.#edgeSettings = resolveEdgeSettings(options);
    this.#owner = this.#createOwner();
    this.#flush = () => this.#flushAll();
    this.#deferFlush = () => this.#core.clock.defer(this.#flush);
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
    const { fetch } = options;
    const listener = await upgrades.listen(
      fetch === undefined
        ? options
        : { ...options, fetch: (request) => this.#fetch(fetch, request) },
    );
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
    const open = (client: ClientSocket): ClientHandler => {
      const handler = this.#open(client, identity);
      if (this.#isStopping) client.close(GOING_AWAY, STOPPED);
      return handler;
    };
    acceptSocket(socket, this.#edgeSettings, open, { counters: this.#tally });
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
      upgradesRefused: this.#count("refused"),
      slowConsumers: this.#count("slowConsumers"),
      protocolErrors: this.#count("protocolErrors"),
      unanswered: this.#count("unanswered"),
      rateLimited: this.#rateLimited,
      failures: this.#failures,
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

  #count(what: keyof EdgeTally): number {
    const ways = [this.#nodeUpgrades, this.#bunUpgrades];
    let count = this.#tally[what];
    for (const way of ways) if (way !== undefined && "counters" in way) count += way.counters[what];
    return count;
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
    this.#core.unsubscribe(BROADCAST_CHANNEL, this.#broadcasts);
  }

  #createOwner(): ClientOwner {
    return {
      core: this.#core,
      presence: this.#options.presence && presenceCoreOf(this.#options.presence),
      sessionSettings: this.#sessionSettings,
      soil: (client) => this.#soil(client),
      authorize: (client, { action, channel }) => {
        const { authorize } = this.#options;
        return authorize === undefined || authorize(action, channel, client.identity);
      },
      authenticate: (client, token) => this.#authenticateToken(client, token),
      limited: (count) => void (this.#rateLimited += count),
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
      const identity = await authenticate(request);
      if (isIdentity(identity)) return this.#letIn(identity);
    } catch (error) {
      this.#report(error);
    }
    this.#refused++;
    return { status: 401, reason: "Unauthorized" };
  }

  #letIn(identity: unknown): Admission {
    if (this.#isStopping) return { status: 503, reason: STOPPED };
    return { accept: (socket) => this.#open(socket, identity) };
  }

  async #authenticateToken(client: Client, token: string): Promise<boolean> {
    const identity = await this.#options.authenticateToken?.(token, client.identity);
    if (isIdentity(identity)) client.identity = identity;
    else this.#refused++;
    return isIdentity(identity);
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

  // Clients are written to behind all else that the tick sends: so other nodes, which have a single
  // write each, get on with their own clients meanwhile.
  #soil(client: Client): void {
    client.isDirty = true;
    this.#dirty.push(client);
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#core.clock.defer(this.#deferFlush);
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

  async #fetch(fetch: FetchHandler, request: Request): Promise<Response | undefined> {
    try {
      return await fetch(request);
    } catch (error) {
      this.#report(error);
      throw error;
    }
  }

  #report(error: unknown): void {
    this.#failures++;
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

// A hook that comes to its end without a word has not said who it is.
function isIdentity(identity: unknown): boolean {
  return identity !== false && identity !== undefined && identity !== null;
}

function ignore(): void {}
