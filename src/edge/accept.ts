/**
 * Clients on any Web-standard `WebSocket`: `Deno.upgradeWebSocket`, `ws` and the like.
 *
 * @module
 */

import type { CancelTimer, Clock } from "../core/clock.ts";
import { systemClock } from "../runtime/clock.ts";
import type { ClientHandler, ClientSocket, EdgeSettings, Outgoing } from "./client_socket.ts";
import { EdgeTally } from "./edge_counters.ts";
import { CLOSE_CODE, cutReason } from "./websocket/close_code.ts";

/** What the events of a {@linkcode WebSocketLike} carry. */
export interface WebSocketLikeEvent {
  /** The name of the event. */
  readonly type?: string;
  /** The message, for `message`. */
  readonly data?: unknown;
  /** The close code, for `close`. */
  readonly code?: number;
  /** The close reason, for `close`. */
  readonly reason?: string;
}

/** What is used of a Web-standard `WebSocket`, by structure. */
export interface WebSocketLike {
  /** In what form binary messages come. */
  binaryType: string;
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readonly readyState: number;
  /** Bytes that wait for the client to read. */
  readonly bufferedAmount: number;
  /** Sends a message. */
  send(data: string | Uint8Array<ArrayBuffer>): void;
  /** Begins the close handshake. */
  close(code?: number, reason?: string): void;
  /** Listens to an event. */
  addEventListener(
    type: "open" | "message" | "close" | "error",
    listener: (event: WebSocketLikeEvent) => void,
  ): void;
  /** Drops the connection. Only some have it. */
  terminate?(): void;
}

const CONNECTING = 0;
const OPEN = 1;
// A Web-standard socket may refuse to send the codes of the protocol itself. The same number in
// the range that is left to applications tells the client as much.
const PRIVATE_CODES_START = 3000;

const encoder = new TextEncoder();

/**
 * Serves a client on a Web-standard `WebSocket`.
 *
 * Such a socket cannot ping: whoever made it finds out that a client is gone. Where it refuses to
 * send a close code, 3000 is added: 1001 becomes 4001.
 *
 * @param socket Open, or about to be. Its messages belong to the handler from now on.
 * @param settings How it behaves.
 * @param open Gives the handler.
 * @param surroundings Where time comes from, and what counts what happens.
 */
export function acceptSocket(
  socket: WebSocketLike,
  settings: EdgeSettings,
  open: (socket: ClientSocket) => ClientHandler,
  surroundings: { readonly clock?: Clock; readonly counters?: EdgeTally } = {},
): void {
  const { clock = systemClock, counters = new EdgeTally() } = surroundings;
  new AcceptedSocket(socket, settings, { clock, counters }).start(open);
}

class AcceptedSocket implements ClientSocket {
  readonly #socket: WebSocketLike;
  readonly #settings: EdgeSettings;
  readonly #clock: Clock;
  readonly #counters: EdgeTally;
  #handler: ClientHandler | undefined;
  #queue: Outgoing[] = [];
  // Bytes or characters that are queued until the socket is open.
  #heldLength = 0;
  #hasOpened = false;
  #ending: { readonly code: number; readonly reason: string } | undefined;
  #isOver = false;
  #cancelTimer: CancelTimer | undefined;

  constructor(
    socket: WebSocketLike,
    settings: EdgeSettings,
    { clock, counters }: { readonly clock: Clock; readonly counters: EdgeTally },
  ) {
    this.#socket = socket;
    this.#settings = settings;
    this.#clock = clock;
    this.#counters = counters;
  }

  start(open: (socket: ClientSocket) => ClientHandler): void {
    const socket = this.#socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#onOpen());
    socket.addEventListener("message", (event) => this.#receive(event.data));
    socket.addEventListener("close", ({ code, reason }) => this.#onClose(code, reason));
    // An error is always followed by the close that matters.
    socket.addEventListener("error", () => {});
    const handler = open(this);
    this.#handler = handler;
    if (this.#isOver) return this.#report();
    if (socket.readyState > OPEN) {
      this.#finish(CLOSE_CODE.abnormal, "Closed before it was accepted");
    } else this.flush();
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(message: Outgoing): void {
    if (this.#ending !== undefined) return;
    this.#queue.push(message);
    if (!this.#hasOpened) this.#hold(message);
  }

  flush(): void {
    const socket = this.#socket;
    if (this.#queue.length === 0 || socket.readyState !== OPEN) return;
    this.#hasOpened = true;
    const queue = this.#queue;
    this.#queue = [];
    for (const message of queue) {
      if (!this.#write(message)) return this.terminate();
    }
    if (socket.bufferedAmount > this.#settings.bufferedBytesMax) this.#onSlow();
  }

  close(code: number, reason: string): void {
    if (this.#ending !== undefined) return;
    this.flush();
    // A flush may find that the client is slow, and close by itself.
    if (this.#ending !== undefined) return;
    this.#ending = { code, reason };
    this.#cancelTimer = this.#clock.setTimer(this.#settings.closeTimeoutMs, () => this.#drop());
    this.#closeSocket();
  }

  terminate(): void {
    this.#ending ??= { code: CLOSE_CODE.abnormal, reason: "Terminated" };
    this.#drop();
  }

  // Nobody takes anything until the socket is open. What waits is encoded by now, and so keeps in
  // memory nothing but itself.
  #hold(message: Outgoing): void {
    if (this.#socket.readyState === OPEN) return;
    this.#heldLength += (message.isText ? message.text : message.payload).length;
    if (this.#heldLength > this.#settings.bufferedBytesMax) this.#onSlow();
  }

  // Whoever made the socket may let it throw, which is the end of this client and of no other.
  #write(message: Outgoing): boolean {
    try {
      if (message.isText) this.#socket.send(message.text);
      // Nobody writes to the bytes of a message, and no memory of ours is shared with a thread.
      else this.#socket.send(message.payload as Uint8Array<ArrayBuffer>);
      return true;
    } catch {
      this.#ending ??= { code: CLOSE_CODE.abnormal, reason: "The socket takes no message" };
      return false;
    }
  }

  #drop(): void {
    if (this.#isOver) return;
    if (this.#socket.terminate !== undefined) this.#socket.terminate();
    else if (this.#socket.readyState !== CONNECTING) this.#socket.close();
    this.#finish(CLOSE_CODE.abnormal, "Terminated");
  }

  // A socket that is still opening is closed when it is open: on Deno it would hang half-way.
  #onOpen(): void {
    if (this.#ending === undefined) return this.flush();
    this.#closeSocket();
  }

  #closeSocket(): void {
    const socket = this.#socket;
    if (this.#ending === undefined || socket.readyState === CONNECTING) return;
    const { code, reason } = this.#ending;
    if (code === CLOSE_CODE.abnormal) socket.close();
    else closeWith(socket, code, cutReason(reason));
  }

  #receive(data: unknown): void {
    if (this.#ending !== undefined) return;
    const { messageBytesMax } = this.#settings;
    if (isLarger(data, messageBytesMax)) {
      this.#counters.protocolErrors++;
      return this.close(CLOSE_CODE.messageTooBig, `Message of more than ${messageBytesMax} bytes`);
    }
    if (typeof data === "string") this.#handler?.text(data);
    else if (data instanceof ArrayBuffer) this.#handler?.binary(new Uint8Array(data));
    else this.close(CLOSE_CODE.unsupportedData, "Binary messages must come as ArrayBuffer");
  }

  #onClose(code: number = CLOSE_CODE.abnormal, reason = ""): void {
    this.#finish(code === 0 ? CLOSE_CODE.abnormal : code, reason);
  }

  #finish(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ending ??= { code, reason };
    this.#queue = [];
    this.#cancelTimer?.();
    this.#report();
  }

  // Before there is a handler, `start` reports.
  #report(): void {
    const { code, reason } = this.#ending!;
    this.#handler?.closed(code, reason);
  }

  #onSlow(): void {
    this.#counters.slowConsumers++;
    const max = this.#settings.bufferedBytesMax;
    this.close(CLOSE_CODE.tryAgainLater, `Slow consumer: more than ${max} bytes unread`);
  }
}

function closeWith(socket: WebSocketLike, code: number, reason: string): void {
  try {
    socket.close(code, reason);
  } catch {
    // The code is not for applications to send: see above.
    socket.close(code < PRIVATE_CODES_START ? code + PRIVATE_CODES_START : code, reason);
  }
}

function isLarger(data: unknown, bytesMax: number): boolean {
  if (data instanceof ArrayBuffer) return data.byteLength > bytesMax;
  if (typeof data !== "string" || data.length * 3 <= bytesMax) return false;
  return data.length > bytesMax || encoder.encode(data).byteLength > bytesMax;
}
