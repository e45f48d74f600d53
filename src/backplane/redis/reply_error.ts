import { RedisError, type RedisErrorCode } from "../../errors.ts";
import type { RespError } from "./resp.ts";

const CODES: ReadonlyMap<string, RedisErrorCode> = new Map<string, RedisErrorCode>([
  ["WRONGPASS", "auth_failed"],
  ["NOAUTH", "auth_required"],
  ["NOPERM", "no_permission"],
  ["DENIED", "refused"],
  ["LOADING", "loading"],
  ["MOVED", "moved"],
  ["ASK", "ask"],
  ["CLUSTERDOWN", "cluster_down"],
  ["READONLY", "read_only"],
]);

// Errors without a word of their own, as old servers and old reasons have them.
const WORDINGS: readonly (readonly [pattern: RegExp, code: RedisErrorCode])[] = [
  [/^ERR invalid password/i, "auth_failed"],
  [/^ERR max number of clients/i, "refused"],
];

// For a command that it does not know the server repeats the arguments: perhaps a password.
const ARGUMENTS = /,? with args beginning with:.*/s;
const REDIRECTION = /^(?:MOVED|ASK) (\d+) (\S*)/;

/** What was attempted, and where. */
export interface ReplyContext {
  /** What could not be done, for the message: `"PUBLISH"`. */
  readonly action: string;
  /** The server, as `"host:port"` or a path. */
  readonly server: string;
  /** What the message must not show. */
  readonly secret?: string | undefined;
}

/** Makes a `RedisError` of an error that a server answered with. */
export function toRedisError(error: RespError, context: ReplyContext): RedisError {
  const { action, server, secret } = context;
  const wording = WORDINGS.find(([pattern]) => pattern.test(error.message));
  const code = wording?.[1] ?? CODES.get(error.code) ?? "server_error";
  const [, slot, address] = REDIRECTION.exec(error.message) ?? [];
  const said = hide(error.message.replace(ARGUMENTS, ""), secret);
  return new RedisError(code, `Cannot ${action} on Redis at ${server}: it answered "${said}"`, {
    server,
    reply: error.code,
    slot: slot === undefined ? undefined : Number(slot),
    address: address === undefined ? undefined : completeAddress(address, server),
  });
}

function hide(text: string, secret: string | undefined): string {
  return secret === undefined || secret === "" ? text : text.replaceAll(secret, "***");
}

// A server that does not know its own name leaves the host out: it is the one that was asked.
function completeAddress(address: string, server: string): string {
  if (!address.startsWith(":")) return address;
  const colon = server.lastIndexOf(":");
  return colon < 0 ? address : server.slice(0, colon) + address;
}
