import type {
  Admission,
  ClientHandler,
  ClientSocket,
  EdgeSettings,
  Outgoing,
} from "./client_socket.ts";
import type { EdgeTally } from "./edge_counters.ts";
import { CLOSE_CODE, cutReason } from "./websocket/close_code.ts";

/** What this library hangs on each of Bun's sockets, and Bun's events are handed to. */
export interface BunSocketData {
  /** Bun opened the socket. */
  open(socket: BunWebSocket): void;
  /** A message came. */
  receive(message: string | Uint8Array): void;
  /** The socket is over. */
  closed(code: number, reason: string): void;
}

/** What is used of a `ServerWebSocket` of Bun, by structure. */
export interface BunWebSocket {
  /** What came with the upgrade: the client, as this library keeps it. */
  readonly data: BunSocketData;
  /** In what form binary messages come. */
  binaryType?: "nodebuffer" | "arraybuffer" | "uint8array" | "blob";
  /** Sends text. -1: it waits for the client to read; 0: it was dropped. */
  sendText(text: string): number;
  /** Sends bytes. -1: they wait for the client to read; 0: they were dropped. */
  sendBinary(bytes: Uint8Array): number;
  /** Joins what is sent meanwhile into one write. */
  cork(callback: () => void): unknown;
  /** Bytes that wait for the client to read. */
  getBufferedAmount(): number;
  /** Begins the close handshake. */
  close(code?: number, reason?: string): void;
  /** Drops the connection. */
  terminate(): void;
}

/** What a socket needs of the server that it came in by. */
export interface BunSocketOwner {
  /** How sockets behave. */
  readonly settings: EdgeSettings;
  /** What happened, counted by the sockets too. */
  readonly counters: EdgeTally;
  /** The socket is open. */
  opened(socket: BunClientSocket): void;
  /** The socket is closed: the last call. */
  gone(socket: BunClientSocket): void;
}

type Accept = Extract<Admission, { accept: unknown }>["accept"];

/** One client on a socket of Bun's own, and all that is kept of it here. */
export class BunClientSocket implements ClientSocket, BunSocketData {
  readonly #owner: BunSocketOwner;
  #accept: Accept | undefined;
  #socket: BunWebSocket | undefined;
  #handler: ClientHandler | undefined;
  #queue: Outgoing | Outgoing[] | undefined;
  #ended: { readonly code: number; readonly reason: string } | undefined;
  #isDeaf = false;

  /** Takes a client that was admitted. Bun opens it next. */
  constructor(owner: BunSocketOwner, accept: Accept) {
    this.#owner = owner;
    this.#accept = accept;
  }

  /** Bytes that wait for the client to read. */
  get bufferedBytes(): number {
    return this.#socket?.getBufferedAmount() ?? 0;
  }

  /** Queues a message. */
  send(message: Outgoing): void {
    const queue = this.#queue;
    if (this.#isDeaf) return;
    if (queue === undefined) this.#queue = message;
    else if (Array.isArray(queue)) queue.push(message);
    else this.#queue = [queue, message];
  }

  /** Writes what was queued, at once. */
  flush(): void {
    const queue = this.#queue;
    const socket = this.#socket;
    if (queue === undefined || socket === undefined) return;
    this.#queue = undefined;
    const waits = Array.isArray(queue) ? writeAll(socket, queue) : write(socket, queue) <= 0;
    // Asking Bun is not free, and needed only when something waits.
    if (waits && socket.getBufferedAmount() > this.#owner.settings.bufferedBytesMax) this.#onSlow();
  }

  /** Begins the close handshake, after what is queued. Bun reports the end at once. */
  close(code: number, reason: string): void {
    if (this.#isDeaf) return;
    this.flush();
    this.#isDeaf = true;
    this.#socket?.close(code, cutReason(reason));
  }

  /** Drops the connection. */
  terminate(): void {
    this.#isDeaf = true;
    this.#queue = undefined;
    this.#socket?.terminate();
  }

  /** Bun opened the socket. */
  open(socket: BunWebSocket): void {
    const accept = this.#accept;
    if (accept === undefined) return;
    this.#accept = undefined;
    socket.binaryType = "uint8array";
    this.#socket = socket;
    this.#owner.opened(this);
    const handler = accept(this);
    // Closed by `accept` itself, which is told so only now that it has returned.
    if (this.#ended !== undefined) return handler.closed(this.#ended.code, this.#ended.reason);
    this.#handler = handler;
    this.flush();
  }

  /** A message came. */
  receive(message: string | Uint8Array): void {
    if (this.#isDeaf) return;
    if (typeof message === "string") this.#handler?.text(message);
    else this.#handler?.binary(message);
  }

  /** The connection is over. */
  closed(code: number, reason: string): void {
    this.#socket = undefined;
    this.#queue = undefined;
    this.#isDeaf = true;
    this.#owner.gone(this);
    const ended = { code: this.#explain(code, reason), reason };
    this.#ended = ended;
    this.#handler?.closed(ended.code, ended.reason);
  }

  // Bun says 1006 of whatever it ends itself, and tells the client better.
  #explain(code: number, reason: string): number {
    if (code !== CLOSE_CODE.abnormal) return code;
    const { counters } = this.#owner;
    if (reason.startsWith("Received ")) {
      counters.protocolErrors++;
      return FAULT_CODES[reason] ?? CLOSE_CODE.protocolError;
    }
    if (reason.includes("timed out")) counters.unanswered++;
    return code;
  }

  #onSlow(): void {
    this.#owner.counters.slowConsumers++;
    const max = this.#owner.settings.bufferedBytesMax;
    this.close(CLOSE_CODE.tryAgainLater, `Slow consumer: more than ${max} bytes unread`);
  }
}

const FAULT_CODES: Readonly<Record<string, number>> = {
  "Received too big message": CLOSE_CODE.messageTooBig,
  "Received invalid UTF-8": CLOSE_CODE.invalidPayload,
};

function write(socket: BunWebSocket, message: Outgoing): number {
  return message.isText ? socket.sendText(message.text) : socket.sendBinary(message.payload);
}

function writeAll(socket: BunWebSocket, queue: readonly Outgoing[]): boolean {
  let waits = false;
  socket.cork(() => {
    for (const message of queue) waits = write(socket, message) <= 0 || waits;
  });
  return waits;
}
