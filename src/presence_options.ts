import { DEFAULT_PRESENCE_LOG_SETTINGS } from "./channel/presence_log.ts";
import { encodeMeta, parseMeta, requireName } from "./member.ts";
import { requireInteger, requireKnown } from "./options.ts";
import type { Admit, AdmitRequest, Admitted, PresenceSettings } from "./presence_core.ts";

/** Who asks to come in, or to change. */
export interface JoinRequest {
  /** Whether it is new in the channel, or has other metadata. */
  readonly action: "join" | "update";
  /** The channel. */
  readonly channel: string;
  /** The member. */
  readonly member: string;
  /** The metadata; `undefined` for none. */
  readonly meta: unknown;
  /** Who the client is, as `authenticate` has told; `undefined` for server code. */
  readonly identity: unknown;
}

/**
 * `true` lets in, and so does an object with other values for what is to be different, such as
 * `{ member: identity.name }`. Anything else refuses. Where a member has other metadata, it stays the
 * member that it is.
 */
export type JoinDecision = boolean | { readonly member?: string; readonly meta?: unknown };

/** Options of {@linkcode Presence}. Every field may be left out. */
export interface PresenceOptions {
  /**
   * How long the members of a connection that has ended stay, in ms, so that a page reload is no
   * leave and join, nor is a move to another node when this one drains. Up to an hour. Whoever has
   * moved and then leaves is gone when the time of the earlier connection is over, too.
   *
   * Higher forgives longer interruptions, and shows for so long who is gone already. A node that
   * dies takes its members with it all the same.
   *
   * @default {0}
   */
  readonly graceMs?: number;
  /**
   * Most members of one channel. Nodes that let members in at the same moment may exceed it by
   * what they did not know of each other.
   *
   * @default {1000000}
   */
  readonly membersMax?: number;
  /**
   * Largest metadata of a member, in bytes of JSON. Every node holds that of every member.
   *
   * @default {4096}
   */
  readonly metaBytesMax?: number;
  /**
   * Asked before anybody joins or has other metadata, client or server code: it accepts, refuses or
   * rewrites. Where it throws, the request is refused. What a client says behind it waits until it
   * has decided.
   *
   * Without it, a client may join under any name.
   *
   * @default {everybody is let in as they are}
   */
  readonly admit?: (request: JoinRequest) => JoinDecision | PromiseLike<JoinDecision>;
}

const KNOWN_OPTIONS = ["graceMs", "membersMax", "metaBytesMax", "admit"] as const;

/** Checks the options. @throws {TypeError | RangeError} If one is unknown or out of bounds. */
export function resolvePresenceOptions(options: PresenceOptions): PresenceSettings {
  requireKnown("presence", options, KNOWN_OPTIONS);
  const { graceMs = 0, membersMax = 1_000_000, metaBytesMax = 4_096, admit } = options;
  requireInteger("presence", "graceMs", graceMs, { min: 0, max: 3_600_000 });
  requireInteger("presence", "membersMax", membersMax, { min: 1, max: 4_000_000 });
  requireInteger("presence", "metaBytesMax", metaBytesMax, { min: 0, max: 65_536 });
  if (admit !== undefined && typeof admit !== "function") {
    throw new TypeError(
      `Cannot configure presence: "admit" must be a function, received ${typeof admit}`,
    );
  }
  return Object.freeze({
    ...DEFAULT_PRESENCE_LOG_SETTINGS,
    graceMs,
    membersMax,
    metaBytesMax,
  });
}

/** Asks the application, in terms of JSON text. */
export function createAdmit(ask: NonNullable<PresenceOptions["admit"]>): Admit {
  return (request) => {
    const decision = ask({ ...request, meta: parseMeta(request.meta) });
    return isPromise(decision)
      ? Promise.resolve(decision).then((each) => apply(each, request))
      : apply(decision, request);
  };
}

// Of any kind: one that were not awaited would let everybody in.
function isPromise(
  decision: JoinDecision | PromiseLike<JoinDecision>,
): decision is PromiseLike<JoinDecision> {
  return typeof (decision as Partial<PromiseLike<JoinDecision>> | null)?.then === "function";
}

function apply(decision: JoinDecision, { member, meta }: AdmitRequest): Admitted {
  if (decision === true) return { member, meta };
  if (typeof decision !== "object" || decision === null) return undefined;
  if (decision.member !== undefined) requireName("member", decision.member);
  return {
    member: decision.member ?? member,
    meta: "meta" in decision ? encodeMeta(decision.meta) : meta,
  };
}
