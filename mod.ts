/**
 * WebSocket clustering for Deno, Bun and Node: a message published on any node reaches the
 * subscribers of every node.
 *
 * - {@linkcode Channels}: publish and subscribe, in one process as it is.
 * - {@linkcode Presence}: who is online in which channel.
 * - {@linkcode Cluster}: makes attached channels span all nodes, over a backplane.
 * - {@linkcode mesh}: a backplane of direct TCP links; nothing else to run.
 * - {@linkcode redis}: a backplane over a Redis server.
 * - {@linkcode serve}: a WebSocket server for clients in one call; {@linkcode Endpoint} for
 *   servers that exist already.
 *
 * @example Two nodes in one process
 * ```ts
 * import { Channels, Cluster, mesh } from "jsr:@chorus/cluster";
 *
 * const backplane = mesh({ port: 0 });
 * const a = new Cluster(backplane, { name: "a" });
 * const here = new Channels();
 * a.attach(here);
 * await a.start();
 *
 * const b = new Cluster(mesh({ port: 0, peers: [`127.0.0.1:${backplane.port}`] }), { name: "b" });
 * const there = new Channels();
 * b.attach(there);
 * await b.start();
 * await b.whenReady();
 *
 * const news = there.subscribe("news");
 * await news.confirmed;
 * await here.publish("news", "hello from a");
 * for await (const message of news) {
 *   console.log(message.data);
 *   break;
 * }
 * await b.stop();
 * await a.stop();
 * ```
 *
 * @module
 */

export type {
  Backplane,
  BackplaneHandler,
  BackplaneStart,
  BackplaneState,
  BackplaneStats,
  NodeIdentity,
  PathLoss,
} from "./src/backplane/backplane.ts";
export { type Mesh, mesh, type MeshOptions } from "./src/backplane/mesh/mesh_backplane.ts";
export {
  redis,
  type RedisOptions,
  type RedisSentinels,
} from "./src/backplane/redis/redis_backplane.ts";
export {
  type ChannelMessage,
  Channels,
  type ChannelsOptions,
  type ChannelsStats,
  type Published,
  type PublishOptions,
  type SubscribeOptions,
  Subscription,
  type SubscriptionEvents,
} from "./src/channels.ts";
export {
  type Attachable,
  Cluster,
  type ClusterEvents,
  type ClusterHealth,
  type ClusterOptions,
  type ClusterStats,
  type Peer,
  type WaitOptions,
} from "./src/cluster.ts";
export type { ClusterNodeStats } from "./src/cluster/cluster_node_stats.ts";
export type { Millis } from "./src/core/machine.ts";
export type { NodeId, Position } from "./src/core/node.ts";
export type { WebSocketLike, WebSocketLikeEvent } from "./src/edge/accept.ts";
export type { ClientRequest } from "./src/edge/client_socket.ts";
export type { EdgeListener, EdgeListenOptions, FetchHandler } from "./src/edge/listener.ts";
export type { BunHandlers, BunServer, BunWebSocketOptions } from "./src/edge/upgrade_bun.ts";
export type { BunSocketData, BunWebSocket } from "./src/edge/upgrade_bun_socket.ts";
export type { NodeUpgradeArguments } from "./src/edge/upgrade_node.ts";
export { Endpoint, type EndpointEvents, type EndpointStats } from "./src/endpoint.ts";
export type { ClientAction, EndpointOptions } from "./src/endpoint_options.ts";
export {
  ClusterError,
  type ClusterErrorCode,
  LinkError,
  type LinkErrorCode,
  type LinkErrorOptions,
  PresenceError,
  type PresenceErrorCode,
  RedisError,
  type RedisErrorCode,
  type RedisErrorOptions,
  TcpError,
  type TcpErrorCode,
} from "./src/errors.ts";
export {
  FaultEvent,
  type PeerDisconnectReason,
  PeerEvent,
  PresenceEvent,
  TypedEventTarget,
} from "./src/events.ts";
export { Member, type MemberConnection } from "./src/member.ts";
export {
  type ChangesOptions,
  type ConnectionOptions,
  type JoinOptions,
  Presence,
  PresenceChanges,
  type PresenceEvents,
  type PresenceStats,
} from "./src/presence.ts";
export type { JoinDecision, JoinRequest, PresenceOptions } from "./src/presence_options.ts";
export type { TcpTls } from "./src/runtime/tcp.ts";
export { serve, type ServeOptions, type Server } from "./src/serve.ts";
