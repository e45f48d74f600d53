import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Membership } from "../../src/cluster/membership.ts";
import { TICK_MS } from "../../src/cluster/settings.ts";
import type { Millis } from "../../src/core/machine.ts";
import { SETTINGS } from "../support/virtual_cluster.ts";

const PATH = 0;

/** Three nodes: this one, `b` and `c`. */
function threeNodes(): Membership {
  const membership = new Membership("a~1", SETTINGS, 0);
  for (const name of ["b", "c"]) {
    membership.pathUp(PATH, { id: `${name}~1`, name }, 0);
    membership.synced(`${name}~1`);
  }
  membership.take();
  return membership;
}

function kindsOf(membership: Membership): string[] {
  return membership.take().map((output) =>
    "node" in output ? `${output.kind} ${output.node}` : output.kind
  );
}

test("P8: a node that was restarted is gone before its successor is met", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "refused", 10);
  deepStrictEqual(kindsOf(membership), ["probe b~1"]);
  membership.pathUp(PATH, { id: "b~2", name: "b" }, 20);
  deepStrictEqual(kindsOf(membership), ["down b~1", "greet b~2"]);
});

test("P8: a node that is out of reach is not purged because another has its name", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "lost", 10);
  membership.pathUp(PATH, { id: "b~2", name: "b" }, 20);
  deepStrictEqual(kindsOf(membership), ["greet b~2"]);
});

/** Ticks up to a time; from `brokenAt` on the witness says that it has no path to `b` either. */
function asksWitness(membership: Membership, brokenAt: Millis, untilMs: Millis): string[] {
  const told: string[] = [];
  for (let now = 0; now <= untilMs; now += TICK_MS) {
    membership.observe(now);
    membership.heard(PATH, "c~1", now);
    membership.tick(now);
    for (const output of membership.take()) {
      if (output.kind === "down") told.push(`${output.node} ${output.reason}`);
      if (output.kind !== "probe") continue;
      membership.testimony("b~1", now < brokenAt ? now : undefined, now);
    }
  }
  return told;
}

test("P8: a dead process is gone within a second although a witness finds out later", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "refused", 0);
  membership.testimony("b~1", 0, 0);
  deepStrictEqual(asksWitness(membership, 200, 1_000), ["b~1 died"]);
});

test("P14: a node that refuses this one is not dead while another has a path to it", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "refused", 0);
  membership.testimony("b~1", 0, 0);
  deepStrictEqual(asksWitness(membership, Infinity, SETTINGS.nodeTimeoutMs - 2 * TICK_MS), []);
});
