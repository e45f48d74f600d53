const SIZE_MIN = 8;
// Shared by all that hold nothing yet, as most do; the first item gets a place of its own.
const NO_PLACES: never[] = [];

/** A queue whose both ends cost the same however long it grows, and next to nothing while unused. */
export class Deque<Item> {
  #items: (Item | undefined)[] = NO_PLACES;
  #head = 0;
  #length = 0;

  /** Number of items waiting. */
  get length(): number {
    return this.#length;
  }

  /** The oldest item, which stays. */
  get first(): Item | undefined {
    return this.#items[this.#head];
  }

  /** The newest item, which stays. */
  get last(): Item | undefined {
    return this.#length === 0 ? undefined : this.at(this.#length - 1);
  }

  /** The item at `index`, counted from the oldest, which stays. */
  at(index: number): Item | undefined {
    if (index >= this.#length) return undefined;
    return this.#items[(this.#head + index) & (this.#items.length - 1)];
  }

  /** Appends an item. */
  push(item: Item): void {
    if (this.#length === this.#items.length) this.#resize(Math.max(SIZE_MIN, this.#length * 2));
    this.#items[(this.#head + this.#length) & (this.#items.length - 1)] = item;
    this.#length++;
  }

  /** Removes and returns the oldest item. */
  shift(): Item | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#length--;
    // A burst must not hold its memory for ever.
    if (this.#items.length > 64 && this.#length < this.#items.length / 4) {
      this.#resize(this.#items.length / 2);
    }
    return item;
  }

  // The size is always a power of two, so that an index wraps with a mask.
  #resize(size: number): void {
    const items: (Item | undefined)[] = new Array(size);
    for (let index = 0; index < this.#length; index++) {
      items[index] = this.#items[(this.#head + index) & (this.#items.length - 1)];
    }
    this.#items = items;
    this.#head = 0;
  }
}
