import { ownBytes } from "../../core/own.ts";
import { decodeUtf8 } from "../../core/utf8.ts";
import { CLOSE_CODE, isCloseCodeOnWire } from "./close_code.ts";
import { Fragments } from "./fragments.ts";
import { OPCODE, unmask } from "./frame.ts";

/** What a client sent, whole. */
export type Received =
  | { readonly kind: "text"; readonly text: string }
  /** Text of ASCII alone. A view, not a copy. */
  | { readonly kind: "ascii"; readonly bytes: Uint8Array }
  | { readonly kind: "binary"; readonly bytes: Uint8Array }
  | { readonly kind: "ping"; readonly payload: Uint8Array }
  | { readonly kind: "pong"; readonly payload: Uint8Array }
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  | Fault;

/** A rule that the client broke. Nothing can be read after it. */
export interface Fault {
  /** Tells it from what is in order. */
  readonly kind: "fault";
  /** The close code that answers it. */
  readonly code: number;
  /** Which rule, for people. */
  readonly reason: string;
}

const FIN = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const CONTROL = 0x8;
const CONTROL_BYTES_MAX = 125;
const KEY_BYTES = 4;
// A tail is copied out of a chunk that is this much larger, so that it does not keep it in memory.
const WASTE_BYTES_MAX = 2048;

/**
 * Cuts the byte stream of one client into messages and control frames (RFC 6455 §5), however the
 * network chunked it.
 *
 * Give it a chunk, then ask for what it completes until there is no more. It keeps nothing
 * between messages; within one it keeps at most twice what came in.
 */
export class FrameDecoder {
  readonly #messageBytesMax: number;
  #bytes: Uint8Array | undefined;
  #start = 0;
  #end = 0;
  // Length of the frame under way, once its header is read.
  #frameBytes = 0;
  #fragments: Fragments | undefined;
  #failed = false;

  /**
   * Starts at the border between two frames.
   *
   * @param messageBytesMax Largest message to accept, all its fragments together.
   */
  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Whether it stands between two messages, and so may be replaced by a new one. */
  get isIdle(): boolean {
    return this.#bytes === undefined && this.#fragments === undefined && !this.#failed;
  }

  /** Takes a chunk. The decoder owns it, and changes it, from now on. Ignored after a fault. */
  push(chunk: Uint8Array): void {
    if (this.#failed) return;
    if (this.#bytes === undefined) {
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
    } else {
      this.#append(this.#bytes, chunk);
    }
  }

  /** Returns the next thing that is whole, or `undefined` if more bytes are needed. */
  next(): Received | undefined {
    while (this.#bytes !== undefined) {
      const bytes = this.#bytes;
      const start = this.#start;
      const available = this.#end - start;
      if (available < 2) return this.#wait(bytes);
      const first = bytes[start]!;
      const second = bytes[start + 1]!;
      const broken = this.#findFault(first, second);
      if (broken !== undefined) return this.#fail(CLOSE_CODE.protocolError, broken);
      const length = second & 0x7f;
      const header = (length < 126 ? 2 : length === 126 ? 4 : 10) + KEY_BYTES;
      if (available < header) return this.#wait(bytes);
      const payloadBytes = length < 126 ? length : readLength(bytes, start, length);
      if (payloadBytes < 0) {
        return this.#fail(CLOSE_CODE.protocolError, LENGTH_FAULTS[payloadBytes]!);
      }
      const message = (this.#fragments?.byteLength ?? 0) + payloadBytes;
      if (message > this.#messageBytesMax && (first & CONTROL) === 0) return this.#tooBig(message);
      this.#frameBytes = header + payloadBytes;
      if (available < this.#frameBytes) return this.#wait(bytes);
      const from = start + header;
      const to = from + payloadBytes;
      this.#consume(to);
      const isAscii = unmask(bytes, from, to, from - KEY_BYTES);
      const received = this.#read(first, bytes, from, to, isAscii);
      if (received !== undefined) return received;
    }
    return undefined;
  }

  #read(
    first: number,
    bytes: Uint8Array,
    from: number,
    to: number,
    isAscii: boolean,
  ): Received | undefined {
    switch (first) {
      case FIN | OPCODE.text:
        if (isAscii) return { kind: "ascii", bytes: bytes.subarray(from, to) };
        return this.#text(bytes.subarray(from, to));
      case FIN | OPCODE.binary:
        return { kind: "binary", bytes: ownBytes(bytes.subarray(from, to)) };
      case FIN | OPCODE.ping:
        return { kind: "ping", payload: ownBytes(bytes.subarray(from, to)) };
      case FIN | OPCODE.pong:
        return { kind: "pong", payload: ownBytes(bytes.subarray(from, to)) };
      case FIN | OPCODE.close:
        return this.#close(bytes.subarray(from, to));
      default:
        return this.#fragment(first, bytes.subarray(from, to));
    }
  }

  #text(payload: Uint8Array): Received {
    const text = decodeUtf8(payload);
    if (text === undefined) return this.#fail(CLOSE_CODE.invalidPayload, "Text is not UTF-8");
    return { kind: "text", text };
  }

  // RFC 6455 §5.5.1: nothing, or a code and then a reason.
  #close(payload: Uint8Array): Received {
    if (payload.length === 0) return { kind: "close", code: CLOSE_CODE.noStatus, reason: "" };
    if (payload.length === 1) {
      return this.#fail(CLOSE_CODE.protocolError, "Close frame with half a code");
    }
    const code = payload[0]! * 256 + payload[1]!;
    if (!isCloseCodeOnWire(code)) {
      return this.#fail(CLOSE_CODE.protocolError, `Close frame with code ${code}`);
    }
    const reason = decodeUtf8(payload.subarray(2));
    if (reason === undefined) {
      return this.#fail(CLOSE_CODE.invalidPayload, "Close reason is not UTF-8");
    }
    return { kind: "close", code, reason };
  }

  #fragment(first: number, payload: Uint8Array): Received | undefined {
    this.#fragments ??= new Fragments((first & 0xf) === OPCODE.text);
    const fragments = this.#fragments;
    if (!fragments.add(payload)) {
      return this.#fail(CLOSE_CODE.invalidPayload, "Text is not UTF-8");
    }
    if ((first & FIN) === 0) return undefined;
    this.#fragments = undefined;
    const { bytes, isText } = fragments;
    return isText ? this.#text(bytes) : { kind: "binary", bytes };
  }

  #findFault(first: number, second: number): string | undefined {
    if ((first & RESERVED) !== 0) return "Reserved bits are set";
    if ((second & MASKED) === 0) return "Frame is not masked";
    const opcode = first & 0xf;
    if (opcode >= CONTROL) return findControlFault(first, second);
    if (opcode > OPCODE.binary) return `Opcode ${opcode} is reserved`;
    if (opcode === OPCODE.continuation) {
      return this.#fragments === undefined ? "Continuation without a beginning" : undefined;
    }
    return this.#fragments === undefined ? undefined : "Message begins within another";
  }

  #tooBig(byteLength: number): Fault {
    const reason = `Message of ${byteLength} bytes or more, at most ${this.#messageBytesMax}`;
    return this.#fail(CLOSE_CODE.messageTooBig, reason);
  }

  #fail(code: number, reason: string): Fault {
    this.#failed = true;
    this.#bytes = undefined;
    this.#fragments = undefined;
    return { kind: "fault", code, reason };
  }

  #consume(to: number): void {
    this.#start = to;
    this.#frameBytes = 0;
    if (to === this.#end) this.#bytes = undefined;
  }

  #wait(bytes: Uint8Array): undefined {
    const rest = this.#end - this.#start;
    if (bytes.buffer.byteLength > 2 * rest + WASTE_BYTES_MAX) {
      this.#bytes = copy(bytes, this.#start, this.#end, rest);
      this.#start = 0;
      this.#end = rest;
    }
    return undefined;
  }

  // Room grows with what really came, not with what the header claims.
  #append(bytes: Uint8Array, chunk: Uint8Array): void {
    if (this.#end + chunk.length > bytes.length) {
      const total = this.#end - this.#start + chunk.length;
      const room = Math.max(total, Math.min(this.#frameBytes, total * 2));
      bytes = copy(bytes, this.#start, this.#end, room);
      this.#end -= this.#start;
      this.#start = 0;
      this.#bytes = bytes;
    }
    bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }
}

const NOT_MINIMAL = -1;
const TOO_LONG = -2;
const LENGTH_FAULTS: Readonly<Record<number, string>> = {
  [NOT_MINIMAL]: "Length takes more bytes than it needs",
  [TOO_LONG]: "Length is 2^63 or more",
};

// RFC 6455 §5.2: the fewest bytes that hold the length, and its highest bit is 0.
function readLength(bytes: Uint8Array, start: number, length: number): number {
  if (length === 126) {
    const short = bytes[start + 2]! * 256 + bytes[start + 3]!;
    return short < 126 ? NOT_MINIMAL : short;
  }
  if (bytes[start + 2]! > 0x7f) return TOO_LONG;
  let long = 0;
  for (let index = start + 2; index < start + 10; index++) long = long * 256 + bytes[index]!;
  return long < 65_536 ? NOT_MINIMAL : long;
}

// RFC 6455 §5.5: at most 125 bytes, and in one piece.
function findControlFault(first: number, second: number): string | undefined {
  const opcode = first & 0xf;
  if (opcode > OPCODE.pong) return `Opcode ${opcode} is reserved`;
  if ((first & FIN) === 0) return "Control frame in fragments";
  return (second & 0x7f) > CONTROL_BYTES_MAX ? "Control frame of more than 125 bytes" : undefined;
}

function copy(bytes: Uint8Array, from: number, to: number, room: number): Uint8Array {
  const copied = new Uint8Array(room);
  copied.set(bytes.subarray(from, to));
  return copied;
}
