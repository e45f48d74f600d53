/**
 * The promises of presence that hold under every fault, checked over what clients saw. A check
 * takes the evidence and returns what breaks its promise, as sentences.
 *
 * @module
 */

import type { NodeLife } from "./evidence.ts";
import {
  expectedRoster,
  type PresenceEvidence,
  rosterAfter,
  type Sighting,
  type Visit,
} from "./presence_evidence.ts";

interface PresenceCheck {
  readonly promise: string;
  readonly find: (evidence: PresenceEvidence) => string[];
}

const SHOWN_MAX = 5;

/** Every check, in the order in which their findings are shown. */
export const PRESENCE_CHECKS: readonly PresenceCheck[] = [
  { promise: "P7: joins and leaves alternate", find: findRepeats },
  {
    promise: "P7: in the end every roster is the union of all who are there",
    find: findDivergence,
  },
  { promise: "P8: nobody who is there seems to leave", find: findFalseLeaves },
  { promise: "P8: members of a node that is lost are purged", find: findUnpurged },
  { promise: "P8: a node's old members are gone before its new ones show", find: findGhosts },
  { promise: "no member was told an error", find: findErrors },
];

/** Returns what breaks a promise, the promise before each. */
export function checkPresence(evidence: PresenceEvidence): string[] {
  return PRESENCE_CHECKS.flatMap(({ promise, find }) =>
    find(evidence).slice(0, SHOWN_MAX).map((finding) => `${promise}: ${finding}`)
  );
}

/**
 * How long it took from the fault, or from a node's end, until the last other node had purged its
 * members, in ms; `undefined` if nobody was purged.
 */
export function purgedMs({ visits, lives, fault }: PresenceEvidence): number | undefined {
  let slowest: number | undefined;
  for (const { visit, sighting } of lossesOf(visits)) {
    if (sighting.at > fault.endedAt) continue;
    const from = lives.find(({ node }) => node === visit.node)?.endedAt ?? fault.startedAt;
    slowest = Math.max(slowest ?? 0, sighting.at - from);
  }
  return slowest;
}

interface Loss {
  readonly observer: Visit;
  readonly visit: Visit;
  readonly sighting: Sighting;
}

/** Each time that a resident was seen to leave by one of another node. */
function lossesOf(visits: readonly Visit[]): Loss[] {
  const residents = new Map(
    visits.filter(({ isResident }) => isResident).map((visit) => [visit.member, visit]),
  );
  return visits.flatMap((observer) =>
    observer.sightings.flatMap((sighting) => {
      const visit = residents.get(sighting.member);
      if (sighting.kind !== "left" || visit === undefined) return [];
      return [{ observer, visit, sighting }];
    })
  );
}

function findRepeats({ visits }: PresenceEvidence): string[] {
  return visits.flatMap(({ id, sightings }) => {
    const last = new Map<string, Sighting["kind"]>();
    return sightings.flatMap(({ kind, member }) => {
      const before = last.get(member);
      last.set(member, kind);
      // The first word after the roster may tell again what the roster shows, or did not show yet.
      if (before === undefined || before === "there") return [];
      const isThere = before !== "left";
      const isRight = kind === "joined" ? !isThere : isThere;
      return isRight ? [] : [`${id} was told ${kind} of ${member} after ${before}`];
    });
  });
}

/** Returns where what residents see at this moment is not who is there. */
export function findDivergence({ visits }: Pick<PresenceEvidence, "visits">): string[] {
  const expected = expectedRoster(visits);
  const shown = new Map<string, string>();
  return visits.filter(({ closedAt, isResident }) => isResident && closedAt === undefined)
    .flatMap(({ id, sightings }) => {
      const roster = rosterAfter(sightings);
      const findings: string[] = [];
      for (const member of expected.keys()) {
        if (!roster.has(member)) findings.push(`${id} misses ${member}`);
      }
      for (const [member, meta] of roster) {
        const metas = expected.get(member);
        if (metas === undefined) findings.push(`${id} shows ${member}, who is not there`);
        else if (!metas.includes(meta) || (shown.get(member) ?? meta) !== meta) {
          findings.push(`${id} shows ${meta} of ${member}, not ${shown.get(member) ?? metas}`);
        } else shown.set(member, meta);
      }
      return findings;
    });
}

function findFalseLeaves({ visits, lives, fault }: PresenceEvidence): string[] {
  const nameOf = (node: string): string => lives.find((each) => each.node === node)?.name ?? "";
  // Where nodes end, nobody has to lose any other; else those that the fault touches may.
  const isAnyEnded = lives.some(({ ending }) => ending !== undefined);
  const isTouched = ({ node }: Visit): boolean => !fault.bystanders.includes(nameOf(node));
  return lossesOf(visits).flatMap(({ observer, visit, sighting: { at } }) => {
    const life = lives.find(({ node }) => node === visit.node);
    const isGone = (visit.closedAt ?? Infinity) <= at || (life?.endedAt ?? Infinity) <= at;
    const isLost = fault.isNoticed && !isAnyEnded && observer.node !== visit.node &&
      (isTouched(observer) || isTouched(visit));
    return isGone || isLost ? [] : [`${observer.id} saw ${visit.id} leave`];
  });
}

function findUnpurged(evidence: PresenceEvidence): string[] {
  if (!evidence.fault.isNoticed || purgedMs(evidence) !== undefined) return [];
  return ["nobody was purged"];
}

function findGhosts({ visits, lives }: PresenceEvidence): string[] {
  const findings: string[] = [];
  for (const { id, sightings } of visits) {
    const present = new Map<string, NodeLife>();
    for (const { kind, member } of sightings) {
      const visit = visits.find((each) => each.isResident && each.member === member);
      const life = lives.find(({ node }) => node === visit?.node);
      if (life === undefined) continue;
      if (kind === "left") present.delete(member);
      if (kind === "left" || kind === "updated") continue;
      present.set(member, life);
      for (const [other, { name, node }] of present) {
        if (name !== life.name || node === life.node) continue;
        findings.push(`${id} was shown ${member} while ${other} was still there`);
      }
    }
  }
  return findings;
}

function findErrors({ visits }: PresenceEvidence): string[] {
  return visits.flatMap(({ id, errors }) => errors.map((error) => `${id}: ${error}`));
}
