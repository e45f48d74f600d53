import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import * as api from "../mod.ts";
import { readSource, stripSource } from "./support/source_file.ts";

/** What users can import. A name that goes away or changes its kind is a breaking change. */
const NAMES: readonly string[] = [
  "type Attachable",
  "type Backplane",
  "type BackplaneHandler",
  "type BackplaneStart",
  "type BackplaneState",
  "type BackplaneStats",
  "type BunHandlers",
  "type BunServer",
  "type BunSocketData",
  "type BunWebSocket",
  "type BunWebSocketOptions",
  "type ChangesOptions",
  "type ChannelMessage",
  "Channels",
  "type ChannelsOptions",
  "type ChannelsStats",
  "type ClientAction",
  "type ClientRequest",
  "Cluster",
  "ClusterError",
  "type ClusterErrorCode",
  "type ClusterEvents",
  "type ClusterHealth",
  "type ClusterNodeStats",
  "type ClusterOptions",
  "type ClusterStats",
  "type ConnectionOptions",
  "type EdgeListener",
  "type EdgeListenOptions",
  "Endpoint",
  "type EndpointEvents",
  "type EndpointOptions",
  "type EndpointStats",
  "FaultEvent",
  "type FetchHandler",
  "type JoinDecision",
  "type JoinOptions",
  "type JoinRequest",
  "LinkError",
  "type LinkErrorCode",
  "type LinkErrorOptions",
  "Member",
  "type MemberConnection",
  "type Mesh",
  "mesh",
  "type MeshOptions",
  "type Millis",
  "type NodeId",
  "type NodeIdentity",
  "type NodeUpgradeArguments",
  "type PathLoss",
  "type Peer",
  "type PeerDisconnectReason",
  "PeerEvent",
  "type Position",
  "Presence",
  "PresenceChanges",
  "PresenceError",
  "type PresenceErrorCode",
  "PresenceEvent",
  "type PresenceEvents",
  "type PresenceOptions",
  "type PresenceStats",
  "type Published",
  "type PublishOptions",
  "RedisError",
  "type RedisErrorCode",
  "type RedisErrorOptions",
  "redis",
  "type RedisOptions",
  "type RedisSentinels",
  "serve",
  "type ServeOptions",
  "type Server",
  "type SubscribeOptions",
  "Subscription",
  "type SubscriptionEvents",
  "TcpError",
  "type TcpErrorCode",
  "type TcpTls",
  "TypedEventTarget",
  "type WaitOptions",
  "type WebSocketLike",
  "type WebSocketLikeEvent",
];

const EXPORT = /\s*export (type )?\{([^}]*)\} from "(\.\/src\/[^"]+)";/y;

interface ExportStatement {
  readonly names: readonly string[];
  readonly isType: boolean;
  readonly source: string;
}

/** Takes `mod.ts` apart. Fails on anything in it that is not a list of names from a file. */
function readExports(): ExportStatement[] {
  const text = stripSource(readSource("mod.ts").text).withStrings.trimEnd();
  const statements: ExportStatement[] = [];
  EXPORT.lastIndex = 0;
  while (EXPORT.lastIndex < text.length) {
    const start = EXPORT.lastIndex;
    const found = EXPORT.exec(text);
    if (found === null) throw new Error(`mod.ts does more than re-export: ${text.slice(start)}`);
    const [, type, list = "", source = ""] = found;
    const names = list.split(",").map((name) => name.trim()).filter((name) => name !== "");
    statements.push({ names, isType: type !== undefined, source });
  }
  return statements;
}

function nameOf(entry: string): string {
  return entry.replace(/^type /, "");
}

test("mod.ts exports these names and no others", () => {
  const names = readExports().flatMap((statement) =>
    statement.names.map((name) => (statement.isType ? `type ${nameOf(name)}` : name))
  );
  deepStrictEqual(sorted(names), sorted(NAMES));
});

test("each name that is no type exists at run time", () => {
  const values = NAMES.filter((name) => !name.startsWith("type "));
  deepStrictEqual(sorted(Object.keys(api)), sorted(values));
});

function sorted(names: readonly string[]): string[] {
  const key = (name: string): string => nameOf(name).toLowerCase();
  return [...names].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
