/**
 * What happens faster than it is read waits here, up to a bound: then the oldest goes, counted.
 *
 * One reader iterates over it, and leaving the loop ends it.
 */
export class BoundedQueue<Item> implements AsyncIterable<Item> {
  readonly #max: number;
  readonly #ended: () => void;
  #items: Item[] = [];
  #wake: (() => void) | undefined;
  #isClosed = false;
  #droppedCount = 0;

  /** Starts empty. `ended` is called once, when it is closed. */
  constructor(max: number, ended: () => void) {
    this.#max = max;
    this.#ended = ended;
  }

  /** Items that had to go because nobody read them in time. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** Whether it takes nothing any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Appends items. Returns how many older ones had to go. */
  push(items: Iterable<Item>): number {
    if (this.#isClosed) return 0;
    for (const item of items) this.#items.push(item);
    const excess = Math.max(0, this.#items.length - this.#max);
    if (excess > 0) this.#items.splice(0, excess);
    this.#droppedCount += excess;
    this.#wake?.();
    return excess;
  }

  /** Takes nothing more. Iteration ends after the items that are here already. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ended();
    this.#wake?.();
  }

  /** Reads the items in order. Leaving the loop closes the queue. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, void> {
    try {
      for (;;) {
        const items = this.#items;
        this.#items = [];
        yield* items;
        if (this.#items.length > 0) continue;
        if (this.#isClosed) return;
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      this.close();
    }
  }
}
