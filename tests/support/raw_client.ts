/**
 * A WebSocket client for tests that shows the wire as it is: it can break every rule, and hides
 * nothing of what comes back. It shares no code with the server.
 *
 * @module
 */

import { createHash, randomBytes } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

const TIME_LIMIT_MS = 20_000;
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The opcodes of RFC 6455 §5.2. */
export const OPCODE = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

/** One frame as the server sent it. */
export interface RawFrame {
  /** Whether it ends its message. */
  readonly fin: boolean;
  /** The three reserved bits, as a number. */
  readonly rsv: number;
  /** What kind of frame it is. */
  readonly opcode: number;
  /** Whether the server masked it, which it must not. */
  readonly masked: boolean;
  /** The payload, unmasked. */
  readonly payload: Uint8Array;
}

/** How to write one frame. Everything that is left out is as the RFC wants it. */
export interface RawFrameOptions {
  /** Default: `true`. */
  readonly fin?: boolean;
  /** The three reserved bits as a number. Default: 0. */
  readonly rsv?: number;
  /** Default: 1, text. */
  readonly opcode?: number;
  /** The masking key, or `null` for no mask. Default: four random bytes. */
  readonly mask?: Uint8Array | null;
  /** Bytes that hold the length: 0 (in the second byte), 2 or 8. Default: the fewest that fit. */
  readonly lengthBytes?: 0 | 2 | 8;
  /** The length to claim. Default: the payload's. */
  readonly length?: number | bigint;
  /** Default: none. */
  readonly payload?: Uint8Array | string;
}

/** Why a connection ended: as its close frame says, or 1006 when none came. */
export interface RawClose {
  /** The code, 1005 for a close frame without one. */
  readonly code: number;
  /** The reason. */
  readonly reason: string;
}

/** Where to connect, and how. */
export interface RawConnectOptions {
  /** The port. */
  readonly port: number;
  /** Default: `127.0.0.1`. */
  readonly hostname?: string;
  /** The request target. Default: `/`. */
  readonly path?: string;
  /** Subprotocols to offer. Default: none. */
  readonly protocols?: readonly string[];
  /** Headers to add, or to put in the place of the usual ones; `undefined` leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** The request line's method. Default: `GET`. */
  readonly method?: string;
  /** The request line's version. Default: `HTTP/1.1`. */
  readonly version?: string;
  /** Bytes to send right behind the handshake, in the same write. */
  readonly head?: Uint8Array;
  /** Speak TLS and trust any certificate. Default: `false`. */
  readonly tls?: boolean;
  /** Answer pings and close frames by itself. Default: `true`. */
  readonly answers?: boolean;
}

/** A handshake that the server answered with something else than 101. */
export class RawRefusal extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** The response headers, names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The response body. */
  readonly body: string;

  /** Keeps the answer. */
  constructor(status: number, headers: ReadonlyMap<string, string>, body: string) {
    super(`Cannot open WebSocket: ${status} ${body.trim()}`);
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

/** Writes one frame as bytes. */
export function encodeRawFrame(options: RawFrameOptions = {}): Uint8Array {
  const { fin = true, rsv = 0, opcode = OPCODE.text, mask = randomBytes(4) } = options;
  const { payload = "" } = options;
  const body = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const length = options.length ?? body.byteLength;
  const lengthBytes = options.lengthBytes ?? (length < 126 ? 0 : length < 65_536 ? 2 : 8);
  const maskBytes = mask === null ? 0 : 4;
  const bytes = new Uint8Array(2 + lengthBytes + maskBytes + body.byteLength);
  const view = new DataView(bytes.buffer);
  const maskBit = mask === null ? 0 : 0x80;
  bytes[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  bytes[1] = maskBit | (lengthBytes === 0 ? Number(length) : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) view.setUint16(2, Number(length));
  if (lengthBytes === 8) view.setBigUint64(2, BigInt(length));
  if (mask !== null) bytes.set(mask, 2 + lengthBytes);
  const start = 2 + lengthBytes + maskBytes;
  for (let index = 0; index < body.byteLength; index++) {
    bytes[start + index] = body[index]! ^ (mask === null ? 0 : mask[index % 4]!);
  }
  return bytes;
}

/** Writes the payload of a close frame. */
export function encodeClosePayload(code: number, reason = ""): Uint8Array {
  return Uint8Array.of(code >> 8, code & 255, ...new TextEncoder().encode(reason));
}

interface Waiter {
  readonly resolve: (frame: RawFrame) => void;
  readonly reject: (error: Error) => void;
}

/** One open WebSocket, from the client's side. */
export class RawClient {
  /** The subprotocol that the server chose, or `""`. */
  readonly protocol: string;
  /** The response headers of the handshake, names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** How the connection ended. Resolves when the TCP connection is gone, and never rejects. */
  readonly closed: Promise<RawClose>;
  readonly #socket: Socket;
  readonly #answers: boolean;
  readonly #frames: RawFrame[] = [];
  readonly #waiters: Waiter[] = [];
  #bytes: Uint8Array = new Uint8Array(0);
  #closeFrame: RawClose | undefined;
  #ended = false;

  /** Use {@linkcode RawClient.connect}. */
  constructor(socket: Socket, response: RawResponse, answers: boolean) {
    this.#socket = socket;
    this.#answers = answers;
    this.headers = response.headers;
    this.protocol = response.headers.get("sec-websocket-protocol") ?? "";
    this.closed = new Promise((resolve) => {
      socket.once("close", () => resolve(this.#end()));
    });
    socket.on("error", () => {});
    // A server that says FIN is done; no test wants the other half.
    socket.on("end", () => socket.end());
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    this.#receive(response.rest);
  }

  /** Opens a WebSocket. @throws {RawRefusal} If the server answers anything but 101. */
  static async connect(options: RawConnectOptions): Promise<RawClient> {
    const key = randomBytes(16).toString("base64");
    const socket = await openSocket(options);
    const request = encodeRequest(options, key);
    socket.write(options.head === undefined ? request : concat([request, options.head]));
    const response = await readResponse(socket);
    if (response.status !== 101) {
      socket.destroy();
      throw new RawRefusal(response.status, response.headers, response.body);
    }
    const accept = createHash("sha1").update(key + ACCEPT_GUID).digest("base64");
    if (options.headers?.["Sec-WebSocket-Key"] === undefined) {
      if (response.headers.get("sec-websocket-accept") !== accept) {
        throw new Error(`Cannot open WebSocket: Sec-WebSocket-Accept is not ${accept}`);
      }
    }
    return new RawClient(socket, response, options.answers ?? true);
  }

  /** Sends one text message. */
  text(value: string): void {
    this.bytes(encodeRawFrame({ opcode: OPCODE.text, payload: value }));
  }

  /** Sends one binary message. */
  binary(value: Uint8Array): void {
    this.bytes(encodeRawFrame({ opcode: OPCODE.binary, payload: value }));
  }

  /** Sends one ping. */
  ping(payload: Uint8Array | string = ""): void {
    this.bytes(encodeRawFrame({ opcode: OPCODE.ping, payload }));
  }

  /** Sends a close frame. The server answers it and ends the connection. */
  close(code?: number, reason?: string): void {
    const payload = code === undefined ? "" : encodeClosePayload(code, reason);
    this.bytes(encodeRawFrame({ opcode: OPCODE.close, payload }));
  }

  /** Sends one frame, right or wrong. */
  frame(options: RawFrameOptions): void {
    this.bytes(encodeRawFrame(options));
  }

  /** Sends bytes as they are. */
  bytes(raw: Uint8Array): void {
    if (!this.#socket.destroyed) this.#socket.write(raw);
  }

  /**
   * Takes the next frame of any kind. Rejects when the connection ends first, or after a time.
   *
   * @param timeLimitMs How long to wait, `Infinity` for as long as it takes. Default: 20 s.
   */
  nextFrame(timeLimitMs: number = TIME_LIMIT_MS): Promise<RawFrame> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    if (this.#ended) return Promise.reject(new Error("Cannot read a frame: connection ended"));
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`Cannot read a frame: none in ${timeLimitMs} ms`));
      const timer = timeLimitMs === Infinity ? undefined : setTimeout(late, timeLimitMs);
      this.#waiters.push({
        resolve: (next) => (clearTimeout(timer), resolve(next)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
    });
  }

  /** Takes the next text message and passes over pings and pongs. */
  async nextText(): Promise<string> {
    const payload = await this.#nextData(OPCODE.text);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
  }

  /** Takes the next binary message and passes over pings and pongs. */
  nextBinary(): Promise<Uint8Array> {
    return this.#nextData(OPCODE.binary);
  }

  /** Stops reading, so that the server's bytes pile up. */
  pause(): void {
    this.#socket.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#socket.resume();
  }

  /** Half-closes the TCP connection without a close frame. */
  end(): void {
    this.#socket.end();
  }

  /** Drops the TCP connection without a close frame. */
  destroy(): void {
    this.#socket.destroy();
  }

  async #nextData(opcode: number): Promise<Uint8Array> {
    for (;;) {
      const frame = await this.nextFrame();
      if (frame.opcode === OPCODE.ping || frame.opcode === OPCODE.pong) continue;
      // RFC 6455 §5.1 and §5.2: a server masks nothing and uses no bit that was not negotiated.
      const isPlain = frame.fin && !frame.masked && frame.rsv === 0;
      if (frame.opcode === opcode && isPlain) return frame.payload;
      throw new Error(`Cannot read a message: frame ${JSON.stringify(frame)} came instead`);
    }
  }

  #receive(chunk: Uint8Array): void {
    this.#bytes = this.#bytes.byteLength === 0 ? chunk : concat([this.#bytes, chunk]);
    for (;;) {
      const read = readFrame(this.#bytes);
      if (read === undefined) return;
      this.#bytes = this.#bytes.subarray(read.byteLength);
      this.#deliver(read.frame);
    }
  }

  #deliver(frame: RawFrame): void {
    if (frame.opcode === OPCODE.close) this.#onClose(frame);
    if (frame.opcode === OPCODE.ping && this.#answers) {
      this.frame({ opcode: OPCODE.pong, payload: frame.payload });
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#frames.push(frame);
    else waiter.resolve(frame);
  }

  #onClose(frame: RawFrame): void {
    const { payload } = frame;
    this.#closeFrame = payload.byteLength < 2 ? { code: 1005, reason: "" } : {
      code: payload[0]! * 256 + payload[1]!,
      reason: new TextDecoder().decode(payload.subarray(2)),
    };
    if (this.#answers) this.frame({ opcode: OPCODE.close, payload: payload.subarray(0, 2) });
  }

  #end(): RawClose {
    this.#ended = true;
    for (const waiter of this.#waiters.splice(0)) {
      waiter.reject(new Error("Cannot read a frame: connection ended"));
    }
    return this.#closeFrame ?? { code: 1006, reason: "" };
  }
}

interface RawResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  readonly rest: Uint8Array;
}

function openSocket(options: RawConnectOptions): Promise<Socket> {
  const { port, hostname = "127.0.0.1", tls = false } = options;
  return new Promise((resolve, reject) => {
    const socket = tls
      ? connectTls({ port, host: hostname, rejectUnauthorized: false })
      : connectTcp({ port, host: hostname });
    socket.once("error", reject);
    socket.once(tls ? "secureConnect" : "connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

function encodeRequest(options: RawConnectOptions, key: string): Uint8Array {
  const { method = "GET", path = "/", version = "HTTP/1.1", protocols = [] } = options;
  const headers: Record<string, string | undefined> = {
    "Host": `127.0.0.1:${options.port}`,
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": protocols.length === 0 ? undefined : protocols.join(", "),
    ...options.headers,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}\r\n`]
  );
  return new TextEncoder().encode(`${method} ${path} ${version}\r\n${lines.join("")}\r\n`);
}

// Reads the head, and for an answer that is no upgrade the body until the server ends it.
function readResponse(socket: Socket): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    let bytes: Uint8Array = new Uint8Array(0);
    const settle = (done: () => void): void => {
      clearTimeout(timer);
      socket.off("data", onData).off("close", onClose).off("error", reject);
      done();
    };
    const finish = (ended: boolean): void => {
      const response = parseResponse(bytes, ended);
      if (response !== undefined) settle(() => resolve(response));
      else if (ended) settle(() => reject(new Error("Cannot open WebSocket: connection ended")));
    };
    const onData = (chunk: Uint8Array): void => {
      bytes = concat([bytes, chunk]);
      finish(false);
    };
    const onClose = (): void => finish(true);
    const timer = setTimeout(
      () => settle(() => reject(new Error(`Cannot open WebSocket: no answer`))),
      TIME_LIMIT_MS,
    );
    socket.on("data", onData).on("close", onClose).on("error", reject);
  });
}

function parseResponse(bytes: Uint8Array, ended: boolean): RawResponse | undefined {
  const text = new TextDecoder("latin1").decode(bytes);
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [statusLine = "", ...lines] = text.slice(0, end).split("\r\n");
  const headers = new Map(lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));
  const status = Number(statusLine.split(" ")[1]);
  const rest = bytes.slice(end + 4);
  if (status === 101) return { status, headers, body: "", rest };
  if (!ended && rest.byteLength < Number(headers.get("content-length") ?? Infinity)) {
    return undefined;
  }
  return { status, headers, body: new TextDecoder().decode(rest), rest: new Uint8Array(0) };
}

function readFrame(bytes: Uint8Array): { frame: RawFrame; byteLength: number } | undefined {
  if (bytes.byteLength < 2) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const short = bytes[1]! & 0x7f;
  const masked = (bytes[1]! & 0x80) !== 0;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  const start = 2 + lengthBytes + (masked ? 4 : 0);
  if (bytes.byteLength < start) return undefined;
  const length = lengthBytes === 0
    ? short
    : lengthBytes === 2
    ? view.getUint16(2)
    : Number(view.getBigUint64(2));
  if (bytes.byteLength < start + length) return undefined;
  const payload = Uint8Array.from(bytes.subarray(start, start + length));
  if (masked) {
    payload.forEach((byte, index) => payload[index] = byte ^ bytes[start - 4 + index % 4]!);
  }
  const frame = {
    fin: (bytes[0]! & 0x80) !== 0,
    rsv: (bytes[0]! >> 4) & 7,
    opcode: bytes[0]! & 15,
    masked,
    payload,
  };
  return { frame, byteLength: start + length };
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.byteLength;
  }
  return joined;
}
