/** Up to this many pairs, going through them is as fast as a table, and takes a tenth of its room. */
const LIST_PAIRS_MAX = 16;

/**
 * A map for places of which there may be very many, and most of which hold a few pairs: as long as
 * it does, it is a list. It keeps the order in which keys came.
 */
export class SmallMap<Key, Value extends object> {
  /** A key and its value in turns, or a table once there were many. */
  #pairs: (Key | Value)[] | Map<Key, Value> = [];

  /** How many keys there are. */
  get size(): number {
    return this.#pairs instanceof Map ? this.#pairs.size : this.#pairs.length / 2;
  }

  /** The value of a key. */
  get(key: Key): Value | undefined {
    if (this.#pairs instanceof Map) return this.#pairs.get(key);
    const place = this.#find(this.#pairs, key);
    return place < 0 ? undefined : this.#pairs[place + 1] as Value;
  }

  /** Gives a key its value. */
  set(key: Key, value: Value): void {
    if (this.#pairs instanceof Map) return void this.#pairs.set(key, value);
    const place = this.#find(this.#pairs, key);
    if (place >= 0) this.#pairs[place + 1] = value;
    else if (this.size < LIST_PAIRS_MAX) this.#pairs.push(key, value);
    else this.#pairs = new Map(this).set(key, value);
  }

  /** Takes a key out. */
  delete(key: Key): void {
    if (this.#pairs instanceof Map) return void this.#pairs.delete(key);
    const place = this.#find(this.#pairs, key);
    if (place >= 0) this.#pairs.splice(place, 2);
  }

  /** The pairs. What goes while they are read is not read; what comes may be. */
  *[Symbol.iterator](): Generator<[Key, Value], void, void> {
    if (this.#pairs instanceof Map) return yield* this.#pairs;
    const pairs = this.#pairs.slice();
    for (let place = 0; place < pairs.length; place += 2) {
      const key = pairs[place] as Key;
      const value = this.get(key);
      if (value !== undefined) yield [key, value];
    }
  }

  #find(pairs: readonly (Key | Value)[], key: Key): number {
    for (let place = 0; place < pairs.length; place += 2) if (pairs[place] === key) return place;
    return -1;
  }
}
