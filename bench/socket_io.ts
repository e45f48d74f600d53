/**
 * Socket.IO with its Redis adapter, as servers that `wsload` is pointed at.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { installPeers, PEERS_FOLDER } from "./peers.ts";

const SCRIPT = join(PEERS_FOLDER, "socket_io.mjs");

// A node of Socket.IO with the Redis adapter, for the folder that its packages are in. A text, since
// nothing here can resolve those. The port and the server's URL are its arguments.
const SOURCE = `import { createServer } from "node:http";
import process from "node:process";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, url] = process.argv.slice(2);
const server = createServer();
const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false });
const publisher = createClient({ url });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);
io.adapter(createAdapter(publisher, subscriber));
io.on("connection", (socket) => {
  socket.on("s", (channel) => socket.join(channel));
  socket.on("p", (channel, data) => io.to(channel).emit("m", data));
});
server.listen(Number(port), "127.0.0.1", () => process.stdout.write("listening\\n"));
`;

/** What `wsload` says to Socket.IO: the handshake, `s` for a subscriber, `p` to publish. */
export const SOCKET_IO_FRAMES: readonly string[] = [
  ...["--path", "/socket.io/?EIO=4&transport=websocket", "--init-pub", "40"],
  ...["--init-sub", "40", "--init-sub2", `42["s","ch%c"]`, "--msg", `42["p","ch%c","%p"]`],
];

/** Makes it ready to run. */
export function installSocketIo(): void {
  installPeers();
  writeFileSync(SCRIPT, SOURCE);
}

/** Runs a node of Socket.IO on Node at each port, over a Redis server, for the time of a body. */
export async function withSocketIo(
  ports: readonly number[],
  url: string,
  body: (pids: readonly (number | undefined)[]) => Promise<void>,
): Promise<void> {
  const started: ChildProcess[] = [];
  try {
    for (const port of ports) {
      const child = spawn("node", [SCRIPT, `${port}`, url], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      started.push(child);
      await new Promise<void>((resolve, reject) => {
        child.stdout.once("data", () => resolve());
        child.once("exit", () => reject(new Error("Cannot measure Socket.IO: it ended")));
      });
    }
    await body(started.map(({ pid }) => pid));
  } finally {
    for (const child of started) child.kill("SIGKILL");
  }
}
