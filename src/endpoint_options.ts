import { Channels } from "./channels.ts";
import {
  type ClientRequest,
  DEFAULT_EDGE_SETTINGS,
  type EdgeSettings,
} from "./edge/client_socket.ts";
import { requireBoolean, requireHook, requireInteger, requireKnown } from "./options.ts";
import { Presence, presenceCoreOf } from "./presence.ts";
import { DEFAULT_SESSION_SETTINGS, type SessionSettings } from "./protocol/session_settings.ts";

/** What a client asks to do. */
export type ClientAction =
  | "subscribe"
  | "publish"
  | "broadcast"
  /** To become a member of a channel and be told of the others, or to have other metadata there. */
  | "join"
  /** To know who is a member, without being one. */
  | "members";

/** Options of an `Endpoint`. Only `channels` is needed. */
export interface EndpointOptions {
  /** The channels that clients subscribe to and publish on. */
  readonly channels: Channels;
  /**
   * The members of channels: with it, clients can join and ask who is there. A client may join under
   * any name, whoever it is, unless the `admit` of presence decides otherwise.
   *
   * @default {clients that try are told that it is not available}
   */
  readonly presence?: Presence;
  /**
   * Tells who a client is, from its upgrade request. What it returns is the client's identity;
   * `false`, `null` or nothing refuses the client with 401.
   *
   * @default {everybody is let in, with the identity `undefined`}
   */
  readonly authenticate?: (request: ClientRequest) => unknown;
  /**
   * Tells who a client is, from the token in its `hello`, for clients that cannot set a header.
   * With it, every client must send one before anything else. What it returns takes the place
   * of the identity; `false`, `null` or nothing refuses the client and closes its connection
   * with 4401.
   */
  readonly authenticateToken?: (token: string, identity: unknown) => unknown;
  /**
   * Tells whether a client may do something: only `true` allows it. `channel` is `undefined` for a
   * broadcast.
   *
   * @default {everything but broadcasts is allowed}
   */
  readonly authorize?: (
    action: ClientAction,
    channel: string | undefined,
    identity: unknown,
  ) => boolean | Promise<boolean>;
  /**
   * Whether clients may broadcast at all.
   *
   * @default {false}
   */
  readonly allowBroadcast?: boolean;
  /**
   * Largest message of a client in bytes, up to 15 MiB. A larger one closes the connection with
   * 1009.
   *
   * @default {1048576}
   */
  readonly messageBytesMax?: number;
  /**
   * Most bytes that may wait for a client that reads slowly: at least `messageBytesMax`, up to
   * 1 GiB. Past it the connection is closed with 1013.
   *
   * @default {4194304}
   */
  readonly bufferedBytesMax?: number;
  /**
   * Most channels of one client. 1 to 1,000,000.
   *
   * @default {1000}
   */
  readonly channelsMax?: number;
  /**
   * Messages that a client may send in a second, over time. 0 for no limit.
   *
   * @default {0}
   */
  readonly messagesPerSecondMax?: number;
  /**
   * Messages that a client may send at once, where `messagesPerSecondMax` is set.
   *
   * @default {1000}
   */
  readonly messagesBurstMax?: number;
  /**
   * After how much silence a client is pinged, in ms. 10 ms to an hour. One that does not answer
   * within 20 s is dropped; on Bun's own server within 4 to 16 s.
   *
   * @default {25000}
   */
  readonly pingIntervalMs?: number;
  /**
   * After how long without a message a client is closed, in ms, up to a day. 0 for never.
   *
   * @default {0}
   */
  readonly idleTimeoutMs?: number;
}

/** The names of all options, for those that have more. */
export const ENDPOINT_OPTIONS: readonly (keyof EndpointOptions)[] = [
  "channels",
  "presence",
  "authenticate",
  "authenticateToken",
  "authorize",
  "allowBroadcast",
  "messageBytesMax",
  "bufferedBytesMax",
  "channelsMax",
  "messagesPerSecondMax",
  "messagesBurstMax",
  "pingIntervalMs",
  "idleTimeoutMs",
];

const HOOKS = ["authenticate", "authenticateToken", "authorize"] as const;

/**
 * Refuses options that an endpoint cannot work with.
 *
 * @throws {TypeError} If one is missing, unknown or of the wrong kind.
 */
export function requireEndpointOptions(options: EndpointOptions): void {
  requireKnown("endpoint", options, ENDPOINT_OPTIONS);
  if (!(options.channels instanceof Channels)) {
    throw new TypeError('Cannot configure endpoint: "channels" must be a Channels object');
  }
  if (options.presence !== undefined && !(options.presence instanceof Presence)) {
    throw new TypeError('Cannot configure endpoint: "presence" must be a Presence object');
  }
  for (const name of HOOKS) requireHook("endpoint", name, options[name]);
}

/** Fills in defaults for what clients may say. @throws {TypeError | RangeError} Out of bounds. */
export function resolveSessionSettings(options: EndpointOptions): SessionSettings {
  const { allowBroadcast = false, messageBytesMax, channelsMax = 1_000 } = options;
  const { messagesPerSecondMax = 0, messagesBurstMax = 1_000, idleTimeoutMs = 0 } = options;
  requireBoolean("endpoint", "allowBroadcast", allowBroadcast);
  requireInteger("endpoint", "channelsMax", channelsMax, { min: 1, max: 1_000_000 });
  requireInteger("endpoint", "messagesPerSecondMax", messagesPerSecondMax, { min: 0, max: 1e9 });
  requireInteger("endpoint", "messagesBurstMax", messagesBurstMax, { min: 1, max: 1e9 });
  requireInteger("endpoint", "idleTimeoutMs", idleTimeoutMs, { min: 0, max: 86_400_000 });
  return Object.freeze({
    ...DEFAULT_SESSION_SETTINGS,
    tokenRequired: options.authenticateToken !== undefined,
    authorizes: options.authorize !== undefined,
    allowsBroadcast: allowBroadcast,
    presence: presenceSetting(options.presence),
    messageBytesMax: messageBytesMax ?? DEFAULT_SESSION_SETTINGS.messageBytesMax,
    channelsMax,
    messagesPerSecondMax,
    messagesBurstMax,
    idleTimeoutMs,
  });
}

function presenceSetting(presence: Presence | undefined): SessionSettings["presence"] {
  if (presence === undefined) return "none";
  return presenceCoreOf(presence).admit === undefined ? "open" : "admitted";
}

/** Fills in defaults for their sockets. @throws {TypeError | RangeError} Out of bounds. */
export function resolveEdgeSettings(options: EndpointOptions): EdgeSettings {
  const { messageBytesMax = 1_048_576, bufferedBytesMax = 4_194_304 } = options;
  const { pingIntervalMs = 25_000 } = options;
  requireInteger("endpoint", "messageBytesMax", messageBytesMax, { min: 1, max: 15_728_640 });
  requireInteger("endpoint", "bufferedBytesMax", bufferedBytesMax, {
    min: messageBytesMax,
    max: 1_073_741_824,
  });
  requireInteger("endpoint", "pingIntervalMs", pingIntervalMs, { min: 10, max: 3_600_000 });
  return Object.freeze({
    ...DEFAULT_EDGE_SETTINGS,
    messageBytesMax,
    bufferedBytesMax,
    pingIntervalMs,
  });
}
