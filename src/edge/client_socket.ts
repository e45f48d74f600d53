/**
 * The contract between the sockets of clients, wherever they come from, and what serves them.
 *
 * One suite (`tests/contract/client_socket_contract.ts`) holds every way in to it.
 *
 * @module
 */

import type { FrameContent } from "../core/frame_content.ts";
import { decodeUtf8 } from "../core/utf8.ts";
import { FrameWriter, OPCODE, payloadOf } from "./websocket/frame.ts";

const writer = new FrameWriter();

/**
 * A message on its way to many clients: encoded once for all of them, when the first needs it.
 *
 * The bytes it gives are shared: nobody may write to them.
 */
export class Outgoing {
  /** Whether it is text. */
  readonly isText: boolean;
  // Until it is encoded: what it is made of may be small parts of large memory.
  #content: FrameContent | undefined;
  #text: string | undefined;
  #frame: Uint8Array | undefined;

  /** Makes a message of what its frame is to hold. */
  constructor(content: string | FrameContent) {
    const isString = typeof content === "string";
    this.isText = isString || content.isText;
    this.#content = isString ? undefined : content;
    this.#text = isString ? content : undefined;
  }

  /** The text. Empty for a binary message. */
  get text(): string {
    if (!this.isText) return "";
    this.#text ??= this.#content?.text() ?? decodeUtf8(this.payload) ?? "";
    this.#content = undefined;
    return this.#text;
  }

  /** The bytes: text as UTF-8, binary as it is. */
  get payload(): Uint8Array {
    return payloadOf(this.frame);
  }

  /** The whole WebSocket frame of a server: header and payload. */
  get frame(): Uint8Array {
    return this.#frame ??= this.#encode();
  }

  #encode(): Uint8Array {
    const content = this.#content;
    if (content === undefined) return writer.text(this.#text!);
    const { isText, byteLength } = content;
    const frame = writer.begin(isText ? OPCODE.text : OPCODE.binary, byteLength);
    content.write(frame, frame.length - byteLength);
    this.#content = undefined;
    return frame;
  }
}

/**
 * One client's connection, from the side of what serves it. Its methods MUST NOT throw, and do
 * nothing once the connection is closing or closed. `flush`, `close` and `terminate` may call the
 * handler's `closed` before they return.
 */
export interface ClientSocket {
  /** Bytes that wait for the client to read, as far as the runtime tells. */
  readonly bufferedBytes: number;
  /** Queues a message. It waits for `flush`, or for a pong or a close frame that goes out first. */
  send(message: Outgoing): void;
  /**
   * Writes all that was queued, in order and with one system call. A client that leaves more than
   * `bufferedBytesMax` unread is then closed with 1013.
   */
  flush(): void;
  /**
   * Writes what is queued, then begins the close handshake. It is over when the client answers,
   * or after `closeTimeoutMs`.
   *
   * @param code A code that may be sent (RFC 6455 §7.4).
   * @param reason For people. Cut at 123 bytes.
   */
  close(code: number, reason: string): void;
  /** Drops the connection and what is queued, now. */
  terminate(): void;
}

/**
 * What serves one client. Its methods MUST NOT throw. They are called in the order in which
 * things happened, never before `accept` returned the handler, and never after `closed`.
 */
export interface ClientHandler {
  /** A whole text message came. */
  text(text: string): void;
  /** A whole text message of ASCII alone came. The bytes belong to the handler. */
  ascii(bytes: Uint8Array): void;
  /** A whole binary message came. The bytes belong to the handler. */
  binary(bytes: Uint8Array): void;
  /**
   * The connection is over: the last call, exactly once, whoever ended it.
   *
   * @param code The code of the side that closed first: 1005 if the client gave none, and 1006 if
   *     the connection ended, or was terminated, without a close handshake.
   * @param reason The reason that came with it.
   */
  closed(code: number, reason: string): void;
}

/** A request to become a WebSocket, for the application to judge. */
export interface ClientRequest {
  /** The address asked for, absolute: `"http://host:8080/path?query"`. */
  readonly url: string;
  /** The request's headers. Made when first read. */
  readonly headers: Headers;
  /** The client's address as the socket has it, such as `"127.0.0.1"`; empty if unknown. */
  readonly remoteAddress: string;
}

/** What comes of a request: a handler for its socket, or an HTTP answer. */
export type Admission =
  | {
    /** Gives the new socket its handler. It may send and close at once. */
    readonly accept: (socket: ClientSocket) => ClientHandler;
  }
  | {
    /** The HTTP status to refuse with, such as 401. */
    readonly status: number;
    /** Why, for people: the body of the answer. */
    readonly reason: string;
  };

/** Judges a request. A promise that rejects, or takes too long, refuses the client. */
export type Admit = (request: ClientRequest) => Admission | Promise<Admission>;

/** How client sockets behave. */
export interface EdgeSettings {
  /** Largest message of a client, in bytes. A larger one closes the connection with 1009. */
  readonly messageBytesMax: number;
  /** Most bytes that may wait for a client that reads slowly, before it is closed with 1013. */
  readonly bufferedBytesMax: number;
  /** After how much silence a client is pinged, in ms. */
  readonly pingIntervalMs: number;
  /** How long a pinged client may take to show any sign of life, in ms. */
  readonly pongTimeoutMs: number;
  /** How long a client may take to answer a close frame, in ms. */
  readonly closeTimeoutMs: number;
  /** How long a request may take to come in whole and to be judged, in ms. */
  readonly handshakeTimeoutMs: number;
  /** The subprotocols spoken, best first. A client that offers none is served as well. */
  readonly protocols: readonly string[];
}

/** How client sockets behave unless told otherwise. */
export const DEFAULT_EDGE_SETTINGS: EdgeSettings = Object.freeze({
  messageBytesMax: 1_048_576,
  bufferedBytesMax: 4_194_304,
  pingIntervalMs: 25_000,
  pongTimeoutMs: 20_000,
  closeTimeoutMs: 1_000,
  handshakeTimeoutMs: 10_000,
  protocols: Object.freeze(["chorus.v1"]),
});
