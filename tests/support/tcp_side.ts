import { Buffer } from "node:buffer";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type {
  Tcp,
  TcpConnection,
  TcpHandler,
  TcpListener,
  TcpOpen,
  TcpTls,
} from "../../src/runtime/tcp.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };

/** A promise that is settled from outside. */
export class Signal<Value = void> {
  /** Settles with the first value given. */
  readonly promise: Promise<Value>;
  #give!: (value: Value) => void;

  constructor() {
    this.promise = new Promise((resolve) => this.#give = resolve);
  }

  /** Settles the promise, unless it is settled. */
  give(value: Value): void {
    this.#give(value);
  }
}

/** What one side of a connection does when something happens. */
export interface Conduct {
  /** In place of the handler, before anything happened. */
  open?(side: Side): void;
  /** Some bytes came in. */
  data?(side: Side, chunk: Uint8Array): void;
  /** The peer sends no more. Left out, the adapter closes. */
  eof?(side: Side): void;
  /** The queue is empty again. */
  drain?(side: Side): void;
  /** It is over. */
  end?(side: Side): void;
}

/** One side of a connection under test: does as told, and takes down what it hears, in order. */
export class Side implements TcpHandler {
  /** The connection. */
  readonly connection: TcpConnection;
  /** What was reported, in order; several `data` in a row count as one. */
  readonly heard: string[] = [];
  /** Everything received. */
  readonly chunks: Uint8Array[] = [];
  /** Number of bytes received. */
  receivedBytes = 0;
  /** What `end` gave. */
  cause: unknown;
  eof?: () => void;
  readonly #conduct: Conduct;
  readonly #ended = new Signal();
  readonly #drained = new Signal();
  readonly #waiting: { readonly bytes: number; readonly signal: Signal }[] = [];

  constructor(connection: TcpConnection, conduct: Conduct) {
    this.connection = connection;
    this.#conduct = conduct;
    if (conduct.eof !== undefined) this.eof = () => this.#onEof();
    conduct.open?.(this);
  }

  /** Everything received, joined. */
  get received(): Uint8Array {
    return Buffer.concat(this.chunks);
  }

  /** Resolves when the connection is over. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Resolves when the queue has been sent. */
  get drained(): Promise<void> {
    return this.#drained.promise;
  }

  /** Resolves when so many bytes are here. */
  receives(bytes: number): Promise<void> {
    const signal = new Signal();
    this.#waiting.push({ bytes, signal });
    this.#settle();
    return signal.promise;
  }

  data(chunk: Uint8Array): void {
    if (this.heard.at(-1) !== "data") this.heard.push("data");
    this.chunks.push(chunk);
    this.receivedBytes += chunk.byteLength;
    this.#conduct.data?.(this, chunk);
    this.#settle();
  }

  drain(): void {
    this.#conduct.drain?.(this);
    this.#drained.give();
  }

  end(cause?: unknown): void {
    this.heard.push("end");
    this.cause = cause;
    this.#conduct.end?.(this);
    this.#ended.give();
  }

  #onEof(): void {
    this.heard.push("eof");
    this.#conduct.eof?.(this);
  }

  #settle(): void {
    for (const { bytes, signal } of this.#waiting) if (this.receivedBytes >= bytes) signal.give();
  }
}

/** Opens a connection for a test, and hands the side over as soon as it is there. */
export function side(conduct: Conduct = {}, opened?: (side: Side) => void): TcpOpen {
  return (connection) => {
    const made = new Side(connection, conduct);
    opened?.(made);
    return made;
  };
}

/** How a pair is made. */
export interface PairOptions {
  /** What the side that connects does. */
  readonly client?: Conduct;
  /** What the side that listens does. */
  readonly server?: Conduct;
  /** TLS of each side. */
  readonly tls?: { readonly client: TcpTls; readonly server: TcpTls };
}

/** The two sides of a connection. */
export interface Pair {
  /** The side that connected. */
  readonly client: Side;
  /** The side that listened. */
  readonly server: Side;
  /** The listener of the server. */
  readonly listener: TcpListener;
}

/** Connects two sides over one adapter, and ends both and the listener after `body`. */
export async function withPair(
  tcp: Tcp,
  options: PairOptions,
  body: (pair: Pair) => Promise<void>,
): Promise<void> {
  const accepted = new Signal<Side>();
  const { client = {}, server = {}, tls } = options;
  const open = side(server, (made) => accepted.give(made));
  const listener = await tcp.listen(LOCAL, { tls: tls?.server }, open);
  const dialled = await dial(tcp, listener.port, client, tls?.client);
  try {
    await body({ client: dialled, server: await accepted.promise, listener });
  } finally {
    dialled.connection.destroy();
    (await accepted.promise).connection.destroy();
    await listener.close();
  }
}

/** Connects one side to a port of this machine. */
export async function dial(
  tcp: Tcp,
  port: number,
  conduct: Conduct = {},
  tls?: TcpTls,
): Promise<Side> {
  let made: Side | undefined;
  const open = side(conduct, (opened) => made = opened);
  await tcp.connect({ ...LOCAL, port }, { timeoutMs: 10_000, tls }, open);
  return made!;
}

/** Connects one side to a peer that `node:net` holds, which can do what the contract cannot. */
export async function withPeer(
  tcp: Tcp,
  conduct: Conduct,
  body: (side: Side, peer: Socket) => Promise<void>,
): Promise<void> {
  const accepted = new Signal<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on("error", () => {});
    accepted.give(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const dialled = await dial(tcp, (server.address() as AddressInfo).port, conduct);
  const peer = await accepted.promise;
  try {
    await body(dialled, peer);
  } finally {
    dialled.connection.destroy();
    peer.destroy();
    server.close();
  }
}
