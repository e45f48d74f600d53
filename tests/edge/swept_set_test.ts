import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { type Sweepable, SweptSet } from "../../src/edge/swept_set.ts";
import type { CancelTimer, Clock } from "../../src/core/clock.ts";

/** A clock with one timer, moved by hand. */
class ManualClock implements Clock {
  time = 0;
  timer: { readonly at: number; readonly callback: () => void } | undefined;
  timerCount = 0;

  now(): number {
    return this.time;
  }

  setTimer(delayMs: number, callback: () => void): CancelTimer {
    const timer = { at: this.time + delayMs, callback };
    this.timer = timer;
    this.timerCount++;
    return () => {
      if (this.timer === timer) this.timer = undefined;
    };
  }

  defer(callback: () => void): void {
    callback();
  }

  /** Lets the timer fire, as late as the machine pleases. */
  fire(lateMs = 0): void {
    const { timer } = this;
    if (timer === undefined) return;
    this.timer = undefined;
    this.time = timer.at + lateMs;
    timer.callback();
  }
}

function member(log: number[]): Sweepable {
  return { sweep: (now) => void log.push(now) };
}

test("SweptSet has no timer while it is empty, and one for all its members", () => {
  const clock = new ManualClock();
  const set = new SweptSet(clock, 60_000);
  strictEqual(clock.timer, undefined);
  const members = Array.from({ length: 100 }, () => member([]));
  for (const each of members) set.add(each);
  deepStrictEqual([set.size, clock.timerCount], [100, 1]);
  for (const each of members) set.delete(each);
  strictEqual(clock.timer, undefined);
});

test("SweptSet looks after its members once a second, and more often for short limits", () => {
  for (const [shortestMs, grainMs] of [[60_000, 1_000], [400, 100], [1, 5]] as const) {
    const clock = new ManualClock();
    const log: number[] = [];
    const set = new SweptSet(clock, shortestMs);
    set.add(member(log));
    clock.fire();
    clock.fire();
    deepStrictEqual(log, [grainMs, 2 * grainMs]);
  }
});

test("SweptSet leaves out the first round after the process stood still", () => {
  const clock = new ManualClock();
  const log: number[] = [];
  const set = new SweptSet(clock, 60_000);
  set.add(member(log));
  clock.fire(60_000);
  clock.fire(500);
  deepStrictEqual(log, [62_500]);
});

test("SweptSet lets members leave, and others come, in the middle of a round", () => {
  const clock = new ManualClock();
  const set = new SweptSet(clock, 60_000);
  const log: number[] = [];
  const leaver: Sweepable = {
    sweep: () => {
      set.delete(leaver);
      set.add(member(log));
    },
  };
  set.add(leaver);
  clock.fire();
  deepStrictEqual([set.size, [...set].includes(leaver)], [1, false]);
  clock.fire();
  strictEqual(log.at(-1), 2_000);
});
