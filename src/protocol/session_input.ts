import type { Wake } from "../core/machine.ts";
import type { NodeId, Position, Positions } from "../core/node.ts";
import type { ErrorCode } from "./message.ts";
import type { FrameMember } from "./presence_frames.ts";

/** What can happen to a session. */
export type SessionInput =
  /** A text frame came. */
  | { readonly kind: "text"; readonly text: string }
  /** A text frame of ASCII alone came. A payload that was read from it is a view of its bytes. */
  | { readonly kind: "ascii"; readonly bytes: Uint8Array }
  /** A binary frame came. Its bytes are not kept. */
  | { readonly kind: "binary"; readonly bytes: Uint8Array }
  /** Answers `hello`: the token is good. */
  | { readonly kind: "authenticated" }
  /** The client is not who it must be: at `hello`, or at any time later. Ends the connection. */
  | { readonly kind: "refused"; readonly reason?: string | undefined }
  /** Answers `authorize`. */
  | {
    readonly kind: "authorized";
    readonly ticket: number;
    readonly allowed: boolean;
    readonly reason?: string | undefined;
    /** As whom to join, if not as asked. */
    readonly member?: string | undefined;
    /** With which metadata, if not as asked: JSON text, empty for none. */
    readonly meta?: string | undefined;
  }
  /** Answers `subscribe`: the subscription is confirmed. */
  | {
    readonly kind: "subscribed";
    readonly channel: string;
    readonly ticket: number;
    readonly positions: Positions;
    readonly recovered?: boolean | undefined;
    readonly missing?: readonly NodeId[] | undefined;
  }
  /** Answers `subscribe`: it cannot be had. */
  | {
    readonly kind: "unsubscribable";
    readonly channel: string;
    readonly ticket: number;
    readonly code: ErrorCode;
    readonly message: string;
  }
  /** Answers a `publish` or `broadcast` with an id: it has its place. */
  | { readonly kind: "published"; readonly id: number; readonly position: Position }
  /** Answers `join`: the client is a member. `members` is left out where there are too many. */
  | {
    readonly kind: "joined";
    readonly id: number;
    readonly channel: string;
    readonly member: string;
    readonly count: number;
    readonly members: readonly FrameMember[] | undefined;
  }
  /** Answers `update`. */
  | { readonly kind: "updated"; readonly id: number; readonly channel: string }
  /** Answers `leave`. */
  | { readonly kind: "left"; readonly id: number; readonly channel: string }
  /** Answers any other request: it failed. */
  | {
    readonly kind: "failed";
    readonly id: number | undefined;
    readonly code: ErrorCode;
    readonly message: string;
  }
  /** Messages of the channel are lost. */
  | { readonly kind: "gap"; readonly channel: string }
  /** The server is about to stop. */
  | { readonly kind: "draining" }
  /** The connection is over, whoever ended it. */
  | { readonly kind: "closed" }
  | Wake;
