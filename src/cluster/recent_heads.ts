import type { Millis } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";
import type { ChannelSeq } from "./envelope.ts";
import { type ClusterSettings, HEADS_MAX, HEARTBEAT_HEADS_MAX } from "./settings.ts";

/** The newest seq in a channel, and the epoch in which it was told last. */
interface Head {
  seq: number;
  epoch: number;
}

/**
 * The newest seq of this node in each channel, and which of them are recent.
 *
 * Recent heads travel with the heartbeats, so that the loss of a channel's last message is
 * noticed too. Heads that had to be forgotten leave a bound behind: `floor`.
 */
export class RecentHeads {
  readonly #epochMs: Millis;
  readonly #epochCount: number;
  readonly #heads = new Map<string, Head>();
  #epochs: Set<string>[] = [new Set()];
  #epoch = 0;
  #epochEndsAt: Millis = -Infinity;
  /** Channels that a node is still to be told: those that did not fit into a heartbeat. */
  readonly #backlog = new Map<NodeId, Set<string>>();
  #floor = 0;
  #newest = 0;

  /** Starts without heads. How often nodes hear of them says how long they are recent. */
  constructor(settings: Pick<ClusterSettings, "heartbeatMs" | "deafMs">) {
    this.#epochMs = settings.heartbeatMs;
    // A path that is silent for longer than these is built anew, and a new path is told everything.
    this.#epochCount = Math.ceil(settings.deafMs / settings.heartbeatMs) + 1;
  }

  /** The highest head that was forgotten, or 0. */
  get floor(): number {
    return this.#floor;
  }

  /** The newest seq of all channels, or 0. */
  get newest(): number {
    return this.#newest;
  }

  /** This node published up to `seq` in a channel. */
  set(channel: string, seq: number): void {
    let head = this.#heads.get(channel);
    if (head === undefined) this.#heads.set(channel, head = { seq, epoch: -1 });
    head.seq = seq;
    this.#newest = Math.max(this.#newest, seq);
    // A channel that is published to all the time is in the epoch already.
    if (head.epoch === this.#epoch) return;
    head.epoch = this.#epoch;
    this.#epochs[0]!.add(channel);
    if (this.#heads.size > HEADS_MAX) this.#forgetOldest();
  }

  /** The newest seq in a channel, if any is remembered. */
  get(channel: string): number | undefined {
    return this.#heads.get(channel)?.seq;
  }

  /** Moves on to the next epoch, if it is time. */
  tick(now: Millis): void {
    if (now < this.#epochEndsAt) return;
    this.#epochEndsAt = now + this.#epochMs;
    // Nothing is moved while nothing is published.
    if (this.#epochs.every((epoch) => epoch.size === 0)) return;
    this.#epoch++;
    this.#epochs = [new Set(), ...this.#epochs.slice(0, this.#epochCount - 1)];
  }

  /** Takes the heads that a node is to be told now, at most as many as a heartbeat holds. */
  takeFor(node: NodeId, isInterested: (channel: string) => boolean): ChannelSeq[] {
    const channels = this.#backlog.get(node) ?? new Set();
    for (const epoch of this.#epochs) {
      for (const channel of epoch) if (isInterested(channel)) channels.add(channel);
    }
    const heads: ChannelSeq[] = [];
    for (const channel of channels) {
      if (heads.length === HEARTBEAT_HEADS_MAX) break;
      channels.delete(channel);
      const seq = this.get(channel);
      if (seq !== undefined && isInterested(channel)) heads.push({ channel, seq });
    }
    if (channels.size > 0) this.#backlog.set(node, channels);
    else this.#backlog.delete(node);
    return heads;
  }

  /** A node may have missed anything: it is to be told every head. */
  offerAll(node: NodeId): void {
    this.#backlog.set(node, new Set(this.#heads.keys()));
  }

  /** Forgets a node that is down. */
  forget(node: NodeId): void {
    this.#backlog.delete(node);
  }

  // A channel that is published to is not old, however long it has been here. If all are, the one
  // that was looked at first has to go.
  #forgetOldest(): void {
    let count = this.#heads.size;
    for (const [channel, head] of this.#heads) {
      this.#heads.delete(channel);
      if (count-- > 0 && this.#isRecent(channel)) this.#heads.set(channel, head);
      else {
        this.#floor = Math.max(this.#floor, head.seq);
        return;
      }
    }
  }

  #isRecent(channel: string): boolean {
    return this.#epochs.some((epoch) => epoch.has(channel));
  }
}
