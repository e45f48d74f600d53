import process from "node:process";
import { findPort } from "../../../demo/free_port.ts";

/** Where a node runs and listens; the same for each of its incarnations. */
export interface Place {
  /** The node's name. */
  readonly name: string;
  /** The address for clients. */
  readonly hostname: string;
  /** The port for clients. */
  readonly port: number;
  /** The address for the other nodes. */
  readonly clusterHostname: string;
  /** The port for the other nodes. */
  readonly clusterPort: number;
  /** The command that takes a process there. Empty: this machine as it is. */
  readonly within: readonly string[];
}

// Systems take the ports of outgoing connections from above. A port from there could be taken while
// its node restarts, even by the very connection that looks for it.
const PORT_MIN = 20_000;
const PORT_COUNT = 10_000;

/** Finds places with free ports on this machine. */
export async function findLocalPlaces(names: readonly string[]): Promise<Place[]> {
  const taken = new Set<number>();
  const first = PORT_MIN + process.pid * 31 % PORT_COUNT;
  const places: Place[] = [];
  for (const name of names) {
    const hostname = "127.0.0.1";
    const port = await findPort(first, taken);
    const clusterPort = await findPort(first, taken);
    places.push({ name, hostname, port, clusterHostname: hostname, clusterPort, within: [] });
  }
  return places;
}
