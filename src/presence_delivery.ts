import { Outgoing } from "./edge/client_socket.ts";
import { encodeCount, encodePresence, type FrameChanges } from "./protocol/presence_frames.ts";

/**
 * What changed in a channel in this tick, on its way to all who watch it on this node.
 *
 * The frames for clients are encoded once, when the first client asks for them.
 */
export class PresenceDelivery {
  /** The channel. */
  readonly channel: string;
  /** Who came, changed and went; `undefined` if only the number of members is told. */
  readonly changes: FrameChanges | undefined;
  /** How many members there are now. */
  readonly count: number;
  #frames: readonly Outgoing[] | undefined;

  /** Takes what changed, or only how many there are. */
  constructor(channel: string, count: number, changes?: FrameChanges) {
    this.channel = channel;
    this.count = count;
    this.changes = changes;
  }

  /** What clients are sent, in order: mostly one frame. */
  get frames(): readonly Outgoing[] {
    this.#frames ??= this.#encode().map((text) => new Outgoing(text));
    return this.#frames;
  }

  #encode(): readonly string[] {
    if (this.changes === undefined) return [encodeCount(this.channel, this.count)];
    return encodePresence(this.channel, this.changes);
  }
}
