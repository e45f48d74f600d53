import type { Socket } from "node:net";
import type { Millis } from "../core/machine.ts";
import type { Sweepable } from "./swept_set.ts";
import { lendSocket, linkSocket, type SocketUser, unlinkSocket } from "./upgrade_node_link.ts";
import { encodeRefusal, type Refusal } from "./websocket/handshake.ts";

/** Whom an arrival tells what happens. Shared by many. */
export interface ArrivalOwner {
  /** The first bytes came, on a port of our own. The socket is paused. */
  arrived(arrival: NodeArrival, chunk: Uint8Array): void;
  /** The socket is closed: the last call. */
  departed(arrival: NodeArrival): void;
}

/** One TCP connection that is not, or not yet, a WebSocket: a time limit on what it waits for. */
export class NodeArrival implements Sweepable, SocketUser {
  /** The socket. */
  readonly socket: Socket;
  readonly #owner: ArrivalOwner;
  #until: Millis;
  #state: "silent" | "judged" | "refused" | "lent" | "answered" = "silent";

  /**
   * Starts to wait for a request.
   *
   * @param owner Whom to tell.
   * @param socket The socket.
   * @param until When a request must have come and been judged.
   */
  constructor(owner: ArrivalOwner, socket: Socket, until: Millis) {
    this.#owner = owner;
    this.socket = socket;
    this.#until = until;
    linkSocket(socket, this);
  }

  /** Whether nothing can be answered any more. */
  get isGone(): boolean {
    return this.socket.destroyed || !this.socket.writable;
  }

  /** The request is an upgrade, which the application judges. */
  judge(): void {
    this.#state = "judged";
  }

  /** An HTTP server may read the socket, and answer one request on it. */
  lend(): void {
    this.#state = "lent";
    lendSocket(this.socket);
  }

  /**
   * The HTTP server read the head of a request.
   *
   * @returns Whether it is the first. The others came before its answer, and get none: an upgrade
   *     would have the answer among its frames (RFC 9112 §9.3.2, §9.6).
   */
  claim(): boolean {
    const isFirst = this.#state === "lent";
    this.#state = "answered";
    return isFirst;
  }

  /** The HTTP server met an upgrade: the socket is somebody else's. */
  leave(): void {
    unlinkSocket(this.socket);
    this.#owner.departed(this);
  }

  /** The plain request is whole: its answer takes the time that it needs. */
  relax(): void {
    this.#until = Infinity;
  }

  /** Answers an upgrade with an HTTP error and ends. */
  refuse(refusal: Refusal): void {
    this.#state = "refused";
    if (this.isGone) return;
    this.socket.end(encodeRefusal(refusal));
    // What the client still sends is read away, so that it can read the answer.
    this.socket.resume();
  }

  /** Ends soon: at once what has not been answered yet, and the rest at `until`. */
  shut(until: Millis): void {
    if (this.#state === "judged") this.refuse({ status: 503, reason: "The server stops" });
    else if (this.#state !== "refused" && this.#until !== Infinity) this.socket.destroy();
    this.#until = until;
  }

  /** Looks at the time. */
  sweep(now: Millis): void {
    if (now < this.#until) return;
    if (this.#state === "judged") {
      this.refuse({ status: 503, reason: "The server took too long" });
    } else {
      this.socket.destroy();
    }
  }

  /** Bytes came. */
  receive(chunk: Uint8Array): void {
    if (this.#state !== "silent") return;
    this.socket.pause();
    this.#owner.arrived(this, chunk);
  }

  /** The socket is closed. */
  gone(): void {
    this.#owner.departed(this);
  }
}
