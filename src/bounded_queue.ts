import { Deque } from "./core/deque.ts";

/**
 * What happens faster than it is read waits here, up to a bound: then the oldest goes, counted.
 *
 * One reader iterates over it, and leaving the loop ends it.
 */
export class BoundedQueue<Item> implements AsyncIterable<Item> {
  readonly #max: number;
  readonly #ended: () => void;
  readonly #items = new Deque<Item>();
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
    let dropped = 0;
    for (const item of items) {
      this.#items.push(item);
      if (this.#items.length <= this.#max) continue;
      this.#items.shift();
      dropped++;
    }
    this.#droppedCount += dropped;
    this.#notify();
    return dropped;
  }

  /** Takes nothing more. Iteration ends after the items that are here already. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ended();
    this.#notify();
  }

  /** Reads the items in order. Leaving the loop closes the queue, also while it waits for one. */
  [Symbol.asyncIterator](): AsyncGenerator<Item, void, void> {
    const reading = this.#read();
    const leave = reading.return.bind(reading);
    // A generator that waits would leave only with the next item.
    reading.return = (value) => {
      this.close();
      return leave(value);
    };
    return reading;
  }

  async *#read(): AsyncGenerator<Item, void, void> {
    try {
      for (;;) {
        while (this.#items.length > 0) yield this.#items.shift()!;
        if (this.#isClosed) return;
        await new Promise<void>((resolve) => {
          // Two loops may share what comes; neither may be left waiting.
          const others = this.#wake;
          this.#wake = () => {
            others?.();
            resolve();
          };
        });
      }
    } finally {
      this.close();
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
