import type { Millis } from "../../src/core/machine.ts";
import { BROADCAST_CHANNEL } from "../../src/core/message.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { History, Publication, Stay } from "./history.ts";
import { PeerViews } from "./peer_views.ts";

/** What the delivery checkers must know of a run beside its history. */
export interface DeliveryTerms {
  /** Whether the logs remember everything: then nothing may be lost between nodes that stay up. */
  readonly isAmple: boolean;
  /**
   * How many of a stream's newest messages a node may still repeat as it tells that those before
   * them are lost: these may be lost on their way, be forgotten meanwhile, and be another gap.
   */
  readonly repeatableMax: number;
  /** How long a node may take to tell where it stands, in ms: longer where answers are lost. */
  readonly settleMs: Millis;
  /** When the last message may have arrived. */
  readonly endedAt: Millis;
}

// The longest that a message and the word of a loss take to their nodes and clients, if those run.
const UNDER_WAY_MS = 300;

type Streams = Map<string, Publication[]>;

/** Returns what broke P1, P2, P4 or P6, as sentences. */
export function checkDelivery(history: History, terms: DeliveryTerms): string[] {
  const streams = groupByStream(history);
  const views = new PeerViews(history.peerChanges);
  return history.stays.flatMap((stay) => [
    ...checkContent(history, stay),
    ...checkOrder(stay),
    ...checkSkips(stay, streams, views),
    ...checkGaps(history, stay, terms),
    ...checkCompleteness(history, stay, views, terms),
  ]);
}

/** What comes is what was published, there and in that channel. */
function checkContent(history: History, stay: Stay): string[] {
  const faults: string[] = [];
  for (const item of stay.items) {
    if (item.kind === "gap") continue;
    const { publication: index, node, seq } = item;
    const publication = history.publications[index];
    const { position } = publication ?? {};
    const isTrue = publication?.channel === stay.channel && publication.node === node &&
      (position === undefined || position.seq === seq);
    if (!isTrue) faults.push(`${of(stay)} got #${index} as ${node} ${seq}, which it is not`);
  }
  return faults;
}

/** No message twice, and each node's messages in its order. */
function checkOrder(stay: Stay): string[] {
  const faults: string[] = [];
  const last = new Map<NodeId, number>(Object.entries(stay.positions ?? {}));
  for (const item of stay.items) {
    if (item.kind === "gap") continue;
    const before = last.get(item.node) ?? 0;
    if (item.seq <= before) {
      faults.push(`${of(stay)} got ${item.node} ${item.seq} after ${before}`);
    }
    last.set(item.node, item.seq);
  }
  return faults;
}

/** Between two messages of a node nothing is skipped without a gap. */
function checkSkips(stay: Stay, streams: Streams, views: PeerViews): string[] {
  const faults: string[] = [];
  const last = new Map<NodeId, number>();
  for (const [node, seq] of Object.entries(stay.positions ?? {})) {
    // Of a node that was out of reach it is not known where it stands.
    if (isConfirmedBy(stay, node, views)) last.set(node, seq);
  }
  let gaps = 0;
  const gapsSeen = new Map<NodeId, number>();
  for (const item of stay.items) {
    if (item.kind === "gap") {
      gaps++;
      continue;
    }
    const before = last.get(item.node);
    const hasGap = gaps > (gapsSeen.get(item.node) ?? 0);
    gapsSeen.set(item.node, gaps);
    last.set(item.node, item.seq);
    if (before === undefined || hasGap) continue;
    for (const skipped of between(streams, item.node, stay.channel, before, item.seq)) {
      if (skipped.sentAt < stay.confirmedAt) continue;
      faults.push(`${of(stay)} was skipped #${skipped.index} of ${item.node} without a gap`);
    }
  }
  return faults;
}

/** Messages of one node that were lost in a row, and of how many of them gaps have told. */
interface LostRow {
  readonly sentAt: Millis[];
  told: number;
}

/** Each gap tells of a loss that may be, and of one that was not told before. */
function checkGaps(history: History, stay: Stay, terms: DeliveryTerms): string[] {
  const gaps = stay.items.filter(({ kind }) => kind === "gap");
  if (gaps.length === 0) return [];
  const rows = findLostRows(history, stay, terms);
  return gaps.flatMap(({ at }) => {
    const untold = rows.filter(({ sentAt, told }) => (sentAt[told] ?? Infinity) <= at);
    // A gap does not say whose messages are lost; those of which more are lost soon, at best.
    const next = ({ sentAt }: LostRow): Millis => sentAt.find((lostAt) => lostAt > at) ?? Infinity;
    const row = untold.sort((left, right) => next(left) - next(right))[0];
    if (row === undefined) return [`${of(stay)} has a gap at ${at.toFixed(0)} for no loss`];
    // Of one at least. What was under way to its own node then is told of by another.
    const since = underWaySince(history, at);
    const old = row.sentAt.filter((lostAt) => lostAt <= since);
    row.told = Math.max(row.told + 1, old.length - terms.repeatableMax);
    return [];
  });
}

// What was said to a process that stands still is under way until it goes on.
function underWaySince(history: History, at: Millis): Millis {
  let since = at;
  for (const { kind, startedAt, endedAt } of history.disturbances) {
    if (kind !== "freeze" || startedAt > at || endedAt < at - UNDER_WAY_MS) continue;
    since = Math.min(since, startedAt);
  }
  return since - UNDER_WAY_MS;
}

function findLostRows(history: History, stay: Stay, terms: DeliveryTerms): LostRow[] {
  const rows: LostRow[] = [];
  const open = new Map<NodeId, LostRow>();
  for (const { node, channel, index, sentAt } of history.publications) {
    if (sentAt > stay.endedAt) break;
    if (channel !== stay.channel) continue;
    const isKept = terms.isAmple && history.lives.get(node)!.end === "running";
    if (isKept || stay.heard.has(index)) {
      open.delete(node);
      continue;
    }
    let row = open.get(node);
    if (row === undefined) {
      open.set(node, row = { sentAt: [], told: 0 });
      rows.push(row);
    }
    row.sentAt.push(sentAt);
  }
  return rows;
}

/** What must have come did come, or there is a gap where that is allowed. */
function checkCompleteness(
  history: History,
  stay: Stay,
  views: PeerViews,
  terms: DeliveryTerms,
): string[] {
  if (stay.endedAt < terms.endedAt || history.lives.get(stay.node)!.end !== "running") return [];
  const faults: string[] = [];
  const lastGapAt = stay.items.findLast(({ kind }) => kind === "gap")?.at ?? -Infinity;
  for (const publication of history.publications) {
    const { channel, index, node, sentAt, answeredAt, qos } = publication;
    if (channel !== stay.channel || stay.heard.has(index) || answeredAt === undefined) continue;
    if (sentAt < stay.confirmedAt || !isPromised(stay, publication, views, terms)) continue;
    const staysUp = history.lives.get(node)!.end === "running";
    // An acknowledged message is safe even if its node dies.
    const isSafe = qos === 1 && views.wasConnected(node, stay.node, sentAt, answeredAt);
    if (!staysUp && !isSafe) continue;
    if (!terms.isAmple && lastGapAt >= sentAt) continue;
    const how = qos === 1 ? "acknowledged " : "";
    faults.push(`${of(stay)} never got ${how}#${index} of ${node}, sent at ${sentAt.toFixed(0)}`);
  }
  return faults;
}

function isPromised(
  stay: Stay,
  publication: Publication,
  views: PeerViews,
  terms: DeliveryTerms,
): boolean {
  const { node } = publication;
  const sentAt = publication.sentAt - terms.settleMs;
  if (node === stay.node) return true;
  // The publishing node has learned of the subscription since, as it met the subscriber's node.
  if (views.metBetween(node, stay.node, stay.confirmedAt, sentAt)) return true;
  if (stay.channel === BROADCAST_CHANNEL) {
    return views.metBetween(node, stay.node, -Infinity, sentAt);
  }
  return isConfirmedBy(stay, node, views);
}

function isConfirmedBy(stay: Stay, node: NodeId, views: PeerViews): boolean {
  if (node === stay.node) return true;
  if (stay.missing.includes(node)) return false;
  return views.wasConnected(stay.node, node, stay.requestedAt, stay.confirmedAt);
}

function groupByStream(history: History): Streams {
  const streams: Streams = new Map();
  for (const publication of history.publications) {
    if (publication.position === undefined) continue;
    const key = `${publication.position.node} ${publication.channel}`;
    const stream = streams.get(key);
    if (stream === undefined) streams.set(key, [publication]);
    else stream.push(publication);
  }
  for (const stream of streams.values()) {
    stream.sort((left, right) => left.position!.seq - right.position!.seq);
  }
  return streams;
}

function between(
  streams: Streams,
  node: NodeId,
  channel: string,
  after: number,
  before: number,
): Publication[] {
  const stream = streams.get(`${node} ${channel}`) ?? [];
  let [low, high] = [0, stream.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (stream[middle]!.position!.seq > after) high = middle;
    else low = middle + 1;
  }
  const found: Publication[] = [];
  for (let index = low; index < stream.length; index++) {
    if (stream[index]!.position!.seq >= before) break;
    found.push(stream[index]!);
  }
  return found;
}

function of(stay: Stay): string {
  const { client, node, channel, confirmedAt } = stay;
  return `${client} at ${node} in ${channel || "broadcasts"} since ${confirmedAt.toFixed(0)}`;
}
