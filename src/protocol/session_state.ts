import type { Millis } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";
import type {
  BroadcastMessage,
  JoinMessage,
  MembersMessage,
  PublishMessage,
  SubscribeMessage,
  UpdateMessage,
} from "./message.ts";
import type { SessionInput } from "./session_input.ts";

/** Who talks with the client. */
export interface SessionIdentity {
  /** The node. */
  readonly node: NodeId;
  /** The connection's name, unique on the node. */
  readonly connection: string;
}

/** What the application may be asked about. */
export type Request =
  | SubscribeMessage
  | PublishMessage
  | BroadcastMessage
  | JoinMessage
  | UpdateMessage
  | MembersMessage;

/** A client that has not proved yet who it is. */
export interface GreetingState {
  readonly name: "greeting" | "authenticating";
  readonly identity: SessionIdentity;
  readonly until: Millis;
}

/** Where a session stands. */
export type State =
  | GreetingState
  | { readonly name: "fresh" }
  | { readonly name: "open" }
  | { readonly name: "authorizing"; readonly ticket: number; readonly request: Request }
  | { readonly name: "closed" };

/** A subscription that the owner has not confirmed yet, and the requests that wait for it. */
export interface PendingSubscription {
  readonly ticket: number;
  readonly ids: number[];
}

/** Nothing has come yet. */
export const FRESH: State = { name: "fresh" };
/** Requests are handled as they come. */
export const OPEN: State = { name: "open" };
/** It is over. */
export const CLOSED: State = { name: "closed" };
/** A request as the application wants it. */
export function rewritten(
  request: Request,
  { member, meta }: SessionInput & { readonly kind: "authorized" },
): Request {
  if (request.type === "join") {
    return { ...request, member: member ?? request.member, meta: meta ?? request.meta };
  }
  return request.type === "update" ? { ...request, meta: meta ?? request.meta } : request;
}
