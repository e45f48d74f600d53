import { ok } from "node:assert/strict";
import {
  type ClientHandler,
  type ClientRequest,
  type ClientSocket,
  DEFAULT_EDGE_SETTINGS,
  type EdgeSettings,
  Outgoing,
} from "../../src/edge/client_socket.ts";
import { opaque } from "./frame_maker.ts";

const decoder = new TextDecoder();

/** What a guest does when something happens. */
export interface GuestConduct {
  /** Called inside `accept`. */
  open?(guest: Guest): void;
  /** Called with each text. Default: sends it back. */
  text?(guest: Guest, text: string): void;
}

/** Why a guest's connection ended. */
export interface GuestEnd {
  readonly code: number;
  readonly reason: string;
}

/** Settings with limits that a test need not wait for. */
export const QUICK_SETTINGS: EdgeSettings = Object.freeze({
  ...DEFAULT_EDGE_SETTINGS,
  pingIntervalMs: 60_000,
  pongTimeoutMs: 60_000,
  closeTimeoutMs: 500,
  handshakeTimeoutMs: 2_000,
});

/** The server's side of one connection. It notes all that it is told and sends back what comes. */
export class Guest implements ClientHandler {
  /** Its socket. */
  readonly socket: ClientSocket;
  /** What it was told, in order. */
  readonly log: string[] = [];
  /** How its connection ended. */
  readonly ended: Promise<GuestEnd>;
  readonly #kept: { readonly bytes: Uint8Array; readonly text: string }[] = [];
  readonly #conduct: GuestConduct;
  #end!: (end: GuestEnd) => void;

  /** Takes a socket. */
  constructor(socket: ClientSocket, conduct: GuestConduct = {}) {
    this.socket = socket;
    this.#conduct = conduct;
    this.ended = new Promise((resolve) => this.#end = resolve);
    conduct.open?.(this);
  }

  /** Whether the bytes that it was given are what they were then: they are its own. */
  get keepsAll(): boolean {
    return this.#kept.every(({ bytes, text }) => decoder.decode(bytes) === text);
  }

  /** Sends text, at once. */
  say(text: string): void {
    this.socket.send(new Outgoing(text));
    this.socket.flush();
  }

  /** A text message came. */
  text(text: string): void {
    this.log.push(text.length > 100 ? `text of ${text.length}` : `text ${text}`);
    if (this.#conduct.text !== undefined) this.#conduct.text(this, text);
    else this.say(text);
  }

  /** A text message of ASCII alone came: to a guest it is text like any other. */
  ascii(bytes: Uint8Array): void {
    ok(bytes.every((byte) => byte < 128), "text that is not ASCII came as ASCII");
    const text = decoder.decode(bytes);
    this.#kept.push({ bytes, text });
    this.text(text);
  }

  /** A binary message came. */
  binary(bytes: Uint8Array): void {
    this.log.push(`binary of ${bytes.byteLength}`);
    this.socket.send(new Outgoing(opaque(bytes)));
    this.socket.flush();
  }

  /** The connection is over. */
  closed(code: number, reason: string): void {
    this.log.push(`closed ${code}`);
    this.#end({ code, reason });
  }
}

/** The guests of one server, in the order in which they came. */
export class Guests {
  /** The requests that they came with. */
  readonly requests: ClientRequest[] = [];
  readonly #conduct: GuestConduct;
  readonly #guests: Guest[] = [];
  readonly #waiting: (() => void)[] = [];

  /** All behave alike. */
  constructor(conduct: GuestConduct = {}) {
    this.#conduct = conduct;
  }

  /** Makes the handler of a socket. */
  readonly accept = (socket: ClientSocket): Guest => {
    const guest = new Guest(socket, this.#conduct);
    this.#guests.push(guest);
    for (const resolve of this.#waiting.splice(0)) resolve();
    return guest;
  };

  /** Those that came so far. */
  get all(): readonly Guest[] {
    return this.#guests;
  }

  /** Waits for the guest that came as number `index`. */
  async at(index: number): Promise<Guest> {
    for (;;) {
      const guest = this.#guests[index];
      if (guest !== undefined) return guest;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
