import type { Millis } from "../../src/core/machine.ts";
import type { ClientHandler, ClientSocket, Outgoing } from "../../src/edge/client_socket.ts";
import type { Process } from "./process.ts";
import type { Schedule } from "./schedule.ts";

/** What the client's side is told. */
export interface WireHandler {
  frame(frame: string | Uint8Array): void;
  closed(): void;
}

const encoder = new TextEncoder();
const NOTHING_LEFT_MS = 2_000;
const GOING_AWAY = 1001;
const ABNORMAL = 1006;

/** A client's connection to a node: whole frames, in order, with a delay. */
export class Wire implements ClientSocket {
  readonly bufferedBytes = 0;
  readonly #schedule: Schedule;
  readonly #process: Process;
  readonly #delayMs: Millis;
  readonly #client: WireHandler;
  #server: ClientHandler | undefined;
  #queue: Outgoing[] = [];
  #isServerOver = false;
  #isClientOver = false;

  /** Connects. */
  constructor(schedule: Schedule, process: Process, delayMs: Millis, client: WireHandler) {
    this.#schedule = schedule;
    this.#process = process;
    this.#delayMs = delayMs;
    this.#client = client;
    this.#toServer(() => {
      if (process.isOpen) this.#server = process.accept(this);
      else this.close(GOING_AWAY, "The server stops");
    });
  }

  /** The client says something. */
  send(frame: string | Uint8Array | Outgoing): void {
    if (typeof frame === "string") return this.#toServer(() => this.#say(frame));
    if (frame instanceof Uint8Array) return this.#toServer(() => this.#server?.binary(frame));
    if (!this.#isServerOver) this.#queue.push(frame);
  }

  flush(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const message of queue) {
      const frame = message.isText ? message.text : message.payload;
      this.#toClient(() => this.#client.frame(frame));
    }
  }

  close(code: number, _reason: string): void {
    if (this.#isServerOver) return;
    this.flush();
    this.#endServer(code);
    this.#toClient(() => this.#endClient());
  }

  terminate(): void {
    this.#queue = [];
    this.close(ABNORMAL, "");
  }

  /** The client hangs up, or its process is gone. */
  closeByClient(): void {
    this.#isClientOver = true;
    this.#toServer(() => this.#endServer(1005));
  }

  /** The node's process is over. `isTold` tells whether its system says so. */
  serverGone(isTold: boolean): void {
    this.#isServerOver = true;
    this.#schedule.in(isTold ? this.#delayMs : NOTHING_LEFT_MS, () => this.#endClient());
  }

  // As a socket does that reads frames itself: of ASCII alone it hands on the bytes.
  #say(text: string): void {
    const bytes = encoder.encode(text);
    if (bytes.length > text.length) this.#server?.text(text);
    else this.#server?.ascii(bytes);
  }

  #endServer(code: number): void {
    if (this.#isServerOver) return;
    this.#isServerOver = true;
    this.#process.forget(this);
    this.#server?.closed(code, "");
  }

  #endClient(): void {
    if (this.#isClientOver) return;
    this.#isClientOver = true;
    this.#client.closed();
  }

  #toServer(run: () => void): void {
    this.#schedule.in(this.#delayMs, () => {
      if (!this.#process.host.isAlive) return this.serverGone(true);
      this.#process.host.enter(() => {
        if (!this.#isServerOver) run();
      });
    });
  }

  #toClient(run: () => void): void {
    this.#schedule.in(this.#delayMs, () => {
      if (!this.#isClientOver) run();
    });
  }
}
