import type { Server, Socket } from "node:net";
import { createServer, type TlsOptions, type TLSSocket } from "node:tls";

/** A server of sockets, and how to end it. */
export interface SocketServer {
  /** The server, which is not listening yet. */
  readonly server: Server;
  /** Stops accepting, and drops whoever has not finished its TLS handshake. Others stay. */
  close(): void;
}

interface Greeting {
  readonly socket: Socket;
  readonly forget: () => void;
}

/**
 * Makes a TLS server that drops clients which do not finish their handshake: when their time is
 * up, and when it closes, as they would keep the process alive.
 *
 * @param options With a `handshakeTimeout`.
 * @param open Takes each client whose handshake is done.
 */
export function createTlsServer(
  options: TlsOptions,
  open: (socket: TLSSocket) => void,
): SocketServer {
  const greetings = new Map<string, Greeting>();
  const server = createServer(options, (socket) => {
    const greeting = greetings.get(nameOf(socket));
    greeting?.forget();
    greeting?.socket.off("close", greeting.forget);
    open(socket);
  });
  server.on("connection", (socket: Socket) => {
    const name = nameOf(socket);
    const greeting = { socket, forget: () => void greetings.delete(name) };
    greetings.set(name, greeting);
    socket.once("close", greeting.forget);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  const close = (): void => {
    server.close();
    for (const { socket } of greetings.values()) socket.destroy();
  };
  return { server, close };
}

// The socket of the handshake and that of its outcome are two, but the client's end is the same.
function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
