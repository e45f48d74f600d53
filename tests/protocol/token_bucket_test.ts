import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { TokenBucket } from "../../src/protocol/token_bucket.ts";

const LIMIT = { messagesPerSecondMax: 10, messagesBurstMax: 3 };

test("TokenBucket.take() allows a burst, then one message per tenth of a second", () => {
  const bucket = new TokenBucket(LIMIT, 1_000);
  const taken = [1_000, 1_000, 1_000, 1_000, 1_050, 1_100, 1_101, 1_200].map((now) =>
    bucket.take(now)
  );
  deepStrictEqual(taken, [true, true, true, false, false, true, false, true]);
});

test("TokenBucket.take() saves up no more than a burst", () => {
  const bucket = new TokenBucket(LIMIT, 0);
  const taken = [60_000, 60_000, 60_000, 60_000].map((now) => bucket.take(now));
  deepStrictEqual(taken, [true, true, true, false]);
});

test("TokenBucket.isDry tells whether the last message was refused", () => {
  const bucket = new TokenBucket({ messagesPerSecondMax: 10, messagesBurstMax: 1 }, 0);
  const dry = [0, 0, 1, 200].map((now) => {
    bucket.take(now);
    return bucket.isDry;
  });
  deepStrictEqual(dry, [false, true, true, false]);
});

test("TokenBucket.take() lets a sender of twice the rate have exactly the rate", () => {
  const bucket = new TokenBucket({ messagesPerSecondMax: 100, messagesBurstMax: 1 }, 0);
  let count = 0;
  for (let now = 0; now < 10_000; now += 5) if (bucket.take(now)) count++;
  strictEqual(count, 1_000);
});
