import type { Few } from "../core/few.ts";
import { hashText } from "../core/hash.ts";
import type { NodeId } from "../core/node.ts";
import { SmallMap } from "../core/small_map.ts";

/** A channel that somebody is in, and who. */
export class PresentChannel {
  /** Its name: one string for all that refer to it. */
  readonly name: string;
  /** The name's hash. */
  readonly hash: number;
  /** The entries of each member. */
  readonly members: SmallMap<string, Few<PresenceEntry>> = new SmallMap();

  /** Starts empty. */
  constructor(name: string) {
    this.name = name;
    this.hash = hashText(name);
  }
}

/** What a node says of one connection of a member in a channel. */
export interface EntryFields {
  /** Its place in the node's roster. A place that was left is used again. */
  readonly slot: number;
  /** When it was last changed, on the clock that all nodes' versions share. */
  readonly version: number;
  /** The node's own number for the connection. */
  readonly connection: number;
  /** The member. */
  readonly member: string;
  /** The metadata as JSON text; empty if there is none. */
  readonly meta: string;
}

/**
 * One connection of a member in a channel. There may be a hundred thousand of them, so each holds
 * no more than it must.
 */
export class PresenceEntry implements EntryFields {
  /** Whose roster it is in. */
  readonly owner: { readonly node: NodeId };
  readonly channel: PresentChannel;
  readonly member: string;
  readonly connection: number;
  readonly slot: number;
  meta: string;
  version: number;

  /** Takes what a node says. */
  constructor(owner: { readonly node: NodeId }, channel: PresentChannel, fields: EntryFields) {
    this.owner = owner;
    this.channel = channel;
    this.member = fields.member;
    this.connection = fields.connection;
    this.slot = fields.slot;
    this.meta = fields.meta;
    this.version = fields.version;
  }

  /** A hash over all that the node says. Those of a node's entries are combined with XOR. */
  get hash(): number {
    let hash = mix(this.channel.hash, hashText(this.member));
    hash = mix(hash, hashText(this.meta));
    hash = mix(hash, this.slot);
    hash = mix(hash, this.connection);
    return mix(hash, this.version % 4_294_967_296);
  }
}

/** The entry whose metadata shows: the latest, and of two equally late ones the same everywhere. */
export function latestOf(entries: Few<PresenceEntry>): PresenceEntry {
  if (!(entries instanceof Set)) return entries;
  let latest: PresenceEntry | undefined;
  for (const entry of entries) if (latest === undefined || isLater(entry, latest)) latest = entry;
  return latest!;
}

function isLater(entry: PresenceEntry, than: PresenceEntry): boolean {
  if (entry.version !== than.version) return entry.version > than.version;
  return entry.owner.node > than.owner.node;
}

// Murmur3's finalizer over both: every bit of either moves every bit of the result.
function mix(left: number, right: number): number {
  let mixed = Math.imul(left, 0x9e3779b1) ^ right;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
