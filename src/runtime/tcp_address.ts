import type { TcpAddress } from "./tcp.ts";

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * Writes an address as people do: `"127.0.0.1:5410"`, `"[::1]:5410"` or the path of a Unix socket.
 *
 * An IPv4 address in IPv6 clothes (`::ffff:127.0.0.1`), as a dual-stack listener sees it, comes
 * out as IPv4.
 */
export function formatAddress(address: TcpAddress): string {
  if ("path" in address) return address.path;
  const hostname = MAPPED_IPV4.exec(address.hostname)?.[1] ?? address.hostname;
  return hostname.includes(":") ? `[${hostname}]:${address.port}` : `${hostname}:${address.port}`;
}
