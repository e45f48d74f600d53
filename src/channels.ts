import { BoundedQueue } from "./bounded_queue.ts";
import { ChannelCore, type Confirmation, type Subscriber } from "./channel_core.ts";
import type { LogSettings } from "./channel/log.ts";
import type { Millis } from "./core/machine.ts";
import { BROADCAST_CHANNEL, type Message, type Payload } from "./core/message.ts";
import { createNodeId, type NodeId, type Position } from "./core/node.ts";
import { decodeUtf8, encodeUtf8 } from "./core/utf8.ts";
import type { Delivery } from "./delivery.ts";
import { TypedEventTarget } from "./events.ts";
import { requireBoolean, requireInteger, requireKnown } from "./options.ts";
import { channelNameFault } from "./protocol/codec.ts";
import { systemClock } from "./runtime/clock.ts";
import { systemRandomBytes } from "./runtime/crypto.ts";

/** Options of {@linkcode Channels}. Every field may be left out. */
export interface ChannelsOptions {
  /**
   * Most messages remembered per channel and publishing node, for repair and resume. 0 to
   * 10,000,000.
   *
   * @default {10000}
   */
  readonly logMessagesMax?: number;
  /**
   * Most bytes remembered over all channels: payload, and what messages and channels cost. 0 to
   * 64 GiB. Higher repairs longer interruptions, and costs memory.
   *
   * @default {67108864}
   */
  readonly logBytesMax?: number;
  /**
   * How long a message is remembered, in ms; it may be up to a 64th of it longer. 0 to a day.
   *
   * @default {60000}
   */
  readonly logAgeMs?: number;
  /**
   * Largest message that server code may publish, in bytes of JSON or of binary payload. 1 byte to
   * 15 MiB.
   *
   * @default {1048576}
   */
  readonly messageBytesMax?: number;
}

/** How to publish. */
export interface PublishOptions {
  /**
   * Wait until every interested node holds the message. Without it, `publish` resolves as soon
   * as the message is on its way.
   *
   * @default {false}
   */
  readonly acknowledge?: boolean;
  /**
   * How long to wait for the other nodes, in ms, up to an hour. Those that have not answered by
   * then are `missing`.
   *
   * @default {5000}
   */
  readonly timeoutMs?: number;
}

/** What became of a message. */
export interface Published {
  /** Its place in the cluster. */
  readonly position: Position;
  /** The nodes that are known to hold it: this one, and with `acknowledge` those that said so. */
  readonly nodes: readonly NodeId[];
  /** Interested nodes that have not said so in time. They are told again when they can be reached. */
  readonly missing: readonly NodeId[];
}

/** A message as server code gets it. */
export interface ChannelMessage {
  /** The channel. */
  readonly channel: string;
  /** What was published: any JSON value, or bytes. */
  readonly data: unknown;
  /** The node that published it. */
  readonly node: NodeId;
  /** That node's counter. */
  readonly seq: number;
}

/** The events of a {@linkcode Subscription}. */
export interface SubscriptionEvents extends Readonly<Record<string, Event>> {
  /** Messages are lost for good, or were dropped because this subscription reads too slowly. */
  readonly gap: Event;
}

/** How to subscribe. */
export interface SubscribeOptions {
  /**
   * Messages that may wait to be read, from 1 on. Past it the oldest goes, `gap` fires and
   * `droppedCount` grows.
   *
   * @default {10000}
   */
  readonly queueMessagesMax?: number;
}

/** A snapshot of counters and gauges. */
export interface ChannelsStats {
  /** Messages published on this node. */
  readonly published: number;
  /** Channels that somebody on this node subscribes to. */
  readonly channels: number;
  /** Bytes that the log holds. */
  readonly logBytes: number;
  /** Messages that the log had to forget. */
  readonly logEvicted: number;
}

const KNOWN_OPTIONS = ["logMessagesMax", "logBytesMax", "logAgeMs", "messageBytesMax"] as const;
const NO_OPTIONS: PublishOptions = {};
const PUBLISH_DEFAULTS: Required<PublishOptions> = { acknowledge: false, timeoutMs: 5_000 };

/** The running half of channels, for the parts of this library that join them to others. */
export let coreOf: (channels: Channels) => ChannelCore;

/**
 * Publish and subscribe: in one process as it is, across nodes once attached to a `Cluster`.
 *
 * @example
 * ```ts
 * import { Channels } from "jsr:@chorus/cluster";
 *
 * const channels = new Channels();
 * const news = channels.subscribe("news");
 * await news.confirmed;
 * await channels.publish("news", { text: "hello" });
 * for await (const message of news) {
 *   console.log(message.data);
 *   break;
 * }
 * ```
 */
export class Channels {
  static {
    coreOf = (channels) => channels.#core;
  }
  readonly #core: ChannelCore;
  readonly #messageBytesMax: number;

  /**
   * Makes channels for this process.
   *
   * @param options See {@linkcode ChannelsOptions}.
   * @throws {TypeError | RangeError} If an option is unknown or out of bounds.
   */
  constructor(options: ChannelsOptions = {}) {
    const settings = resolveOptions(options);
    this.#messageBytesMax = settings.messageBytesMax;
    const node = createNodeId("node", systemRandomBytes(16));
    this.#core = new ChannelCore(node, settings, systemClock);
  }

  /** The node under whose name messages are published here. */
  get nodeId(): NodeId {
    return this.#core.node;
  }

  /**
   * Publishes a message to every subscriber of a channel, on every node.
   *
   * Subscribers on this node get it first. Each subscriber gets the messages of one node in one
   * channel in the order in which they were published.
   *
   * @param channel 1 to 255 bytes of UTF-8 without control characters.
   * @param data A JSON value, or bytes, which are copied.
   * @throws {TypeError} If the channel is no name, the data is no JSON, or an option is unknown.
   * @throws {RangeError} If the data is larger than `messageBytesMax`, or an option out of bounds.
   */
  publish(
    channel: string,
    data: unknown,
    options: PublishOptions = NO_OPTIONS,
  ): Promise<Published> {
    return this.#publish(() => requireChannelName(channel), data, options);
  }

  /**
   * Sends a message to every client of every node.
   *
   * @param data A JSON value, or bytes, which are copied.
   * @throws {TypeError | RangeError} As `publish`.
   */
  broadcast(data: unknown, options: PublishOptions = NO_OPTIONS): Promise<Published> {
    return this.#publish(() => BROADCAST_CHANNEL, data, options);
  }

  /**
   * Subscribes server code to a channel.
   *
   * @param channel As for `publish`.
   * @throws {TypeError | RangeError} If the channel is no name, or an option is unknown or out of
   *     bounds.
   */
  subscribe(channel: string, options: SubscribeOptions = {}): Subscription {
    requireChannelName(channel);
    requireKnown("subscription", options, ["queueMessagesMax"]);
    const { queueMessagesMax = 10_000 } = options;
    requireInteger("subscription", "queueMessagesMax", queueMessagesMax, { min: 1, max: 1e9 });
    return new Subscription(this.#core, channel, queueMessagesMax);
  }

  /** A snapshot of counters and gauges. */
  stats(): ChannelsStats {
    const { hub } = this.#core;
    return {
      published: hub.seq,
      channels: hub.channelCount,
      logBytes: hub.log.bytes,
      logEvicted: hub.log.evictedCount,
    };
  }

  // All that is wrong with a call is told in one way: the promise rejects.
  async #publish(
    channelOf: () => string,
    data: unknown,
    options: PublishOptions,
  ): Promise<Published> {
    const channel = channelOf();
    const { acknowledge, timeoutMs } = resolvePublish(options);
    const payload = this.#encode(data);
    const self = this.#core.node;
    if (!acknowledge) {
      const position = this.#core.publishAt(channel, payload);
      return { position, nodes: [self], missing: [] };
    }
    return await new Promise((resolve) => {
      this.#core.publishAcknowledged({ channel, payload }, timeoutMs, (position, held) => {
        resolve({ position, nodes: [self, ...held.nodes], missing: held.missing });
      });
    });
  }

  #encode(data: unknown): Payload {
    const payload = encodeData(data);
    const { byteLength } = payload.data;
    if (byteLength <= this.#messageBytesMax) return payload;
    throw new RangeError(`Cannot publish: ${byteLength} bytes, at most ${this.#messageBytesMax}`);
  }
}

/**
 * Server code's subscription to one channel: iterate over it to read the messages.
 *
 * It holds messages from the moment of the call on, up to its bound.
 */
export class Subscription extends TypedEventTarget<SubscriptionEvents>
  implements AsyncIterable<ChannelMessage>, Disposable {
  /** The channel. */
  readonly channel: string;
  /**
   * Resolves when every connected node knows: from then on nothing that is published anywhere
   * is missed. It tells the nodes that have not answered in time.
   */
  readonly confirmed: Promise<{ readonly missing: readonly NodeId[] }>;
  readonly #core: ChannelCore;
  readonly #subscriber: Subscriber;
  readonly #queue: BoundedQueue<ChannelMessage>;
  #abandon: () => void = () => {};

  /** Made by `Channels.subscribe`. */
  constructor(core: ChannelCore, channel: string, queueMessagesMax: number) {
    super();
    this.channel = channel;
    this.#core = core;
    this.#queue = new BoundedQueue(queueMessagesMax, () => this.#end());
    this.#subscriber = {
      deliver: (delivery) => this.#deliver(delivery),
      gap: () => void this.dispatchEvent(new Event("gap")),
    };
    this.confirmed = new Promise((resolve) => {
      this.#abandon = () => resolve({ missing: [] });
      core.subscribe(channel, this.#subscriber, (confirmation: Confirmation) => {
        resolve({ missing: confirmation.missing });
        return !this.#queue.isClosed;
      });
    });
  }

  /** Messages that had to go because nobody read them in time. */
  get droppedCount(): number {
    return this.#queue.droppedCount;
  }

  /** Ends the subscription. Iteration ends after the messages that are here already. */
  close(): void {
    this.#queue.close();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Reads the messages in order. Leaving the loop closes the subscription. */
  [Symbol.asyncIterator](): AsyncGenerator<ChannelMessage, void, void> {
    return this.#queue[Symbol.asyncIterator]();
  }

  #deliver({ channel, messages }: Delivery): void {
    const readable = messages.flatMap((each) => toChannelMessage(channel, each) ?? []);
    const dropped = this.#queue.push(readable);
    const isWhole = dropped === 0 && readable.length === messages.length;
    if (!isWhole) this.dispatchEvent(new Event("gap"));
  }

  #end(): void {
    this.#core.unsubscribe(this.channel, this.#subscriber);
    this.#abandon();
  }
}

function toChannelMessage(channel: string, message: Message): ChannelMessage | undefined {
  const { node, seq, data, isText } = message;
  try {
    return { channel, node, seq, data: isText ? parse(data) : new Uint8Array(data) };
  } catch {
    // Another node vouched for what is no JSON: the reader is told of a gap.
    return undefined;
  }
}

function parse(json: Uint8Array): unknown {
  return JSON.parse(decodeUtf8(json) ?? "");
}

function encodeData(data: unknown): Payload {
  // A copy of a Buffer too, whose own slice() is none.
  if (data instanceof Uint8Array) return { data: new Uint8Array(data), isText: false };
  const isOtherBytes = data instanceof ArrayBuffer || ArrayBuffer.isView(data);
  const text = isOtherBytes ? undefined : JSON.stringify(data);
  if (text !== undefined) return { data: encodeUtf8(text), isText: true };
  const received = isOtherBytes ? data.constructor.name : typeof data;
  throw new TypeError(
    `Cannot publish: expected a JSON value or a Uint8Array, received ${received}`,
  );
}

function resolvePublish(options: PublishOptions): Required<PublishOptions> {
  if (options === NO_OPTIONS) return PUBLISH_DEFAULTS;
  requireKnown("publish", options, ["acknowledge", "timeoutMs"]);
  const { acknowledge = false, timeoutMs = 5_000 } = options;
  requireBoolean("publish", "acknowledge", acknowledge);
  requireInteger("publish", "timeoutMs", timeoutMs, { min: 1, max: 3_600_000 });
  return { acknowledge, timeoutMs };
}

function requireChannelName(channel: string): string {
  const fault = typeof channel === "string" ? channelNameFault(channel) : "not a string";
  if (fault === undefined) return channel;
  throw new TypeError(`Cannot use channel ${JSON.stringify(channel)}: ${fault}`);
}

type ChannelsSettings = LogSettings & { readonly messageBytesMax: number };

function resolveOptions(options: ChannelsOptions): ChannelsSettings {
  requireKnown("channels", options, KNOWN_OPTIONS);
  const { logMessagesMax = 10_000, logBytesMax = 67_108_864 } = options;
  const { messageBytesMax = 1_048_576 } = options;
  const logAgeMs: Millis = options.logAgeMs ?? 60_000;
  requireInteger("channels", "logMessagesMax", logMessagesMax, { min: 0, max: 10_000_000 });
  requireInteger("channels", "logBytesMax", logBytesMax, { min: 0, max: 68_719_476_736 });
  requireInteger("channels", "logAgeMs", logAgeMs, { min: 0, max: 86_400_000 });
  requireInteger("channels", "messageBytesMax", messageBytesMax, { min: 1, max: 15_728_640 });
  return Object.freeze({ logMessagesMax, logBytesMax, logAgeMs, messageBytesMax });
}
