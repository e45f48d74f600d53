import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { RespMap } from "../../../src/backplane/redis/resp.ts";
import { type RoleDemand, RoleWatch } from "../../../src/backplane/redis/role_watch.ts";

const hello = (role: string): RespMap => new RespMap(["proto", 3, "role", role]);

test("P13: a server that was a master is left when it becomes a replica, also at a new dial", () => {
  const watch = new RoleWatch("unchanged");
  strictEqual(watch.greeted("master"), true);
  deepStrictEqual(watch.question(3, 0), ["HELLO", "3"]);
  strictEqual(watch.question(3, 999), undefined);
  strictEqual(watch.answered(hello("master")), true);
  deepStrictEqual(watch.question(3, 1_000), ["HELLO", "3"]);
  strictEqual(watch.answered(hello("replica")), false);
  strictEqual(watch.isWell, false);
  watch.lost();
  strictEqual(watch.greeted("replica"), false);
  watch.lost();
  deepStrictEqual([watch.greeted("master"), watch.isWell], [true, true]);
});

test("a server that is a replica from the start may be one, where none must be a master", () => {
  for (const demand of ["unchanged", "any"] as const satisfies readonly RoleDemand[]) {
    const watch = new RoleWatch(demand);
    deepStrictEqual([watch.greeted("replica"), watch.isWell], [true, true]);
    strictEqual(watch.question(3, 10_000), undefined);
  }
  const watch = new RoleWatch("any");
  deepStrictEqual([watch.greeted("master"), watch.greeted("replica")], [true, true]);
  strictEqual(watch.question(3, 10_000), undefined);
});

test("where only a master will do one is asked for its role that has not told it", () => {
  const watch = new RoleWatch("master");
  strictEqual(watch.greeted("replica"), false);
  deepStrictEqual([watch.greeted(undefined), watch.isWell], [true, false]);
  deepStrictEqual(watch.question(2, 0), ["ROLE"]);
  deepStrictEqual([watch.answered(["slave", "host", 1, "connected", 0]), watch.isWell], [
    false,
    false,
  ]);
  deepStrictEqual([watch.answered(["master", 0, []]), watch.isWell], [true, true]);
});
