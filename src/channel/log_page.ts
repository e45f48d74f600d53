import type { Chained } from "../core/chain.ts";
import type { Millis } from "../core/machine.ts";
import type { Message } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";
import { ownBytes } from "../core/own.ts";

/** What a log writes down of a message. */
export type Entry = Pick<Message, "seq" | "prev" | "data" | "isText">;

/** Messages of one stream, next to each other, oldest first. One that is in a log is never empty. */
export interface LogPage<Owner> extends Chained<LogPage<Owner>> {
  /** Whose messages these are. */
  readonly owner: Owner;
  /** When the first was written. */
  readonly begunAt: Millis;
  /** What the page takes in memory, in bytes. */
  readonly cost: number;
  /** Whether all of its messages were dropped. */
  readonly isEmpty: boolean;
  /** The seq of the oldest message. */
  readonly firstSeq: number;
  /** When the oldest message was written. */
  readonly firstAt: Millis;
  /** Writes a message behind the others. Returns whether there was room for it. */
  append(entry: Entry, now: Millis): boolean;
  /** How much room the page after this one should have, in bytes, for a stream that goes on so. */
  roomAfter(now: Millis, spanMs: Millis): number;
  /** Drops the oldest message. */
  shift(): void;
  /** Appends the messages after a seq to a list, up to as many as it may hold. */
  read(messages: Message[], node: NodeId, range: { after: number; limit: number }): void;
}

/**
 * Begins a page with a message.
 *
 * @param byteLength How much room there should be. If that is for one message only, it is no more
 *     than that message.
 */
export function beginPage<Owner>(
  owner: Owner,
  entry: Entry,
  byteLength: number,
  now: Millis,
): LogPage<Owner> {
  if (byteLength >= ENTRY_BYTES + entry.data.length + ENTRY_BYTES) {
    const page = new BytePage(owner, Math.min(byteLength, PAGE_BYTES_MAX), now);
    if (page.append(entry, now)) return page;
  }
  return new LoneMessage(owner, entry, now);
}

// What a message costs beside its payload: the object, its place in a list, and an array's own.
const LONE_OVERHEAD_BYTES = 280;
// What a page costs beside its bytes: four objects, and its place in a list.
const PAGE_OVERHEAD_BYTES = 400;
// Large enough for its cost not to matter, and small enough to be dropped before long.
const PAGE_BYTES_MAX = 64 * 1024;

/** A message that no other followed within the span of a page. */
class LoneMessage<Owner> implements LogPage<Owner> {
  readonly owner: Owner;
  // Whole milliseconds: a fraction would take an object of its own.
  readonly begunAt: Millis;
  older: LogPage<Owner> | undefined;
  newer: LogPage<Owner> | undefined;
  readonly firstSeq: number;
  readonly #prev: number;
  readonly #data: Uint8Array;
  readonly #isText: boolean;
  #isEmpty = false;

  constructor(owner: Owner, { seq, prev, data, isText }: Entry, now: Millis) {
    this.owner = owner;
    this.begunAt = Math.floor(now);
    this.firstSeq = seq;
    this.#prev = prev;
    this.#data = ownBytes(data);
    this.#isText = isText;
  }

  get cost(): number {
    return this.#data.length + LONE_OVERHEAD_BYTES;
  }

  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  get firstAt(): Millis {
    return this.begunAt;
  }

  append(): boolean {
    return false;
  }

  roomAfter(now: Millis, spanMs: Millis): number {
    return now > this.begunAt + spanMs ? 0 : 2 * (ENTRY_BYTES + this.#data.length);
  }

  shift(): void {
    this.#isEmpty = true;
  }

  read(messages: Message[], node: NodeId, range: { after: number; limit: number }): void {
    const seq = this.firstSeq;
    if (seq <= range.after || messages.length >= range.limit) return;
    messages.push({ node, seq, prev: this.#prev, data: this.#data, isText: this.#isText });
  }
}

const SEQ = 0;
const PREV = 8;
const AT = 16;
const BYTE_LENGTH = 24;
const IS_TEXT = 28;
const ENTRY_BYTES = 29;

/**
 * Messages as bytes, one behind the other, each with its seq, its prev and its time in front.
 *
 * As objects, those of a busy stream would be most of what a collector has to carry about: there
 * are many, and each is kept for just as long as it takes to count as old.
 */
class BytePage<Owner> implements LogPage<Owner> {
  readonly owner: Owner;
  readonly begunAt: Millis;
  older: LogPage<Owner> | undefined;
  newer: LogPage<Owner> | undefined;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #start = 0;
  #end = 0;

  constructor(owner: Owner, byteLength: number, now: Millis) {
    this.owner = owner;
    this.begunAt = Math.floor(now);
    this.#bytes = new Uint8Array(byteLength);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get cost(): number {
    return this.#bytes.length + PAGE_OVERHEAD_BYTES;
  }

  get isEmpty(): boolean {
    return this.#start === this.#end;
  }

  get firstSeq(): number {
    return this.#view.getFloat64(this.#start + SEQ);
  }

  get firstAt(): Millis {
    return this.#view.getFloat64(this.#start + AT);
  }

  append({ seq, prev, data, isText }: Entry, now: Millis): boolean {
    const start = this.#end;
    const from = start + ENTRY_BYTES;
    const end = from + data.length;
    if (end > this.#bytes.length) return false;
    this.#bytes.set(data, from);
    const view = this.#view;
    view.setFloat64(start + SEQ, seq);
    view.setFloat64(start + PREV, prev);
    view.setFloat64(start + AT, now);
    view.setUint32(start + BYTE_LENGTH, data.length);
    view.setUint8(start + IS_TEXT, isText ? 1 : 0);
    this.#end = end;
    return true;
  }

  // As much as there is, and more if that was full too soon. What was dropped meanwhile needs no
  // room: where few messages are remembered, a page of them would be mostly what is not.
  roomAfter(now: Millis, spanMs: Millis): number {
    const used = this.#end - this.#start;
    return now > this.begunAt + spanMs ? used : 2 * used;
  }

  shift(): void {
    this.#start = this.#entryAfter(this.#start);
  }

  read(messages: Message[], node: NodeId, range: { after: number; limit: number }): void {
    const { after, limit } = range;
    for (let at = this.#start; at < this.#end; at = this.#entryAfter(at)) {
      if (messages.length >= limit) return;
      const seq = this.#view.getFloat64(at + SEQ);
      if (seq <= after) continue;
      const prev = this.#view.getFloat64(at + PREV);
      const data = this.#bytes.subarray(at + ENTRY_BYTES, this.#entryAfter(at));
      messages.push({ node, seq, prev, data, isText: this.#view.getUint8(at + IS_TEXT) === 1 });
    }
  }

  #entryAfter(at: number): number {
    return at + ENTRY_BYTES + this.#view.getUint32(at + BYTE_LENGTH);
  }
}
