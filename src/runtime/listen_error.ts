import { ClusterError, TcpError, type TcpErrorCode } from "../errors.ts";
import { toTcpError } from "./tcp_error.ts";

// The runtimes' own words leave out what matters, or say it twice.
const REASONS: ReadonlyMap<TcpErrorCode, string> = new Map<TcpErrorCode, string>([
  ["address_in_use", "the port is in use"],
  ["address_not_available", "the address is not this machine's, or may not be bound"],
  ["name_unknown", "the name has no address"],
]);

/**
 * Makes a `listen_failed` of what a runtime threw, in the same words on each.
 *
 * @param action What could not be done, with the address: `"listen on 127.0.0.1:80"`.
 * @param cause The runtime's own error, or a `TcpError` that was made of it.
 */
export function toListenError(action: string, cause: unknown): ClusterError {
  const reason = REASONS.get(toTcpError(action, cause, "failed").code) ?? textOf(cause);
  return new ClusterError("listen_failed", `Cannot ${action}: ${reason}`, { cause });
}

function textOf(cause: unknown): string {
  const own = cause instanceof TcpError ? cause.cause : cause;
  return own instanceof Error ? own.message : String(own);
}
