import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { Disturbance, History, Life, PeerChange } from "./history.ts";

/** What the membership checkers must know of a run beside its history. */
export interface MembershipTerms {
  readonly nodeTimeoutMs: Millis;
  /** Whether a process that died is found out by dialling it. */
  readonly dials: boolean;
  /** Whether so much is lost on the way that a node may seem silent. */
  readonly isLossy: boolean;
  /** Whether a goodbye may be lost on one of the ways: then silence tells. */
  readonly losesGoodbyes: boolean;
  readonly endedAt: Millis;
  /** The machine of each node. */
  addressOf(node: NodeId): string;
}

const STALLS: ReadonlySet<string> = new Set(["freeze", "jump"]);
const FOUND_OUT_MS = 1_500;
// How long the consequences of a disturbance may be felt, beside the node timeout.
export const AFTERMATH_MS: Millis = 6_000;

/** Returns what broke P8, P9 or P14, as sentences. */
export function checkMembership(history: History, terms: MembershipTerms): string[] {
  return [
    ...checkAlternation(history),
    ...checkDeaths(history, terms),
    ...checkDiscovery(history, terms),
  ];
}

/** Peer events fire exactly once per change. */
function checkAlternation(history: History): string[] {
  const connected = new Set<string>();
  const faults: string[] = [];
  for (const { observer, node, isConnected, at } of history.peerChanges) {
    const key = `${observer} ${node}`;
    if (isConnected === connected.has(key)) {
      const what = isConnected ? "connected" : "disconnected";
      faults.push(`${observer} told twice that ${node} is ${what}, at ${at.toFixed(0)}`);
    }
    if (isConnected) connected.add(key);
    else connected.delete(key);
  }
  return faults;
}

/** Nobody is declared dead, gone or out of reach who is not. */
function checkDeaths(history: History, terms: MembershipTerms): string[] {
  const faults: string[] = [];
  for (const change of history.peerChanges) {
    if (change.isConnected) continue;
    const life = history.lives.get(change.node)!;
    if (isTrue(change, life, history, terms)) continue;
    const { observer, node, reason, at } = change;
    faults.push(`${observer} declared ${node} down as ${reason} at ${at.toFixed(0)}: it is not`);
  }
  return faults;
}

function isTrue(
  change: PeerChange,
  life: Life,
  history: History,
  terms: MembershipTerms,
): boolean {
  const isOver = life.end !== "running" && life.endedAt <= change.at;
  switch (change.reason) {
    case "left":
      return isOver && life.end === "left";
    case "died":
      return isOver;
    default:
      return isOver || terms.isLossy || isExcused(history, terms, change);
  }
}

// That it stood still itself is no excuse for whoever takes another for gone (P14).
function isExcused(history: History, terms: MembershipTerms, change: PeerChange): boolean {
  const own = terms.addressOf(change.observer);
  const isOwnStall = ({ kind, addresses }: Disturbance): boolean =>
    STALLS.has(kind) && addresses.length === 1 && addresses[0] === own;
  const disturbances = history.disturbances.filter((each) => !isOwnStall(each));
  return isDisturbed({ disturbances }, terms, change, {
    from: change.at - 2 * terms.nodeTimeoutMs - AFTERMATH_MS,
    to: change.at,
  });
}

/** Whoever is gone is found out in time, where nothing else went wrong. */
function checkDiscovery(history: History, terms: MembershipTerms): string[] {
  const faults: string[] = [];
  for (const life of history.lives.values()) {
    if (life.end === "running") continue;
    for (const observer of history.lives.values()) {
      if (observer === life || observer.endedAt < Infinity) continue;
      const fault = checkPurge(history, terms, life, observer);
      if (fault !== undefined) faults.push(fault);
    }
  }
  return faults;
}

function checkPurge(
  history: History,
  terms: MembershipTerms,
  life: Life,
  observer: Life,
): string | undefined {
  const changes = history.peerChanges.filter((change) =>
    change.observer === observer.node && change.node === life.node
  );
  const before = changes.findLast(({ at }) => at <= life.endedAt);
  if (before?.isConnected !== true) return undefined;
  const pair = { observer: observer.node, node: life.node };
  const from = life.endedAt - 2 * terms.nodeTimeoutMs;
  const isCalm = !isDisturbed(
    history,
    terms,
    pair,
    { from, to: life.endedAt + FOUND_OUT_MS },
    life,
  );
  const isQuick = life.end === "left" ? !terms.losesGoodbyes : terms.dials;
  const isPrompt = isCalm && isQuick && !terms.isLossy;
  const limitMs = isPrompt ? FOUND_OUT_MS : 2 * terms.nodeTimeoutMs + AFTERMATH_MS;
  // Each time that a backplane is back, whoever was reached over it has its full time.
  const lastDisturbedAt = isPrompt ? 0 : lastDisturbance(history, terms, pair);
  const limit = Math.max(life.endedAt, lastDisturbedAt) + limitMs;
  if (limit > terms.endedAt) return undefined;
  const after = changes.find(({ at, isConnected }) => at > life.endedAt && !isConnected);
  if (after !== undefined && after.at <= limit) return undefined;
  const when = after === undefined ? "never" : `at ${after.at.toFixed(0)}`;
  return `${observer.node} purged ${life.node}, which ${life.end} at ${
    life.endedAt.toFixed(0)
  }, ${when}`;
}

/** Who sees, and whom. */
export type Pair = Pick<PeerChange, "observer" | "node">;

/** Whether something went wrong within a time that may concern either of two nodes. */
export function isDisturbed(
  history: Pick<History, "disturbances">,
  terms: Pick<MembershipTerms, "addressOf">,
  pair: Pair,
  time: { readonly from: Millis; readonly to: Millis },
  own?: Life,
): boolean {
  return history.disturbances.some((disturbance) =>
    concerns(disturbance, terms, pair) && disturbance.startedAt <= time.to &&
    disturbance.endedAt >= time.from && !isOwnCrash(disturbance, own)
  );
}

function isOwnCrash(disturbance: Disturbance, life: Life | undefined): boolean {
  return life !== undefined && disturbance.startedAt === life.endedAt &&
    disturbance.kind === "crash";
}

function lastDisturbance(history: History, terms: MembershipTerms, pair: Pair): Millis {
  let last = 0;
  for (const disturbance of history.disturbances) {
    if (!concerns(disturbance, terms, pair)) continue;
    last = Math.max(last, Math.min(disturbance.endedAt, terms.endedAt));
  }
  return last;
}

// A split concerns everybody: it is noted for one of its sides.
function concerns(
  disturbance: Disturbance,
  terms: Pick<MembershipTerms, "addressOf">,
  pair: Pair,
): boolean {
  const { addresses, kind } = disturbance;
  return addresses.length === 0 || kind === "split" ||
    addresses.includes(terms.addressOf(pair.observer)) ||
    addresses.includes(terms.addressOf(pair.node));
}
