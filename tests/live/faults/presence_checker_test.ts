import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { NodeLife } from "./evidence.ts";
import { checkPresence, purgedMs } from "./presence_checker.ts";
import type { PresenceEvidence, Sighting, Visit } from "./presence_evidence.ts";

interface Spoilable extends PresenceEvidence {
  readonly visits: Visit[];
  readonly lives: NodeLife[];
}

function visitTo(node: string, options: Partial<Visit> = {}): Visit {
  const { id = `resident of ${node}` } = options;
  return {
    id,
    member: id,
    node,
    isResident: true,
    meta: id,
    closedAt: undefined,
    sightings: [],
    errors: [],
    ...options,
  };
}

function see(visit: Visit | undefined, kind: Sighting["kind"], member: string, at: number): void {
  visit!.sightings.push({ kind, member, meta: kind === "left" ? "" : member, at });
}

/** Two nodes, a resident on each, and a third member who has come and changed. */
function soundEvidence(isNoticed = false): Spoilable {
  const lives = ["a", "b"].map((name): NodeLife => ({
    node: `${name}~1`,
    name,
    ending: undefined,
    endedAt: undefined,
    reports: [],
  }));
  const visits = lives.map(({ node }) => visitTo(node));
  visits.push(visitTo("b~1", { id: "mover", isResident: false }));
  for (const resident of visits.slice(0, 2)) {
    for (const { id } of visits.slice(0, 2)) see(resident, "there", id, 0);
    see(resident, "joined", "mover", 500);
    see(resident, "updated", "mover", 600);
  }
  const fault = { startedAt: 1_000, endedAt: 6_000, isNoticed, bystanders: ["a"] };
  return { visits, lives, fault: { ...fault, touchedClients: [] } };
}

/** Node b has crashed at 2,000 ms, and a knows 700 ms later; its successor has a new resident. */
function crashedEvidence(): Spoilable {
  const evidence = soundEvidence(true);
  const { visits, lives } = evidence;
  Object.assign(lives[1]!, { ending: "crashed", endedAt: 2_000 });
  for (const visit of visits.slice(1)) visit.closedAt = 2_000;
  for (const member of ["resident of b~1", "mover"]) see(visits[0], "left", member, 2_700);
  lives.push({ ...lives[1]!, node: "b~2", ending: undefined, endedAt: undefined });
  visits.push(visitTo("b~2"));
  for (const visit of [visits[0], visits[3]]) see(visit, "joined", "resident of b~2", 3_000);
  see(visits[3], "there", "resident of a~1", 3_000);
  return evidence;
}

test("sound presence has no findings, and nobody was purged", () => {
  deepStrictEqual(checkPresence(soundEvidence()), []);
  strictEqual(purgedMs(soundEvidence()), undefined);
});

test("members of a node that crashed are purged, and that took a time", () => {
  deepStrictEqual(checkPresence(crashedEvidence()), []);
  strictEqual(purgedMs(crashedEvidence()), 700);
});

test("members of a node that is cut off are purged, counted from the fault, and back after it", () => {
  const evidence = soundEvidence(true);
  const [resident] = evidence.visits;
  for (const member of ["resident of b~1", "mover"]) see(resident, "left", member, 5_500);
  for (const member of ["resident of b~1", "mover"]) see(resident, "joined", member, 6_500);
  deepStrictEqual(checkPresence(evidence), []);
  strictEqual(purgedMs(evidence), 4_500);
});

type Spoil = (evidence: Spoilable) => void;

const SPOILT: readonly (readonly [what: string, spoil: Spoil, finding: RegExp])[] = [
  ["a join that comes twice", ({ visits }) => {
    see(visits[0], "joined", "mover", 700);
  }, /alternate: resident of a~1 was told joined of mover after updated/],
  ["a change of somebody who has left", ({ visits }) => {
    see(visits[0], "left", "mover", 700);
    see(visits[0], "updated", "mover", 701);
  }, /alternate: resident of a~1 was told updated of mover after left/],
  ["a member who is missed", ({ visits }) => {
    see(visits[0], "left", "mover", 700);
  }, /union.*: resident of a~1 misses mover/],
  ["a ghost", ({ visits }) => {
    visits[2]!.closedAt = 700;
  }, /union.*: resident of a~1 shows mover, who is not there/],
  ["metadata that nobody has", ({ visits }) => {
    visits[2]!.meta = "other";
  }, /union.*: resident of a~1 shows mover of mover, not other/],
  ["metadata that differs from node to node", ({ visits }) => {
    visits.push(visitTo("a~1", { id: "mover.2", member: "mover", isResident: false }));
    const seen = { kind: "updated", member: "mover", meta: "mover.2", at: 700 } as const;
    visits[1]!.sightings.push(seen);
  }, /union.*: resident of b~1 shows mover.2 of mover, not mover/],
  ["a leave for nothing", ({ visits }) => {
    see(visits[0], "left", "resident of b~1", 1_500);
    see(visits[0], "joined", "resident of b~1", 1_600);
  }, /seems to leave: resident of a~1 saw resident of b~1 leave/],
  ["an error that a member was told", ({ visits }) => {
    visits[2]!.errors.push("internal: oh");
  }, /error: mover: internal: oh/],
];

for (const [what, spoil, finding] of SPOILT) {
  test(`${what} is found`, () => {
    const evidence = soundEvidence();
    spoil(evidence);
    match(checkPresence(evidence).join("\n"), finding);
  });
}

test("a lost node whose members nobody purged is found", () => {
  match(checkPresence(soundEvidence(true)).join("\n"), /are purged: nobody was purged/);
});

test("a new member of a node whose old ones still show is found", () => {
  const evidence = crashedEvidence();
  const { sightings } = evidence.visits[0]!;
  sightings.push(...sightings.splice(-3, 2));
  const findings = checkPresence(evidence);
  deepStrictEqual(findings, [
    "P8: a node's old members are gone before its new ones show: " +
    "resident of a~1 was shown resident of b~2 while resident of b~1 was still there",
  ]);
});

test("a resident whom a crash elsewhere makes leave is found", () => {
  const evidence = crashedEvidence();
  see(evidence.visits[3], "left", "resident of a~1", 3_500);
  see(evidence.visits[3], "joined", "resident of a~1", 3_600);
  match(checkPresence(evidence).join("\n"), /seems to leave: resident of b~2 saw/);
});
