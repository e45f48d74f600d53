import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Subscriptions } from "../../../src/backplane/redis/subscriptions.ts";

test("Subscriptions asks once for a channel, and tells once that it is on and off", () => {
  const ledger = new Subscriptions();
  deepStrictEqual(ledger.want(["a", "b", "a"]), ["a", "b"]);
  ledger.requested(["a", "b"]);
  deepStrictEqual(ledger.want(["a"]), []);
  strictEqual(ledger.confirmed("a", true), "subscribed");
  deepStrictEqual(ledger.leave(["a", "never"]), ["a"]);
  ledger.requested(["a"]);
  deepStrictEqual(ledger.leave(["a"]), []);
  strictEqual(ledger.confirmed("a", false), "unsubscribed");
  deepStrictEqual(ledger.wanted(), ["b"]);
});

test("a channel that is left and joined again is told when the last request is confirmed", () => {
  const ledger = new Subscriptions();
  ledger.requested(ledger.want(["a"]));
  ledger.requested(ledger.leave(["a"]));
  ledger.requested(ledger.want(["a"]));
  strictEqual(ledger.confirmed("a", true), undefined);
  strictEqual(ledger.confirmed("a", false), undefined);
  strictEqual(ledger.confirmed("a", true), "subscribed");
});

test("a channel that is joined and left again is told to be off, and never to be on", () => {
  const ledger = new Subscriptions();
  ledger.requested(ledger.want(["a"]));
  ledger.requested(ledger.leave(["a"]));
  strictEqual(ledger.confirmed("a", true), undefined);
  strictEqual(ledger.confirmed("a", false), "unsubscribed");
  strictEqual(ledger.size, 0);
});

test("after a disconnection what is wanted stays, and what was left is gone", () => {
  const ledger = new Subscriptions();
  ledger.requested(ledger.want(["a", "b"]));
  ledger.requested(ledger.leave(["b"]));
  deepStrictEqual(ledger.disconnected(), ["b"]);
  deepStrictEqual(ledger.wanted(), ["a"]);
  ledger.requested(["a"]);
  strictEqual(ledger.confirmed("a", true), "subscribed");
});

test("a channel that the server refuses, or takes away by itself, is not wanted any more", () => {
  const ledger = new Subscriptions();
  ledger.requested(ledger.want(["a", "b", "c"]));
  ledger.requested(ledger.leave(["c"]));
  deepStrictEqual(ledger.refused(["a", "c", "never"]), ["a"]);
  strictEqual(ledger.confirmed("c", false), "unsubscribed");
  strictEqual(ledger.confirmed("b", true), "subscribed");
  strictEqual(ledger.confirmed("b", false), "unsubscribed");
  strictEqual(ledger.confirmed("b", false), undefined);
  deepStrictEqual(ledger.wanted(), []);
});

test("what is left while there is no connection is gone at once", () => {
  const ledger = new Subscriptions();
  ledger.requested(ledger.want(["a", "b"]));
  ledger.disconnected();
  ledger.forget(["a", "never"]);
  strictEqual(ledger.size, 1);
  deepStrictEqual(ledger.want(["a", "b"]), ["a"]);
});
