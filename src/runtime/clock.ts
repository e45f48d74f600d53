import type { CancelTimer, Clock } from "../core/clock.ts";
import { Deque } from "../core/deque.ts";
import type { Millis } from "../core/machine.ts";

type Immediate = (callback: () => void) => unknown;

// Past it the rest comes a tick later: whoever defers without end must not keep the input out.
const CALLBACKS_A_TICK_MAX = 1_000;
const { setImmediate } = globalThis as unknown as { readonly setImmediate: Immediate };

/** The machine's own clock. */
class SystemClock implements Clock {
  readonly #deferred = new Deque<() => void>();
  readonly #endTick = (): void => this.#onTickEnd();
  // Set while an end is due: what happens in one tick happens at one time, and asking is not free.
  #tickAt: Millis | undefined;

  now(): Millis {
    return this.#tickAt ?? performance.now();
  }

  setTimer(delayMs: Millis, callback: () => void): CancelTimer {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
    if (this.#tickAt === undefined) this.#arm();
  }

  #arm(): void {
    this.#tickAt = performance.now();
    setImmediate(this.#endTick);
  }

  // What is deferred meanwhile belongs to this tick too: a message that came in goes out at its end.
  #onTickEnd(): void {
    try {
      for (let count = 0; count < CALLBACKS_A_TICK_MAX; count++) {
        const callback = this.#deferred.shift();
        if (callback === undefined) break;
        callback();
      }
    } finally {
      this.#tickAt = undefined;
      if (this.#deferred.length > 0) this.#arm();
    }
  }
}

/** The machine's own clock: one for all, so that a tick ends for all of them at once. */
export const systemClock: Clock = new SystemClock();
