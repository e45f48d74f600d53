import { deepStrictEqual } from "node:assert/strict";
import type { ClusterSample } from "./cluster_traffic.ts";

const CHANNEL = "journal";
const PUBLISH_PAUSE_MS = 2;

interface Entry {
  readonly sample: ClusterSample;
  /** What it has published. */
  published: number;
  /** What it must have, from when on, of each other one: all after its own confirmation. */
  readonly from: Map<string, number>;
  readonly received: Map<string, number[]>;
  gaps: number;
}

/**
 * Keeps account while nodes come and go: each one that is open must get everything that any open
 * one publishes, once and in order, from the confirmation of its subscription to its own end.
 */
export class ClusterJournal {
  readonly #entries = new Map<string, Entry>();
  #checkedCount = 0;

  /** Messages that were found to be where they should. */
  get checkedCount(): number {
    return this.#checkedCount;
  }

  /** Starts a node and lets it take part. */
  async open(sample: ClusterSample): Promise<void> {
    await sample.cluster.start();
    await sample.meets(this.#entries.size);
    const subscription = sample.channels.subscribe(CHANNEL, { queueMessagesMax: 1_000_000 });
    const entry: Entry = { sample, published: 0, from: new Map(), received: new Map(), gaps: 0 };
    subscription.addEventListener("gap", () => void entry.gaps++);
    void this.#read(entry, subscription);
    deepStrictEqual(await subscription.confirmed, { missing: [] });
    for (const [node, other] of this.#entries) entry.from.set(node, other.published);
    this.#entries.set(sample.cluster.nodeId, entry);
  }

  /** Every open node publishes so many messages. */
  async publishes(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      for (const [node, entry] of this.#entries) {
        void entry.sample.channels.publish(CHANNEL, [node, entry.published++]);
      }
      await new Promise((resolve) => setTimeout(resolve, PUBLISH_PAUSE_MS));
    }
  }

  /** Waits until all is where it should be, checks what the node got, and stops it. */
  async close(sample: ClusterSample): Promise<void> {
    const id = sample.cluster.nodeId;
    for (const [reader, entry] of this.#entries) {
      for (const [writer, { published }] of this.#entries) {
        if (reader !== id && writer !== id || published === 0) continue;
        await entry.sample.until(`all of ${writer} is at ${reader}`, () => {
          return entry.received.get(writer)?.at(-1) === published - 1;
        });
      }
    }
    const closing = this.#entries.get(id)!;
    for (const [writer, numbers] of closing.received) {
      const from = closing.from.get(writer) ?? 0;
      const kept = numbers.filter((number) => number >= from);
      deepStrictEqual(kept, kept.map((_, index) => from + index), `${writer} to ${id}`);
      this.#checkedCount += kept.length;
    }
    deepStrictEqual(closing.gaps, 0);
    this.#entries.delete(id);
    await sample.cluster.stop();
  }

  /** Stops whatever is open. */
  async abandon(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ sample }) => sample.cluster.stop()));
  }

  async #read(entry: Entry, subscription: AsyncIterable<{ data: unknown }>): Promise<void> {
    for await (const { data } of subscription) {
      const [node, number] = data as [string, number];
      const numbers = entry.received.get(node) ?? [];
      entry.received.set(node, numbers);
      numbers.push(number);
    }
  }
}
