import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { PresenceCopy } from "../../src/channel/presence_copy.ts";
import { Roster } from "../../src/channel/presence_roster.ts";
import { VirtualPresence } from "../support/virtual_presence.ts";

test("what a node left behind goes when its own time is over, in whatever order it was told", () => {
  const world = new VirtualPresence();
  const a = world.add("a~1");
  // A place that was left is used again: who came last is told first in a piece.
  a.join("room", "late", { connection: 2 });
  a.join("room", "early", { connection: 1 });
  a.disconnect(1, 1_000);
  world.run(800);
  a.disconnect(2, 1_000);
  const b = world.add("b~1");
  world.run(5);
  deepStrictEqual(b.members("room"), ["early", "late"]);
  world.kill("a~1", true);
  world.run(200);
  deepStrictEqual(b.members("room"), ["late"]);
  world.run(800);
  deepStrictEqual(b.members("room"), []);
});

test("a copy whose metadata differs though its version does not is found and mended", () => {
  const world = new VirtualPresence();
  const a = world.add("a~1");
  const b = world.add("b~1");
  a.join("room", "ann", { meta: "1" });
  world.run(5);
  // Only a fault of the code can bring this about.
  const [entry] = b.presence.roster.entries("room", "ann");
  (entry!.owner as PresenceCopy).change(entry!, "2", entry!.version);
  world.run(1_100);
  deepStrictEqual(b.members("room"), ["ann1"]);
});

test("a node that stops lets its members linger elsewhere, and keeps them itself", () => {
  const world = new VirtualPresence();
  const a = world.add("a~1");
  const b = world.add("b~1");
  a.join("room", "ann", { connection: 1, meta: "1" });
  world.run(5);
  a.feed({ kind: "farewell", lingerMs: 1_000 });
  a.feed({ kind: "detach" });
  world.run(5);
  world.lose("b~1", "a~1", true);
  world.run(2_000);
  deepStrictEqual(b.members("room"), []);
  // Its connection is still there, and can do what it could.
  deepStrictEqual(a.members("room"), ["ann1"]);
  a.join("room", "ann", { connection: 1, meta: "2" });
  a.disconnect(1);
  deepStrictEqual(a.changes, ["+room/ann1", "*room/ann2", "-room/ann2"]);
});

test("what a node left behind stays for its time when the node is met again meanwhile", () => {
  const world = new VirtualPresence();
  const a = world.add("a~1");
  const b = world.add("b~1");
  a.join("room", "ann", { connection: 1 });
  world.run(5);
  a.feed({ kind: "stop", lingerMs: 1_500 });
  world.run(5);
  // Its node goes on, and is reached over another way.
  b.feed({ kind: "peer_up", node: "a~1" });
  world.run(1_200);
  deepStrictEqual(b.members("room"), ["ann"]);
  world.run(500);
  deepStrictEqual(b.changes, ["+room/ann", "-room/ann"]);
});

test("a member whose new connection takes the place of its old one does not seem to leave", () => {
  const roster = new Roster();
  const copy = new PresenceCopy("a~1", roster);
  const told: string[][] = [];
  for (const [connection, meta] of [[1, "1"], [2, "1"], [3, "2"]] as const) {
    copy.put("room", { slot: 0, version: connection, connection, member: "ann", meta });
    told.push(roster.takeChanges().map(({ kind }) => kind));
  }
  deepStrictEqual(told, [["join"], [], ["update"]]);
});
