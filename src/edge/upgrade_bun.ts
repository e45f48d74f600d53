/**
 * Clients from `Bun.serve`, on sockets of Bun's own.
 *
 * @module
 */

import { resolveAll } from "../runtime/dns.ts";
import { toListenError } from "../runtime/listen_error.ts";
import { formatAddress } from "../runtime/tcp_address.ts";
import type { Admission, Admit, ClientRequest, EdgeSettings } from "./client_socket.ts";
import { EdgeTally } from "./edge_counters.ts";
import { BODY_BYTES_MAX } from "./limits.ts";
import type { EdgeListener, EdgeListenOptions, FetchHandler } from "./listener.ts";
import {
  BunClientSocket,
  type BunSocketData,
  type BunSocketOwner,
  type BunWebSocket,
} from "./upgrade_bun_socket.ts";
import {
  asksForWebSocket,
  checkHandshake,
  type HandshakeRequest,
  type Refusal,
} from "./websocket/handshake.ts";

/** What is used of the server that `Bun.serve` makes, by structure. */
export interface BunServer {
  /** The port bound. */
  readonly port?: number | undefined;
  /** The address bound. */
  readonly hostname?: string | undefined;
  /** Makes a WebSocket of a request. */
  upgrade(
    request: Request,
    options: { data: BunSocketData; headers?: Record<string, string> },
  ): boolean;
  /** Sets how long a request's connection may be silent, in seconds; 0 for ever. */
  timeout(request: Request, seconds: number): void;
  /** The client's address. */
  requestIP(request: Request): { readonly address: string } | null;
  /** Stops to accept. */
  stop(closeActiveConnections?: boolean): unknown;
}

/** The part of the options of `Bun.serve` that is about WebSockets. */
export interface BunWebSocketOptions {
  /** A socket opened. */
  open(socket: BunWebSocket): void;
  /** A message came. */
  message(socket: BunWebSocket, message: string | Uint8Array): void;
  /** A socket closed. */
  close(socket: BunWebSocket, code: number, reason: string): void;
  /** Largest message, in bytes. */
  readonly maxPayloadLength: number;
  /** Most bytes that may wait for a client that reads slowly. */
  readonly backpressureLimit: number;
  /** Whether Bun drops a client at that limit. It does not: it is told first. */
  readonly closeOnBackpressureLimit: boolean;
  /** After how much silence a client is dropped, in seconds. */
  readonly idleTimeout: number;
  /** Whether a client is pinged before that. */
  readonly sendPings: boolean;
  /** Whether messages may be compressed. */
  readonly perMessageDeflate: boolean;
}

/** What `Bun.serve` needs to serve clients. */
export interface BunHandlers {
  /**
   * Answers upgrades. Gives `undefined` for every other request, and for one that became a
   * WebSocket, whose response Bun ignores.
   */
  fetch(request: Request, server: BunServer): Response | undefined | Promise<Response | undefined>;
  /** Goes into the options as it is. */
  readonly websocket: BunWebSocketOptions;
}

interface BunServeOptions {
  readonly port: number;
  readonly hostname: string;
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly maxRequestBodySize: number;
  readonly idleTimeout: number;
  readonly development: boolean;
  readonly reusePort: boolean;
  fetch(request: Request, server: BunServer): Response | undefined | Promise<Response | undefined>;
  readonly websocket: BunWebSocketOptions;
}

interface BunRuntime {
  serve(options: BunServeOptions): BunServer;
}

const MILLIS_PER_SECOND = 1_000;
const BUN_IDLE_SECONDS_MAX = 960;
const BUN_REQUEST_SECONDS_MAX = 255;
const STOPPING: Refusal = { status: 503, reason: "The server stops" };

/**
 * Makes clients of requests to `Bun.serve`.
 *
 * Bun reads, pings and closes by itself, in steps of seconds: a client is pinged after
 * `pingIntervalMs`, rounded up, and has 4 to 16 seconds to answer, whatever `pongTimeoutMs` says.
 * `closeTimeoutMs` is Bun's own as well.
 */
export class BunUpgrades implements BunSocketOwner {
  /** How sockets behave. */
  readonly settings: EdgeSettings;
  /** What happened so far. */
  readonly counters: EdgeTally = new EdgeTally();
  /** What `Bun.serve` needs. */
  readonly handlers: BunHandlers;
  readonly #admit: Admit;
  readonly #sockets = new Set<BunClientSocket>();
  // Servers that take nobody any more, and when the last of their connections is gone.
  readonly #stopping = new Map<BunServer, Promise<unknown>>();
  // Who waits for the application to decide, and is not to wait any longer once it is closed.
  readonly #deciding = new Set<() => void>();
  // How long a connection that is no WebSocket may be silent.
  readonly #requestSeconds: number;
  #isClosed = false;

  /**
   * Makes a way in.
   *
   * @param settings How its sockets behave.
   * @param admit Judges each request that is a proper handshake.
   */
  constructor(settings: EdgeSettings, admit: Admit) {
    this.settings = settings;
    const requestSeconds = Math.ceil(settings.handshakeTimeoutMs / MILLIS_PER_SECOND);
    this.#requestSeconds = Math.min(BUN_REQUEST_SECONDS_MAX, requestSeconds);
    this.#admit = admit;
    this.handlers = {
      fetch: (request, server) => this.#fetch(request, server),
      websocket: createWebSocketOptions(settings),
    };
  }

  /** Number of clients that are connected. */
  get count(): number {
    return this.#sockets.size;
  }

  /** Number of clients that were closed because they did not read. */
  get slowConsumerCount(): number {
    return this.counters.slowConsumers;
  }

  /** Serves clients, and plain requests, on a port of its own. */
  listen(options: EdgeListenOptions): Promise<EdgeListener> {
    const { hostname, tls } = options;
    try {
      const server = bun().serve({
        port: options.port,
        hostname,
        ...(tls === undefined ? {} : { tls }),
        maxRequestBodySize: BODY_BYTES_MAX,
        idleTimeout: this.#requestSeconds,
        development: false,
        // Outside of development, Bun would share the port with whoever else asks for it.
        reusePort: false,
        fetch: (request, server) => this.#serve(request, server, options.fetch),
        websocket: this.handlers.websocket,
      });
      const close = (): Promise<void> => {
        return Promise.resolve(void this.#stopping.set(server, Promise.resolve(server.stop())));
      };
      const { port = options.port } = server;
      return Promise.resolve({ port, hostname: server.hostname ?? hostname, close });
    } catch (cause) {
      return fail(options, cause);
    }
  }

  /**
   * Closes all clients and refuses new ones, for good. What is connected to a listener that was
   * closed and does not end within `closeTimeoutMs`, such as a client that never sent its request,
   * is dropped.
   */
  async close(code: number, reason: string): Promise<void> {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.close(code, reason);
    for (const giveUp of this.#deciding) giveUp();
    await Promise.all(
      [...this.#stopping].map(([server, stopped]) => this.#expire(server, stopped)),
    );
  }

  /** A client is open. For its socket. */
  opened(socket: BunClientSocket): void {
    this.counters.accepted++;
    this.#sockets.add(socket);
  }

  /** A client is gone. For its socket. */
  gone(socket: BunClientSocket): void {
    this.#sockets.delete(socket);
  }

  async #serve(
    request: Request,
    server: BunServer,
    fetch: FetchHandler | undefined,
  ): Promise<Response | undefined> {
    if (isUpgrade(request)) return await this.#fetch(request, server);
    const whole = await readWhole(request);
    if (whole === undefined) return new Response("Bad request\n", { status: 400 });
    try {
      // The handler takes the time that it needs, and a connection that waits for more does not.
      server.timeout(request, 0);
      const answer = await fetch?.(whole);
      server.timeout(request, this.#requestSeconds);
      return answer ?? new Response("Not found\n", { status: 404 });
    } catch {
      server.timeout(request, this.#requestSeconds);
      // The client learns no more than that, and the counter tells the operator.
      this.counters.failures++;
      return new Response("Internal server error\n", { status: 500 });
    }
  }

  async #fetch(request: Request, server: BunServer): Promise<Response | undefined> {
    if (!isUpgrade(request)) return undefined;
    const verdict = checkHandshake(toHandshakeRequest(request), this.settings.protocols);
    if (!verdict.accepted) return this.#refuse(verdict.refusal);
    if (this.#isClosed) return this.#refuse(STOPPING);
    const admission = await this.#judge(new BunClientRequest(request, server));
    if (this.#isClosed) return this.#refuse(STOPPING);
    if (!("accept" in admission)) return this.#refuse(admission);
    const data = new BunClientSocket(this, admission.accept);
    const { protocol } = verdict;
    const headers = protocol === undefined ? undefined : { "Sec-WebSocket-Protocol": protocol };
    if (server.upgrade(request, headers === undefined ? { data } : { data, headers })) {
      return undefined;
    }
    return this.#refuse({ status: 400, reason: "The request is no WebSocket handshake" });
  }

  async #expire(server: BunServer, stopped: Promise<unknown>): Promise<void> {
    const isLate = await within(this.settings.closeTimeoutMs, stopped.then(() => false), true);
    if (isLate) server.stop(true);
  }

  async #judge(request: ClientRequest): Promise<Admission> {
    const late: Admission = { status: 503, reason: "The server took too long" };
    try {
      const admission = this.#admit(request);
      if (!(admission instanceof Promise)) return admission;
      return await within(this.settings.handshakeTimeoutMs, admission, late, this.#deciding);
    } catch {
      // The client is told that the server failed, and the counter tells the operator.
      this.counters.failures++;
      return { status: 500, reason: "The server failed" };
    }
  }

  #refuse(refusal: Refusal): Response {
    this.counters.refused++;
    const { status, reason, headers = {} } = refusal;
    const contentType = "text/plain; charset=utf-8";
    return new Response(`${reason}\n`, {
      status,
      headers: { ...headers, "Content-Type": contentType, "Connection": "close" },
    });
  }
}

/**
 * Gives what comes of `waiting`, or `late` when that takes too long, or is given up: `others` has
 * how to do so meanwhile.
 */
async function within<Value>(
  limitMs: number,
  waiting: Promise<Value>,
  late: Value,
  others: Set<() => void> = new Set(),
): Promise<Value> {
  let giveUp = (): void => {};
  const over = new Promise<Value>((resolve) => giveUp = () => resolve(late));
  const timer = setTimeout(giveUp, limitMs);
  others.add(giveUp);
  try {
    return await Promise.race([waiting, over]);
  } finally {
    clearTimeout(timer);
    others.delete(giveUp);
  }
}

class BunClientRequest implements ClientRequest {
  readonly url: string;
  readonly #request: Request;
  readonly #server: BunServer;

  constructor(request: Request, server: BunServer) {
    this.url = request.url;
    this.#request = request;
    this.#server = server;
  }

  get headers(): Headers {
    return this.#request.headers;
  }

  get remoteAddress(): string {
    return this.#server.requestIP(this.#request)?.address ?? "";
  }
}

function bun(): BunRuntime {
  const { Bun } = globalThis as unknown as { Bun?: BunRuntime };
  if (Bun === undefined) throw new Error("this is not Bun");
  return Bun;
}

// Bun takes a name without an address for a port that is in use.
async function fail({ hostname, port }: EdgeListenOptions, cause: unknown): Promise<never> {
  const action = `listen on ${formatAddress({ hostname, port })}`;
  throw toListenError(action, await resolveAll(hostname).then(() => cause, (error) => error));
}

// What comes in may not take for ever, and Bun has one limit for that and for the answer.
async function readWhole(request: Request): Promise<Request | undefined> {
  if (request.body === null) return request;
  const { url, method, headers } = request;
  try {
    return new Request(url, { method, headers, body: await request.arrayBuffer() });
  } catch {
    // The client went away in the middle of its request.
    return undefined;
  }
}

function isUpgrade(request: Request): boolean {
  return asksForWebSocket(request.headers.get("upgrade") ?? undefined);
}

// Bun tells no version of HTTP, and refuses by itself what lacks a Host.
function toHandshakeRequest(request: Request): HandshakeRequest {
  return {
    method: request.method,
    version: "1.1",
    header: (name) => request.headers.get(name) ?? undefined,
  };
}

function createWebSocketOptions(settings: EdgeSettings): BunWebSocketOptions {
  return {
    open: (socket) => socket.data.open(socket),
    message: (socket, message) => socket.data.receive(message),
    close: (socket, code, reason) => socket.data.closed(code, reason),
    maxPayloadLength: settings.messageBytesMax,
    // What goes beyond it in one flush is dropped, and the client with it: see `flush`.
    backpressureLimit: settings.bufferedBytesMax,
    closeOnBackpressureLimit: false,
    idleTimeout: idleSeconds(settings.pingIntervalMs),
    sendPings: true,
    perMessageDeflate: false,
  };
}

// Bun pings 4, 8 or 16 seconds before its time limit: the more, the longer the limit is.
function idleSeconds(pingIntervalMs: number): number {
  const pingSeconds = Math.ceil(pingIntervalMs / MILLIS_PER_SECOND);
  const marginSeconds = pingSeconds < 8 ? 4 : pingSeconds < 16 ? 8 : 16;
  return Math.min(BUN_IDLE_SECONDS_MAX, Math.max(8, pingSeconds + marginSeconds));
}
