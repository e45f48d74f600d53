import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { VirtualPresence } from "../support/virtual_presence.ts";

test("who counts later is told of the next change, whatever the others were told before", () => {
  const world = new VirtualPresence();
  const a = world.add("a~1");
  a.watch("changes", "room", "changes");
  for (const member of ["ann", "bob"]) a.join("room", member);
  world.run(500);
  // Its answer says that there are two.
  a.watch("late", "room", "count");
  for (const member of ["ann", "bob"]) a.leave("room", member);
  world.run(500);
  deepStrictEqual(a.told.get("late"), ["=0"]);
});

test("who counts while a count waits to be told is told when the number goes back", () => {
  const world = new VirtualPresence();
  const a = world.add("a~1");
  a.watch("early", "room", "count");
  a.join("room", "ann");
  world.run(5);
  a.join("room", "bob");
  world.run(5);
  // Its answer says that there are two, which nobody else was told.
  a.watch("late", "room", "count");
  a.leave("room", "bob");
  world.run(500);
  deepStrictEqual(a.told.get("late"), ["=1"]);
  deepStrictEqual(a.told.get("early")!.at(-1), "=1");
});

test("who saw a member that came and went in one tick is told so, and nobody else", () => {
  const world = new VirtualPresence();
  const a = world.add("a~1");
  for (const watcher of ["early", "gone"]) a.watch(watcher, "room", "changes");
  world.run(5);
  a.join("room", "ann");
  // Their rosters have her.
  for (const watcher of ["late", "gone"]) a.watch(watcher, "room", "changes");
  a.watch("gone", "room", undefined);
  a.leave("room", "ann");
  world.run(5);
  const told = { early: [], gone: [], late: ["-ann =0"] };
  deepStrictEqual(Object.fromEntries(a.told), told);
  a.join("room", "bob");
  a.leave("room", "bob");
  world.run(5);
  deepStrictEqual(Object.fromEntries(a.told), told);
});
