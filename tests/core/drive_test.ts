import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Machine, Millis, Wake } from "../../src/core/machine.ts";
import type { Clock } from "../../src/core/clock.ts";
import { type Drive, drive } from "../../src/core/drive.ts";

/** A clock that stands until it is told to go on. */
class StillClock implements Clock {
  time: Millis = 0;
  readonly timers: { at: Millis; callback: () => void }[] = [];
  readonly deferred: (() => void)[] = [];

  now(): Millis {
    return this.time;
  }

  setTimer(delayMs: Millis, callback: () => void): () => void {
    const timer = { at: this.time + delayMs, callback };
    this.timers.push(timer);
    return () => {
      const index = this.timers.indexOf(timer);
      if (index >= 0) this.timers.splice(index, 1);
    };
  }

  defer(callback: () => void): void {
    this.deferred.push(callback);
  }

  endTick(): void {
    for (const callback of this.deferred.splice(0)) callback();
  }

  goTo(time: Millis): void {
    this.time = time;
    for (const timer of this.timers.filter(({ at }) => at <= time)) {
      this.timers.splice(this.timers.indexOf(timer), 1);
      timer.callback();
    }
  }
}

type Input = { readonly kind: "say"; readonly text: string } | {
  readonly kind: "wait";
  readonly until: Millis | undefined;
};

/** Repeats what it is told, and notes when it is woken. */
class Parrot implements Machine<Input | Wake, string> {
  deadline: Millis | undefined;
  readonly wokenAt: Millis[] = [];
  #outputs: string[] = [];

  handle(input: Input | Wake, now: Millis): void {
    if (input.kind === "say") this.#outputs.push(...input.text.split(" "));
    else if (input.kind === "wait") this.deadline = input.until;
    else this.#wake(now);
  }

  take(): string[] {
    return this.#outputs.splice(0);
  }

  #wake(now: Millis): void {
    this.wokenAt.push(now);
    if (this.deadline !== undefined && now >= this.deadline) this.deadline = undefined;
  }
}

function start(): {
  clock: StillClock;
  parrot: Parrot;
  heard: string[];
  driven: Drive<Input>;
  on: (output: string, act: () => void) => void;
} {
  const clock = new StillClock();
  const parrot = new Parrot();
  const heard: string[] = [];
  const acts = new Map<string, () => void>();
  const driven = drive<Input, string>(parrot, clock, (output) => {
    heard.push(output);
    acts.get(output)?.();
  });
  return { clock, parrot, heard, driven, on: (output, act) => void acts.set(output, act) };
}

test("what the machine decides is performed at once and in order", () => {
  const { heard, driven } = start();
  driven.feed({ kind: "say", text: "a b" });
  driven.feed({ kind: "say", text: "c" });
  deepStrictEqual(heard, ["a", "b", "c"]);
});

test("what the machine has decided before it is driven is performed first", () => {
  const parrot = new Parrot();
  parrot.handle({ kind: "say", text: "early" }, 0);
  const heard: string[] = [];
  drive<Input, string>(parrot, new StillClock(), (output) => heard.push(output));
  deepStrictEqual(heard, ["early"]);
});

test("what is fed while an output is performed is performed after the others", () => {
  const { heard, driven, on } = start();
  on("a", () => driven.feed({ kind: "say", text: "nested" }));
  driven.feed({ kind: "say", text: "a b" });
  deepStrictEqual(heard, ["a", "b", "nested"]);
});

test("the machine is woken at its deadline, once", () => {
  const { clock, parrot, driven } = start();
  driven.feed({ kind: "wait", until: 50 });
  clock.goTo(49);
  deepStrictEqual(parrot.wokenAt, []);
  clock.goTo(50);
  clock.goTo(500);
  deepStrictEqual(parrot.wokenAt, [50]);
  strictEqual(clock.timers.length, 0);
});

test("a deadline that comes nearer is met; one that moves away leaves no second timer", () => {
  const { clock, parrot, driven } = start();
  for (const until of [50, 20, 90]) driven.feed({ kind: "wait", until });
  strictEqual(clock.timers.length, 1);
  clock.goTo(20);
  clock.goTo(90);
  deepStrictEqual(parrot.wokenAt, [20, 90]);
});

test("a deadline that has passed is met at the end of the tick, with all that came in the tick", () => {
  const { clock, parrot, driven } = start();
  driven.feed({ kind: "wait", until: -Infinity });
  driven.feed({ kind: "wait", until: 0 });
  deepStrictEqual([clock.deferred.length, clock.timers.length], [1, 0]);
  deepStrictEqual(parrot.wokenAt, []);
  clock.endTick();
  deepStrictEqual(parrot.wokenAt, [0]);
  driven.feed({ kind: "wait", until: 0 });
  clock.endTick();
  deepStrictEqual(parrot.wokenAt, [0, 0]);
});

test("what is met at the end of the tick leaves the timer for later as it is", () => {
  const { clock, parrot, driven } = start();
  driven.feed({ kind: "wait", until: 50 });
  const [timer] = clock.timers;
  driven.feed({ kind: "wait", until: 0 });
  driven.feed({ kind: "wait", until: 50 });
  clock.endTick();
  deepStrictEqual([parrot.wokenAt, clock.timers], [[0], [timer]]);
  clock.goTo(50);
  deepStrictEqual(parrot.wokenAt, [0, 50]);
});

test("a deadline that is taken back leaves no timer", () => {
  const { clock, driven } = start();
  driven.feed({ kind: "wait", until: 50 });
  driven.feed({ kind: "wait", until: undefined });
  strictEqual(clock.timers.length, 0);
});

test("stop() takes back the timer that waits, and nothing is handled any more", () => {
  const { clock, parrot, driven } = start();
  driven.feed({ kind: "wait", until: 50 });
  driven.stop();
  strictEqual(clock.timers.length, 0);
  driven.feed({ kind: "wait", until: 90 });
  strictEqual(parrot.deadline, 50);
});

test("after stop() nothing is performed, no timer is left, and stop() may be called again", () => {
  const { clock, parrot, heard, driven, on } = start();
  on("b", () => driven.stop());
  driven.feed({ kind: "wait", until: 50 });
  driven.feed({ kind: "wait", until: 0 });
  driven.feed({ kind: "say", text: "a b c" });
  driven.feed({ kind: "say", text: "d" });
  driven.stop();
  clock.endTick();
  deepStrictEqual(heard, ["a", "b"]);
  strictEqual(clock.timers.length, 0);
  deepStrictEqual(parrot.wokenAt, []);
});
