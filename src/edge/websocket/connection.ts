import { type Machine, type Millis, NO_OUTPUTS, type Wake } from "../../core/machine.ts";
import type { EdgeSettings } from "../client_socket.ts";
import { CLOSE_CODE, encodeClosePayload } from "./close_code.ts";
import { FrameDecoder, type Received } from "./frame_decoder.ts";
import { FrameWriter, OPCODE } from "./frame.ts";

/** What can happen to a connection. */
export type ConnectionInput =
  /** Bytes came from the client. The connection owns them. */
  | { readonly kind: "bytes"; readonly chunk: Uint8Array }
  /** The server closes. */
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  /** The server drops the connection. */
  | { readonly kind: "terminate" }
  /** No more bytes will come: the client said FIN, or the TCP connection broke. */
  | { readonly kind: "eof" }
  | Wake;

/** What a connection asks of its driver (`write`, `end`, `drop`) and tells its owner (the rest). */
export type ConnectionOutput =
  /** A text message came. */
  | { readonly kind: "text"; readonly text: string }
  /** A text message of ASCII alone came: its bytes, which the connection uses no more. */
  | { readonly kind: "ascii"; readonly bytes: Uint8Array }
  /** A binary message came. */
  | { readonly kind: "binary"; readonly bytes: Uint8Array }
  /** These bytes go to the client, after what the driver has queued for it. */
  | { readonly kind: "write"; readonly bytes: Uint8Array }
  /** The connection is over for its owner, who gets nothing more. */
  | ConnectionEnd
  /** All is written: say so to the client (FIN) and read on until it says the same. */
  | { readonly kind: "end" }
  /** Drop the TCP connection now. */
  | { readonly kind: "drop" };

/** How a connection ended. */
export interface ConnectionEnd {
  /** Tells it from the other outputs. */
  readonly kind: "closed";
  /** The code of the side that closed first, or 1006. */
  readonly code: number;
  /** The reason that came with it. */
  readonly reason: string;
  /** What the client did wrong, if it did: broke the protocol, or gave no sign of life. */
  readonly fault?: "protocol" | "unanswered";
}

type State =
  | { readonly name: "open" }
  | { readonly name: "pinged"; readonly until: Millis }
  | {
    readonly name: "closing";
    readonly until: Millis;
    readonly code: number;
    readonly reason: string;
  }
  | { readonly name: "ended"; readonly until: Millis }
  | { readonly name: "gone" };

const OPEN: State = { name: "open" };
const GONE: State = { name: "gone" };
const CUT: ConnectionEnd = {
  kind: "closed",
  code: CLOSE_CODE.abnormal,
  reason: "Connection ended without a close frame",
};

const END: ConnectionOutput = { kind: "end" };
const DROP: ConnectionOutput = { kind: "drop" };

const writer = new FrameWriter();
const PING: ConnectionOutput = {
  kind: "write",
  bytes: writer.bytes(OPCODE.ping, new Uint8Array(0)),
};

/**
 * One WebSocket connection from the server's side, behind the handshake: messages, keep-alive and
 * the close handshake (RFC 6455 §5 to §7).
 *
 * ```text
 *         silence          silence
 *   open ---------> pinged ---------------> gone
 *    ^ |<---bytes----'                       ^
 *      |--close--> closing --time limit------|
 *      |              '---close frame--.     |
 *      |                               v     |
 *      '--close frame | fault | eof--> ended-'
 * ```
 *
 * `terminate` leads to `gone` from everywhere.
 *
 * While idle it holds no buffer and wants no timer of its own: whoever drives many of them looks
 * at their deadlines now and then.
 */
export class Connection implements Machine<ConnectionInput | Wake, ConnectionOutput> {
  readonly #settings: EdgeSettings;
  // There is one only while a message has come in part.
  #decoder: FrameDecoder | undefined;
  #state: State = OPEN;
  // Whole milliseconds: a fraction would take an object of its own.
  #heardAt: Millis;
  #outputs: ConnectionOutput[] = NO_OUTPUTS;

  /** Starts right behind the handshake. */
  constructor(settings: EdgeSettings, now: Millis) {
    this.#settings = settings;
    this.#heardAt = Math.floor(now);
  }

  /** Whether messages may still be sent. */
  get isOpen(): boolean {
    return this.#state.name === "open" || this.#state.name === "pinged";
  }

  /** Whether the server closed: its owner wants no message that came before it did. */
  get isClosedHere(): boolean {
    return this.#state.name === "closing" || this.#state.name === "gone";
  }

  /** When silence, or a close handshake, has lasted too long. */
  get deadline(): Millis | undefined {
    const state = this.#state;
    if (state.name === "open") return this.#heardAt + this.#settings.pingIntervalMs;
    return state.name === "gone" ? undefined : state.until;
  }

  /** Applies one input. Inputs after the end are ignored, as sockets report late. */
  handle(input: ConnectionInput, now: Millis): void {
    switch (input.kind) {
      case "bytes":
        return this.#onBytes(input.chunk, now);
      case "close":
        return this.#onClose(input.code, input.reason, now);
      case "terminate":
        return this.#onTerminate();
      case "eof":
        return this.#onEof(now);
      case "wake":
        return this.#onWake(now);
    }
  }

  /** Returns and forgets the outputs produced so far, oldest first. */
  take(): ConnectionOutput[] {
    const outputs = this.#outputs;
    this.#outputs = NO_OUTPUTS;
    return outputs;
  }

  #onBytes(chunk: Uint8Array, now: Millis): void {
    // What follows a close frame, or a fault, is read away and never looked at (§5.5.1, §7.1.7).
    if (this.#state.name === "ended" || this.#state.name === "gone") return;
    this.#heardAt = Math.floor(now);
    if (this.#state.name === "pinged") this.#state = OPEN;
    const decoder = this.#decoder ?? new FrameDecoder(this.#settings.messageBytesMax);
    decoder.push(chunk);
    for (let item = decoder.next(); item !== undefined; item = decoder.next()) {
      this.#onReceived(item, now);
      if (this.#state.name === "ended") break;
    }
    this.#decoder = decoder.isIdle || this.#state.name === "ended" ? undefined : decoder;
  }

  #onReceived(received: Received, now: Millis): void {
    switch (received.kind) {
      case "text":
      case "ascii":
      case "binary":
        // Whoever closes does not want to hear more.
        return this.#state.name === "open" ? this.#emit(received) : undefined;
      case "ping":
        return this.#state.name === "open" ? this.#write(OPCODE.pong, received.payload) : undefined;
      case "pong":
        return undefined;
      case "close":
        // §5.5.1: the answer has the code that came.
        this.#answerClose(received.code, "");
        return this.#end({ kind: "closed", code: received.code, reason: received.reason }, now);
      case "fault": {
        const { code, reason } = received;
        this.#answerClose(code, reason);
        return this.#end({ kind: "closed", code, reason, fault: "protocol" }, now);
      }
    }
  }

  #answerClose(code: number, reason: string): void {
    if (this.#state.name !== "closing") this.#writeClose(code, reason);
  }

  // All is said: the client reads it, and then the connection goes.
  #end(end: ConnectionEnd, now: Millis): void {
    const state = this.#state;
    this.#emit(state.name === "closing" ? { ...end, code: state.code, reason: state.reason } : end);
    this.#state = { name: "ended", until: now + this.#settings.closeTimeoutMs };
    this.#emit(END);
  }

  #onClose(code: number, reason: string, now: Millis): void {
    if (!this.isOpen) return;
    this.#writeClose(code, reason);
    const until = now + this.#settings.closeTimeoutMs;
    this.#state = { name: "closing", until, code, reason };
  }

  #onTerminate(): void {
    if (this.#state.name === "gone") return;
    this.#drop({ kind: "closed", code: CLOSE_CODE.abnormal, reason: "Terminated" });
  }

  #onEof(now: Millis): void {
    if (this.#state.name === "ended" || this.#state.name === "gone") return;
    this.#end(CUT, now);
  }

  #onWake(now: Millis): void {
    const deadline = this.deadline;
    if (deadline === undefined || now < deadline) return;
    const state = this.#state;
    if (state.name === "open") {
      this.#emit(PING);
      this.#state = { name: "pinged", until: now + this.#settings.pongTimeoutMs };
      return;
    }
    const reason = `No sign of life within ${this.#settings.pongTimeoutMs} ms of a ping`;
    this.#drop({ kind: "closed", code: CLOSE_CODE.abnormal, reason, fault: "unanswered" });
  }

  // Nobody waits for the client any more.
  #drop(end: ConnectionEnd): void {
    const state = this.#state;
    this.#state = GONE;
    if (state.name === "closing") {
      this.#emit({ kind: "closed", code: state.code, reason: state.reason });
    } else if (state.name !== "ended") {
      this.#emit(end);
    }
    this.#emit(DROP);
  }

  #writeClose(code: number, reason: string): void {
    this.#write(OPCODE.close, encodeClosePayload(code, reason));
  }

  #write(
    opcode: typeof OPCODE.close | typeof OPCODE.pong,
    payload: Uint8Array,
  ): void {
    this.#emit({ kind: "write", bytes: writer.bytes(opcode, payload) });
  }

  #emit(output: ConnectionOutput): void {
    if (this.#outputs === NO_OUTPUTS) this.#outputs = [output];
    else this.#outputs.push(output);
  }
}
