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
} from "./tcp.ts";
import { formatAddress } from "./tcp_address.ts";
import { toTcpError } from "./tcp_error.ts";
import { CLOSE_FLUSH_MS, CLOSE_WAIT_MS } from "./tcp_limits.ts";
import { WriteQueue } from "./write_queue.ts";

/** What one read takes at most, in bytes. */
const READ_BYTES = 64 * 1024;

/** Pause after an accept that failed, in ms, so that a want of file descriptors is no busy loop. */
const ACCEPT_PAUSE_MS = 50;

type DenoSocket = Deno.TcpConn | Deno.UnixConn;
type DenoServer = Deno.TcpListener | Deno.UnixListener;

/**
 * TCP on Deno; TLS through `node:tls`, because Deno's own cannot turn Nagle off, ask a client for
 * a certificate, or trust an authority in place of the system's.
 */
export const tcp: Tcp = {
  async connect(address: TcpAddress, options: TcpConnectOptions, open: TcpOpen): Promise<void> {
    if (options.tls !== undefined) return (await loadTls()).connect(address, options, open);
    const socket = await dial(address, options);
    new DenoConnection(socket).start(open);
  },

  async listen(
    address: TcpAddress,
    options: TcpListenOptions,
    open: TcpOpen,
  ): Promise<TcpListener> {
    if (options.tls !== undefined) return (await loadTls()).listen(address, options, open);
    try {
      return new DenoListener(bind(address), open);
    } catch (error) {
      throw toTcpError(`listen on ${formatAddress(address)}`, error, "failed");
    }
  },
};

async function loadTls(): Promise<Tcp> {
  return (await import("./tcp_node.ts")).tcp;
}

async function dial(address: TcpAddress, options: TcpConnectOptions): Promise<DenoSocket> {
  const action = `connect to ${formatAddress(address)}`;
  const abort = new AbortController();
  const lift = limitConnect(action, options, (error) => abort.abort(error));
  try {
    if ("path" in address) return await Deno.connect({ transport: "unix", path: address.path });
    const { hostname, port } = address;
    return await Deno.connect({ hostname, port, signal: abort.signal });
  } catch (error) {
    throw toTcpError(action, error, "failed");
  } finally {
    lift();
  }
}

function bind(address: TcpAddress): DenoServer {
  return "path" in address
    ? Deno.listen({ transport: "unix", path: address.path })
    : Deno.listen({ hostname: address.hostname, port: address.port });
}

class DenoListener implements TcpListener {
  readonly port: number;
  readonly #server: DenoServer;
  readonly #accepting: Promise<void>;
  #closed = false;

  constructor(server: DenoServer, open: TcpOpen) {
    this.#server = server;
    this.port = "port" in server.addr ? server.addr.port : 0;
    this.#accepting = this.#acceptAll(open);
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#server.close();
    }
    // The port is free when the accept that waits has ended.
    return this.#accepting;
  }

  async #acceptAll(open: TcpOpen): Promise<void> {
    while (!this.#closed) {
      const socket = await this.#accept();
      if (socket !== undefined) new DenoConnection(socket).start(open);
    }
  }

  async #accept(): Promise<DenoSocket | undefined> {
    try {
      return await this.#server.accept();
    } catch {
      // Closed, or a client that was gone before it was accepted, or no file descriptor left.
      if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      return undefined;
    }
  }
}

class DenoConnection implements TcpConnection {
  readonly remoteAddress: string;
  readonly #socket: DenoSocket;
  readonly #queue = new WriteQueue();
  #handler: TcpHandler | undefined;
  #state: "open" | "shut" | "closing" | "over" = "open";
  #writing = false;
  #sentEnd = false;
  #receivedEnd = false;
  #cause: unknown;
  #limit: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: DenoSocket) {
    this.#socket = socket;
    const { remoteAddr } = socket;
    this.remoteAddress = "port" in remoteAddr ? formatAddress(remoteAddr) : "";
    if (!("setNoDelay" in socket)) return;
    socket.setNoDelay(true);
    socket.setKeepAlive(true);
  }

  /** Asks for the handler, and reads until the peer's end. */
  start(open: TcpOpen): void {
    this.#handler = open(this);
    void this.#readAll();
  }

  get queuedBytes(): number {
    return this.#queue.byteLength;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== "open" || bytes.length === 0) return this.#queue.byteLength === 0;
    this.#queue.push(bytes);
    if (!this.#writing) void this.#flush();
    return false;
  }

  shutdown(): void {
    if (this.#state !== "open") return;
    this.#state = "shut";
    if (!this.#writing) void this.#sendEnd();
  }

  close(): void {
    if (this.#state === "closing" || this.#state === "over") return;
    this.#state = "closing";
    this.#limit = setTimeout(() => this.destroy(), CLOSE_FLUSH_MS);
    if (!this.#writing) void this.#sendEnd();
  }

  destroy(): void {
    if (this.#state === "over") return;
    this.#state = "closing";
    this.#end();
  }

  async #readAll(): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    for (;;) {
      let count: number | null;
      try {
        count = await this.#socket.read(buffer);
      } catch (error) {
        this.#cause = error;
        return this.#end();
      }
      if (count === null) return this.#receiveEnd();
      // Copied, because the handler keeps the bytes and the buffer is used again.
      if (this.#state === "open" || this.#state === "shut") {
        this.#handler!.data(buffer.slice(0, count));
      }
    }
  }

  #receiveEnd(): void {
    this.#receivedEnd = true;
    if (this.#cause === undefined && this.#state !== "closing" && this.#state !== "over") {
      if (this.#handler!.eof === undefined) this.close();
      else this.#handler!.eof();
    }
    if (this.#sentEnd) this.#end();
  }

  // One write at a time: Deno takes a part of the bytes and says how many.
  async #flush(): Promise<void> {
    this.#writing = true;
    try {
      for (let head = this.#queue.head; head !== undefined; head = this.#queue.head) {
        const count = await this.#socket.write(head);
        if (this.#queue.head !== undefined) this.#queue.advance(count);
      }
    } catch (error) {
      return this.#breakOff(error);
    }
    this.#writing = false;
    if (this.#state === "open") this.#handler!.drain?.();
    else if (this.#state !== "over") void this.#sendEnd();
  }

  // Nothing more can be sent. What the peer sent before can still be read, and then comes the end.
  #breakOff(cause: unknown): void {
    if (this.#state === "over") return;
    this.#cause = cause;
    this.#queue.clear();
    if (this.#state === "open") this.#state = "shut";
    this.#sentEnd = true;
    if (this.#receivedEnd) this.#end();
  }

  async #sendEnd(): Promise<void> {
    try {
      if (!this.#sentEnd) await this.#socket.closeWrite();
    } catch {
      // The reader finds the same broken socket, and reports it.
    }
    this.#sentEnd = true;
    if (this.#receivedEnd) return this.#end();
    if (this.#state !== "closing") return;
    clearTimeout(this.#limit);
    this.#limit = setTimeout(() => this.destroy(), CLOSE_WAIT_MS);
  }

  #end(): void {
    if (this.#state === "over") return;
    const broken = this.#state !== "closing" && this.#cause !== undefined;
    const action = `keep the connection with ${this.remoteAddress}`;
    const cause = broken ? toTcpError(action, this.#cause, "failed") : undefined;
    this.#state = "over";
    this.#queue.clear();
    clearTimeout(this.#limit);
    this.#socket.close();
    queueMicrotask(() => this.#handler!.end(cause));
  }
}
