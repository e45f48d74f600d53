import type { Millis } from "../core/machine.ts";

/** Ends a timer. Safe to call again, and after the timer has fired. */
export type CancelTimer = () => void;

/** Time, as the rest of the library sees it. The simulator has one of its own. */
export interface Clock {
  /** Milliseconds on a monotonic clock, whatever happens to the time of day. */
  now(): Millis;
  /** Calls back once after `delayMs`. The timer keeps the process alive. */
  setTimer(delayMs: Millis, callback: () => void): CancelTimer;
  /** Calls back once, after the input that is already waiting has been read: the end of the tick. */
  defer(callback: () => void): void;
}

type Defer = (callback: () => void) => unknown;

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer(delayMs: Millis, callback: () => void): CancelTimer {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  defer: (globalThis as unknown as { setImmediate: Defer }).setImmediate,
};
