import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Membership } from "../../src/cluster/membership.ts";
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
