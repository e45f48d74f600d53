import type { Positions } from "../core/node.ts";
import type {
  BroadcastMessage,
  CloseCode,
  JoinMessage,
  PresenceMessage,
  PublishMessage,
  UpdateMessage,
} from "./message.ts";

/** What the application is asked to allow. */
export type SessionAction = "subscribe" | "publish" | "broadcast" | "join" | "members";

/** What a session asks of its owner. */
export type SessionOutput =
  /** Send a text frame. */
  | { readonly kind: "send"; readonly text: string }
  /** End the connection, after what was sent. The last output. */
  | { readonly kind: "close"; readonly code: CloseCode; readonly reason: string }
  /**
   * The client introduced itself. Where a token is required, `authenticated` or `refused` must
   * follow; elsewhere it is only told.
   */
  | {
    readonly kind: "hello";
    readonly client: string | undefined;
    readonly token: string | undefined;
  }
  /** Ask the application, and answer with `authorized`. Only where the settings say so. */
  | {
    readonly kind: "authorize";
    readonly ticket: number;
    readonly action: SessionAction;
    /** The channel; `undefined` for a broadcast. */
    readonly channel: string | undefined;
    /** Who wants to join or to change, and with what. */
    readonly entry?: JoinMessage | UpdateMessage | undefined;
  }
  /** Subscribe, and answer with `subscribed` and the same ticket. Never twice for a channel. */
  | {
    readonly kind: "subscribe";
    readonly channel: string;
    readonly ticket: number;
    readonly position: Positions | undefined;
    readonly history: number | undefined;
  }
  /** Ends the channel's `subscribe`, confirmed or not. */
  | { readonly kind: "unsubscribe"; readonly channel: string }
  /** Publish; with an id, answer with `published` or `failed`. */
  | { readonly kind: "publish"; readonly request: PublishMessage }
  /**
   * Something about members. Answer `join` with `joined`, `update` with `updated`, `leave` with
   * `left`, or any of them with `failed`; `members` with the roster, in frames of the owner's own.
   */
  | { readonly kind: "presence"; readonly request: PresenceMessage }
  /** So many messages were not looked at, as they came too fast. For counters. */
  | { readonly kind: "limited"; readonly count: number }
  /** Broadcast; with an id, answer with `published` or `failed`. */
  | { readonly kind: "broadcast"; readonly request: BroadcastMessage };
