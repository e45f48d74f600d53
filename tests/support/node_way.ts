import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Admit, EdgeSettings } from "../../src/edge/client_socket.ts";
import type { EdgeListenOptions } from "../../src/edge/listener.ts";
import { NodeUpgrades } from "../../src/edge/upgrade_node.ts";

/** A server of `NodeUpgrades` on a free port of 127.0.0.1. */
export interface NodeWay {
  /** What makes its clients. */
  readonly upgrades: NodeUpgrades;
  /** Where it listens. */
  readonly port: number;
  /** Closes all clients. Resolves when they are gone. */
  close(code: number, reason: string): Promise<void>;
  /** Ends the server. */
  stop(): Promise<void>;
}

/** Opens a server that `node:http` runs. */
export async function openHttpServer(settings: EdgeSettings, admit: Admit): Promise<NodeWay> {
  const upgrades = new NodeUpgrades(settings, admit);
  const server = createServer();
  server.on("upgrade", (request, socket, head) => upgrades.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return toWay(upgrades, port, () => void server.close());
}

/** Opens a server that listens by itself. */
export async function openListener(
  settings: EdgeSettings,
  admit: Admit,
  options: Partial<EdgeListenOptions> = {},
): Promise<NodeWay> {
  const upgrades = new NodeUpgrades(settings, admit);
  const listener = await upgrades.listen({ hostname: "127.0.0.1", port: 0, ...options });
  return toWay(upgrades, listener.port, () => listener.close());
}

function toWay(upgrades: NodeUpgrades, port: number, close: () => void | Promise<void>): NodeWay {
  return {
    upgrades,
    port,
    close: (code, reason) => upgrades.close(code, reason),
    stop: async () => {
      await close();
      await upgrades.close(1001, "stop");
    },
  };
}
