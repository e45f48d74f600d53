import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/runtime/clock.ts";

test("what is deferred is done at the end of the tick, and what that defers behind it", async () => {
  const log: string[] = [];
  systemClock.defer(() => {
    log.push("first");
    systemClock.defer(() => log.push("of the first"));
  });
  systemClock.defer(() => log.push("second"));
  await new Promise((resolve) => setImmediate(resolve));
  deepStrictEqual(log, ["first", "second", "of the first"]);
});

test("whoever defers without end does not keep timers and input out", async () => {
  let [count, isOver] = [0, false];
  const again = (): void => {
    count++;
    if (!isOver) systemClock.defer(again);
  };
  again();
  await new Promise((resolve) => setImmediate(resolve));
  ok(count >= 1_000);
  isOver = true;
  await new Promise((resolve) => setImmediate(resolve));
  const atTheEnd = count;
  await new Promise((resolve) => setImmediate(resolve));
  strictEqual(count, atTheEnd);
});

test("a tick that waits for its end has one time, and the next one goes on", async () => {
  const times: number[] = [];
  const note = (): number => times.push(systemClock.now());
  systemClock.defer(note);
  note();
  const start = performance.now();
  while (performance.now() < start + 2);
  note();
  await new Promise((resolve) => setImmediate(resolve));
  strictEqual(new Set(times).size, 1);
  note();
  ok(times[3]! >= start + 2);
});
