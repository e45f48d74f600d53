import { ByteWriter } from "../core/byte_writer.ts";
import { Deque } from "../core/deque.ts";
import { addToFew, type Few, itemsOf, removeFromFew } from "../core/few.ts";
import type { Millis } from "../core/machine.ts";
import {
  encodeDelta,
  type EncodedOps,
  encodeOps,
  encodePresence,
  PIECE_SLOTS_MAX,
  type PieceEntry,
  PRESENCE_SLOTS_MAX,
  type PresenceOp,
} from "./presence_codec.ts";
import { PresenceCopy } from "./presence_copy.ts";
import type { PresenceEntry } from "./presence_entry.ts";
import type { Roster } from "./presence_roster.ts";

/** The bounds of what a node tells others of its roster. */
export interface PresenceLogSettings {
  /** Changes that are remembered for nodes that missed some, in bytes. Past it they get the whole. */
  readonly toldBytesMax: number;
  /** Characters and overhead of the names and metadata in one body, so that none takes long. */
  readonly bodyCharactersMax: number;
}

/** The bounds of every deployment. Only a simulation has others, to meet them sooner. */
export const DEFAULT_PRESENCE_LOG_SETTINGS: PresenceLogSettings = Object.freeze({
  toldBytesMax: 1_048_576,
  bodyCharactersMax: 131_072,
});

// What an entry costs beside its names and metadata, about.
const ENTRY_CHARACTERS = 24;

/** Some changes, as they were told. */
interface Told extends EncodedOps {
  readonly last: number;
}

/**
 * A node's own roster, and its changes: those of this tick, and those that were told lately.
 *
 * Versions are times on a clock that all nodes share: each is later than any that this node had
 * seen when it was given. So of two changes that could know of each other the later one is the
 * greater.
 */
export class PresenceLog {
  /** What stands in it. */
  readonly copy: PresenceCopy;
  readonly #settings: PresenceLogSettings;
  readonly #writer = new ByteWriter();
  readonly #connections = new Map<number, Few<PresenceEntry>>();
  readonly #free: number[] = [];
  readonly #told = new Deque<Told>();
  #toldBytes = 0;
  #ops: PresenceOp[] = [];
  #clock = 0;
  #digest = { version: 0, hash: 0 };

  /** Starts empty. */
  constructor(node: string, roster: Roster, settings: PresenceLogSettings) {
    this.#settings = settings;
    this.copy = new PresenceCopy(node, roster);
  }

  /** Whether changes wait to be told. */
  get hasNews(): boolean {
    return this.#ops.length > 0;
  }

  /** Where the roster stood when its changes were last told. */
  get digest(): { readonly version: number; readonly hash: number } {
    return this.#digest;
  }

  /** Bytes of changes that are remembered. */
  get toldBytes(): number {
    return this.#toldBytes;
  }

  /** Another node's version was seen: this node's next one is later. */
  observe(version: number): void {
    if (version > this.#clock) this.#clock = version;
  }

  /** A connection's entries. */
  entriesOf(connection: number): Iterable<PresenceEntry> {
    return itemsOf(this.#connections.get(connection));
  }

  /** Whether there is no room for one more entry. */
  get isFull(): boolean {
    return this.copy.size >= PRESENCE_SLOTS_MAX;
  }

  /** A connection joins a channel as a member. */
  join(join: { connection: number; channel: string; member: string; meta: string }): void {
    const { connection } = join;
    const slot = this.#free.pop() ?? this.copy.slotCount;
    const version = ++this.#clock;
    const entry = this.copy.put(join.channel, { slot, version, ...join });
    this.#connections.set(connection, addToFew(this.#connections.get(connection), entry));
    const { channel } = entry;
    this.#ops.push({ kind: "join", slot, version, ...join, channel: channel.name });
  }

  /** A connection has other metadata. */
  update(entry: PresenceEntry, meta: string): void {
    const version = ++this.#clock;
    this.copy.change(entry, meta, version);
    this.#ops.push({ kind: "update", version, slot: entry.slot, meta });
  }

  /** A connection is no longer in a channel. */
  leave(entry: PresenceEntry): void {
    this.#disconnect(entry);
    this.copy.drop(entry);
    this.#free.push(entry.slot);
    this.#ops.push({ kind: "leave", version: ++this.#clock, slot: entry.slot });
  }

  /** A connection has ended, and its entry stays for a while. */
  linger(entry: PresenceEntry, lingerMs: Millis, now: Millis): void {
    this.#disconnect(entry);
    this.copy.lingering.set(entry, now + lingerMs);
    this.leaveBehind(entry, lingerMs);
  }

  /** An entry is to stay with the others for a while, whatever they hear of this node. */
  leaveBehind(entry: PresenceEntry, lingerMs: Millis): void {
    this.#ops.push({ kind: "linger", version: ++this.#clock, slot: entry.slot, lingerMs });
  }

  /** Ends the tick: its changes, as bodies for the other nodes. */
  tell(): Uint8Array[] {
    const bodies: Uint8Array[] = [];
    for (const ops of split(this.#ops, this.#settings.bodyCharactersMax)) {
      const prev = this.copy.version;
      const last = ops[ops.length - 1]!.version;
      const encoded = encodeOps(this.#writer, { kind: "delta", prev, ops });
      this.copy.version = last;
      // Bytes of its own, since those that were written are a view of larger memory.
      this.#remember({ ...encoded, bytes: encoded.bytes.slice(), last });
      bodies.push(encodeDelta(this.#writer, [encoded]));
    }
    this.#ops = [];
    this.#digest = { version: this.copy.version, hash: this.copy.hash };
    return bodies;
  }

  /** Ends the tick where nobody is there to be told. */
  tellNobody(): void {
    if (!this.hasNews) return;
    this.copy.version = this.#ops[this.#ops.length - 1]!.version;
    this.#ops = [];
    this.#digest = { version: this.copy.version, hash: this.copy.hash };
    while (this.#told.length > 0) this.#forgetOldest();
  }

  /** What was told after a version, in as few bodies as hold it, or `undefined` if that is not remembered any more. */
  toldAfter(version: number): Uint8Array[] | undefined {
    if (version >= this.copy.version) return [];
    if ((this.#told.first?.prev ?? Infinity) > version) return undefined;
    let index = this.#told.length;
    while (index > 0 && this.#told.at(index - 1)!.last > version) index--;
    const { bodyCharactersMax } = this.#settings;
    const bodies: Uint8Array[] = [];
    while (index < this.#told.length) {
      const parts: Told[] = [];
      for (let size = 0; index < this.#told.length && size < bodyCharactersMax; index++) {
        const told = this.#told.at(index)!;
        parts.push(told);
        size += told.bytes.byteLength;
      }
      bodies.push(encodeDelta(this.#writer, parts));
    }
    return bodies;
  }

  /** A piece of the whole, from a slot on. To be asked for when all changes have been told. */
  piece(from: number, now: Millis): Uint8Array {
    const { copy } = this;
    const entries: PieceEntry[] = [];
    const limit = Math.min(copy.slotCount, from + PIECE_SLOTS_MAX);
    let characters = 0;
    let to = from;
    for (; to < limit && characters < this.#settings.bodyCharactersMax; to++) {
      const entry = copy.at(to);
      if (entry === undefined) continue;
      const until = copy.lingering.get(entry);
      const lingerMs = until === undefined ? undefined : Math.max(0, Math.ceil(until - now));
      const { slot, version, connection, member, meta } = entry;
      const channel = entry.channel.name;
      entries.push({ slot, version, connection, channel, member, meta, lingerMs });
      characters += ENTRY_CHARACTERS + channel.length + member.length + meta.length;
    }
    const { version } = copy;
    const isLast = to >= copy.slotCount;
    return encodePresence(this.#writer, { kind: "piece", version, from, to, isLast, entries });
  }

  #disconnect(entry: PresenceEntry): void {
    const rest = removeFromFew(this.#connections.get(entry.connection), entry);
    if (rest === undefined) this.#connections.delete(entry.connection);
    else this.#connections.set(entry.connection, rest);
  }

  #remember(told: Told): void {
    this.#told.push(told);
    this.#toldBytes += told.bytes.byteLength;
    while (this.#toldBytes > this.#settings.toldBytesMax) this.#forgetOldest();
  }

  #forgetOldest(): void {
    this.#toldBytes -= this.#told.shift()!.bytes.byteLength;
  }
}

/** Splits changes into runs that each fit into one body. */
function split(
  ops: readonly PresenceOp[],
  bodyCharactersMax: number,
): (readonly PresenceOp[])[] {
  const runs: (readonly PresenceOp[])[] = [];
  let start = 0;
  let characters = 0;
  ops.forEach((op, index) => {
    characters += ENTRY_CHARACTERS;
    if (op.kind === "join") characters += op.channel.length + op.member.length + op.meta.length;
    else if (op.kind === "update") characters += op.meta.length;
    if (characters < bodyCharactersMax) return;
    runs.push(ops.slice(start, index + 1));
    start = index + 1;
    characters = 0;
  });
  if (start < ops.length) runs.push(ops.slice(start));
  return runs;
}
