/**
 * The errors of this library. Each has a closed `code` to match on; messages are for people.
 *
 * Misuse, such as an option out of bounds, throws `TypeError` or `RangeError` instead.
 *
 * @module
 */

/** What can go wrong with a TCP connection or listener, the same on every runtime. */
export type TcpErrorCode =
  /** Nothing listens there (ECONNREFUSED). */
  | "refused"
  /** The peer, or something between, broke the connection (ECONNRESET, EPIPE). */
  | "reset"
  /** No answer within the time limit. */
  | "timed_out"
  /** The attempt was taken back, as nobody waits for it any more. */
  | "cancelled"
  /** No way to the host (EHOSTUNREACH, ENETUNREACH). */
  | "unreachable"
  /** The name has no address. */
  | "name_unknown"
  /** The port is taken (EADDRINUSE). */
  | "address_in_use"
  /** The address is not this machine's, or may not be bound (EADDRNOTAVAIL, EACCES, EINVAL). */
  | "address_not_available"
  /** The TLS handshake failed: certificate, name or protocol version. */
  | "tls_failed"
  /** Anything else; see `cause`. */
  | "failed";

/** Tells why a connection could not be opened, or ended before its time. */
export class TcpError extends Error {
  /** Always `"TcpError"`. */
  override readonly name = "TcpError";
  /** Which failure this is. */
  readonly code: TcpErrorCode;

  /**
   * Makes an error for one failure.
   *
   * @param code Which failure this is.
   * @param message The action that failed, a colon, then the values that explain it.
   * @param options The runtime's own error as `cause`, where there is one.
   */
  constructor(code: TcpErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }
}

/** Why a link between two nodes ended or never came up. Stable: safe to match on and to count. */
export type LinkErrorCode =
  /** The first bytes are not a node's greeting. */
  | "greeting_invalid"
  /** The two nodes share no protocol version. */
  | "version_unsupported"
  /** The peer does not know this cluster's secret, or replays an old proof. */
  | "secret_wrong"
  /** The peer belongs to another cluster. */
  | "cluster_wrong"
  /** The handshake took longer than its time limit. */
  | "handshake_timed_out"
  /** The address dialled is this node's own. */
  | "self_dialled"
  /** A frame is larger than the limit. */
  | "frame_too_large"
  /** A frame's content cannot be read. */
  | "frame_invalid"
  /** The peer was silent for longer than the limit. */
  | "peer_silent"
  /** More waited for the peer than may, though everything that can be repeated was dropped. */
  | "queue_full"
  /** The connection ended without a goodbye. */
  | "peer_gone"
  /** The peer said goodbye. */
  | "peer_left"
  /** Another connection of the same pair is kept instead. */
  | "duplicate"
  /** This side closed the link. */
  | "closed"
  /** The connection could not be opened; see `cause`. */
  | "connect_failed";

/** Facts about a {@linkcode LinkError}. */
export interface LinkErrorOptions {
  /** The peer's node id, once it has proved it. */
  readonly peer?: string | undefined;
  /** The peer's address, where known. */
  readonly address?: string | undefined;
  /** The error underneath, such as a {@linkcode TcpError}. */
  readonly cause?: unknown;
}

/** Tells why a link to a peer ended. Never thrown: losing a peer is ordinary in a cluster. */
export class LinkError extends Error {
  /** Always `"LinkError"`. */
  override readonly name = "LinkError";
  /** Which failure this is. */
  readonly code: LinkErrorCode;
  /** The peer's node id, or `undefined` when it failed before it proved one. */
  readonly peer: string | undefined;
  /** The peer's address, where known. */
  readonly address: string | undefined;

  /**
   * Makes an error for one failure.
   *
   * @param code Which failure this is.
   * @param message The action that failed, a colon, then the values that explain it.
   * @param options The peer, the address and the cause, where known.
   */
  constructor(code: LinkErrorCode, message: string, options: LinkErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.peer = options.peer;
    this.address = options.address;
  }
}

/** What can keep a cluster or a server from doing what it was asked. */
export type ClusterErrorCode =
  /** The port to listen on is taken, or the address cannot be bound. */
  | "listen_failed"
  /** None of several backplanes could be reached; see `cause`, an `AggregateError`. */
  | "unreachable"
  /** The object was stopped, or was started before. */
  | "stopped"
  /** A wait ended by its time limit. */
  | "timed_out";

/** Tells why an operation on a cluster or a server failed. */
export class ClusterError extends Error {
  /** Always `"ClusterError"`. */
  override readonly name = "ClusterError";
  /** Which failure this is. */
  readonly code: ClusterErrorCode;

  /**
   * Makes an error for one failure.
   *
   * @param code Which failure this is.
   * @param message The action that failed, a colon, then the values that explain it.
   * @param options The error underneath as `cause`, where there is one.
   */
  constructor(code: ClusterErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }
}

/** What a Redis server answered, or what became of the connection with it. */
export type RedisErrorCode =
  /** The user name or the password is wrong (WRONGPASS). */
  | "auth_failed"
  /** The server wants a password, and none is configured (NOAUTH). */
  | "auth_required"
  /** The user may not do this; the message names what to grant (NOPERM). */
  | "no_permission"
  /** The server turns connections away: protected mode, or too many clients (DENIED, maxclients). */
  | "refused"
  /** The server reads its data from disk, and cannot answer yet (LOADING). */
  | "loading"
  /** Another server of the Cluster has this slot; see `slot` and `address` (MOVED). */
  | "moved"
  /** Another server of the Cluster has this key for now; see `slot` and `address` (ASK). */
  | "ask"
  /** The Cluster does not serve this slot at present (CLUSTERDOWN). */
  | "cluster_down"
  /** The server is a replica, and takes no writes (READONLY). */
  | "read_only"
  /** Any other error that the server answered with; see `reply`. */
  | "server_error"
  /** What answers there does not speak Redis's protocol, or not in step. */
  | "not_redis"
  /** No connection could be opened; see `cause`. */
  | "connect_failed"
  /** The connection ended. What was sent and not answered may have been done, or not. */
  | "connection_lost"
  /** No answer within the time limit. What was sent may have been done, or not. */
  | "timed_out"
  /** Too much waits to be sent or answered: this was not sent. */
  | "queue_full"
  /** This side closed the connection. */
  | "closed";

/** Facts about a {@linkcode RedisError}. */
export interface RedisErrorOptions {
  /** The server spoken to, as `"host:port"` or a path. */
  readonly server?: string | undefined;
  /** The first word of the server's answer, such as `"MOVED"`. */
  readonly reply?: string | undefined;
  /** The slot, with `moved` and `ask`. */
  readonly slot?: number | undefined;
  /** Where the slot is, as `"host:port"`, with `moved` and `ask`. */
  readonly address?: string | undefined;
  /** The error underneath, such as a {@linkcode TcpError}. */
  readonly cause?: unknown;
}

/** Tells what a Redis server refused, or why it cannot be spoken to. Never holds a password. */
export class RedisError extends Error {
  /** Always `"RedisError"`. */
  override readonly name = "RedisError";
  /** Which failure this is. */
  readonly code: RedisErrorCode;
  /** The server spoken to, as `"host:port"` or a path, where known. */
  readonly server: string | undefined;
  /** The first word of the server's answer, such as `"MOVED"`, if it answered. */
  readonly reply: string | undefined;
  /** The slot, with `moved` and `ask`. */
  readonly slot: number | undefined;
  /** Where the slot is, as `"host:port"`, with `moved` and `ask`. */
  readonly address: string | undefined;

  /**
   * Makes an error for one failure.
   *
   * @param code Which failure this is.
   * @param message The action that failed, a colon, then the values that explain it.
   * @param options The facts, where known.
   */
  constructor(code: RedisErrorCode, message: string, options: RedisErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.server = options.server;
    this.reply = options.reply;
    this.slot = options.slot;
    this.address = options.address;
  }
}

/** What can keep a member out of a channel. */
export type PresenceErrorCode =
  /** The application's `admit` does not allow it, or could not decide; see `cause`. */
  | "refused"
  /** The channel has as many members as it may have. */
  | "channel_full"
  /** This node has as many members as one node can have. */
  | "node_full"
  /** The metadata is larger than it may be. */
  | "meta_too_large"
  /** The connection is not in the channel as this member. */
  | "not_joined"
  /** It left, or its connection ended, before the application had decided to admit it. */
  | "cancelled"
  /** Presence was stopped. */
  | "stopped";

/** Tells why a member could not join a channel, or change there. */
export class PresenceError extends Error {
  /** Always `"PresenceError"`. */
  override readonly name = "PresenceError";
  /** Which failure this is. */
  readonly code: PresenceErrorCode;

  /**
   * Makes an error for one failure.
   *
   * @param code Which failure this is.
   * @param message The action that failed, a colon, then the values that explain it.
   * @param options The error underneath as `cause`, where there is one.
   */
  constructor(
    code: PresenceErrorCode,
    message: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }
}
