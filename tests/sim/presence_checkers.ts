import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { Attendance, History, MemberChange } from "./history.ts";
import { AFTERMATH_MS, isDisturbed } from "./membership_checkers.ts";
import { PeerViews } from "./peer_views.ts";

/** What the presence checkers must know of a run beside its history. */
export interface PresenceTerms {
  /** How long a node may take to tell of a member where nothing goes wrong, in ms. */
  readonly settleMs: Millis;
  /** The machine of each node. */
  addressOf(node: NodeId): string;
}

/** Returns what broke P7, as sentences. */
export function checkPresence(history: History, terms: PresenceTerms): string[] {
  return [...checkAlternation(history), ...checkLeaves(history, terms)];
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
    const staying = (attendances.get(`${channel} ${member}`) ?? []).find((attendance) =>
      attendance.joinedAt < at && attendance.endedAt > at &&
      history.lives.get(attendance.node)!.endedAt > at &&
      isKnown(history, terms, views, attendance, change)
    );
    if (staying === undefined) continue;
    faults.push(`${said(change)}, who is at ${staying.node} since ${staying.joinedAt.toFixed(0)}`);
  }
  return faults;
}

// Once a node has had the time to learn of a member, it knows it for as long as it is connected.
function isKnown(
  history: History,
  terms: PresenceTerms,
  views: PeerViews,
  { node, joinedAt }: Attendance,
  { observer, at }: MemberChange,
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
