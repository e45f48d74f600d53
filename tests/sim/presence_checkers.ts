import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { Attendance, History, MemberChange } from "./history.ts";
import { AFTERMATH_MS, isDisturbed } from "./membership_checkers.ts";
import { PeerViews } from "./peer_views.ts";

/** What the presence checkers must know of a run beside its history. */
export interface PresenceTerms {
  /** How long a node may take to tell of a member where nothing goes wrong, in ms. */
  readonly settleMs: Millis;
  /** How long the members of a connection that has ended stay, in ms. */
  readonly graceMs: Millis;
  /** Whether what a node says may be lost. */
  readonly isLossy: boolean;
  /** Whether a goodbye comes behind what was said before it. */
  readonly keepsOrder: boolean;
  /** Whether a process that died is found out by dialling it. */
  readonly dials: boolean;
  /** The machine of each node. */
  addressOf(node: NodeId): string;
}

// Clocks drift, and it takes a while until a node knows what a client knows.
const GRACE_SHARE = 0.95;

/** Returns what broke P7 or P8, as sentences. */
export function checkPresence(history: History, terms: PresenceTerms): string[] {
  return [
    ...checkAlternation(history),
    ...checkLeaves(history, terms),
    ...checkGrace(history, terms),
    ...checkRestarts(history, terms),
  ];
}

/** For each node and member: a join, any number of updates, a leave, and again. */
function checkAlternation(history: History): string[] {
  const faults: string[] = [];
  const present = new Set<string>();
  for (const change of history.memberChanges) {
    const { observer, channel, member, kind } = change;
    const key = `${observer} ${channel} ${member}`;
    if (present.has(key) === (kind === "join")) faults.push(`${said(change)} out of turn`);
    if (kind === "join") present.add(key);
    if (kind === "leave") present.delete(key);
  }
  return faults;
}

/** Nobody leaves who is connected throughout, to a node that is in reach. */
function checkLeaves(history: History, terms: PresenceTerms): string[] {
  const faults: string[] = [];
  const views = new PeerViews(history.peerChanges);
  for (const [change, attendances] of leaves(history)) {
    const { at } = change;
    const staying = attendances.find((attendance) =>
      attendance.joinedAt < at && attendance.endedAt > at &&
      history.lives.get(attendance.node)!.endedAt > at &&
      isKnown(history, terms, views, attendance, change)
    );
    if (staying === undefined) continue;
    faults.push(`${said(change)}, who is at ${staying.node} since ${staying.joinedAt.toFixed(0)}`);
  }
  return faults;
}

/** Nobody leaves within the grace period whose connection ended, be it that the node went in order. */
function checkGrace(history: History, terms: PresenceTerms): string[] {
  if (terms.graceMs === 0 || terms.isLossy) return [];
  const faults: string[] = [];
  const views = new PeerViews(history.peerChanges);
  for (const [change, attendances] of leaves(history)) {
    const { at } = change;
    const staying = attendances.find((attendance) =>
      attendance.isCutShort && attendance.joinedAt < at && endOf(history, attendance) <= at &&
      at < endOf(history, attendance) + GRACE_SHARE * terms.graceMs &&
      !hasLeftSince(history, attendance, at) &&
      isLeftBehind(history, terms, views, attendance, change)
    );
    if (staying === undefined) continue;
    const when = endOf(history, staying).toFixed(0);
    faults.push(`${said(change)}, whose connection to ${staying.node} ended at ${when}`);
  }
  return faults;
}

// A node that goes in order may take its leave before its clients notice.
function endOf(history: History, { node, endedAt }: Attendance): Millis {
  const life = history.lives.get(node)!;
  return life.end === "left" ? Math.min(endedAt, life.endedAt) : endedAt;
}

// Whoever came back and left is gone at once.
function hasLeftSince(history: History, attendance: Attendance, until: Millis): boolean {
  const { channel, member } = attendance;
  const endedAt = endOf(history, attendance);
  return history.farewells.some((farewell) =>
    farewell.channel === channel && farewell.member === member && farewell.at <= until &&
    farewell.at >= endedAt - AFTERMATH_MS
  );
}

// Known to the observer before the end, and nothing went wrong since: with the node, or between them.
function isLeftBehind(
  history: History,
  terms: PresenceTerms,
  views: PeerViews,
  attendance: Attendance,
  { observer, at }: MemberChange,
): boolean {
  const { node } = attendance;
  const life = history.lives.get(node)!;
  const endedAt = endOf(history, attendance);
  const hasEnded = life.endedAt <= at;
  if (hasEnded && (life.end === "crashed" || !terms.keepsOrder)) return false;
  const time = { from: endedAt - (observer === node ? 0 : AFTERMATH_MS), to: at };
  if (isDisturbed(history, terms, { observer, node }, time)) return false;
  const before = { observer, at: Math.min(endedAt, life.endedAt - 1) };
  return isKnown(history, terms, views, attendance, before);
}

/** The members of a process that died are gone before those of its successor show. */
function checkRestarts(history: History, terms: PresenceTerms): string[] {
  if (!terms.dials) return [];
  const faults: string[] = [];
  for (const { at, observer, nodes } of history.overlaps) {
    for (const node of nodes) {
      const life = history.lives.get(node)!;
      if (life.end !== "crashed" || life.endedAt > at) continue;
      const time = { from: life.endedAt - AFTERMATH_MS, to: at };
      if (isDisturbed(history, terms, { observer, node }, time, life)) continue;
      faults.push(`${observer} shows members of ${nodes.join(" and ")} at ${at.toFixed(0)}`);
    }
  }
  return faults;
}

/** What nodes that run told of leaves, each with all connections of that member in the channel. */
function* leaves(history: History): Generator<readonly [MemberChange, readonly Attendance[]]> {
  const attendances = new Map<string, Attendance[]>();
  for (const attendance of history.attendances) {
    const key = `${attendance.channel} ${attendance.member}`;
    const list = attendances.get(key);
    if (list === undefined) attendances.set(key, [attendance]);
    else list.push(attendance);
  }
  for (const change of history.memberChanges) {
    if (change.kind !== "leave") continue;
    const { observer, at, channel, member } = change;
    // What a node tells while it stops concerns itself alone.
    if (history.lives.get(observer)!.endedAt <= at) continue;
    yield [change, attendances.get(`${channel} ${member}`) ?? []];
  }
}

// Once a node has had the time to learn of a member, it knows it for as long as it is connected.
function isKnown(
  history: History,
  terms: PresenceTerms,
  views: PeerViews,
  { node, joinedAt }: Attendance,
  { observer, at }: Pick<MemberChange, "observer" | "at">,
): boolean {
  if (observer === node) return true;
  const pair = { observer, node };
  const starts = history.disturbances.map(({ endedAt }) => endedAt + AFTERMATH_MS);
  return [joinedAt, ...starts].some((start) => {
    const learned = start + terms.settleMs;
    return start >= joinedAt && learned <= at && views.wasConnected(observer, node, start, at) &&
      !isDisturbed(history, terms, pair, { from: start - AFTERMATH_MS, to: learned });
  });
}

function said({ observer, kind, member, channel, at }: MemberChange): string {
  return `${observer} told at ${at.toFixed(0)} of the ${kind} of ${member} in ${channel}`;
}
