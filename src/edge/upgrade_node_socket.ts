import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Millis } from "../core/machine.ts";
import type { Clock } from "../core/clock.ts";
import type {
  Admission,
  ClientHandler,
  ClientSocket,
  EdgeSettings,
  Outgoing,
} from "./client_socket.ts";
import type { EdgeTally } from "./edge_counters.ts";
import type { Sweepable } from "./swept_set.ts";
import { linkSocket, type SocketUser } from "./upgrade_node_link.ts";
import { CLOSE_CODE } from "./websocket/close_code.ts";
import { FrameWriter } from "./websocket/frame.ts";
import {
  Connection,
  type ConnectionEnd,
  type ConnectionInput,
  type ConnectionOutput,
} from "./websocket/connection.ts";

/** What a socket needs of the server that it came in by. */
export interface NodeSocketOwner {
  /** How sockets behave. */
  readonly settings: EdgeSettings;
  /** Where time comes from. */
  readonly clock: Clock;
  /** What happened, counted by the sockets too. */
  readonly counters: EdgeTally;
  /** What sockets hand to Node's streams. */
  readonly buffers: FrameBuffers;
  /** The socket is gone: the last call. */
  gone(socket: NodeClientSocket): void;
}

/** Frames as Node's streams take them, which make a `Buffer` of whatever else they are given. */
export class FrameBuffers {
  #latest: Uint8Array | undefined;
  #buffer: Buffer = Buffer.alloc(0);

  /** The frame as a `Buffer`: of one that goes to many clients, the same for all. */
  of(frame: Uint8Array): Buffer {
    if (frame === this.#latest) return this.#buffer;
    const buffer = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
    // A large one costs more to keep than to make a `Buffer` of again.
    if (frame.length > SHARED_FRAME_BYTES_MAX) return buffer;
    this.#latest = frame;
    return this.#buffer = buffer;
  }
}

/** Gives a socket its handler. */
export type Accept = Extract<Admission, { accept: unknown }>["accept"];

const JOINED_BYTES_MAX = 4 * 1024;
// Below this, a frame may be a small part of a larger piece of memory.
const SHARED_FRAME_BYTES_MAX = 8 * 1024;

const EOF: ConnectionInput = { kind: "eof" };
const WAKE: ConnectionInput = { kind: "wake" };
const TERMINATE: ConnectionInput = { kind: "terminate" };

const writer = new FrameWriter();

/** One client on a `node:net` or `node:tls` socket, with the protocol of this library's own. */
export class NodeClientSocket implements ClientSocket, Sweepable, SocketUser {
  readonly #owner: NodeSocketOwner;
  readonly #socket: Socket;
  readonly #connection: Connection;
  #handler: ClientHandler | undefined;
  #queue: Uint8Array | Uint8Array[] | undefined;
  #isPerforming = false;
  // Whether bytes waited for the client when it was last written to.
  #isBehind = false;

  /** Takes a socket whose request was accepted. {@linkcode NodeClientSocket.start} starts it. */
  constructor(owner: NodeSocketOwner, socket: Socket) {
    this.#owner = owner;
    this.#socket = socket;
    this.#connection = new Connection(owner.settings, owner.clock.now());
  }

  /**
   * Answers the handshake and begins to read.
   *
   * @param answer The HTTP answer, in ASCII.
   * @param accept Gives the handler.
   * @param early What the client sent behind its request, if it did.
   */
  start(answer: string, accept: Accept, early: Uint8Array | undefined): void {
    const socket = this.#socket;
    linkSocket(socket, this);
    this.#queue = writer.ascii(answer);
    this.#handler = accept(this);
    this.flush();
    this.#settle();
    if (early !== undefined) this.receive(early);
    socket.resume();
  }

  /** Bytes that wait for the client to read. */
  get bufferedBytes(): number {
    const queue = this.#queue;
    const waiting = this.#socket.writableLength;
    if (queue === undefined) return waiting;
    return Array.isArray(queue) ? waiting + totalBytes(queue) : waiting + queue.length;
  }

  /** Queues a message. */
  send(message: Outgoing): void {
    if (this.#connection.isOpen) this.#push(message.frame);
  }

  /** Writes what was queued, at once. */
  flush(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    this.#queue = undefined;
    const socket = this.#socket;
    // What Node tells of a stream is slow to ask for: not before a write, if nothing can wait.
    const isBehind = this.#isBehind && socket.writableLength > 0;
    // To write behind a client's FIN would drop what it has not read yet.
    if (isBehind && !socket.writable) return;
    if (Array.isArray(queue)) writeAll(socket, queue, isBehind);
    else socket.write(isBehind ? unshare(queue) : this.#owner.buffers.of(queue));
    const waitingBytes = socket.writableLength;
    this.#isBehind = waitingBytes > 0;
    if (waitingBytes > this.#owner.settings.bufferedBytesMax) this.#onSlow();
  }

  /** Begins the close handshake, after what is queued. */
  close(code: number, reason: string): void {
    this.#feed({ kind: "close", code, reason });
  }

  /** Drops the connection. */
  terminate(): void {
    this.#feed(TERMINATE);
  }

  /** Looks at the time. */
  sweep(now: Millis): void {
    const deadline = this.#connection.deadline;
    if (deadline !== undefined && now >= deadline) this.#feed(WAKE);
  }

  /** Bytes came. */
  receive(chunk: Uint8Array): void {
    // Not a `Buffer`, whose views take longer to make.
    const { buffer, byteOffset, length } = chunk;
    this.#feed({ kind: "bytes", chunk: new Uint8Array(buffer, byteOffset, length) });
  }

  /** The socket is closed. */
  gone(): void {
    this.#feed(EOF);
    this.#queue = undefined;
    this.#owner.gone(this);
  }

  #feed(input: ConnectionInput): void {
    this.#connection.handle(input, this.#owner.clock.now());
    this.#settle();
  }

  #settle(): void {
    // Until there is a handler, nobody can be told; while performing, the loop below goes on.
    if (this.#isPerforming || this.#handler === undefined) return;
    const connection = this.#connection;
    let isUrgent = false;
    this.#isPerforming = true;
    for (let outputs = connection.take(); outputs.length > 0; outputs = connection.take()) {
      for (const output of outputs) {
        this.#perform(this.#handler, output);
        isUrgent ||= output.kind === "write";
      }
    }
    this.#isPerforming = false;
    if (isUrgent) this.flush();
  }

  #perform(handler: ClientHandler, output: ConnectionOutput): void {
    switch (output.kind) {
      case "text":
        return this.#connection.isClosedHere ? undefined : handler.text(output.text);
      case "ascii":
        return this.#connection.isClosedHere ? undefined : handler.ascii(output.bytes);
      case "binary":
        return this.#connection.isClosedHere ? undefined : handler.binary(output.bytes);
      case "write":
        return this.#push(output.bytes);
      case "closed":
        this.#count(output);
        return handler.closed(output.code, output.reason);
      case "end":
        this.flush();
        return void this.#socket.end();
      case "drop":
        this.#queue = undefined;
        return void this.#socket.destroy();
    }
  }

  #count({ fault }: ConnectionEnd): void {
    if (fault === "protocol") this.#owner.counters.protocolErrors++;
    if (fault === "unanswered") this.#owner.counters.unanswered++;
  }

  #push(bytes: Uint8Array): void {
    const queue = this.#queue;
    if (queue === undefined) this.#queue = bytes;
    else if (Array.isArray(queue)) queue.push(bytes);
    else this.#queue = [queue, bytes];
  }

  // The close frame waits behind all that is unread; the time limit ends it if it is never read.
  #onSlow(): void {
    if (!this.#connection.isOpen) return;
    this.#owner.counters.slowConsumers++;
    const max = this.#owner.settings.bufferedBytesMax;
    const reason = `Slow consumer: more than ${max} bytes unread`;
    this.close(CLOSE_CODE.tryAgainLater, reason);
  }
}

function totalBytes(queue: readonly Uint8Array[]): number {
  let total = 0;
  for (const bytes of queue) total += bytes.length;
  return total;
}

// One system call either way: small frames are cheaper to copy, large ones to list.
function writeAll(socket: Socket, queue: readonly Uint8Array[], isBehind: boolean): void {
  const byteLength = totalBytes(queue);
  if (byteLength <= JOINED_BYTES_MAX) return void socket.write(join(queue, byteLength));
  socket.cork();
  for (const bytes of queue) socket.write(isBehind ? unshare(bytes) : bytes);
  socket.uncork();
}

function join(queue: readonly Uint8Array[], byteLength: number): Uint8Array {
  const joined = Buffer.allocUnsafe(byteLength);
  let offset = 0;
  for (const bytes of queue) {
    joined.set(bytes, offset);
    offset += bytes.length;
  }
  return joined;
}

// A client that does not read must not hold the memory of its frame's neighbours as well.
function unshare(frame: Uint8Array): Uint8Array {
  if (frame.length > SHARED_FRAME_BYTES_MAX) return frame;
  return new Uint8Array(frame);
}
