import type { Millis } from "../core/machine.ts";
import type { NodeId } from "../core/node.ts";
import { type EntryFields, PresenceEntry } from "./presence_entry.ts";
import type { Roster } from "./presence_roster.ts";

/** One node's roster: its own, or another node's as far as it is known here. */
export class PresenceCopy {
  /** Whose it is. */
  node: NodeId;
  /** The version up to which it is known without a hole. */
  version = 0;
  /**
   * Entries whose connection has ended and that are kept for a while, and until when: in the order
   * in which they are to go, where that is this node's to decide.
   */
  readonly lingering: Map<PresenceEntry, Millis> = new Map();
  readonly #roster: Roster;
  readonly #slots: (PresenceEntry | undefined)[] = [];
  #hash = 0;
  #size = 0;

  /** Starts empty. */
  constructor(node: NodeId, roster: Roster) {
    this.node = node;
    this.#roster = roster;
  }

  /** How many entries there are. */
  get size(): number {
    return this.#size;
  }

  /** All slots from here on are empty. */
  get slotCount(): number {
    return this.#slots.length;
  }

  /** A hash over all entries: the same for every holder of the same entries. */
  get hash(): number {
    return this.#hash >>> 0;
  }

  /** What stands in a slot. */
  at(slot: number): PresenceEntry | undefined {
    return this.#slots[slot];
  }

  /** All entries. */
  *[Symbol.iterator](): Generator<PresenceEntry> {
    for (const entry of this.#slots) if (entry !== undefined) yield entry;
  }

  /** Puts an entry into its slot. What stood there goes after it, so that nobody seems to leave. */
  put(channel: string, fields: EntryFields): PresenceEntry {
    const { slot } = fields;
    const previous = this.#slots[slot];
    const entry = new PresenceEntry(this, this.#roster.open(channel), fields);
    this.#hash ^= entry.hash;
    this.#size++;
    this.#roster.add(entry);
    if (previous !== undefined) this.#remove(previous);
    this.#slots[slot] = entry;
    return entry;
  }

  /** Changes an entry's metadata. */
  change(entry: PresenceEntry, meta: string, version: number): void {
    this.#hash ^= entry.hash;
    this.#roster.change(entry, meta, version);
    this.#hash ^= entry.hash;
  }

  /** Removes an entry. */
  drop(entry: PresenceEntry): void {
    this.#remove(entry);
    this.#slots[entry.slot] = undefined;
    if (entry.slot === this.#slots.length - 1) this.#trim();
  }

  /** Removes all entries but those that linger, whose times are this node's to watch from now on. */
  purge(): void {
    for (const entry of [...this]) if (!this.lingering.has(entry)) this.drop(entry);
    // A piece tells them by their slots.
    const byTime = [...this.lingering].sort(([, left], [, right]) => left - right);
    this.lingering.clear();
    for (const [entry, until] of byTime) this.lingering.set(entry, until);
  }

  /** Removes all entries. */
  clear(): void {
    this.lingering.clear();
    this.purge();
  }

  /** When the first of the entries that linger is to go. */
  get lingersUntil(): Millis | undefined {
    if (this.lingering.size === 0) return undefined;
    return this.lingering.values().next().value;
  }

  /** The entries that have lingered long enough. */
  lingeredEnough(now: Millis): PresenceEntry[] {
    const due: PresenceEntry[] = [];
    for (const [entry, until] of this.lingering) {
      if (now < until) break;
      due.push(entry);
    }
    return due;
  }

  #remove(entry: PresenceEntry): void {
    this.#hash ^= entry.hash;
    this.#size--;
    this.lingering.delete(entry);
    this.#roster.remove(entry);
  }

  #trim(): void {
    let length = this.#slots.length;
    while (length > 0 && this.#slots[length - 1] === undefined) length--;
    this.#slots.length = length;
  }
}
