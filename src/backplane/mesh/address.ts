/** A place to dial. */
export interface HostPort {
  /** A name or an IP address, IPv6 without brackets. */
  readonly hostname: string;
  /** From 1 to 65535. */
  readonly port: number;
}

const HOST_LENGTH_MAX = 255;
const PORT_MAX = 65_535;
const NAME_PATTERN = /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/;
const IPV6_PATTERN = /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?$/;
const PORT_PATTERN = /^[0-9]{1,5}$/;
const LOOPBACK_PATTERN = /^(localhost|::1|127\.[0-9.]+)$/i;
const IPV4_PATTERN = /^[0-9]+(\.[0-9]+){3}$/;

/** Reads `"host:port"` or `"[ipv6]:port"`, or returns `undefined` if the text is neither. */
export function parseAddress(text: string): HostPort | undefined {
  const colon = text.lastIndexOf(":");
  const portText = text.slice(colon + 1);
  const port = Number(portText);
  if (colon < 1 || !PORT_PATTERN.test(portText) || port < 1 || port > PORT_MAX) return undefined;
  const host = text.slice(0, colon);
  if (host.length > HOST_LENGTH_MAX) return undefined;
  if (!host.startsWith("[")) return NAME_PATTERN.test(host) ? { hostname: host, port } : undefined;
  const hostname = host.slice(1, -1);
  return host.endsWith("]") && IPV6_PATTERN.test(hostname) ? { hostname, port } : undefined;
}

/** Writes a place as `"host:port"`, an IPv6 address in brackets. */
export function formatAddress(place: HostPort): string {
  return place.hostname.includes(":")
    ? `[${place.hostname}]:${place.port}`
    : `${place.hostname}:${place.port}`;
}

/** Whether the host is an IP address, so that there is nothing to resolve. */
export function isIpAddress(hostname: string): boolean {
  return IPV4_PATTERN.test(hostname) || IPV6_PATTERN.test(hostname);
}

/** Whether the host means this machine alone. */
export function isLoopback(hostname: string): boolean {
  return LOOPBACK_PATTERN.test(hostname);
}

/** Whether the host means every address of this machine, so that others cannot dial it. */
export function isWildcard(hostname: string): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}

/** A node that listens on every address (`":port"`) is dialled where its connection comes from. */
export function dialAddress(told: string, remote: string): string {
  if (!told.startsWith(":")) return told;
  const host = remote.slice(0, remote.lastIndexOf(":"));
  return `${host}${told}`;
}
