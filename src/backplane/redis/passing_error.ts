import { type RedisError, type RedisErrorCode, TcpError, type TcpErrorCode } from "../../errors.ts";

const PASSING: ReadonlySet<RedisErrorCode> = new Set<RedisErrorCode>([
  "connect_failed",
  "connection_lost",
  "timed_out",
  "loading",
  "cluster_down",
  "read_only",
  "refused",
]);

/** What a server says by itself that is busy, or has lost its master. */
const PASSING_REPLIES: ReadonlySet<string> = new Set(["BUSY", "MASTERDOWN", "TRYAGAIN"]);

/** Why no connection comes, however often it is tried. */
const LASTING: ReadonlySet<TcpErrorCode> = new Set<TcpErrorCode>([
  "tls_failed",
  "address_not_available",
]);

/** In protected mode a server turns everybody away; with too many clients it does so for a while. */
const PROTECTED = "DENIED";

/**
 * Whether time may mend what went wrong: the server is away, starts, or has too much to do. The rest
 * somebody has to fix: a password, a right, a certificate, an address where no Redis is.
 */
export function mayPass({ code, reply, cause }: RedisError): boolean {
  if (reply === PROTECTED) return false;
  if (reply !== undefined && PASSING_REPLIES.has(reply)) return true;
  if (cause instanceof TcpError && LASTING.has(cause.code)) return false;
  return PASSING.has(code);
}
