import type { Payload } from "../core/message.ts";
import type { NodeId, Position, Positions } from "../core/node.ts";

/** The WebSocket subprotocol that a client asks for. One that asks for none gets it too. */
export const SUBPROTOCOL = "chorus.v1";

/** The version that `welcome` tells. */
export const PROTOCOL_VERSION = 1;

/**
 * Why a request was not done. The list grows only with the protocol's version, and a client takes
 * a code that it does not know for a plain failure.
 */
export type ErrorCode =
  /** A field is missing, or is not what it should be. The message names it. */
  | "bad_request"
  /** The server knows no message of this type. */
  | "unknown_type"
  /** The channel is no name: 1 to 255 bytes of UTF-8 without control characters. */
  | "channel_invalid"
  /** The connection has as many channels as it may have. */
  | "channel_limit"
  /** The payload is larger than the server takes. */
  | "message_too_large"
  /** The token is missing or was refused. The connection is closed with 4401. */
  | "unauthenticated"
  /** The application does not allow it. */
  | "forbidden"
  /** Too many messages in too little time: this one was not looked at. */
  | "rate_limited"
  /** The channel has as many members as it may have. */
  | "channel_full"
  /** The client is not a member of the channel. */
  | "not_joined"
  /** The server has too much to do. Try again later. */
  | "overloaded"
  /** The subscription was ended by `unsubscribe` before it was confirmed. */
  | "cancelled"
  /** A part of the protocol that this server does not have. */
  | "unsupported"
  /** The server failed. It is not the client's fault. */
  | "internal";

/** Codes with which a server ends a connection. Those from 4000 on are this protocol's own. */
export const CLOSE_CODES = {
  /** The server stops: connect to another node. */
  goingAway: 1001,
  /** The client broke the protocol, such as with a second `hello`. */
  protocolError: 1002,
  /** A frame that cannot be read: text that is no JSON, or a binary frame that ends in its header. */
  invalidData: 1007,
  /** A frame over the limit. */
  tooLarge: 1009,
  /** The server failed. */
  internalError: 1011,
  /** Too much is waiting for this client. Try again later. */
  tryAgainLater: 1013,
  /** No token, no valid one, or none in time. */
  unauthenticated: 4401,
  /** The client said nothing for longer than the server allows. */
  idle: 4408,
} as const;

/** A code of {@linkcode CLOSE_CODES}. */
export type CloseCode = (typeof CLOSE_CODES)[keyof typeof CLOSE_CODES];

/** How far a publish must be before it counts as done. */
export type Qos = 0 | 1 | 2;

/** Introduces the client. Only as its first message. */
export interface HelloMessage {
  /** Which message this is. */
  readonly type: "hello";
  /** The client's software, for logs. */
  readonly client: string | undefined;
  /** What proves who the client is. */
  readonly token: string | undefined;
}

/** Asks for a channel's messages from now on. */
export interface SubscribeMessage {
  /** Which message this is. */
  readonly type: "subscribe";
  /** The client's number for the request. */
  readonly id: number;
  /** The channel. */
  readonly channel: string;
  /** How far the client has read, to get what it missed since. */
  readonly position: Positions | undefined;
  /** How many of the last messages it wants beside. */
  readonly history: number | undefined;
}

/** Wants no more of a channel's messages. */
export interface UnsubscribeMessage {
  /** Which message this is. */
  readonly type: "unsubscribe";
  /** The client's number for the request. */
  readonly id: number;
  /** The channel. */
  readonly channel: string;
}

/** Sends a message to a channel's subscribers. */
export interface PublishMessage extends Payload {
  /** Which message this is. */
  readonly type: "publish";
  /** The client's number for the request. Without it there is no answer. */
  readonly id: number | undefined;
  /** The channel. */
  readonly channel: string;
  /** When it counts as done. */
  readonly qos: Qos;
  /** Whether the client's own connection is left out. */
  readonly exclude: boolean;
}

/** Sends a message to every client of every node. */
export interface BroadcastMessage extends Payload {
  /** Which message this is. */
  readonly type: "broadcast";
  /** The client's number for the request. Without it there is no answer. */
  readonly id: number | undefined;
}

/**
 * What a client wants to be told of a channel's members from now on: each change, only how many
 * there are, or nothing.
 */
export type Follow = "changes" | "count" | "nothing";

/** Becomes a member of a channel, or another one, or the same with other metadata. */
export interface JoinMessage {
  /** Which message this is. */
  readonly type: "join";
  /** The client's number for the request. */
  readonly id: number;
  /** The channel. */
  readonly channel: string;
  /** Who it wants to be there. */
  readonly member: string | undefined;
  /** What the others should see of it: JSON text, empty for nothing. */
  readonly meta: string;
  /** What it wants to be told of the others. */
  readonly follow: Follow;
}

/** Has other metadata. */
export interface UpdateMessage {
  /** Which message this is. */
  readonly type: "update";
  /** The client's number for the request. */
  readonly id: number;
  /** The channel. */
  readonly channel: string;
  /** What the others should see of it: JSON text, empty for nothing. */
  readonly meta: string;
}

/** Is no longer a member of a channel. */
export interface LeaveMessage {
  /** Which message this is. */
  readonly type: "leave";
  /** The client's number for the request. */
  readonly id: number;
  /** The channel. */
  readonly channel: string;
}

/** Asks who is in a channel. */
export interface MembersMessage {
  /** Which message this is. */
  readonly type: "members";
  /** The client's number for the request. */
  readonly id: number;
  /** The channel. */
  readonly channel: string;
  /** What it wants to be told from now on; `undefined` to leave that as it is. */
  readonly follow: Follow | undefined;
}

/** Something about who is in a channel. */
export type PresenceMessage = JoinMessage | UpdateMessage | LeaveMessage | MembersMessage;

/** Asks for a sign of life. */
export interface PingMessage {
  /** Which message this is. */
  readonly type: "ping";
  /** The client's number for the request. */
  readonly id: number;
}

/** What a client says. */
export type ClientMessage =
  | HelloMessage
  | SubscribeMessage
  | UnsubscribeMessage
  | PublishMessage
  | BroadcastMessage
  | PresenceMessage
  | PingMessage;

/** A message that was read and cannot be done. It is answered with an `error`. */
export interface MessageFault {
  /** Which kind of result this is. */
  readonly type: "fault";
  /** The client's number for the request, if it could be read. */
  readonly id: number | undefined;
  /** What is wrong. */
  readonly code: ErrorCode;
  /** The field, what it should be and what came, for people. */
  readonly message: string;
}

/** Bytes that are no message. The connection is closed with 1007. */
export interface BrokenFrame {
  /** Which kind of result this is. */
  readonly type: "broken";
  /** What is wrong, in at most 123 bytes: a close frame has no room for more. */
  readonly reason: string;
}

/** What became of one piece of what a client sent. */
export type DecodedMessage = ClientMessage | MessageFault | BrokenFrame;

/** What a client should know of the server's limits. */
export interface WelcomeLimits {
  /** Largest message, in bytes. */
  readonly messageBytesMax: number;
  /** Largest channel name, in bytes of UTF-8. */
  readonly channelNameBytesMax: number;
  /** Most channels that the connection may have. */
  readonly channelsMax: number;
  /** Messages that the client may send in a second. 0: as many as it likes. */
  readonly messagesPerSecondMax: number;
}

/**
 * What the server says, beside messages, broadcasts and what `presence_frames.ts` writes: these
 * hold JSON text already.
 */
export type ServerMessage =
  /** The first frame. */
  | {
    readonly type: "welcome";
    readonly node: NodeId;
    readonly connection: string;
    readonly protocol: typeof PROTOCOL_VERSION;
    readonly limits: WelcomeLimits;
  }
  /** The subscription stands. What it delivers comes after this. */
  | {
    readonly type: "subscribed";
    readonly channel: string;
    readonly id: number;
    readonly position: Positions;
    readonly recovered?: boolean | undefined;
    readonly missing?: readonly NodeId[] | undefined;
  }
  /** The subscription is over, or there was none. Nothing of the channel comes after this. */
  | { readonly type: "unsubscribed"; readonly channel: string; readonly id: number }
  /** A publish or broadcast is done. */
  | { readonly type: "published"; readonly id: number; readonly position: Position }
  /** The metadata is another. */
  | { readonly type: "updated"; readonly channel: string; readonly id: number }
  /** The client is no member of the channel any more, or was none. */
  | { readonly type: "left"; readonly channel: string; readonly id: number }
  /** The answer to a ping. */
  | { readonly type: "pong"; readonly id: number }
  /** Messages of the channel are lost to this client. */
  | { readonly type: "gap"; readonly channel: string }
  /** A request was not done. */
  | {
    readonly type: "error";
    readonly id?: number | undefined;
    readonly code: ErrorCode;
    readonly message: string;
  }
  /** The server is about to stop: connect to another node. */
  | { readonly type: "draining" };
