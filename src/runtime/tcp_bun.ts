import { TcpError } from "../errors.ts";
import { limitConnect } from "./connect_limit.ts";
import type {
  Tcp,
  TcpAddress,
  TcpConnection,
  TcpConnectOptions,
  TcpHandler,
  TcpListener,
  TcpListenOptions,
  TcpOpen,
  TcpTls,
} from "./tcp.ts";
import { formatAddress } from "./tcp_address.ts";
import { toTcpError } from "./tcp_error.ts";
import { CLOSE_FLUSH_MS, CLOSE_WAIT_MS, KEEP_ALIVE_MS, TLS_HANDSHAKE_MS } from "./tcp_limits.ts";
import { WriteQueue } from "./write_queue.ts";

// Only what is used of Bun, written as structure: a published module must not
// declare globals, and the other runtimes have no types for this one.
interface BunSocket {
  data: BunConnection | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  write(bytes: Uint8Array): number;
  shutdown(): void;
  end(): void;
  terminate(): void;
  timeout(seconds: number): void;
  setNoDelay(noDelay: boolean): void;
  setKeepAlive(enable: boolean, delayMs: number): void;
}

interface BunHandlers {
  readonly binaryType: "uint8array";
  open(socket: BunSocket): void;
  handshake?(socket: BunSocket, success: boolean, error: Error | null): void;
  data(socket: BunSocket, chunk: Uint8Array): void;
  drain(socket: BunSocket): void;
  end(socket: BunSocket): void;
  error?(socket: BunSocket, error: Error): void;
  close(socket: BunSocket, error?: Error): void;
  connectError?(socket: BunSocket, error: Error): void;
}

interface BunTls {
  readonly rejectUnauthorized: boolean;
  readonly requestCert: boolean;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly serverName?: string | undefined;
}

type BunOptions =
  & ({ readonly hostname: string; readonly port: number } | { readonly unix: string })
  & { readonly allowHalfOpen: true; readonly tls?: BunTls; readonly socket: BunHandlers };

interface BunTcp {
  connect(options: BunOptions): Promise<BunSocket>;
  listen(options: BunOptions): { readonly port?: number; stop(closeActive: boolean): void };
}

const bun = (globalThis as unknown as { Bun: BunTcp }).Bun;

/** What becomes of a socket before it is a connection. */
interface Arrival {
  connected(connection: BunConnection): void;
  ready(connection: BunConnection): void;
  failed(error: unknown, connection?: BunConnection): void;
}

/** TCP on Bun. */
export const tcp: Tcp = {
  connect(address: TcpAddress, options: TcpConnectOptions, open: TcpOpen): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const action = `connect to ${formatAddress(address)}`;
      let connection: BunConnection | undefined;
      let settled = false;
      const settle = (): void => {
        settled = true;
        lift();
      };
      const failed = (error: unknown): void => {
        // What comes first is why: to destroy the socket is to hear of a failed handshake.
        if (settled) return;
        settle();
        reject(toTcpError(action, error, options.tls === undefined ? "failed" : "tls_failed"));
        connection?.destroy();
      };
      const lift = limitConnect(action, options, failed);
      dial(address, options.tls, {
        failed,
        connected: (arrived) => {
          connection = arrived;
          // Bun cannot take back a dial: one that comes through all the same ends here.
          if (settled) connection.destroy();
        },
        ready: (arrived) => {
          if (settled) return;
          settle();
          arrived.start(open);
          resolve();
        },
      }).catch(failed);
    });
  },

  async listen(
    address: TcpAddress,
    options: TcpListenOptions,
    open: TcpOpen,
  ): Promise<TcpListener> {
    const greeting = new Set<BunConnection>();
    const arrival: Arrival = {
      connected: (connection) => {
        if (options.tls === undefined) return;
        greeting.add(connection);
        connection.limitHandshake();
      },
      ready: (connection) => {
        greeting.delete(connection);
        connection.start(open);
      },
      // A client that does not get through is no news.
      failed: (_error, connection) => {
        if (connection !== undefined) greeting.delete(connection);
      },
    };
    try {
      const server = bun.listen(bunOptions(address, options.tls, arrival, "server"));
      return await Promise.resolve({
        port: server.port ?? 0,
        close: () => {
          server.stop(false);
          for (const connection of greeting) connection.destroy();
          return Promise.resolve();
        },
      });
    } catch (error) {
      const fallback = options.tls === undefined ? "failed" : "tls_failed";
      throw toTcpError(`listen on ${formatAddress(address)}`, error, fallback);
    }
  },
};

// Bun throws at once where the certificates are bad: as a rejection it is one failure among others.
async function dial(
  address: TcpAddress,
  tls: TcpTls | undefined,
  arrival: Arrival,
): Promise<void> {
  await bun.connect(bunOptions(address, tls, arrival, "client"));
}

type Role = "client" | "server";

function bunOptions(
  address: TcpAddress,
  tls: TcpTls | undefined,
  arrival: Arrival,
  role: Role,
): BunOptions {
  const target = "path" in address ? { unix: address.path } : address;
  if (tls === undefined) {
    return { ...target, allowHalfOpen: true, socket: plainHandlers(arrival) };
  }
  const { requireClientCert: requestCert = false, ...certificates } = tls;
  const socket = tlsHandlers(arrival, role === "client" || requestCert);
  const bunTls = { ...certificates, requestCert, rejectUnauthorized: true };
  return { ...target, allowHalfOpen: true, tls: bunTls, socket };
}

function plainHandlers(arrival: Arrival): BunHandlers {
  return {
    binaryType: "uint8array",
    open: (socket) => {
      socket.data = new BunConnection(socket, false);
      arrival.connected(socket.data);
      arrival.ready(socket.data);
    },
    data: (socket, chunk) => socket.data?.receive(chunk),
    drain: (socket) => socket.data?.flush(),
    end: (socket) => socket.data?.receiveEnd(),
    close: (socket, error) => socket.data?.end(error),
    connectError: (_socket, error) => arrival.failed(error),
  };
}

function tlsHandlers(arrival: Arrival, verifyPeer: boolean): BunHandlers {
  return {
    ...plainHandlers(arrival),
    open: (socket) => {
      socket.data = new BunConnection(socket, true);
      arrival.connected(socket.data);
    },
    // Bun also names an error for a client that was not asked for a certificate.
    handshake: (socket, success, error) => {
      if (success && (error === null || !verifyPeer)) return arrival.ready(socket.data!);
      arrival.failed(error, socket.data);
      socket.data!.destroy();
    },
    error: (socket, error) => socket.data?.fail(error),
    close: (socket, error) => {
      if (socket.data?.started === false) {
        const cause = error ?? new TcpError("reset", "Cannot finish TLS handshake: peer closed");
        arrival.failed(cause, socket.data);
      }
      socket.data?.end(error);
    },
  };
}

class BunConnection implements TcpConnection {
  readonly remoteAddress: string;
  readonly #socket: BunSocket;
  readonly #secure: boolean;
  #handler: TcpHandler | undefined;
  #queue: WriteQueue | undefined;
  #state: "open" | "shut" | "closing" | "over" = "open";
  #sentEnd = false;
  #receivedEnd = false;
  #cause: unknown;
  #limit: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: BunSocket, secure: boolean) {
    this.#socket = socket;
    this.#secure = secure;
    const { remoteAddress: hostname, remotePort: port } = socket;
    this.remoteAddress = hostname === undefined || port === undefined
      ? ""
      : formatAddress({ hostname, port });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    // Bun's own limit for silence is 120 s.
    socket.timeout(0);
  }

  /** Whether there is a handler. */
  get started(): boolean {
    return this.#handler !== undefined;
  }

  get queuedBytes(): number {
    return this.#queue?.byteLength ?? 0;
  }

  /** Gives up unless {@linkcode BunConnection.start} is called in time. */
  limitHandshake(): void {
    this.#limit = setTimeout(() => this.destroy(), TLS_HANDSHAKE_MS);
  }

  /** Asks for the handler. */
  start(open: TcpOpen): void {
    clearTimeout(this.#limit);
    this.#handler = open(this);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== "open" || bytes.length === 0) return this.#queue === undefined;
    if (this.#queue === undefined) {
      const taken = this.#socket.write(bytes);
      // All of it, or -1 from a socket whose end is about to be reported.
      if (taken === bytes.length || taken < 0) return true;
      this.#queue = new WriteQueue();
      bytes = taken === 0 ? bytes : bytes.subarray(taken);
    }
    this.#queue.push(bytes);
    return false;
  }

  shutdown(): void {
    if (this.#state !== "open") return;
    this.#state = "shut";
    if (this.#queue === undefined) this.#sendEnd();
  }

  close(): void {
    if (this.#state === "closing" || this.#state === "over") return;
    this.#state = "closing";
    this.#limit = setTimeout(() => this.destroy(), CLOSE_FLUSH_MS);
    if (this.#queue === undefined) this.#sendEnd();
  }

  destroy(): void {
    if (this.#state === "over") return;
    this.#state = "closing";
    // Over TLS an end waits until the peer has read it; without, a reset would cost the peer what
    // the system has already taken.
    if (this.#secure) this.#socket.terminate();
    else this.#socket.end();
  }

  /** Bytes came in. */
  receive(chunk: Uint8Array): void {
    if (this.#state !== "closing") this.#handler?.data(chunk);
  }

  /** The peer sends no more. */
  receiveEnd(): void {
    if (this.#receivedEnd) return;
    this.#receivedEnd = true;
    if (this.#state === "closing") {
      if (this.#sentEnd) this.#socket.end();
    } else if (this.#handler?.eof === undefined) this.close();
    else this.#handler.eof();
  }

  /** The system takes bytes again. */
  flush(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    for (let head = queue.head; head !== undefined; head = queue.head) {
      const taken = this.#socket.write(head);
      if (taken < 0) return;
      queue.advance(taken);
      if (taken < head.length) return;
    }
    this.#queue = undefined;
    if (this.#state === "open") this.#handler?.drain?.();
    else this.#sendEnd();
  }

  /** The connection is broken; {@linkcode BunConnection.end} follows. */
  fail(cause: unknown): void {
    this.#cause = cause;
  }

  /** The socket is gone. Bun may say so inside a call of a method, so the handler hears it later. */
  end(cause: unknown = this.#cause): void {
    const broken = this.#state !== "closing" && cause !== undefined;
    const action = `keep the connection with ${this.remoteAddress}`;
    this.#cause = broken ? toTcpError(action, cause, "failed") : undefined;
    // Bun leaves out the peer's end where this side has ended before.
    const unheardEnd = this.#state === "shut" && !broken && !this.#receivedEnd;
    this.#state = "over";
    this.#queue = undefined;
    clearTimeout(this.#limit);
    queueMicrotask(() => this.#report(unheardEnd));
  }

  #report(unheardEnd: boolean): void {
    if (unheardEnd) this.#handler?.eof?.();
    this.#handler?.end(this.#cause);
  }

  #sendEnd(): void {
    if (this.#receivedEnd) return this.#socket.end();
    if (!this.#sentEnd) this.#socket.shutdown();
    this.#sentEnd = true;
    if (this.#state !== "closing") return;
    clearTimeout(this.#limit);
    this.#limit = setTimeout(() => this.destroy(), CLOSE_WAIT_MS);
  }
}
