import type { Millis } from "../core/machine.ts";

/** How many messages one client may send. */
export interface RateLimit {
  /** Messages in a second, over time. */
  readonly messagesPerSecondMax: number;
  /** Messages at once, after a rest. */
  readonly messagesBurstMax: number;
}

/** Counts what a client may still send: it fills with time, and each message takes one. */
export class TokenBucket {
  readonly #limit: RateLimit;
  #tokens: number;
  #filledAt: Millis;
  #isDry = false;

  /** Starts full. */
  constructor(limit: RateLimit, now: Millis) {
    this.#limit = limit;
    this.#tokens = limit.messagesBurstMax;
    this.#filledAt = now;
  }

  /** Whether the last message was refused. */
  get isDry(): boolean {
    return this.#isDry;
  }

  /** Takes one message's worth. `false` if there is none. */
  take(now: Millis): boolean {
    const { messagesPerSecondMax, messagesBurstMax } = this.#limit;
    const filled = this.#tokens + (now - this.#filledAt) * messagesPerSecondMax / 1_000;
    this.#tokens = Math.min(filled, messagesBurstMax);
    this.#filledAt = now;
    this.#isDry = this.#tokens < 1;
    if (!this.#isDry) this.#tokens--;
    return !this.#isDry;
  }
}
