import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { MemberNotes } from "../../src/cluster/member_notes.ts";

const ROUND_MS = 5_000;

/** A node in a cluster of others. */
function createNotes(members: readonly string[]): MemberNotes {
  const notes = new MemberNotes("a~1");
  for (const id of members) notes.add(id);
  return notes;
}

/** Heartbeats in which these nodes tell of other members. */
function differ(notes: MemberNotes, nodes: readonly string[], beats: number): void {
  for (let count = 0; count < beats; count++) {
    for (const id of nodes) notes.compare(id, 1);
  }
}

test("notes are compared with those that know others, and not with those that agree", () => {
  const notes = createNotes(["b~1", "c~1", "d~1"]);
  differ(notes, ["c~1", "d~1"], 3);
  notes.compare("d~1", notes.digest);
  deepStrictEqual(notes.takeDiffering(ROUND_MS), ["c~1"]);
  deepStrictEqual(notes.takeDiffering(2 * ROUND_MS), [], "until it differs again");
});

test("a node that is down is not asked any more", () => {
  const notes = createNotes(["b~1"]);
  differ(notes, ["b~1"], 3);
  notes.forget("b~1");
  deepStrictEqual(notes.takeDiffering(ROUND_MS), []);
});

test("where all know others, notes are compared with a few at a time, in turns", () => {
  const members = Array.from({ length: 50 }, (_, index) => `p${index}~1`);
  const notes = createNotes(members);
  const compared = new Set<string>();
  for (let round = 1; round <= 7; round++) {
    differ(notes, members, 5);
    const nodes = notes.takeDiffering(round * ROUND_MS);
    ok(nodes.length > 0 && nodes.length <= 8, `${nodes.length} at once`);
    for (const id of nodes) compared.add(id);
    deepStrictEqual(notes.takeDiffering(round * ROUND_MS + 1), [], "and not more often");
  }
  strictEqual(compared.size, members.length);
});

test("the hash follows the members as they come and go", () => {
  const notes = createNotes(["b~1", "c~1"]);
  const before = notes.digest;
  notes.add("d~1");
  notStrictEqual(notes.digest, before);
  strictEqual(notes.count, 3);
  notes.remove("d~1");
  deepStrictEqual([notes.count, notes.digest], [2, before]);
});
