import type { Millis } from "../core/machine.ts";
import type { CancelTimer, Clock } from "../core/clock.ts";

/** Something that wants to look at the time now and then. */
export interface Sweepable {
  /** Looks at the time. It may remove itself. It must not throw. */
  sweep(now: Millis): void;
}

const GRAIN_MS_MIN = 5;
const GRAIN_MS_MAX = 1_000;
const STALL_GRAINS = 3;
const STALL_MS_MIN = 50;

/**
 * Members that are looked after with one timer for all, which costs an idle one nothing.
 *
 * A process that stood still, suspended or busy, has not read what came in meanwhile. The first
 * round after that is left out, so that nobody is taken for silent who was not heard.
 */
export class SweptSet<Item extends Sweepable> {
  readonly #clock: Clock;
  readonly #grainMs: Millis;
  readonly #items = new Set<Item>();
  readonly #round: () => void;
  #cancelTimer: CancelTimer | undefined;
  #dueAt: Millis = 0;

  /**
   * Makes an empty set, without a timer.
   *
   * @param clock Where time comes from.
   * @param shortestMs The shortest time limit that a member keeps. Rounds are four times as often,
   *     and once a second at the least.
   */
  constructor(clock: Clock, shortestMs: Millis) {
    this.#clock = clock;
    this.#grainMs = Math.min(GRAIN_MS_MAX, Math.max(GRAIN_MS_MIN, shortestMs / 4));
    this.#round = () => this.#sweep();
  }

  /** Number of members. */
  get size(): number {
    return this.#items.size;
  }

  /** The members. */
  [Symbol.iterator](): IterableIterator<Item> {
    return this.#items.values();
  }

  /** Adds a member. The first one starts the timer. */
  add(item: Item): void {
    this.#items.add(item);
    if (this.#cancelTimer === undefined) this.#arm();
  }

  /** Removes a member, if it is one. The last one ends the timer. */
  delete(item: Item): void {
    this.#items.delete(item);
    if (this.#items.size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(): void {
    this.#dueAt = this.#clock.now() + this.#grainMs;
    this.#cancelTimer = this.#clock.setTimer(this.#grainMs, this.#round);
  }

  #sweep(): void {
    this.#cancelTimer = undefined;
    const now = this.#clock.now();
    const hasStalled = now - this.#dueAt > Math.max(this.#grainMs * STALL_GRAINS, STALL_MS_MIN);
    if (!hasStalled) { for (const item of this.#items) item.sweep(now); }
    if (this.#items.size > 0 && this.#cancelTimer === undefined) this.#arm();
  }
}
