import { RedisError } from "../../errors.ts";
import { formatAddress } from "../../runtime/tcp_address.ts";
import type { RedisSettings } from "./redis_options.ts";

/** What the backplane does, in the words of an access list. */
const COMMANDS = ["hello", "auth", "ping", "client|setname", "publish", "subscribe", "unsubscribe"]
  .concat("pubsub|numsub");
const CLUSTER_COMMANDS = ["hello", "auth", "ping", "client|setname", "spublish", "ssubscribe"]
  .concat("sunsubscribe", "pubsub|shardnumsub", "cluster|shards", "cluster|slots");
const SENTINEL_COMMANDS = [...COMMANDS, "role"];

/**
 * The line that gives a user just what this backplane needs, for `redis-cli` or an access list.
 *
 * @param settings Tells the user, the channels and the kind of servers.
 */
export function accessLine({ access, channel, topology }: RedisSettings): string {
  const { username = "default" } = access;
  const commands = topology.kind === "cluster"
    ? CLUSTER_COMMANDS
    : topology.kind === "sentinel"
    ? SENTINEL_COMMANDS
    : COMMANDS;
  const granted = commands.map((command) => `+${command}`).join(" ");
  return `ACL SETUSER ${username} resetchannels &${channel}:* ${granted}`;
}

/** Adds to an error what its reader can do about it, where that is known. */
export function explain(error: Error, settings: RedisSettings): Error {
  if (!(error instanceof RedisError)) return error;
  const advice = adviceFor(error, settings);
  if (advice === undefined) return error;
  const { code, server, reply, cause } = error;
  return new RedisError(code, `${error.message}; ${advice}`, { server, reply, cause });
}

function adviceFor(error: RedisError, settings: RedisSettings): string | undefined {
  const isSentinel = isSentinelOf(settings, error.server);
  const prefix = isSentinel ? "sentinels." : "";
  switch (error.code) {
    case "no_permission":
      // What a Sentinel has to allow is no business of an access list of the servers.
      if (isSentinel) return undefined;
      return `what this backplane needs is granted by: ${accessLine(settings)}`;
    case "auth_failed":
      return `check "${prefix}username" and "${prefix}password"`;
    case "auth_required":
      return `set "${prefix}password", and "${prefix}username" if the server has users`;
    default:
      return undefined;
  }
}

function isSentinelOf({ topology }: RedisSettings, server: string | undefined): boolean {
  if (topology.kind !== "sentinel") return false;
  return topology.nodes.some((node) => formatAddress(node) === server);
}
