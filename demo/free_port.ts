import { createServer } from "node:net";

const PORTS_TRIED_MAX = 100;

/**
 * Returns the wanted port or the next one that is free, or any free one for 0.
 *
 * @param wanted The port to begin with.
 * @param taken Ports that are spoken for. The one that is found joins them.
 * @throws {Error} If a hundred ports in a row are taken.
 */
export async function findPort(wanted: number, taken: Set<number>): Promise<number> {
  for (let port = wanted; port < wanted + PORTS_TRIED_MAX; port += wanted === 0 ? 0 : 1) {
    const free = taken.has(port) ? undefined : await probePort(port);
    if (free === undefined || taken.has(free)) continue;
    taken.add(free);
    return free;
  }
  throw new Error(`Cannot start: no free port from ${wanted} to ${wanted + PORTS_TRIED_MAX - 1}`);
}

function probePort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      const found = typeof address === "object" && address !== null ? address.port : undefined;
      server.close(() => resolve(found));
    });
  });
}
