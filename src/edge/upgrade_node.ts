/**
 * Clients from `node:http` and `node:https` servers, on every runtime that has them.
 *
 * @module
 */

import * as crypto from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../core/clock.ts";
import { systemClock } from "../runtime/clock.ts";
import type { Admission, Admit, ClientRequest, EdgeSettings } from "./client_socket.ts";
import { EdgeTally } from "./edge_counters.ts";
import type { EdgeListener, EdgeListenOptions } from "./listener.ts";
import { SweptSet } from "./swept_set.ts";
import { type ArrivalOwner, NodeArrival } from "./upgrade_node_arrival.ts";
import { listenOnNode } from "./upgrade_node_listener.ts";
import { joinHeader, toHeaders, toUrl } from "./upgrade_node_http.ts";
import { FrameBuffers, NodeClientSocket, type NodeSocketOwner } from "./upgrade_node_socket.ts";
import {
  acceptKey,
  checkHandshake,
  encodeAcceptance,
  type HandshakeRequest,
  type Refusal,
} from "./websocket/handshake.ts";
import type { RequestHead } from "./websocket/request_head.ts";

const STOPPING: Refusal = { status: 503, reason: "The server stops" };

/** A proper handshake that waits to be admitted. */
interface Candidate {
  readonly arrival: NodeArrival;
  readonly key: string;
  readonly protocol: string | undefined;
  /** What the client sent behind its request, if it did. */
  readonly early: Uint8Array | undefined;
}

/** Where the rest of a request is. */
interface RequestSource {
  readonly target: string;
  headers(): Headers;
}

/** What the `upgrade` event of a `node:http` server tells: the request, its socket, and what the client sent behind it. */
export type NodeUpgradeArguments = [request: IncomingMessage, socket: Duplex, head: Uint8Array];

/** Makes clients of sockets that come with an upgrade request. */
export class NodeUpgrades implements NodeSocketOwner, ArrivalOwner {
  /** How sockets behave. */
  readonly settings: EdgeSettings;
  /** Where time comes from. */
  readonly clock: Clock;
  /** What happened so far. */
  readonly counters: EdgeTally = new EdgeTally();
  /** What sockets hand to Node's streams. */
  readonly buffers: FrameBuffers = new FrameBuffers();
  readonly #admit: Admit;
  readonly #sockets: SweptSet<NodeClientSocket>;
  readonly #arrivals: SweptSet<NodeArrival>;
  #emptied: (() => void)[] = [];
  #isClosed = false;

  /**
   * Makes a way in.
   *
   * @param settings How its sockets behave.
   * @param admit Judges each request that is a proper handshake.
   * @param clock Where time comes from.
   */
  constructor(settings: EdgeSettings, admit: Admit, clock: Clock = systemClock) {
    this.settings = settings;
    this.clock = clock;
    this.#admit = admit;
    const { pingIntervalMs, pongTimeoutMs, closeTimeoutMs, handshakeTimeoutMs } = settings;
    const shortestMs = Math.min(pingIntervalMs, pongTimeoutMs, closeTimeoutMs);
    this.#sockets = new SweptSet(clock, shortestMs);
    this.#arrivals = new SweptSet(clock, Math.min(handshakeTimeoutMs, closeTimeoutMs));
  }

  /** Number of clients that are connected. */
  get count(): number {
    return this.#sockets.size;
  }

  /** Number of clients that were closed because they did not read. */
  get slowConsumerCount(): number {
    return this.counters.slowConsumers;
  }

  /**
   * Takes the arguments of a server's `upgrade` event.
   *
   * A request that is no proper handshake, or is not admitted, is answered and its socket closed.
   *
   * @param request The request. It is not kept.
   * @param socket Its socket, which belongs to this object from now on.
   * @param head What the client sent behind the request.
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    socket.pause();
    // Every server that speaks HTTP on a port hands over a socket of node:net or node:tls.
    const arrival = this.arrive(socket as Socket, this);
    arrival.socket.setNoDelay(true);
    // The server's limit on silence is for requests; a client has one of its own.
    arrival.socket.setTimeout(0);
    const { method = "", httpVersion, url = "", rawHeaders } = request;
    const handshake: HandshakeRequest = {
      method,
      version: httpVersion,
      header: (name) => joinHeader(rawHeaders, name),
    };
    const early = head.byteLength === 0 ? undefined : head;
    this.#check(
      arrival,
      handshake,
      { target: url, headers: () => toHeaders(rawHeaders) },
      early,
    );
  }

  /** Serves clients, and plain requests, on a port of its own. */
  listen(options: EdgeListenOptions): Promise<EdgeListener> {
    return listenOnNode(this, options);
  }

  /**
   * Closes all clients and refuses new ones, for good. Resolves when all are gone, which takes
   * little longer than `closeTimeoutMs` at the most.
   */
  async close(code: number, reason: string): Promise<void> {
    this.#isClosed = true;
    const until = this.clock.now() + this.settings.closeTimeoutMs;
    for (const socket of this.#sockets) socket.close(code, reason);
    for (const arrival of this.#arrivals) arrival.shut(until);
    if (this.#sockets.size + this.#arrivals.size === 0) return;
    await new Promise<void>((resolve) => this.#emptied.push(resolve));
  }

  /** Puts a time limit on the request of a socket. For the listener. */
  arrive(socket: Socket, owner: ArrivalOwner): NodeArrival {
    const until = this.clock.now() + this.settings.handshakeTimeoutMs;
    const arrival = new NodeArrival(owner, socket, until);
    this.#arrivals.add(arrival);
    return arrival;
  }

  /** Takes a request that asks for an upgrade. For the listener. */
  arrivedHead(arrival: NodeArrival, head: RequestHead, early: Uint8Array | undefined): void {
    this.#check(arrival, head, head, early);
  }

  /** Nothing comes here: what waits was read by an HTTP server. */
  arrived(): void {}

  /** A socket is closed before it became a client, or is somebody else's. For the arrival. */
  departed(arrival: NodeArrival): void {
    this.#arrivals.delete(arrival);
    this.#settle();
  }

  /** A client is gone. For its socket. */
  gone(socket: NodeClientSocket): void {
    this.#sockets.delete(socket);
    this.#settle();
  }

  #check(
    arrival: NodeArrival,
    handshake: HandshakeRequest,
    source: RequestSource,
    early: Uint8Array | undefined,
  ): void {
    const verdict = checkHandshake(handshake, this.settings.protocols);
    if (!verdict.accepted) return this.#refuse(arrival, verdict.refusal);
    if (this.#isClosed) return this.#refuse(arrival, STOPPING);
    const url = toUrl(arrival.socket, handshake.header("host") ?? "", source.target);
    if (url === undefined) {
      return this.#refuse(arrival, { status: 400, reason: "The request's target is no address" });
    }
    arrival.judge();
    const { key, protocol } = verdict;
    this.#judge(
      { arrival, key, protocol, early },
      new NodeClientRequest(url, arrival.socket, source),
    );
  }

  #judge(candidate: Candidate, request: ClientRequest): void {
    try {
      const admission = this.#admit(request);
      if (!(admission instanceof Promise)) return this.#conclude(candidate, admission);
      admission.then(
        (awaited) => this.#conclude(candidate, awaited),
        () => this.#fail(candidate.arrival),
      );
    } catch {
      // The client is told that the server failed, and the counter tells the operator.
      this.#fail(candidate.arrival);
    }
  }

  #conclude(candidate: Candidate, admission: Admission): void {
    const { arrival } = candidate;
    if (arrival.isGone) return;
    if (this.#isClosed) return this.#refuse(arrival, STOPPING);
    if (!("accept" in admission)) return this.#refuse(arrival, admission);
    this.#arrivals.delete(arrival);
    const socket = new NodeClientSocket(this, arrival.socket);
    this.counters.accepted++;
    this.#sockets.add(socket);
    const answer = encodeAcceptance(acceptKey(candidate.key, sha1), candidate.protocol);
    socket.start(answer, admission.accept, candidate.early);
  }

  #fail(arrival: NodeArrival): void {
    this.counters.failures++;
    this.#refuse(arrival, { status: 500, reason: "The server failed" });
  }

  #refuse(arrival: NodeArrival, refusal: Refusal): void {
    this.counters.refused++;
    arrival.refuse(refusal);
  }

  #settle(): void {
    if (this.#emptied.length === 0 || this.#sockets.size + this.#arrivals.size > 0) return;
    for (const resolve of this.#emptied) resolve();
    this.#emptied = [];
  }
}

class NodeClientRequest implements ClientRequest {
  readonly url: string;
  readonly #socket: Socket;
  readonly #source: RequestSource;
  #headers: Headers | undefined;

  constructor(url: string, socket: Socket, source: RequestSource) {
    this.url = url;
    this.#socket = socket;
    this.#source = source;
  }

  get headers(): Headers {
    this.#headers ??= this.#source.headers();
    return this.#headers;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? "";
  }
}

// The digest in one call makes no object for the collector, but came to Node only with 20.12.
const hash = "hash" in crypto ? crypto.hash : undefined;

function sha1(text: string): string {
  if (hash !== undefined) return hash("sha1", text, "base64");
  return crypto.createHash("sha1").update(text).digest("base64");
}
