import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { assertCertificate } from "../runtime/certificate.ts";
import { toListenError } from "../runtime/listen_error.ts";
import { formatAddress } from "../runtime/tcp_address.ts";
import { createTlsServer, type SocketServer } from "../runtime/tls_server.ts";
import { LISTEN_BACKLOG } from "./limits.ts";
import type { EdgeListener, EdgeListenOptions, FetchHandler } from "./listener.ts";
import type { NodeUpgrades } from "./upgrade_node.ts";
import type { ArrivalOwner, NodeArrival } from "./upgrade_node_arrival.ts";
import { answerPlain } from "./upgrade_node_http.ts";
import { readUpgradeHead } from "./websocket/request_head.ts";

/**
 * Listens on a port for clients and plain requests.
 *
 * Most clients send their upgrade request in one piece, and it is read right here: a connection
 * that never meets `node:http` takes a third less memory. Everything else is handed to a
 * `node:http` server as it came, and gets one answer before its connection is closed.
 */
export function listenOnNode(
  upgrades: NodeUpgrades,
  options: EdgeListenOptions,
): Promise<EdgeListener> {
  const door = new Door(upgrades, options.fetch);
  const { port, hostname } = options;
  return new Promise<EdgeListener>((resolve, reject) => {
    const onSocket = (socket: Socket): void => void upgrades.arrive(socket, door);
    const { server, close } = createServer(upgrades, options.tls, onSocket);
    server.once("error", reject);
    server.listen({ port, host: hostname, backlog: LISTEN_BACKLOG }, () => {
      // What goes wrong with one client, such as a want of file descriptors, must not end all.
      server.off("error", reject).on("error", () => {});
      const bound = server.address() as AddressInfo;
      const { port, address: hostname } = bound;
      resolve({ port, hostname, close: () => Promise.resolve(close()) });
    });
  }).catch((cause: unknown) => {
    throw toListenError(`listen on ${formatAddress({ hostname, port })}`, cause);
  });
}

function createServer(
  { settings }: NodeUpgrades,
  tls: EdgeListenOptions["tls"],
  onSocket: (socket: Socket) => void,
): SocketServer {
  if (tls === undefined) {
    const server = createTcpServer({ noDelay: true }, onSocket);
    return { server, close: () => void server.close() };
  }
  assertCertificate(tls);
  const { cert, key } = tls;
  const handshakeTimeout = settings.handshakeTimeoutMs;
  return createTlsServer({ cert, key, handshakeTimeout, noDelay: true }, onSocket);
}

/** Looks at the first bytes of each connection and sends it the right way. */
class Door implements ArrivalOwner {
  readonly #upgrades: NodeUpgrades;
  readonly #fetch: FetchHandler | undefined;
  readonly #lent = new WeakMap<Socket, NodeArrival>();
  readonly #http: HttpServer;

  constructor(upgrades: NodeUpgrades, fetch: FetchHandler | undefined) {
    this.#upgrades = upgrades;
    this.#fetch = fetch;
    this.#http = this.#createHttpServer();
  }

  arrived(arrival: NodeArrival, chunk: Uint8Array): void {
    const head = readUpgradeHead(chunk);
    if (head === undefined) return this.#lend(arrival, chunk);
    const hasMore = chunk.byteLength > head.byteLength;
    const early = hasMore ? chunk.subarray(head.byteLength) : undefined;
    this.#upgrades.arrivedHead(arrival, head, early);
  }

  departed(arrival: NodeArrival): void {
    this.#upgrades.departed(arrival);
  }

  #lend(arrival: NodeArrival, chunk: Uint8Array): void {
    const { socket } = arrival;
    arrival.lend();
    this.#lent.set(socket, arrival);
    this.#http.emit("connection", socket);
    // Put back into the stream, it could be overtaken by what comes next: the server may read the
    // system's handle and not the stream.
    socket.emit("data", chunk);
    socket.resume();
  }

  // It never listens: it gets sockets that were accepted and looked at.
  #createHttpServer(): HttpServer {
    const http = createHttpServer((request, response) => {
      const arrival = this.#lent.get(request.socket);
      if (arrival === undefined || !arrival.claim()) return;
      // A connection that stays for another request could not be told from one that is silent.
      response.shouldKeepAlive = false;
      const read = () => arrival.relax();
      void answerPlain(this.#fetch, request, response, read).then((succeeded) => {
        if (!succeeded) this.#upgrades.counters.failures++;
      });
    });
    http.on("upgrade", (request, socket, head) => {
      const arrival = this.#lent.get(request.socket);
      if (arrival === undefined || !arrival.claim()) return;
      arrival.leave();
      this.#upgrades.upgrade(request, socket, head);
    });
    return http;
  }
}
