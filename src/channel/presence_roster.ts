import { addToFew, type Few, itemsOf, removeFromFew } from "../core/few.ts";
import { NO_OUTPUTS } from "../core/machine.ts";
import { latestOf, type PresenceEntry, PresentChannel } from "./presence_entry.ts";

/** Somebody came, changed or went, as all connections on all nodes taken together show it. */
export interface PresenceChange {
  /** `join` on the first connection anywhere, `leave` on the last, `update` on other metadata. */
  readonly kind: "join" | "update" | "leave";
  /** The channel. */
  readonly channel: string;
  /** The member. */
  readonly member: string;
  /** The metadata that shows, as JSON text; for `leave`, what showed last. Empty for none. */
  readonly meta: string;
}

/**
 * Who is in which channel: the union of what all live nodes say.
 *
 * For each member of a channel the changes alternate: a `join`, any number of `update`s, a `leave`.
 */
export class Roster {
  readonly #channels = new Map<string, PresentChannel>();
  readonly #members = new Map<string, Few<PresenceEntry>>();
  #changes: PresenceChange[] = [];

  /** Channels that somebody is in. */
  get channelCount(): number {
    return this.#channels.size;
  }

  /** Members that are in at least one channel. */
  get memberCount(): number {
    return this.#members.size;
  }

  /** Returns and forgets the changes so far, oldest first. */
  takeChanges(): PresenceChange[] {
    if (this.#changes.length === 0) return NO_OUTPUTS;
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }

  /** The members of a channel, each with its entries. */
  members(channel: string): Iterable<readonly [member: string, entries: Few<PresenceEntry>]> {
    return this.#channels.get(channel)?.members ?? [];
  }

  /** How many members are in a channel. */
  count(channel: string): number {
    return this.#channels.get(channel)?.members.size ?? 0;
  }

  /** A member's connections in a channel. */
  entries(channel: string, member: string): Iterable<PresenceEntry> {
    return itemsOf(this.#channels.get(channel)?.members.get(member));
  }

  /** The connection of a member in a channel whose metadata shows. */
  shown(channel: string, member: string): PresenceEntry | undefined {
    const entries = this.#channels.get(channel)?.members.get(member);
    return entries === undefined ? undefined : latestOf(entries);
  }

  /** The channels that a member is in. */
  channelsOf(member: string): string[] {
    const names = new Set<string>();
    for (const entry of itemsOf(this.#members.get(member))) names.add(entry.channel.name);
    return [...names];
  }

  /** The channel, to put an entry into at once. */
  open(name: string): PresentChannel {
    let channel = this.#channels.get(name);
    if (channel === undefined) this.#channels.set(name, channel = new PresentChannel(name));
    return channel;
  }

  /** A connection is there. */
  add(entry: PresenceEntry): void {
    const { channel, member } = entry;
    const before = channel.members.get(member);
    const shown = before === undefined ? undefined : latestOf(before).meta;
    channel.members.set(member, addToFew(before, entry));
    this.#members.set(member, addToFew(this.#members.get(member), entry));
    if (shown === undefined) this.#report("join", entry, entry.meta);
    else this.#reportUpdate(entry, shown);
  }

  /** A connection is gone. */
  remove(entry: PresenceEntry): void {
    const { channel, member } = entry;
    const before = channel.members.get(member)!;
    const shown = latestOf(before).meta;
    const after = removeFromFew(before, entry);
    if (after === undefined) channel.members.delete(member);
    else channel.members.set(member, after);
    if (channel.members.size === 0) this.#channels.delete(channel.name);
    const elsewhere = removeFromFew(this.#members.get(member), entry);
    if (elsewhere === undefined) this.#members.delete(member);
    else this.#members.set(member, elsewhere);
    if (after === undefined) this.#report("leave", entry, shown);
    else this.#reportUpdate(entry, shown);
  }

  /** A connection has other metadata. */
  change(entry: PresenceEntry, meta: string, version: number): void {
    const shown = shownMeta(entry);
    entry.meta = meta;
    entry.version = version;
    this.#reportUpdate(entry, shown);
  }

  #reportUpdate(entry: PresenceEntry, shownBefore: string): void {
    const meta = shownMeta(entry);
    if (meta !== shownBefore) this.#report("update", entry, meta);
  }

  #report(kind: PresenceChange["kind"], entry: PresenceEntry, meta: string): void {
    this.#changes.push({ kind, channel: entry.channel.name, member: entry.member, meta });
  }
}

function shownMeta({ channel, member }: PresenceEntry): string {
  return latestOf(channel.members.get(member)!).meta;
}
