import { createConnection, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy on 127.0.0.1 that can stop forwarding without a word, as a broken network does. */
export class SwallowingProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [near: Socket, far: Socket]>();
  /** Where new connections lead to: a port of 127.0.0.1. */
  targetPort: number;
  #isSwallowing = false;

  private constructor(targetPort: number) {
    this.targetPort = targetPort;
    this.#server = createServer((near) => {
      const far = createConnection({ port: this.targetPort, host: "127.0.0.1" });
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      this.#forward(near, far, pair);
      this.#forward(far, near, pair);
    });
  }

  /** Opens a proxy for a port of 127.0.0.1. */
  static async open(targetPort: number): Promise<SwallowingProxy> {
    const proxy = new SwallowingProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Number of connections that are open. */
  get connectionCount(): number {
    return this.#pairs.size;
  }

  /** Swallows everything of the connections that are open now; new ones work. */
  swallowOpen(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.removeAllListeners("data");
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  /** Swallows everything, also of new connections, until told otherwise. */
  set isSwallowing(isSwallowing: boolean) {
    this.#isSwallowing = isSwallowing;
  }

  /** Reads nothing of the connections that are open now, so that what is sent piles up. */
  hold(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Undoes `hold`. */
  release(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  /** Breaks every connection. */
  breakAll(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.breakAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #forward(from: Socket, to: Socket, pair: readonly [Socket, Socket]): void {
    from.on("data", (chunk) => {
      if (!this.#isSwallowing) to.write(chunk);
    });
    from.on("error", () => {});
    from.on("close", () => {
      this.#pairs.delete(pair);
      to.destroy();
    });
  }
}
