import { createConnection, type Socket } from "node:net";
import { Worker } from "node:worker_threads";

/** A port of 127.0.0.1 at which a dial hears nothing: neither yes nor no. */
export interface DeafPort {
  /** The port. */
  readonly port: number;
  /** Frees it. */
  close(): Promise<void>;
}

// The thread sleeps and so accepts nobody: the system answers until the backlog is full.
const SLEEPER = `
const { parentPort, workerData } = require("node:worker_threads");
const server = require("node:net").createServer();
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  parentPort.postMessage(server.address().port);
  Atomics.wait(new Int32Array(workerData), 0, 0);
  server.close();
});`;

/** More than the largest backlog that a runtime asks for when it does not heed ours. */
const FILLERS_MAX = 600;
const ANSWER_MS = 200;

/** Opens a port whose backlog is full. */
export async function createDeafPort(): Promise<DeafPort> {
  const gate = new SharedArrayBuffer(4);
  const worker = new Worker(SLEEPER, { eval: true, workerData: gate });
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  const fillers: Socket[] = [];
  let answered = true;
  while (answered && fillers.length < FILLERS_MAX) {
    const filler = createConnection({ port, host: "127.0.0.1" });
    fillers.push(filler);
    answered = await isAnswered(filler);
  }
  return {
    port,
    close: async () => {
      for (const filler of fillers) filler.destroy();
      const exited = new Promise((resolve) => worker.once("exit", resolve));
      Atomics.store(new Int32Array(gate), 0, 1);
      Atomics.notify(new Int32Array(gate), 0);
      await exited;
    },
  };
}

function isAnswered(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ANSWER_MS);
    socket.on("error", () => {});
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
