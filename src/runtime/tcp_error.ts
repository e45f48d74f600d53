import { TcpError, type TcpErrorCode } from "../errors.ts";

const CODES: ReadonlyMap<unknown, TcpErrorCode> = new Map<unknown, TcpErrorCode>([
  ["ECONNREFUSED", "refused"],
  // A Unix socket's path that is not there.
  ["ENOENT", "refused"],
  ["ECONNRESET", "reset"],
  ["ECONNABORTED", "reset"],
  ["EPIPE", "reset"],
  ["ETIMEDOUT", "timed_out"],
  ["EHOSTUNREACH", "unreachable"],
  ["EHOSTDOWN", "unreachable"],
  ["ENETUNREACH", "unreachable"],
  ["ENETDOWN", "unreachable"],
  ["ENOTFOUND", "name_unknown"],
  ["EAI_AGAIN", "name_unknown"],
  ["EADDRINUSE", "address_in_use"],
  ["EADDRNOTAVAIL", "address_not_available"],
  ["EACCES", "address_not_available"],
  // An IPv6 address that wants a zone, and all that Deno's `node:net` says of a failed bind.
  ["EINVAL", "address_not_available"],
]);

// Deno's error for a name without an address has no code.
const LOOKUP_FAILED = /failed to lookup address/;

/**
 * Makes a `TcpError` of what a runtime threw or reported, unless it is one already.
 *
 * @param action What could not be done, for the message: `"listen on 127.0.0.1:80"`.
 * @param cause The runtime's own error.
 * @param fallback The code where the runtime gives none that is known.
 */
export function toTcpError(action: string, cause: unknown, fallback: TcpErrorCode): TcpError {
  if (cause instanceof TcpError) return cause;
  const { code, message = String(cause) } = (cause ?? {}) as { code?: unknown; message?: string };
  const known = CODES.get(code) ?? (LOOKUP_FAILED.test(message) ? "name_unknown" : fallback);
  return new TcpError(known, `Cannot ${action}: ${message}`, { cause });
}
