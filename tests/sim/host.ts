import type { CancelTimer, Clock } from "../../src/core/clock.ts";
import type { Millis } from "../../src/core/machine.ts";
import type { Appointment, Schedule } from "./schedule.ts";

/** How the clock of a process goes. */
export interface ClockFault {
  /** Milliseconds that it counts in a millisecond of the world. */
  readonly rate: number;
  /** What it shows when the process starts. */
  readonly start: Millis;
}

// No timer is exact; and one that fires a rounding error early would be set again for ever.
const TIMER_LATE_MS = 0.01;

interface Timer {
  readonly dueAt: Millis;
  readonly callback: () => void;
  appointment: Appointment;
}

/**
 * One process as its operating system sees it: it runs, is frozen, or is over. It has a clock of
 * its own, which drifts and jumps, and whatever comes for it waits while it is frozen.
 */
export class Host implements Clock {
  readonly #schedule: Schedule;
  readonly #fault: ClockFault;
  readonly #startedAt: Millis;
  readonly #timers = new Set<Timer>();
  #jumpedMs = 0;
  #deferredCount = 0;
  #isFrozen = false;
  #isOver = false;
  #waiting: (() => void)[] = [];
  #overdue: (() => void)[] = [];

  /** Starts to run. */
  constructor(schedule: Schedule, fault: ClockFault) {
    this.#schedule = schedule;
    this.#fault = fault;
    this.#startedAt = schedule.now;
  }

  /** Whether it neither ended nor crashed. */
  get isAlive(): boolean {
    return !this.#isOver;
  }

  /** Whether it stands still. */
  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** Timers and ends of ticks that it waits for. */
  get timerCount(): number {
    return this.#timers.size + this.#deferredCount;
  }

  now(): Millis {
    const elapsed = this.#schedule.now - this.#startedAt;
    return this.#fault.start + elapsed * this.#fault.rate + this.#jumpedMs;
  }

  setTimer(delayMs: Millis, callback: () => void): CancelTimer {
    const dueAt = this.now() + delayMs;
    const timer: Timer = { dueAt, callback, appointment: undefined as unknown as Appointment };
    this.#arm(timer);
    this.#timers.add(timer);
    return () => {
      timer.appointment.run = undefined;
      this.#timers.delete(timer);
    };
  }

  defer(callback: () => void): void {
    this.#deferredCount++;
    this.#schedule.at(this.#schedule.now, () =>
      this.enter(() => {
        this.#deferredCount--;
        callback();
      }));
  }

  /** Runs the process's own code: now, when it is thawed, or never if it is over. */
  enter(run: () => void): void {
    if (this.#isOver) return;
    if (this.#isFrozen) this.#waiting.push(run);
    else run();
  }

  /** Stops the process in its tracks, as SIGSTOP or a long garbage collection does. */
  freeze(): void {
    this.#isFrozen = true;
  }

  /** Lets it go on. `timersFirst` tells what a runtime looks at first: its timers or its sockets. */
  thaw(timersFirst: boolean): void {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    const [overdue, waiting] = [this.#overdue, this.#waiting];
    this.#overdue = [];
    this.#waiting = [];
    const runs = timersFirst ? [...overdue, ...waiting] : [...waiting, ...overdue];
    for (const run of runs) this.enter(run);
  }

  /** Its clock goes forward at once, as after a suspension. */
  jump(forwardMs: Millis): void {
    this.#jumpedMs += forwardMs;
    for (const timer of this.#timers) {
      timer.appointment.run = undefined;
      this.#arm(timer);
    }
  }

  /** The process is over: nothing of it runs any more. */
  end(): void {
    this.#isOver = true;
    this.#isFrozen = false;
    this.#waiting = [];
    this.#overdue = [];
    for (const timer of this.#timers) timer.appointment.run = undefined;
  }

  #arm(timer: Timer): void {
    const delayMs = (timer.dueAt - this.now()) / this.#fault.rate + TIMER_LATE_MS;
    timer.appointment = this.#schedule.in(delayMs, () => this.#fire(timer));
  }

  #fire(timer: Timer): void {
    const run = (): void => {
      if (!this.#timers.delete(timer)) return;
      timer.callback();
    };
    if (this.#isFrozen) this.#overdue.push(run);
    else run();
  }
}
