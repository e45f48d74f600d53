import { connect, createServer, type Server, type Socket } from "node:net";

/** Where a proxy leads. */
export interface CutterTarget {
  /** The port to forward to. May be set when the proxy runs already. */
  port: number;
  /** Its address. Default: `127.0.0.1`. */
  readonly hostname?: string;
}

/** A TCP proxy that can drop every connection that runs through it, with whatever is in flight. */
export class LinkCutter {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  /** Use {@linkcode LinkCutter.start}. */
  constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as { port: number }).port;
  }

  /** Starts a proxy on a free port. */
  static start(target: CutterTarget): Promise<LinkCutter> {
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect({ port: target.port, host: target.hostname ?? "127.0.0.1" });
      for (const [from, to] of [[near, far], [far, near]] as const) {
        sockets.add(from);
        from.on("error", () => {});
        from.on("close", () => {
          sockets.delete(from);
          to.destroy();
        });
        from.on("data", (chunk) => to.write(chunk));
      }
    });
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve(new LinkCutter(server, sockets)));
    });
  }

  /** Drops every connection. Returns how many there were. */
  cut(): number {
    const count = this.#sockets.size / 2;
    for (const socket of this.#sockets) socket.destroy();
    return count;
  }

  /** Drops every connection and listens no more. */
  close(): Promise<void> {
    this.cut();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
