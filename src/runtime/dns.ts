import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { TcpError } from "../errors.ts";

/**
 * Finds all addresses of a name, IPv4 and IPv6, as the system resolves it. An address is its own.
 *
 * @throws {TcpError} `name_unknown` if there is none.
 */
export async function resolveAll(hostname: string): Promise<string[]> {
  if (isIP(hostname) !== 0) return [hostname];
  try {
    const found = await lookup(hostname, { all: true });
    return [...new Set(found.map(({ address }) => address))];
  } catch (cause) {
    throw new TcpError("name_unknown", `Cannot find ${hostname}: it has no address`, { cause });
  }
}
