/**
 * The promises that hold under every fault, checked over what clients and nodes saw. A check takes
 * the evidence and returns what breaks its promise, as sentences.
 *
 * Presence joins with checks of its own: each client's roster at the end, and joins and leaves
 * that alternate.
 *
 * @module
 */

import type {
  Evidence,
  FaultRecord,
  Hearing,
  NodeLife,
  Publication,
  Receipt,
  Session,
} from "./evidence.ts";

/** One promise and how to find what breaks it. */
export interface Check {
  /** The promise. */
  readonly promise: string;
  /** Returns what breaks it. */
  readonly find: (evidence: Evidence) => string[];
}

/** What a node takes in its last moments may die with it, and what comes then may not arrive. */
const LAST_MOMENT_MS = 1_000;
/** The longest that a message may take between nodes that the fault does not touch. */
const BYSTANDER_DELAY_MS_MAX = 2_000;
const SHOWN_MAX = 5;

/** Every check, in the order in which their findings are shown. */
export const CHECKS: readonly Check[] = [
  { promise: "P1: no message comes twice", find: findDuplicates },
  { promise: "P1: each publisher's messages come in order", find: findDisorder },
  { promise: "P2, P4: nothing is lost, or a gap says so", find: findLosses },
  { promise: "P9: peer events alternate", find: findRepeatedReports },
  { promise: "P8: in the end each node has the others that live, and no other", find: findDissent },
  { promise: "P8: nodes lose each other over this fault, or do not", find: findWrongNotice },
  { promise: "P14: nodes that a fault does not touch keep each other", find: findFalseDeaths },
  { promise: "P10: nodes that a fault does not touch keep their pace", find: findSlowness },
  { promise: "every client is connected in the end and was told no error", find: findStranded },
];

/** Returns what breaks a promise, the promise before each. */
export function checkEvidence(evidence: Evidence): string[] {
  return CHECKS.flatMap(({ promise, find }) =>
    find(evidence).map((finding) => `${promise}: ${finding}`)
  );
}

/** The longest time that a message took, in ms. */
export function slowestMs({ sessions }: Evidence): number {
  return sessions.reduce((slowest, { heard }) => Math.max(slowest, slowestOf(heard)), 0);
}

/** The longest time that a message took between bystanders while the fault lasted, in ms. */
export function slowestBystanderMs({ sessions, lives, fault }: Evidence): number {
  const names = new Map(lives.map(({ node, name }) => [node, name]));
  const isBystander = (node: string): boolean => fault.bystanders.includes(names.get(node) ?? "");
  return sessions.reduce((slowest, { node, client, heard }) => {
    if (!isBystander(node) || fault.touchedClients.includes(client)) return slowest;
    const counts = ({ node: from, sentAt }: Receipt): boolean =>
      isBystander(from) && sentAt >= fault.startedAt && sentAt <= fault.endedAt;
    return Math.max(slowest, slowestOf(heard, counts));
  }, 0);
}

function slowestOf(
  heard: Session["heard"],
  counts: (receipt: Receipt) => boolean = () => true,
): number {
  let slowest = 0;
  for (const { receipts } of heard.values()) {
    for (const receipt of receipts) {
      if (counts(receipt)) slowest = Math.max(slowest, receipt.at - receipt.sentAt);
    }
  }
  return slowest;
}

function findDuplicates({ sessions }: Evidence): string[] {
  const findings: string[] = [];
  for (const [client, own] of byClient(sessions)) {
    const seen = new Set<string>();
    for (const { id, heard } of own) {
      for (const [channel, { receipts }] of heard) {
        for (const { publisher, index } of receipts) {
          const key = `${publisher} ${index} in ${channel}`;
          if (seen.has(key)) findings.push(`${client} got ${key} again in session ${id}`);
          seen.add(key);
        }
      }
    }
  }
  return shorten(findings);
}

function findDisorder({ sessions }: Evidence): string[] {
  const findings: string[] = [];
  for (const { id, heard } of sessions) {
    for (const [channel, { receipts }] of heard) {
      const last = new Map<string, number>();
      for (const { publisher, index, node, seq } of receipts) {
        for (const [source, number] of [[publisher, index], [node, seq]] as const) {
          if (number <= (last.get(source) ?? -1)) {
            findings.push(`${id} got ${source} ${number} in ${channel} after ${last.get(source)}`);
          }
          last.set(source, number);
        }
      }
    }
  }
  return shorten(findings);
}

function findLosses({ sessions, lives, fault }: Evidence): string[] {
  const findings: string[] = [];
  const clients = byClient(sessions);
  for (const publisher of sessions) {
    const life = lives.find(({ node }) => node === publisher.node);
    for (const [channel, publications] of publisher.published) {
      for (const [client, own] of clients) {
        const lost = findLost({
          publisher,
          publications,
          life,
          stays: staysOf(own, { channel, fault }),
        });
        if (lost.length === 0) continue;
        const first = lost[0];
        findings.push(
          `${client} lost ${lost.length} of ${publisher.id} in ${channel}: ${first} to ${
            lost.at(-1)
          } of ${publications.length}`,
        );
      }
    }
  }
  return findings;
}

/** A session's part in one channel. */
interface Stay extends Hearing {
  /** When the client was not connected before it and was told that it may have missed something. */
  readonly unheard: { readonly from: number; readonly until: number } | undefined;
}

function staysOf(
  sessions: readonly Session[],
  { channel, fault }: { readonly channel: string; readonly fault: FaultRecord },
): Stay[] {
  return sessions.map(({ heard }, place) => {
    const hearing = heard.get(channel)!;
    const before = sessions[place - 1];
    if (before === undefined || hearing.isRecovered) return { ...hearing, unheard: undefined };
    // A client that stopped reading had stopped before its node gave up on it.
    const isTouched = fault.touchedClients.includes(before.client);
    const from = isTouched ? fault.startedAt : before.closedAt! - LAST_MOMENT_MS;
    return { ...hearing, unheard: { from, until: hearing.confirmedAt ?? Infinity } };
  });
}

function findLost(stream: {
  readonly publisher: Session;
  readonly publications: readonly Publication[];
  readonly life: NodeLife | undefined;
  readonly stays: readonly Stay[];
}): number[] {
  const { publisher, publications, life, stays } = stream;
  const promisedFrom = stays[0]?.confirmedAt ?? Infinity;
  const crashedAt = life?.ending === "crashed" ? life.endedAt! : Infinity;
  const promisedUntil = crashedAt - LAST_MOMENT_MS;
  const here = new Set<number>();
  for (const { receipts } of stays) {
    for (const receipt of receipts) if (receipt.publisher === publisher.id) here.add(receipt.index);
  }
  return publications.flatMap(({ sentAt, isTaken }, index) => {
    if (!isTaken || here.has(index) || sentAt <= promisedFrom || sentAt >= promisedUntil) return [];
    return stays.some((stay) => isExcused(stay, sentAt, publisher.node)) ? [] : [index];
  });
}

/** Whether a client was told that what was sent then may be lost. */
function isExcused({ gapsAt, missing, unheard }: Stay, sentAt: number, node: string): boolean {
  if (gapsAt.some((at) => at > sentAt) || missing.includes(node)) return true;
  return unheard !== undefined && sentAt > unheard.from && sentAt <= unheard.until;
}

function findRepeatedReports({ lives }: Evidence): string[] {
  return lives.flatMap(({ node, reports }) => {
    const last = new Map<string, string>();
    return reports.flatMap(({ event, peer }) => {
      const before = last.get(peer) ?? "peerdisconnected";
      last.set(peer, event);
      return before === event ? [`${node} told ${event} of ${peer} twice`] : [];
    });
  });
}

function findDissent({ lives }: Evidence): string[] {
  const living = lives.filter(({ ending }) => ending === undefined);
  return living.flatMap((life) => {
    const others = living.filter((other) => other !== life).map(({ node }) => node).sort();
    const known = connectedPeers(life);
    if (known.join() === others.join()) return [];
    return [`${life.node} has ${known.join(", ") || "nobody"}, not ${others.join(", ")}`];
  });
}

function connectedPeers({ reports }: NodeLife): string[] {
  const connected = new Set<string>();
  for (const { event, peer } of reports) {
    if (event === "peerconnected") connected.add(peer);
    else connected.delete(peer);
  }
  return [...connected].sort();
}

function findWrongNotice({ lives, fault }: Evidence): string[] {
  const losses = lives.flatMap(({ node, reports }) =>
    reports.filter(({ event }) => event === "peerdisconnected").map(({ peer }) =>
      `${node} lost ${peer}`
    )
  );
  if (fault.isNoticed) return losses.length > 0 ? [] : ["nobody noticed"];
  return losses;
}

function findFalseDeaths({ lives, fault }: Evidence): string[] {
  const bystanders = lives.filter(({ name }) => fault.bystanders.includes(name));
  const ids = bystanders.map(({ node }) => node);
  return bystanders.flatMap(({ node, reports }) =>
    reports.filter(({ event, peer }) => event === "peerdisconnected" && ids.includes(peer))
      .map(({ peer }) => `${node} lost ${peer}`)
  );
}

function findSlowness(evidence: Evidence): string[] {
  const slowest = slowestBystanderMs(evidence);
  if (slowest <= BYSTANDER_DELAY_MS_MAX) return [];
  return [`a message took ${Math.round(slowest)} ms, more than ${BYSTANDER_DELAY_MS_MAX}`];
}

function findStranded({ sessions }: Evidence): string[] {
  const findings = sessions.flatMap(({ id, errors }) => errors.map((error) => `${id}: ${error}`));
  for (const [client, own] of byClient(sessions)) {
    const last = own.at(-1)!;
    const isThere = [...last.heard.values()].every(({ confirmedAt }) => confirmedAt !== undefined);
    if (last.closedAt !== undefined || !isThere) findings.push(`${client} is not connected`);
  }
  return shorten(findings);
}

function byClient(sessions: readonly Session[]): Map<string, Session[]> {
  const clients = new Map<string, Session[]>();
  for (const session of sessions) {
    const own = clients.get(session.client);
    if (own === undefined) clients.set(session.client, [session]);
    else own.push(session);
  }
  return clients;
}

// One cause may break a promise a thousand times; the first few tell what it is.
function shorten(findings: string[]): string[] {
  if (findings.length <= SHOWN_MAX) return findings;
  return [...findings.slice(0, SHOWN_MAX), `and ${findings.length - SHOWN_MAX} more`];
}
