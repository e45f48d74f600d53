import type { CancelTimer, Clock } from "../core/clock.ts";
import type { Millis } from "../core/machine.ts";

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
