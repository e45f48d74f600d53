import { Chain, type Chained } from "../core/chain.ts";
import { Deque } from "../core/deque.ts";
import type { Millis } from "../core/machine.ts";
import type { Message } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";
import { beginPage, type LogPage } from "./log_page.ts";

/** How much a node remembers of what was published. */
export interface LogSettings {
  /** Most messages per channel and publishing node. */
  readonly logMessagesMax: number;
  /** Most bytes of payload and bookkeeping over all channels. */
  readonly logBytesMax: number;
  /** How long a message is remembered, in ms. */
  readonly logAgeMs: Millis;
}

/** What a reader gets of one stream. */
export interface LogRead {
  /** The messages after the position asked for, oldest first, up to the limit. */
  readonly messages: readonly Message[];
  /**
   * The seq up to which nothing is remembered. If it is past the position asked for, the
   * messages between the two may be lost to the reader: a gap.
   */
  readonly floor: number;
  /** The newest seq of the stream, whether or not it is among the messages. */
  readonly head: number;
}

// Pages go by the age of their oldest message: it must not be much older than the youngest.
const PAGES_AN_AGE = 64;

// What a stream costs beside its messages and its channel's name, there and where its channel is
// kept: less than on any runtime, but a client that names a channel a message must not go unnoticed.
const STREAM_OVERHEAD_BYTES = 640;

// Streams without messages that are kept for their head alone, so that a name which is published
// to now and then stays gapless, and one that never returns costs nothing.
const IDLE_STREAMS_MAX = 50_000;

/** The messages of one node in one channel: a run without holes, from `floor` to `head`. */
class Stream implements Chained<Stream> {
  /** The messages. The last page is the one that is written to. */
  readonly pages = new Deque<LogPage<Stream>>();
  count = 0;
  readonly channel: string;
  readonly node: NodeId;
  head: number;
  floor: number;
  isIdle = false;
  older: Stream | undefined;
  newer: Stream | undefined;

  constructor(channel: string, node: NodeId, base: number) {
    this.channel = channel;
    this.node = node;
    this.head = base;
    this.floor = base;
  }
}

/**
 * Remembers what was published lately: this node's messages, and copies of the others'.
 *
 * Each (channel, node) is a stream in that node's order. Three bounds hold, and the oldest
 * message goes first: messages per stream, age, and bytes over all streams. The latter two look at
 * whole pages of messages, so a message may stay for a 64th of its time longer than another's.
 */
export class Log {
  readonly #settings: LogSettings;
  readonly #channels = new Map<string, Map<NodeId, Stream>>();
  readonly #order = new Chain<LogPage<Stream>>();
  readonly #idle = new Chain<Stream>();
  #latest: Stream | undefined;
  #forgottenHead = 0;
  #bytes = 0;
  #evictedCount = 0;

  /** Starts empty. */
  constructor(settings: LogSettings) {
    this.#settings = settings;
  }

  /** Bytes remembered, payload and bookkeeping. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Messages that were remembered and had to go. */
  get evictedCount(): number {
    return this.#evictedCount;
  }

  /**
   * Appends a message to its stream. Its `prev` tells whether the stream has a hole before it. What
   * has become too old is forgotten by {@linkcode Log.expire}.
   */
  append(channel: string, message: Message, now: Millis): void {
    const stream = this.#stream(channel, message.node) ?? this.#begin(channel, message);
    if (message.seq <= stream.head) return;
    if (message.prev > stream.head) this.#restart(stream, message.prev);
    this.#rouse(stream);
    if (stream.count === 0) this.#bytes += costOfStream(stream);
    this.#write(stream, message, now);
    stream.count++;
    stream.head = message.seq;
    if (stream.count > this.#settings.logMessagesMax) this.#evict(stream);
    if (this.#bytes > this.#settings.logBytesMax) this.#trim(-Infinity);
  }

  /** Tells from where on a stream will be complete: nothing up to `seq` is asked for or promised. */
  rebase(channel: string, node: NodeId, seq: number): void {
    const stream = this.#stream(channel, node);
    if (stream === undefined) this.#rest(this.#create(channel, node, seq));
    else if (seq > stream.head) this.#restart(stream, seq);
  }

  /** The newest seq of a stream, or 0. */
  head(channel: string, node: NodeId): number {
    return this.#stream(channel, node)?.head ?? 0;
  }

  /** The newest seq of each node that is known to have published to the channel. */
  positions(channel: string): Record<NodeId, number> {
    const positions: Record<NodeId, number> = {};
    for (const [node, stream] of this.#channels.get(channel) ?? []) {
      if (stream.head > 0) positions[node] = stream.head;
    }
    return positions;
  }

  /** Reads a stream after a position. */
  read(channel: string, node: NodeId, range: { after: number; limit: number }): LogRead {
    const stream = this.#stream(channel, node);
    if (stream === undefined) return { messages: [], floor: this.#forgottenHead, head: 0 };
    const messages: Message[] = [];
    if (range.after < stream.head) {
      for (let index = 0; index < stream.pages.length; index++) {
        stream.pages.at(index)!.read(messages, node, range);
      }
    }
    return { messages, floor: stream.floor, head: stream.head };
  }

  /** The nodes that have a stream in a channel. */
  nodes(channel: string): NodeId[] {
    return [...(this.#channels.get(channel)?.keys() ?? [])];
  }

  /** Forgets what is too old. */
  expire(now: Millis): void {
    this.#trim(now - this.#settings.logAgeMs);
  }

  // Whoever asks for a stream mostly goes on to ask for it again.
  #stream(channel: string, node: NodeId): Stream | undefined {
    const latest = this.#latest;
    if (latest !== undefined && latest.channel === channel && latest.node === node) return latest;
    return this.#latest = this.#channels.get(channel)?.get(node);
  }

  // What seems to be a node's first message may just be the first since its stream was forgotten.
  #begin(channel: string, { node, seq, prev }: Message): Stream {
    const stream = this.#create(channel, node, prev);
    if (prev === 0) stream.floor = Math.min(this.#forgottenHead, seq - 1);
    return stream;
  }

  #create(channel: string, node: NodeId, base: number): Stream {
    let streams = this.#channels.get(channel);
    if (streams === undefined) this.#channels.set(channel, streams = new Map());
    const stream = new Stream(channel, node, base);
    streams.set(node, stream);
    return stream;
  }

  #write(stream: Stream, message: Message, now: Millis): void {
    const { last } = stream.pages;
    const spanMs = this.#settings.logAgeMs / PAGES_AN_AGE;
    if (last !== undefined && now <= last.begunAt + spanMs && last.append(message, now)) return;
    const room = last?.roomAfter(now, spanMs) ?? 0;
    const page = beginPage(stream, message, room, now);
    stream.pages.push(page);
    this.#order.push(page);
    this.#bytes += page.cost;
  }

  #trim(oldest: Millis): void {
    for (
      let first = this.#order.first;
      first !== undefined && (first.firstAt < oldest || this.#bytes > this.#settings.logBytesMax);
      first = this.#order.first
    ) {
      // The oldest page of all is the oldest of its stream.
      this.#evict(first.owner);
    }
  }

  #evict(stream: Stream): void {
    const page = stream.pages.first!;
    stream.floor = page.firstSeq;
    page.shift();
    stream.count--;
    this.#evictedCount++;
    if (page.isEmpty) this.#drop(page);
    if (stream.count > 0) return;
    this.#bytes -= costOfStream(stream);
    this.#rest(stream);
  }

  #drop(page: LogPage<Stream>): void {
    page.owner.pages.shift();
    this.#order.remove(page);
    this.#bytes -= page.cost;
  }

  #rest(stream: Stream): void {
    stream.isIdle = true;
    this.#idle.push(stream);
    if (this.#idle.length > IDLE_STREAMS_MAX) this.#forget(this.#idle.first!);
  }

  #rouse(stream: Stream): void {
    if (!stream.isIdle) return;
    stream.isIdle = false;
    this.#idle.remove(stream);
  }

  #forget(stream: Stream): void {
    this.#rouse(stream);
    this.#latest = undefined;
    const streams = this.#channels.get(stream.channel)!;
    streams.delete(stream.node);
    if (streams.size === 0) this.#channels.delete(stream.channel);
    this.#forgottenHead = Math.max(this.#forgottenHead, stream.head);
  }

  #restart(stream: Stream, base: number): void {
    while (stream.count > 0) this.#evict(stream);
    stream.floor = base;
    stream.head = base;
  }
}

function costOfStream({ channel }: Stream): number {
  return channel.length + STREAM_OVERHEAD_BYTES;
}
