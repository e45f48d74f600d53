import type { CancelTimer, Clock } from "./clock.ts";
import type { Machine, Millis, Wake } from "./machine.ts";

/** Runs one machine in the real world. */
export interface Drive<Input> {
  /** Feeds the machine one input and performs what it decides. */
  feed(input: Input): void;
  /** Ends the driver: no output is performed and no timer is left. Safe to call again. */
  stop(): void;
}

/**
 * Runs a machine on a clock: gives it the time, performs its outputs, wakes it.
 *
 * A deadline that has passed already is met at the end of the tick, so that what else comes in
 * during the tick is handled with it.
 *
 * @param machine The machine. Nothing else may feed it from now on.
 * @param clock Where time comes from.
 * @param perform Performs one output. It may feed the machine again; it must not throw.
 */
export function drive<Input, Output>(
  machine: Machine<Input | Wake, Output>,
  clock: Clock,
  perform: (output: Output) => void,
): Drive<Input> {
  return new Driver(machine, clock, perform);
}

const WAKE: Wake = { kind: "wake" };

class Driver<Input, Output> implements Drive<Input> {
  readonly #machine: Machine<Input | Wake, Output>;
  readonly #clock: Clock;
  readonly #perform: (output: Output) => void;
  readonly #onTimer: () => void;
  readonly #onEndOfTick: () => void;
  #cancelTimer: CancelTimer | undefined;
  #armedFor: Millis | undefined;
  #deferred = false;
  #performing = false;
  #stopped = false;

  constructor(
    machine: Machine<Input | Wake, Output>,
    clock: Clock,
    perform: (output: Output) => void,
  ) {
    this.#machine = machine;
    this.#clock = clock;
    this.#perform = perform;
    this.#onTimer = () => {
      this.#armedFor = undefined;
      this.#cancelTimer = undefined;
      this.#wake();
    };
    this.#onEndOfTick = () => {
      this.#deferred = false;
      this.#wake();
    };
    this.#settle();
  }

  feed(input: Input): void {
    if (this.#stopped) return;
    this.#machine.handle(input, this.#clock.now());
    this.#settle();
  }

  stop(): void {
    this.#stopped = true;
    this.#disarm();
  }

  #settle(): void {
    if (this.#performing) return;
    this.#performing = true;
    for (let outputs = this.#machine.take(); outputs.length > 0; outputs = this.#machine.take()) {
      for (const output of outputs) {
        if (this.#stopped) break;
        this.#perform(output);
      }
    }
    this.#performing = false;
    // At the end of the tick the deadline is looked at anyhow.
    if (!this.#stopped && !this.#deferred) this.#arm(this.#machine.deadline);
  }

  // A timer that was set for a deadline that moved back, or is met at the end of the tick, stays: it
  // wakes the machine early, which is harmless, and most ticks move the deadline only so far.
  #arm(deadline: Millis | undefined): void {
    if (deadline === undefined) return this.#disarm();
    if (this.#armedFor !== undefined && this.#armedFor <= deadline) return;
    const delayMs = deadline - this.#clock.now();
    if (delayMs <= 0) {
      this.#deferred = true;
      this.#clock.defer(this.#onEndOfTick);
    } else {
      this.#disarm();
      this.#armedFor = deadline;
      this.#cancelTimer = this.#clock.setTimer(delayMs, this.#onTimer);
    }
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#armedFor = undefined;
  }

  #wake(): void {
    if (this.#stopped) return;
    this.#machine.handle(WAKE, this.#clock.now());
    this.#settle();
  }
}
