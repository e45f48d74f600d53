import { createConnection, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { assertCertificate } from "./certificate.ts";
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
import { createTlsServer, type SocketServer } from "./tls_server.ts";

/** TCP on Node, and TLS on every runtime whose own TLS cannot do all that the contract asks. */
export const tcp: Tcp = {
  connect(address: TcpAddress, options: TcpConnectOptions, open: TcpOpen): Promise<void> {
    const action = `connect to ${formatAddress(address)}`;
    const fallback = options.tls === undefined ? "failed" : "tls_failed";
    return new Promise<void>((resolve, reject) => {
      const socket = dial(address, options.tls);
      const lift = limitConnect(action, options, (error) => socket.destroy(error));
      socket.once("close", lift);
      socket.once("error", reject);
      socket.once(options.tls === undefined ? "connect" : "secureConnect", () => {
        lift();
        socket.removeAllListeners("error");
        attach(socket, open);
        resolve();
      });
    }).catch((error: unknown) => {
      throw toTcpError(action, error, fallback);
    });
  },

  listen(address: TcpAddress, options: TcpListenOptions, open: TcpOpen): Promise<TcpListener> {
    const fallback = options.tls === undefined ? "failed" : "tls_failed";
    return new Promise<TcpListener>((resolve, reject) => {
      const { server, close } = serve(options.tls, open);
      server.once("error", reject);
      server.listen(target(address), () => {
        // What goes wrong with one client, such as a want of file descriptors, must not end all.
        server.off("error", reject).on("error", () => {});
        resolve(new NodeListener(server, close));
      });
    }).catch((error: unknown) => {
      throw toTcpError(`listen on ${formatAddress(address)}`, error, fallback);
    });
  },
};

function target(address: TcpAddress): { host: string; port: number } | { path: string } {
  return "path" in address
    ? { path: address.path }
    : { host: address.hostname, port: address.port };
}

const COMMON = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_MS,
} as const;

function dial(address: TcpAddress, tls: TcpTls | undefined): Socket {
  if (tls === undefined) return createConnection({ ...COMMON, ...target(address) });
  const { ca, cert, key, serverName } = tls;
  if (cert !== undefined) assertCertificate(tls);
  const name = serverName === undefined ? {} : { servername: serverName };
  return connectTls({
    ...COMMON,
    ...target(address),
    ...name,
    ca,
    cert,
    key,
    rejectUnauthorized: true,
  });
}

function serve(tls: TcpTls | undefined, open: TcpOpen): SocketServer {
  if (tls === undefined) {
    const server = createServer(COMMON, (socket) => attach(socket, open));
    return { server, close: () => void server.close() };
  }
  const { ca, cert, key, requireClientCert = false } = tls;
  assertCertificate(tls);
  return createTlsServer({
    ...COMMON,
    // Until the handshake is done: a client that ends in its midst must not stay half open.
    allowHalfOpen: false,
    ca,
    cert,
    key,
    requestCert: requireClientCert,
    rejectUnauthorized: requireClientCert,
    handshakeTimeout: TLS_HANDSHAKE_MS,
  }, (socket) => attach(socket, open));
}

class NodeListener implements TcpListener {
  readonly port: number;
  readonly #close: () => void;

  constructor(server: Server, close: () => void) {
    const bound = server.address();
    this.port = bound !== null && typeof bound === "object" ? bound.port : 0;
    this.#close = close;
  }

  close(): Promise<void> {
    // The server's callback would wait for the connections, which stay open; the port is free.
    this.#close();
    return Promise.resolve();
  }
}

// The listeners find their connection on the socket: functions of the module in place of five
// closures a connection.
const CONNECTION: unique symbol = Symbol("connection");

interface Attached extends Socket {
  [CONNECTION]: NodeConnection;
}

function attach(socket: Socket, open: TcpOpen): void {
  const connection = new NodeConnection(socket);
  (socket as Attached)[CONNECTION] = connection;
  // A TLS socket does not heed the options of the same name; for the others this is no call.
  socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
  socket.allowHalfOpen = true;
  socket.on("error", onError);
  connection.handler = open(connection);
  socket.on("data", onData).on("end", onEnd).on("close", onClose);
}

function onData(this: Socket, chunk: Uint8Array): void {
  (this as Attached)[CONNECTION].receive(chunk);
}

function onEnd(this: Socket): void {
  (this as Attached)[CONNECTION].receiveEnd();
}

function onError(this: Socket, error: Error): void {
  (this as Attached)[CONNECTION].fail(error);
}

function onClose(this: Socket): void {
  (this as Attached)[CONNECTION].end();
}

class NodeConnection implements TcpConnection {
  readonly remoteAddress: string;
  handler: TcpHandler | undefined;
  readonly #socket: Socket;
  #state: "open" | "shut" | "closing" | "over" = "open";
  #blocked = false;
  #cause: Error | undefined;
  #limit: ReturnType<typeof setTimeout> | undefined;
  #written: ((error?: Error | null) => void) | undefined;

  constructor(socket: Socket) {
    const { remoteAddress, remotePort } = socket;
    this.#socket = socket;
    this.remoteAddress = remoteAddress === undefined || remotePort === undefined
      ? ""
      : formatAddress({ hostname: remoteAddress, port: remotePort });
  }

  get queuedBytes(): number {
    return this.#socket.destroyed ? 0 : this.#socket.writableLength;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== "open" || !this.#socket.writable) return true;
    this.#written ??= (error) => this.#onWritten(error);
    this.#socket.write(bytes, this.#written);
    this.#blocked = this.#socket.writableLength > 0;
    return !this.#blocked;
  }

  shutdown(): void {
    if (this.#state !== "open") return;
    this.#state = "shut";
    this.#socket.end();
  }

  close(): void {
    if (this.#state === "closing" || this.#state === "over") return;
    this.#state = "closing";
    this.#limit = setTimeout(() => this.destroy(), CLOSE_FLUSH_MS);
    // The callback also runs when the socket was shut down before.
    this.#socket.end(() => this.#limitWait());
  }

  destroy(): void {
    if (this.#state === "over") return;
    this.#state = "closing";
    this.#socket.destroy();
  }

  /** Bytes came in. What comes after `close` is read, so that the peer gets rid of it, and dropped. */
  receive(chunk: Uint8Array): void {
    if (this.#state === "closing") return;
    // Not a `Buffer`, whose `slice` does not copy: the same class on every runtime.
    this.handler!.data(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  }

  /** The peer sends no more. */
  receiveEnd(): void {
    if (this.#state === "closing" || this.#cause !== undefined) return;
    if (this.handler!.eof === undefined) this.close();
    else this.handler!.eof();
  }

  /** The connection is broken; {@linkcode NodeConnection.end} follows. */
  fail(cause: Error): void {
    this.#cause ??= cause;
    // Where both sides may end apart, an error does not always end the socket by itself.
    this.#socket.destroy();
  }

  /** The socket is gone. */
  end(): void {
    const ours = this.#state === "closing" || this.#cause === undefined;
    this.#state = "over";
    clearTimeout(this.#limit);
    const action = `keep the connection with ${this.remoteAddress}`;
    this.handler!.end(ours ? undefined : toTcpError(action, this.#cause, "failed"));
  }

  #onWritten(error: Error | null | undefined): void {
    if (!this.#blocked || error || this.#socket.writableLength > 0) return;
    this.#blocked = false;
    if (this.#state === "open" || this.#state === "shut") this.handler!.drain?.();
  }

  #limitWait(): void {
    clearTimeout(this.#limit);
    if (this.#state === "closing") this.#limit = setTimeout(() => this.destroy(), CLOSE_WAIT_MS);
  }
}
