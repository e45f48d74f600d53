import { Batch } from "../core/batch.ts";
import type { Millis } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";
import { type ClusterSettings, INTEREST_PIECE_CHANNELS } from "./settings.ts";
import type { ChannelSeq, EncodableEnvelope } from "./envelope.ts";

/** What the router decides. */
export type RouterOutput =
  /** Send an envelope to one node, or to all. */
  | {
    readonly kind: "send";
    readonly to: NodeId | undefined;
    readonly envelope: EncodableEnvelope;
  }
  /** A node's whole interest is known here, and this node's there: messages flow both ways. */
  | { readonly kind: "synced"; readonly node: NodeId }
  /** A node's stream in a channel stands at `seq`: follow it from there, or find what is missing. */
  | {
    readonly kind: "head";
    readonly node: NodeId;
    readonly channel: string;
    readonly seq: number;
    /** Whether `seq` is the stream's own, and not a bound for streams that were forgotten. */
    readonly isExact: boolean;
  }
  /** Receive the channel from the backplanes, or stop. */
  | { readonly kind: "listen"; readonly channel: string; readonly wanted: boolean }
  /** A subscription is known to every node but the missing ones. */
  | {
    readonly kind: "confirmed";
    readonly ticket: unknown;
    readonly missing: readonly NodeId[];
  };

/** What is known of one peer. */
interface Peer {
  /** Its interest, as far as it was told without a hole. */
  channels: Set<string>;
  version: number;
  isSynced: boolean;
  /** Whether it knows all that this node wanted when they met. */
  isKnowing: boolean;
  /** A whole interest that is still coming in, piece by piece. */
  assembling: { readonly version: number; nextPiece: number; channels: Set<string> } | undefined;
  /** The version of this node's interest that it has acknowledged without a hole. */
  acknowledged: number;
  /** The version that it should have acknowledged by now, and since when. */
  due: { readonly version: number; readonly since: Millis };
  /** Whether it was asked for its whole interest, which is to come. */
  isAsked: boolean;
}

interface OwnChannel {
  /** The version of this node's interest in which it was added; `Infinity` until that is told. */
  version: number;
  /** Backplanes that do not deliver the channel yet. */
  readonly missingPaths: Set<number>;
}

interface Waiting {
  readonly ticket: unknown;
  readonly giveUpAt: Millis;
}

const NOBODY: ReadonlySet<NodeId> = new Set();
const ALL_AGAIN_MS = 1_000;
const ADDITIONS_MAX = 10_000;

/**
 * Who must hear what: this node's interest, told to the others, and the others' interest.
 *
 * A node's interest is its own log of changes, numbered. A peer that misses one asks for the
 * whole. Each acknowledgement tells where the peer's own streams stand, so that a subscription
 * starts at a known place and a broken one finds out what it missed.
 */
export class Router {
  readonly #settings: ClusterSettings;
  readonly #paths: number;
  readonly #lostPaths = new Set<number>();
  readonly #own = new Map<string, OwnChannel>();
  readonly #peers = new Map<NodeId, Peer>();
  readonly #interested = new Map<string, Set<NodeId>>();
  readonly #unwanted = new Map<string, Millis>();
  // What each version added, until every peer has acknowledged it.
  readonly #additions = new Map<number, readonly string[]>();
  readonly #waiting = new Map<string, Waiting[]>();
  #version = 0;
  #added: string[] = [];
  #removed: string[] = [];
  readonly #outputs = new Batch<RouterOutput>();
  #confirmTimeouts = 0;

  /** Starts without interest. `paths` is the number of backplanes. */
  constructor(settings: ClusterSettings, paths: number) {
    this.#settings = settings;
    this.#paths = paths;
  }

  /** The version of this node's interest that the others were told. */
  get version(): number {
    return this.#version;
  }

  /** Whether a change of this node's interest waits to be told. */
  get hasNews(): boolean {
    return this.#added.length > 0 || this.#removed.length > 0;
  }

  /** The channels that this node is interested in. */
  get channels(): Iterable<string> {
    return this.#own.keys();
  }

  /** Number of channels that this node is interested in. */
  get channelCount(): number {
    return this.#own.size;
  }

  /** Subscriptions that were confirmed although some node had not answered in time. */
  get confirmTimeouts(): number {
    return this.#confirmTimeouts;
  }

  /** Returns and forgets the decisions so far, oldest first. */
  take(): RouterOutput[] {
    return this.#outputs.take();
  }

  /** The nodes with a subscriber for a channel. */
  interested(channel: string): ReadonlySet<NodeId> {
    return this.#interested.get(channel) ?? NOBODY;
  }

  /** Whether a peer is interested in a channel. */
  isInterested(node: NodeId, channel: string): boolean {
    return this.#peers.get(node)?.channels.has(channel) ?? false;
  }

  /** Whether this node receives a channel. */
  isWanted(channel: string): boolean {
    return this.#own.has(channel);
  }

  /** The version of this node's interest that added a channel; `Infinity` until it is told. */
  versionOf(channel: string): number {
    return this.#own.get(channel)?.version ?? Infinity;
  }

  /** A subscriber waits for a channel. Answered by `confirmed` with the same ticket. */
  subscribe(channel: string, ticket: unknown, now: Millis): void {
    let own = this.#own.get(channel);
    if (own === undefined) {
      const paths = Array.from({ length: this.#paths }, (_, path) => path);
      const missingPaths = new Set(paths.filter((path) => !this.#lostPaths.has(path)));
      own = { version: Infinity, missingPaths };
      this.#own.set(channel, own);
      this.#added.push(channel);
      this.#outputs.push({ kind: "listen", channel, wanted: true });
    }
    this.#unwanted.delete(channel);
    if (this.#isConfirmed(own)) {
      this.#outputs.push({ kind: "confirmed", ticket, missing: [] });
      return;
    }
    const waiting = { ticket, giveUpAt: now + this.#settings.confirmTimeoutMs };
    const others = this.#waiting.get(channel);
    if (others === undefined) this.#waiting.set(channel, [waiting]);
    else others.push(waiting);
  }

  /** Nobody here wants the channel any more. It is let go after a while. */
  unsubscribe(channel: string, now: Millis): void {
    if (this.#own.has(channel)) this.#unwanted.set(channel, now);
  }

  /** A backplane delivers a channel to this node. */
  listening(path: number, channel: string): void {
    const own = this.#own.get(channel);
    if (own?.missingPaths.delete(path) === true) this.#confirm(channel);
  }

  /** A backplane that is down cannot deliver, and must not hold up what the others can do. */
  pathLost(path: number): void {
    this.#lostPaths.add(path);
    for (const own of this.#own.values()) own.missingPaths.delete(path);
    this.#confirmAll();
  }

  /** A backplane is back, and delivers what is asked of it from now on. */
  pathFound(path: number): void {
    this.#lostPaths.delete(path);
  }

  /** Tells a node everything: it is new, or has been away. */
  greet(node: NodeId, now: Millis): void {
    let peer = this.#peers.get(node);
    if (peer === undefined) this.#peers.set(node, peer = createPeer(now));
    peer.acknowledged = 0;
    this.#flush();
    this.#sendAll(node, peer, now);
  }

  /** Forgets a node that is down. */
  forget(node: NodeId): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    this.#peers.delete(node);
    for (const channel of peer.channels) this.#lose(node, channel);
    this.#forgetAdditions();
    this.#confirmAll();
  }

  /** Tells the others what changed in this tick, as one new version. */
  flush(): void {
    if (!this.hasNews) return;
    this.#flush();
    // With nobody to answer there is nothing to wait for.
    if (this.#peers.size === 0) this.#confirmAll();
  }

  /** A node told a change of its interest. */
  interest(
    node: NodeId,
    change: {
      readonly version: number;
      readonly added: readonly string[];
      readonly removed: readonly string[];
    },
  ): readonly string[] | undefined {
    const peer = this.#peers.get(node);
    if (peer === undefined || !peer.isSynced) return undefined;
    if (change.version <= peer.version) return undefined;
    if (change.version > peer.version + 1) {
      if (!peer.isAsked) this.#request(node, peer);
      return undefined;
    }
    peer.version = change.version;
    for (const channel of change.added) this.#gain(node, peer, channel);
    for (const channel of change.removed) {
      peer.channels.delete(channel);
      this.#lose(node, channel);
    }
    return change.added;
  }

  /** A node told a piece of its whole interest. Returns the channels when it was the last one. */
  interestAll(
    node: NodeId,
    part: {
      readonly version: number;
      readonly piece: number;
      readonly isLast: boolean;
      readonly channels: readonly string[];
    },
  ): readonly string[] | undefined {
    const peer = this.#peers.get(node);
    if (peer === undefined) return undefined;
    if (part.piece === 0) {
      peer.assembling = { version: part.version, nextPiece: 0, channels: new Set() };
    }
    const assembling = peer.assembling;
    if (assembling === undefined || assembling.version !== part.version) return undefined;
    if (assembling.nextPiece !== part.piece) return undefined;
    assembling.nextPiece++;
    for (const channel of part.channels) assembling.channels.add(channel);
    if (!part.isLast) return undefined;
    peer.assembling = undefined;
    this.#replace(node, peer, assembling);
    return [...assembling.channels];
  }

  /** A node asks for the whole interest. */
  interestRequest(node: NodeId, now: Millis): void {
    const peer = this.#peers.get(node);
    if (peer !== undefined) this.#sendAll(node, peer, now);
  }

  /** A node knows this node's interest up to a version, and says where its own streams stand. */
  acknowledge(
    node: NodeId,
    ack: {
      readonly version: number;
      readonly isAll: boolean;
      readonly floor: number;
      readonly heads: readonly ChannelSeq[];
    },
  ): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    // An acknowledgement with a hole before it, or of what is known no longer, leaves channels whose
    // heads were never told.
    const isNext = ack.version === peer.acknowledged + 1 && this.#additions.has(ack.version);
    if (!ack.isAll && !isNext) return;
    if (ack.version < peer.acknowledged) return;
    const exact = new Map(ack.heads.map(({ channel, seq }) => [channel, seq]));
    const meant = ack.isAll ? this.#own.keys() : this.#additions.get(ack.version) ?? [];
    for (const channel of meant) {
      if (this.versionOf(channel) > ack.version) continue;
      const seq = exact.get(channel);
      const isExact = seq !== undefined;
      this.#outputs.push({ kind: "head", node, channel, seq: seq ?? ack.floor, isExact });
    }
    const added = this.#additions.get(ack.version);
    peer.acknowledged = ack.version;
    if (ack.isAll && !peer.isKnowing) {
      peer.isKnowing = true;
      if (peer.isSynced) this.#outputs.push({ kind: "synced", node });
    }
    this.#forgetAdditions();
    if (ack.isAll) this.#confirmAll();
    else for (const channel of added ?? []) this.#confirm(channel);
  }

  /** Compares the version in a node's heartbeat with what is known. */
  heartbeat(node: NodeId, version: number): void {
    const peer = this.#peers.get(node);
    if (peer === undefined || (peer.isSynced && peer.version >= version)) return;
    if (peer.assembling !== undefined) {
      // Pieces are on their way; if one was lost, the next heartbeat asks.
      peer.assembling = undefined;
      return;
    }
    this.#request(node, peer);
  }

  /** Looks at the time: lets go of channels, gives up waiting, repeats what was not answered. */
  tick(now: Millis): void {
    for (const [channel, unwantedAt] of this.#unwanted) {
      if (now < unwantedAt + this.#settings.interestLingerMs) break;
      this.#unwanted.delete(channel);
      this.#own.delete(channel);
      this.#confirm(channel);
      this.#removed.push(channel);
      this.#outputs.push({ kind: "listen", channel, wanted: false });
    }
    for (const [node, peer] of this.#peers) {
      const { version, since } = peer.due;
      if (peer.acknowledged >= version) peer.due = { version: this.#version, since: now };
      else if (now >= since + ALL_AGAIN_MS) this.#sendAll(node, peer, now);
    }
    this.giveUp(now);
  }

  // One version for each piece, as a frame has a bound.
  #flush(): void {
    const added = this.#added;
    const removed = this.#removed;
    this.#added = [];
    this.#removed = [];
    for (let start = 0; start < added.length + removed.length; start += INTEREST_PIECE_CHANNELS) {
      const end = start + INTEREST_PIECE_CHANNELS;
      const from = Math.max(0, start - added.length);
      this.#tell(added.slice(start, end), removed.slice(from, Math.max(0, end - added.length)));
    }
  }

  #tell(added: readonly string[], removed: readonly string[]): void {
    const version = ++this.#version;
    for (const channel of added) {
      const own = this.#own.get(channel);
      if (own !== undefined) own.version = version;
    }
    if (this.#peers.size === 0) return;
    this.#additions.set(version, added);
    this.#forgetAdditions();
    const envelope: EncodableEnvelope = { kind: "interest", version, added, removed };
    this.#outputs.push({ kind: "send", to: undefined, envelope });
  }

  #request(node: NodeId, peer: Peer): void {
    peer.isAsked = true;
    this.#outputs.push({ kind: "send", to: node, envelope: { kind: "interest_request" } });
  }

  #sendAll(node: NodeId, peer: Peer, now: Millis): void {
    peer.due = { version: this.#version, since: now };
    const channels: string[] = [];
    for (const [channel, { version }] of this.#own) {
      if (version <= this.#version) channels.push(channel);
    }
    const pieces = Math.max(1, Math.ceil(channels.length / INTEREST_PIECE_CHANNELS));
    for (let piece = 0; piece < pieces; piece++) {
      const start = piece * INTEREST_PIECE_CHANNELS;
      const envelope: EncodableEnvelope = {
        kind: "interest_all",
        version: this.#version,
        piece,
        isLast: piece === pieces - 1,
        channels: channels.slice(start, start + INTEREST_PIECE_CHANNELS),
      };
      this.#outputs.push({ kind: "send", to: node, envelope });
    }
  }

  #replace(node: NodeId, peer: Peer, whole: { version: number; channels: Set<string> }): void {
    peer.isAsked = false;
    // Over another path, or late: what is known is newer.
    if (peer.isSynced && whole.version < peer.version) return;
    for (const channel of peer.channels) {
      if (!whole.channels.has(channel)) this.#lose(node, channel);
    }
    peer.channels = new Set();
    for (const channel of whole.channels) this.#gain(node, peer, channel);
    peer.version = whole.version;
    if (peer.isSynced) return;
    peer.isSynced = true;
    if (peer.isKnowing) this.#outputs.push({ kind: "synced", node });
  }

  #gain(node: NodeId, peer: Peer, channel: string): void {
    peer.channels.add(channel);
    const nodes = this.#interested.get(channel);
    if (nodes === undefined) this.#interested.set(channel, new Set([node]));
    else nodes.add(node);
  }

  #lose(node: NodeId, channel: string): void {
    const nodes = this.#interested.get(channel);
    if (nodes === undefined) return;
    nodes.delete(node);
    if (nodes.size === 0) this.#interested.delete(channel);
  }

  #forgetAdditions(): void {
    let acknowledged = Infinity;
    for (const peer of this.#peers.values()) {
      acknowledged = Math.min(acknowledged, peer.acknowledged);
    }
    for (const version of this.#additions.keys()) {
      // A peer that answers to none of so many is told the whole instead.
      if (version > acknowledged && this.#additions.size <= ADDITIONS_MAX) return;
      this.#additions.delete(version);
    }
  }

  #isConfirmed(own: OwnChannel): boolean {
    if (own.missingPaths.size > 0 || own.version > this.#version) return false;
    for (const peer of this.#peers.values()) if (peer.acknowledged < own.version) return false;
    return true;
  }

  #confirmAll(): void {
    for (const channel of [...this.#waiting.keys()]) this.#confirm(channel);
  }

  #confirm(channel: string): void {
    const waiting = this.#waiting.get(channel);
    if (waiting === undefined) return;
    const own = this.#own.get(channel);
    if (own !== undefined && !this.#isConfirmed(own)) return;
    this.#waiting.delete(channel);
    for (const { ticket } of waiting) {
      this.#outputs.push({ kind: "confirmed", ticket, missing: [] });
    }
  }

  /** Stops waiting for subscriptions whose time is up. */
  giveUp(now: Millis): void {
    for (const [channel, waiting] of [...this.#waiting]) {
      const open = waiting.filter(({ giveUpAt }) => now < giveUpAt);
      if (open.length === waiting.length) continue;
      if (open.length > 0) this.#waiting.set(channel, open);
      else this.#waiting.delete(channel);
      for (const { ticket, giveUpAt } of waiting) {
        if (now >= giveUpAt) this.#abandon(channel, ticket);
      }
    }
  }

  #abandon(channel: string, ticket: unknown): void {
    const { version = 0, missingPaths } = this.#own.get(channel) ?? {};
    // What no backplane delivers is of no use to know.
    const undelivering = missingPaths === undefined ? 0 : missingPaths.size + this.#lostPaths.size;
    const isUnheard = undelivering >= this.#paths;
    const missing = [...this.#peers].filter(([, peer]) => {
      return isUnheard || peer.acknowledged < version;
    });
    this.#confirmTimeouts++;
    this.#outputs.push({ kind: "confirmed", ticket, missing: missing.map(([node]) => node) });
  }
}

function createPeer(now: Millis): Peer {
  return {
    channels: new Set(),
    version: 0,
    isSynced: false,
    isKnowing: false,
    assembling: undefined,
    acknowledged: 0,
    due: { version: 0, since: now },
    isAsked: false,
  };
}
