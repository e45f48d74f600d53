import type { Chained } from "../core/chain.ts";
import type { Millis } from "../core/machine.ts";
import type { Message, Payload } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";
import { decodeUtf8 } from "../core/utf8.ts";

const SEQ = 0;
const PREV = 8;
const AT = 16;
const BYTE_LENGTH = 24;
const IS_TEXT = 28;

/** What an entry has in front of its payload, in bytes: its seq, its prev, its time, and what follows. */
export const ENTRY_BYTES = 29;

/** The most bytes that a payload may take in a page. */
export function bytesMaxOf(data: Payload): number {
  // A UTF-16 unit takes at most three bytes of UTF-8.
  return typeof data === "string" ? data.length * 3 : data.byteLength;
}

const encoder = new TextEncoder();

/**
 * Messages of one stream as bytes, one behind the other, oldest first.
 *
 * As objects they would be most of what a collector has to carry about: there are many, and each is
 * kept for just as long as it takes to be counted as old.
 */
export class LogPage<Owner> implements Chained<LogPage<Owner>> {
  /** Whose messages these are. */
  readonly owner: Owner;
  /** When the page was begun. */
  readonly begunAt: Millis;
  /** The page before this one, by age, among those of all streams. */
  older: LogPage<Owner> | undefined;
  /** The page after it. */
  newer: LogPage<Owner> | undefined;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #start = 0;
  #end = 0;

  /** Makes an empty page with room for so many bytes. */
  constructor(owner: Owner, byteLength: number, now: Millis) {
    this.owner = owner;
    this.begunAt = now;
    this.#bytes = new Uint8Array(byteLength);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** How many bytes there is room for in all. */
  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  /** How many bytes are written. */
  get usedBytes(): number {
    return this.#end;
  }

  /** Whether all of its messages were dropped, or none was written. */
  get isEmpty(): boolean {
    return this.#start === this.#end;
  }

  /** The seq of the oldest message. Only if there is one. */
  get firstSeq(): number {
    return this.#view.getFloat64(this.#start + SEQ);
  }

  /** When the oldest message was written. Only if there is one. */
  get firstAt(): Millis {
    return this.#view.getFloat64(this.#start + AT);
  }

  /** Writes a message behind the others. Returns whether there was room for it. */
  append({ seq, prev, data }: Pick<Message, "seq" | "prev" | "data">, now: Millis): boolean {
    const start = this.#end;
    const from = start + ENTRY_BYTES;
    if (from + data.length > this.#bytes.byteLength) return false;
    const isText = typeof data === "string";
    let length = data.length;
    if (isText) {
      const { read, written } = encoder.encodeInto(data, this.#bytes.subarray(from));
      if (read < data.length) return false;
      length = written;
    } else this.#bytes.set(data, from);
    const view = this.#view;
    view.setFloat64(start + SEQ, seq);
    view.setFloat64(start + PREV, prev);
    view.setFloat64(start + AT, now);
    view.setUint32(start + BYTE_LENGTH, length);
    view.setUint8(start + IS_TEXT, isText ? 1 : 0);
    this.#end = from + length;
    return true;
  }

  /** Drops the oldest message. Only if there is one. */
  shift(): void {
    this.#start = this.#entryAfter(this.#start);
  }

  /** Appends the messages after a seq to a list, up to as many as it may hold. */
  read(messages: Message[], node: NodeId, range: { after: number; limit: number }): void {
    const { after, limit } = range;
    for (let at = this.#start; at < this.#end; at = this.#entryAfter(at)) {
      if (messages.length >= limit) return;
      const seq = this.#view.getFloat64(at + SEQ);
      if (seq <= after) continue;
      const prev = this.#view.getFloat64(at + PREV);
      messages.push({ node, seq, prev, data: this.#payload(at) });
    }
  }

  #payload(at: number): Payload {
    const from = at + ENTRY_BYTES;
    const to = this.#entryAfter(at);
    if (this.#view.getUint8(at + IS_TEXT) === 0) return this.#bytes.slice(from, to);
    return decodeUtf8(this.#bytes.subarray(from, to)) ?? "";
  }

  #entryAfter(at: number): number {
    return at + ENTRY_BYTES + this.#view.getUint32(at + BYTE_LENGTH);
  }
}
