/**
 * Web-standard events with their types.
 *
 * @module
 */

import type { NodeId } from "./core/node.ts";

/** Why a peer counts no longer. */
export type PeerDisconnectReason =
  /** It said goodbye. */
  | "left"
  /** Its process is gone. */
  | "died"
  /** Nobody has heard it for the node timeout. */
  | "timed_out"
  /** This node's cluster was stopped. */
  | "stopped";

/** A node joined the cluster, or is gone. */
export class PeerEvent extends Event {
  /** The node's id: its name and its incarnation. */
  readonly peer: NodeId;
  /** The operator's name for it. */
  readonly name: string;
  /** Why it is gone, for `peerdisconnected`. */
  readonly reason: PeerDisconnectReason | undefined;

  /**
   * Makes an event.
   *
   * @param type `"peerconnected"` or `"peerdisconnected"`.
   * @param peer Which node, and why it is gone.
   */
  constructor(
    type: "peerconnected" | "peerdisconnected",
    peer: {
      readonly id: NodeId;
      readonly name: string;
      readonly reason?: PeerDisconnectReason;
    },
  ) {
    super(type);
    this.peer = peer.id;
    this.name = peer.name;
    this.reason = peer.reason;
  }
}

/** A member came to a channel, changed there or left it. */
export class PresenceEvent extends Event {
  /** Which of the three. */
  declare readonly type: "join" | "update" | "leave";
  /** The channel. */
  readonly channel: string;
  /** The member. */
  readonly member: string;
  readonly #meta: string;

  /**
   * Makes an event.
   *
   * @param type What happened.
   * @param change Where and to whom; `meta` is JSON text, empty for none.
   */
  constructor(
    type: "join" | "update" | "leave",
    change: { readonly channel: string; readonly member: string; readonly meta: string },
  ) {
    super(type);
    this.channel = change.channel;
    this.member = change.member;
    this.#meta = change.meta;
  }

  /** The metadata that shows; for `leave`, what showed last. `undefined` for none. */
  get meta(): unknown {
    return this.#meta === "" ? undefined : JSON.parse(this.#meta);
  }
}

/** Something failed and was dealt with. */
export class FaultEvent extends Event {
  /** What failed, such as a `LinkError`. */
  readonly error: Error;

  /** Makes an event. */
  constructor(error: Error) {
    super("fault");
    this.error = error;
  }
}

/** An `EventTarget` that knows its events: `Events` maps each type to its event. */
export abstract class TypedEventTarget<Events extends Readonly<Record<string, Event>>>
  extends EventTarget {
  /** Calls `listener` on each event of a type. */
  override addEventListener<Type extends keyof Events & string>(
    type: Type,
    listener: (event: Events[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Adds a listener: typed for the known events, as `EventTarget` has it for the others. */
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: unknown,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener as EventListener, options);
  }

  /** Undoes `addEventListener`. */
  override removeEventListener<Type extends keyof Events & string>(
    type: Type,
    listener: (event: Events[Type]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  /** Removes a listener: typed for the known events, as `EventTarget` has it for the others. */
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: unknown,
    options?: boolean | EventListenerOptions,
  ): void {
    super.removeEventListener(type, listener as EventListener, options);
  }
}
