import type { Millis } from "../../src/core/machine.ts";

/** Something that will happen, unless it is called off. */
export interface Appointment {
  readonly at: Millis;
  readonly order: number;
  run: (() => void) | undefined;
}

// So much at one moment is no work: somebody waits for a time that does not come.
const STANDING_MAX = 100_000;

/** Virtual time: one queue of all that will happen, ordered by time and then by when it was asked. */
export class Schedule {
  readonly #heap: Appointment[] = [];
  #now: Millis = 0;
  #order = 0;
  #runCount = 0;
  #standingCount = 0;

  /** The time of whatever happens at this moment. */
  get now(): Millis {
    return this.#now;
  }

  /** How much has happened. */
  get runCount(): number {
    return this.#runCount;
  }

  /** Calls `run` at a time; now, after all that is due already, if it has passed. */
  at(time: Millis, run: () => void): Appointment {
    const appointment = { at: Math.max(time, this.#now), order: this.#order++, run };
    this.#rise(appointment);
    return appointment;
  }

  /** Calls `run` after a while. */
  in(delayMs: Millis, run: () => void): Appointment {
    return this.at(this.#now + delayMs, run);
  }

  /** Lets everything happen that is due up to a time, and ends there. */
  runUntil(time: Millis): void {
    const heap = this.#heap;
    for (let first = heap[0]; first !== undefined && first.at <= time; first = heap[0]) {
      this.#removeFirst();
      if (first.run === undefined) continue;
      if (first.at > this.#now) this.#standingCount = 0;
      else if (++this.#standingCount > STANDING_MAX) throw new Error("Time does not go on");
      this.#now = first.at;
      this.#runCount++;
      first.run();
    }
    this.#now = time;
  }

  #rise(appointment: Appointment): void {
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      if (isBefore(heap[parent]!, appointment)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = appointment;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const { length } = heap;
    if (length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(left: Appointment, right: Appointment): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}
