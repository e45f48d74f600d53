import { Batch } from "../core/batch.ts";
import type { Millis } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";
import { ACKNOWLEDGEMENTS_MAX } from "./settings.ts";

/** What became of a message whose publisher wants to know. */
export interface Acknowledged {
  /** As it was handed in. */
  readonly ticket: unknown;
  /** The nodes that hold it, this one not included. */
  readonly nodes: readonly NodeId[];
  /** The nodes that should and have not said so in time. */
  readonly missing: readonly NodeId[];
}

interface Pending {
  readonly ticket: unknown;
  readonly seq: number;
  readonly giveUpAt: Millis;
  readonly nodes: NodeId[];
  readonly awaited: Set<NodeId>;
  readonly missing: NodeId[];
}

/** Which nodes hold which of this node's messages, where the publisher wants to know (P16). */
export class Acknowledgements {
  readonly #channels = new Map<string, Pending[]>();
  readonly #outputs = new Batch<Acknowledged>();
  #count = 0;
  #refusedCount = 0;

  /** Messages that wait for an acknowledgement. */
  get count(): number {
    return this.#count;
  }

  /** Messages that nobody waited for, as too many were waited for already. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** Returns and forgets what was settled, oldest first. */
  take(): Acknowledged[] {
    return this.#outputs.take();
  }

  /** Whether somebody waits for messages of the channel. */
  isAwaited(channel: string): boolean {
    return this.#count > 0 && this.#channels.has(channel);
  }

  /** Waits until each node has acknowledged the channel up to `seq`. */
  expect(
    channel: string,
    wait: {
      readonly ticket: unknown;
      readonly seq: number;
      readonly nodes: ReadonlySet<NodeId>;
      readonly giveUpAt: Millis;
    },
  ): void {
    const { ticket, seq, giveUpAt } = wait;
    const pending = { ticket, seq, giveUpAt, nodes: [], awaited: new Set(wait.nodes), missing: [] };
    if (pending.awaited.size === 0) return this.#settle(pending);
    if (this.#count >= ACKNOWLEDGEMENTS_MAX) {
      this.#refusedCount++;
      return this.#settle({ ...pending, missing: [...wait.nodes] });
    }
    const others = this.#channels.get(channel);
    if (others === undefined) this.#channels.set(channel, [pending]);
    else others.push(pending);
    this.#count++;
  }

  /** A node holds the channel's messages from behind `after` up to `seq`, and none before. */
  acknowledge(channel: string, node: NodeId, held: { seq: number; after: number }): void {
    this.#review(channel, (pending) => {
      if (pending.seq > held.seq || !pending.awaited.delete(node)) return;
      const isHeld = pending.seq > held.after;
      (isHeld ? pending.nodes : pending.missing).push(node);
    });
  }

  /** A node is down and will not answer. */
  forget(node: NodeId): void {
    for (const channel of [...this.#channels.keys()]) {
      this.#review(channel, (pending) => {
        if (pending.awaited.delete(node)) pending.missing.push(node);
      });
    }
  }

  /** A node told its interest: of a channel that it has let go it holds nothing, and owes nothing. */
  excuse(node: NodeId, isInterested: (channel: string) => boolean): void {
    for (const channel of [...this.#channels.keys()]) {
      if (isInterested(channel)) continue;
      this.#review(channel, (pending) => void pending.awaited.delete(node));
    }
  }

  /** Gives up what has waited for too long. */
  tick(now: Millis): void {
    for (const channel of [...this.#channels.keys()]) {
      this.#review(channel, (pending) => {
        if (now < pending.giveUpAt) return;
        pending.missing.push(...pending.awaited);
        pending.awaited.clear();
      });
    }
  }

  #review(channel: string, change: (pending: Pending) => void): void {
    const all = this.#channels.get(channel);
    if (all === undefined) return;
    for (const pending of all) change(pending);
    const open = all.filter((pending) => pending.awaited.size > 0);
    if (open.length === all.length) return;
    this.#count -= all.length - open.length;
    for (const pending of all) if (pending.awaited.size === 0) this.#settle(pending);
    if (open.length > 0) this.#channels.set(channel, open);
    else this.#channels.delete(channel);
  }

  #settle({ ticket, nodes, missing }: Pending): void {
    this.#outputs.push({ ticket, nodes, missing });
  }
}
