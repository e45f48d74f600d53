import { NO_OUTPUTS } from "./machine.ts";

/**
 * What is collected until somebody takes it, oldest first: outputs of a machine, messages of a tick.
 *
 * Most often it is one thing at a time. A list that grows would make room for many at once, and
 * leave most of it to the collector.
 */
export class Batch<Item> {
  #items: Item[] = NO_OUTPUTS;

  /** Number of items. */
  get length(): number {
    return this.#items.length;
  }

  /** Appends an item. */
  push(item: Item): void {
    if (this.#items.length === 0) this.#items = [item];
    else this.#items.push(item);
  }

  /** Returns and forgets the items. The list belongs to the caller, unless it is empty. */
  take(): Item[] {
    const items = this.#items;
    this.#items = NO_OUTPUTS;
    return items;
  }
}
