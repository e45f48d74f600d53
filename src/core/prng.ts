/** A source of numbers in [0, 1). Cores take one as an argument, so that a seed decides a run. */
export type Prng = () => number;

/**
 * Makes a generator whose whole future follows from its seed (Mulberry32).
 *
 * Not for secrets: anyone who sees a few numbers can compute the rest.
 *
 * @param seed Any number; its lowest 32 bits count.
 */
export function createPrng(seed: number): Prng {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
