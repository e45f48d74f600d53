/** What a {@linkcode Chain} needs of its items: a place for the links, which are the chain's. */
export interface Chained<Item> {
  /** The item before this one. */
  older: Item | undefined;
  /** The item after this one. */
  newer: Item | undefined;
}

/**
 * A queue from whose middle an item can leave at once: its items carry the links.
 *
 * An item is in one chain at most.
 */
export class Chain<Item extends Chained<Item>> {
  #first: Item | undefined;
  #last: Item | undefined;
  #length = 0;

  /** Number of items. */
  get length(): number {
    return this.#length;
  }

  /** The oldest item, which stays. */
  get first(): Item | undefined {
    return this.#first;
  }

  /** Appends an item that is in no chain. */
  push(item: Item): void {
    item.older = this.#last;
    if (this.#last === undefined) this.#first = item;
    else this.#last.newer = item;
    this.#last = item;
    this.#length++;
  }

  /** Takes out an item that is in this chain. */
  remove(item: Item): void {
    if (item.older === undefined) this.#first = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.#last = item.older;
    else item.newer.older = item.older;
    item.older = undefined;
    item.newer = undefined;
    this.#length--;
  }
}
