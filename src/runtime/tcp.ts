/**
 * The TCP contract: all that this library needs of a runtime's sockets.
 *
 * One suite (`tests/contract/tcp_contract.ts`) holds every adapter to it.
 *
 * @module
 */

/** A place to connect to or listen on: a host and port, or the path of a Unix socket. */
export type TcpAddress =
  | { readonly hostname: string; readonly port: number }
  | { readonly path: string };

/** Certificates and keys, as PEM text. */
export interface TcpTls {
  /** This side's certificate chain. A listener needs one; a client may show one. */
  readonly cert?: string | undefined;
  /** The private key of `cert`. */
  readonly key?: string | undefined;
  /** Authorities to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** The name to verify in the peer's certificate. Default: the host dialled. */
  readonly serverName?: string | undefined;
  /** For a listener: refuse clients without a certificate signed by `ca`. Not on every runtime. */
  readonly requireClientCert?: boolean | undefined;
}

/** How to connect. */
export interface TcpConnectOptions {
  /** Time limit for the connection and its TLS handshake, in ms. */
  readonly timeoutMs: number;
  /**
   * Takes the attempt back when it aborts. Ignored once the connection is open. On Bun the system
   * goes on trying unheard, for two minutes at the most, and that keeps the process alive.
   */
  readonly signal?: AbortSignal | undefined;
  /** Speak TLS. */
  readonly tls?: TcpTls | undefined;
}

/** How to listen. */
export interface TcpListenOptions {
  /** Speak TLS. */
  readonly tls?: TcpTls | undefined;
}

/**
 * What a connection reports, in order. Its methods MUST NOT throw.
 *
 * An adapter MUST NOT call any of them before `open` returned the handler, nor after `end`.
 */
export interface TcpHandler {
  /** Some bytes came in. The handler owns them: the adapter MUST NOT touch them again. */
  data(chunk: Uint8Array): void;
  /**
   * The peer sends no more (FIN), after its last byte; this side may still write. Without this
   * method the adapter closes the connection, after what is queued.
   */
  eof?(): void;
  /** All that was queued has been handed to the system, after `write` returned `false`. */
  drain?(): void;
  /**
   * The connection is over: the last call, exactly once, whoever ended it. `cause` is a
   * `TcpError` when it broke, and `undefined` when both sides closed in order or this side
   * called `close` or `destroy`.
   */
  end(cause?: unknown): void;
}

/** One TCP connection, the same on every runtime. No Nagle; keep-alive on. */
export interface TcpConnection {
  /** The peer, as `"127.0.0.1:5410"` or `"[::1]:5410"`; empty for a Unix socket. */
  readonly remoteAddress: string;
  /** Bytes accepted by `write` that the system has not taken yet. */
  readonly queuedBytes: number;
  /**
   * Sends bytes, in order, and returns at once. The adapter owns them from now on, and MUST NOT
   * copy them if the system takes them at once. Ignored after `close` or `destroy`.
   *
   * @returns Whether the queue is empty again. If `false`, `drain` follows.
   */
  write(bytes: Uint8Array): boolean;
  /** Sends what is queued, then FIN; `data` still comes. Safe to call again. */
  shutdown(): void;
  /** Sends what is queued, then closes in order. Safe to call again. */
  close(): void;
  /** Closes now and drops what is queued. Safe to call again, and after `close`. */
  destroy(): void;
}

/** Gives a new connection its handler, before its first byte. It may write or close at once. */
export type TcpOpen = (connection: TcpConnection) => TcpHandler;

/** A bound port. */
export interface TcpListener {
  /** The port bound, which differs from the one asked for when that was 0. 0 for a Unix socket. */
  readonly port: number;
  /**
   * Stops accepting and frees the port. Connections already open stay open, and clients that are
   * in their TLS handshake are dropped. Safe to call again.
   */
  close(): Promise<void>;
}

/** All that this library needs of a runtime's TCP. */
export interface Tcp {
  /**
   * Opens a connection. Resolves after `open` was called.
   *
   * Rejects with a `TcpError` when it cannot connect, never later than the time limit, and at
   * once when it is taken back.
   */
  connect(address: TcpAddress, options: TcpConnectOptions, open: TcpOpen): Promise<void>;
  /**
   * Accepts connections until the listener is closed. A client that fails its TLS handshake is
   * dropped and does not end the listener. Rejects with a `TcpError` when it cannot bind.
   */
  listen(address: TcpAddress, options: TcpListenOptions, open: TcpOpen): Promise<TcpListener>;
}
