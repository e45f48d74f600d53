import { Deque } from "../core/deque.ts";
import type { Millis } from "../core/machine.ts";
import type { Message } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";

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

// What one remembered message costs beside its payload: the object, its slots and its string.
const MESSAGE_OVERHEAD_BYTES = 96;

// Streams without messages that are kept for their head alone, so that a name which is published
// to now and then stays gapless, and one that never returns costs nothing.
const IDLE_STREAMS_MAX = 50_000;

/** One remembered message and the stream it stands in. */
interface Remembered {
  readonly message: Message;
  readonly stream: Stream;
  readonly at: Millis;
}

/** The messages of one node in one channel: a run without holes, from `floor` to `head`. */
class Stream {
  readonly messages = new Deque<Message>();
  readonly channel: string;
  readonly node: NodeId;
  head: number;
  floor: number;

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
 * message goes first: messages per stream, age, and bytes over all streams.
 */
export class Log {
  readonly #settings: LogSettings;
  readonly #channels = new Map<string, Map<NodeId, Stream>>();
  readonly #order = new Deque<Remembered>();
  readonly #idle = new Deque<Stream>();
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

  /** Appends a message to its stream. Its `prev` tells whether the stream has a hole before it. */
  append(channel: string, message: Message, now: Millis): void {
    const stream = this.#stream(channel, message.node, message.prev);
    if (message.seq <= stream.head) return;
    if (message.prev > stream.head) this.#restart(stream, message.prev);
    stream.messages.push(message);
    stream.head = message.seq;
    this.#bytes += costOf(message);
    this.#order.push({ message, stream, at: now });
    if (stream.messages.length > this.#settings.logMessagesMax) this.#evict(stream);
    this.#trim(now);
  }

  /** Tells from where on a stream will be complete: nothing up to `seq` is asked for or promised. */
  rebase(channel: string, node: NodeId, seq: number): void {
    const stream = this.#stream(channel, node, seq);
    if (seq > stream.head) this.#restart(stream, seq);
    if (stream.messages.length === 0) this.#rest(stream);
  }

  /** The newest seq of a stream, or 0. */
  head(channel: string, node: NodeId): number {
    return this.#channels.get(channel)?.get(node)?.head ?? 0;
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
    const stream = this.#channels.get(channel)?.get(node);
    if (stream === undefined) return { messages: [], floor: this.#forgottenHead, head: 0 };
    const messages: Message[] = [];
    let index = firstAfter(stream.messages, range.after);
    for (; index < stream.messages.length && messages.length < range.limit; index++) {
      messages.push(stream.messages.at(index)!);
    }
    return { messages, floor: stream.floor, head: stream.head };
  }

  /** The nodes that have a stream in a channel. */
  nodes(channel: string): NodeId[] {
    return [...(this.#channels.get(channel)?.keys() ?? [])];
  }

  /** Forgets what is too old. */
  expire(now: Millis): void {
    this.#trim(now);
  }

  #stream(channel: string, node: NodeId, base: number): Stream {
    let streams = this.#channels.get(channel);
    if (streams === undefined) this.#channels.set(channel, streams = new Map());
    let stream = streams.get(node);
    if (stream === undefined) {
      // A stream that starts at 0 may be one that was forgotten.
      stream = new Stream(channel, node, base);
      if (base === 0) stream.floor = this.#forgottenHead;
      streams.set(node, stream);
    }
    return stream;
  }

  #trim(now: Millis): void {
    const oldest = now - this.#settings.logAgeMs;
    for (
      let first = this.#order.first;
      first !== undefined && (first.at < oldest || this.#bytes > this.#settings.logBytesMax);
      first = this.#order.first
    ) {
      this.#order.shift();
      // A stream may have lost this message to its own bound already.
      if (first.stream.messages.first === first.message) this.#evict(first.stream);
    }
  }

  #evict(stream: Stream): void {
    const message = stream.messages.shift()!;
    stream.floor = message.seq;
    this.#bytes -= costOf(message);
    this.#evictedCount++;
    if (stream.messages.length === 0) this.#rest(stream);
  }

  #rest(stream: Stream): void {
    this.#idle.push(stream);
    if (this.#idle.length <= IDLE_STREAMS_MAX) return;
    const oldest = this.#idle.shift()!;
    if (oldest.messages.length > 0) return;
    const streams = this.#channels.get(oldest.channel);
    if (streams?.get(oldest.node) !== oldest) return;
    streams.delete(oldest.node);
    if (streams.size === 0) this.#channels.delete(oldest.channel);
    this.#forgottenHead = Math.max(this.#forgottenHead, oldest.head);
  }

  #restart(stream: Stream, base: number): void {
    while (stream.messages.length > 0) this.#evict(stream);
    stream.floor = base;
    stream.head = base;
  }
}

function costOf(message: Message): number {
  return message.data.length + MESSAGE_OVERHEAD_BYTES;
}

// Streams are sorted by seq, so the first message after a position is found by halving.
function firstAfter(messages: Deque<Message>, after: number): number {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (messages.at(middle)!.seq > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
