import { hashText } from "../../src/core/hash.ts";
import type { Schedule } from "./schedule.ts";

/** What happened, line by line, for people and for comparison. */
export class Trace {
  readonly #schedule: Schedule;
  readonly #write: ((line: string) => void) | undefined;
  #hash = 0;
  #lineCount = 0;

  /** Hands each line to `write`; without it lines are only counted and hashed. */
  constructor(schedule: Schedule, write?: (line: string) => void) {
    this.#schedule = schedule;
    this.#write = write;
  }

  /** A number that two runs share when they did the same. */
  get hash(): number {
    return this.#hash;
  }

  /** Lines so far. */
  get lineCount(): number {
    return this.#lineCount;
  }

  /** Adds a line: who did or met what. */
  line(who: string, what: string): void {
    const text = `${this.#schedule.now.toFixed(3).padStart(11)} ${who} ${what}`;
    this.#lineCount++;
    this.#hash = Math.imul(this.#hash, 31) + hashText(text) | 0;
    this.#write?.(text);
  }
}
