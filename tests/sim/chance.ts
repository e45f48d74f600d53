import { createPrng, type Prng } from "../../src/core/prng.ts";

/** Chance with the words that a simulation needs. Every draw follows from the seed. */
export class Chance {
  readonly #prng: Prng;

  /** Starts from a seed. */
  constructor(seed: number) {
    this.#prng = createPrng(seed);
  }

  /** The generator itself, for what takes one. */
  get prng(): Prng {
    return this.#prng;
  }

  /** A source of its own for one purpose, so that one more draw here changes nothing there. */
  split(): Chance {
    return new Chance(this.#prng() * 4_294_967_296);
  }

  /** A number from `min` up to `max`. */
  between(min: number, max: number): number {
    return min + this.#prng() * (max - min);
  }

  /** An integer from `min` to `max`, both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.#prng() * (max - min + 1));
  }

  /** Whether something of this probability happens. */
  happens(probability: number): boolean {
    return this.#prng() < probability;
  }

  /** One of the items, which must be some. */
  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#prng() * items.length)]!;
  }

  /** Bytes of chance. */
  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let index = 0; index < count; index++) bytes[index] = Math.floor(this.#prng() * 256);
    return bytes;
  }
}
