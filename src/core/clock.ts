import type { Millis } from "./machine.ts";

/** Ends a timer. Safe to call again, and after the timer has fired. */
export type CancelTimer = () => void;

/** Time, as the library sees it: the system's own (`runtime/clock.ts`), or the simulator's. */
export interface Clock {
  /**
   * Milliseconds on a monotonic clock, whatever happens to the time of day. It may stand still
   * until the end of a tick that somebody waits for.
   */
  now(): Millis;
  /** Calls back once after `delayMs`. The timer keeps the process alive. */
  setTimer(delayMs: Millis, callback: () => void): CancelTimer;
  /** Calls back once, after the input that is already waiting has been read: the end of the tick. */
  defer(callback: () => void): void;
}
