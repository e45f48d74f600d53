import { Batch } from "../core/batch.ts";
import type { Machine, Millis, Wake } from "../core/machine.ts";
import {
  BROADCAST_CHANNEL,
  type ChannelMessages,
  type Message,
  type Payload,
} from "../core/message.ts";
import type { NodeId, Position, Positions } from "../core/node.ts";
import { Log, type LogRead, type LogSettings } from "./log.ts";

/** What can happen to the channels of one node. `Subscriber` is whatever the owner tells apart. */
export type HubInput<Subscriber> =
  /** A subscriber wants the channel: keep it interesting, and deliver from `activate` on. */
  | { readonly kind: "subscribe"; readonly channel: string; readonly subscriber: Subscriber }
  /**
   * The subscription is confirmed: deliver to the subscriber what came after the positions, as
   * far as it is remembered, and what comes from now on.
   */
  | {
    readonly kind: "activate";
    readonly channel: string;
    readonly subscriber: Subscriber;
    readonly after: Positions;
  }
  /** The subscriber is done with the channel. */
  | { readonly kind: "unsubscribe"; readonly channel: string; readonly subscriber: Subscriber }
  | HubPublish<Subscriber>
  /** Messages of another node, in that node's order, none twice. */
  | { readonly kind: "receive"; readonly channel: string; readonly messages: readonly Message[] }
  /** Another node's stream is followed from `seq` on. */
  | {
    readonly kind: "rebase";
    readonly channel: string;
    readonly node: NodeId;
    readonly seq: number;
  }
  /** Messages of another node are lost for good. */
  | { readonly kind: "gap"; readonly channel: string }
  | Wake;

/** A message published on this node. */
export interface HubPublish<Subscriber> {
  readonly kind: "publish";
  readonly channel: string;
  readonly payload: Payload;
  /** A subscriber that does not get it: its publisher. */
  readonly except?: Subscriber | undefined;
  /** Set to learn the position, in a `published` output with the same ticket. */
  readonly ticket?: unknown;
}

/** What the hub asks of its owner. */
export type HubOutput<Subscriber> =
  | HubDelivery<Subscriber>
  /** This tick's messages of this node, for the other nodes. */
  | { readonly kind: "announce"; readonly channels: readonly ChannelMessages[] }
  /** A message got its position. */
  | { readonly kind: "published"; readonly ticket: unknown; readonly position: Position }
  /** The channel got its first subscriber, or lost its last. */
  | { readonly kind: "interest"; readonly channel: string; readonly wanted: boolean }
  /** The channel's subscribers missed messages that nobody can repeat. */
  | {
    readonly kind: "gap";
    readonly channel: string;
    readonly subscribers: ReadonlySet<Subscriber>;
  };

/** This tick's messages of one channel: one record, however many subscribers there are. */
export interface HubDelivery<Subscriber> {
  readonly kind: "deliver";
  readonly channel: string;
  readonly messages: readonly Message[];
  /** Everybody who gets them. Valid until the hub is fed again. */
  readonly subscribers: ReadonlySet<Subscriber>;
  /** Who does not get which: parallel to `messages`, absent where nobody is left out. */
  readonly excepts: readonly (Subscriber | undefined)[] | undefined;
}

/** The hub's bounds: those of its log. */
export type HubSettings = LogSettings;

const NOBODY: ReadonlySet<never> = new Set();

/** One channel that has subscribers, or messages in this tick. */
class Channel<Subscriber> {
  readonly name: string;
  readonly subscribers = new Set<Subscriber>();
  pendingCount = 0;
  readonly delivered = new Batch<Message>();
  excepts: (Subscriber | undefined)[] | undefined;
  readonly announced = new Batch<Message>();
  dirty = false;

  constructor(name: string) {
    this.name = name;
  }
}

/**
 * The channels of one node: who subscribes, what was published, and in which order.
 *
 * Messages are collected until the end of the tick; then each channel gives one `deliver` for
 * its local subscribers, and after all of these comes one `announce` for the other nodes. A change
 * of the subscribers seals what was collected before it.
 */
export class Hub<Subscriber> implements Machine<HubInput<Subscriber>, HubOutput<Subscriber>> {
  #node: NodeId;
  readonly #log: Log;
  readonly #channels = new Map<string, Channel<Subscriber>>();
  #dirty: Channel<Subscriber>[] = [];
  readonly #outputs = new Batch<HubOutput<Subscriber>>();
  #seq = 0;
  #wakeAt: Millis | undefined;

  /** Starts without channels. `node` is the name under which messages are published. */
  constructor(node: NodeId, settings: HubSettings) {
    this.#node = node;
    this.#log = new Log(settings);
  }

  /** The end of this tick when messages wait for it. */
  get deadline(): Millis | undefined {
    return this.#wakeAt;
  }

  /** The seq of the last message published on this node. */
  get seq(): number {
    return this.#seq;
  }

  /** Channels that somebody subscribes to. Broadcasts, which everybody hears, are none. */
  get channelCount(): number {
    const broadcasts = this.#channels.get(BROADCAST_CHANNEL);
    const hidden = broadcasts === undefined || isUnwanted(broadcasts) ? 0 : 1;
    return this.#channels.size - hidden - this.#dirty.filter(isUnwanted).length;
  }

  /** Under which name messages are published from now on. Only before the first message. */
  rename(node: NodeId): void {
    if (this.#seq > 0) throw new Error("Cannot rename a node that has published");
    this.#node = node;
  }

  /** The log, to read. */
  get log(): Pick<Log, "bytes" | "evictedCount" | "head" | "positions"> {
    return this.#log;
  }

  /** Applies one input. */
  handle(input: HubInput<Subscriber>, now: Millis): void {
    switch (input.kind) {
      case "publish":
        return this.#publish(input, now);
      case "receive":
        return this.#receive(input.channel, input.messages, now);
      case "wake":
        return this.#endTick(now);
      case "subscribe":
        return this.#subscribe(input.channel);
      case "activate":
        return this.#activate(input.channel, input.subscriber, input.after);
      case "unsubscribe":
        return this.#unsubscribe(input.channel, input.subscriber);
      case "rebase":
        return this.#log.rebase(input.channel, input.node, input.seq);
      case "gap":
        return this.#gap(input.channel);
    }
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): HubOutput<Subscriber>[] {
    return this.#outputs.take();
  }

  /** The newest seq per publishing node, messages of this tick included. */
  positions(channel: string): Record<NodeId, number> {
    return this.#log.positions(channel);
  }

  /**
   * Where a subscriber starts who wants all that came after `after` and is still remembered: what
   * came after these positions is here without a hole.
   */
  start(channel: string, after: Positions): Positions {
    const positions: Record<NodeId, number> = {};
    for (const node of this.#log.nodes(channel)) {
      const { floor } = this.#log.read(channel, node, { after: 0, limit: 0 });
      const seq = Math.max(after[node] ?? 0, floor);
      if (seq > 0) positions[node] = seq;
    }
    return positions;
  }

  /** The channels that somebody subscribes to. */
  subscribedChannels(): string[] {
    const wanted = [...this.#channels.values()].filter((channel) => !isUnwanted(channel));
    return wanted.map((channel) => channel.name);
  }

  /** What is remembered of one node's messages in a channel after a position. */
  read(channel: string, node: NodeId, range: { after: number; limit: number }): LogRead {
    return this.#log.read(channel, node, range);
  }

  /** Who gets a channel's messages at this moment. */
  subscribers(channel: string): ReadonlySet<Subscriber> {
    return this.#channels.get(channel)?.subscribers ?? NOBODY;
  }

  #publish(input: HubPublish<Subscriber>, now: Millis): void {
    const channel = this.#soil(input.channel, now);
    const prev = this.#log.head(channel.name, this.#node);
    const { data, isText } = input.payload;
    const message = { node: this.#node, seq: ++this.#seq, prev, data, isText };
    this.#log.append(channel.name, message, now);
    channel.announced.push(message);
    this.#collect(channel, message, input.except);
    if (input.ticket === undefined) return;
    const position = { node: message.node, seq: message.seq };
    this.#outputs.push({ kind: "published", ticket: input.ticket, position });
  }

  #receive(name: string, messages: readonly Message[], now: Millis): void {
    const channel = this.#soil(name, now);
    for (const message of messages) {
      this.#log.append(channel.name, message, now);
      this.#collect(channel, message, undefined);
    }
  }

  #collect(channel: Channel<Subscriber>, message: Message, except: Subscriber | undefined): void {
    if (channel.subscribers.size === 0) return;
    if (except !== undefined && channel.excepts === undefined) {
      channel.excepts = Array.from({ length: channel.delivered.length }, () => undefined);
    }
    channel.delivered.push(message);
    channel.excepts?.push(except);
  }

  #subscribe(name: string): void {
    const channel = this.#open(name);
    channel.pendingCount++;
    if (channel.pendingCount === 1 && channel.subscribers.size === 0) {
      this.#outputs.push({ kind: "interest", channel: name, wanted: true });
    }
  }

  #activate(name: string, subscriber: Subscriber, after: Positions): void {
    const channel = this.#open(name);
    if (channel.pendingCount > 0) channel.pendingCount--;
    if (channel.subscribers.has(subscriber)) return;
    this.#seal(channel);
    channel.subscribers.add(subscriber);
    const messages = this.#log.nodes(name).flatMap((node) =>
      this.#log.read(name, node, { after: after[node] ?? 0, limit: Infinity }).messages
    );
    if (messages.length === 0) return;
    const subscribers = new Set([subscriber]);
    this.#outputs.push({
      kind: "deliver",
      channel: name,
      messages,
      subscribers,
      excepts: undefined,
    });
  }

  #unsubscribe(name: string, subscriber: Subscriber): void {
    const channel = this.#channels.get(name);
    if (channel === undefined) return;
    if (channel.subscribers.has(subscriber)) {
      this.#seal(channel);
      channel.subscribers.delete(subscriber);
    } else if (channel.pendingCount > 0) channel.pendingCount--;
    else return;
    if (!isUnwanted(channel)) return;
    this.#outputs.push({ kind: "interest", channel: name, wanted: false });
    if (!channel.dirty) this.#channels.delete(name);
  }

  #gap(name: string): void {
    const channel = this.#channels.get(name);
    if (channel === undefined) return;
    this.#seal(channel);
    if (channel.subscribers.size === 0) return;
    this.#outputs.push({ kind: "gap", channel: name, subscribers: channel.subscribers });
  }

  #endTick(now: Millis): void {
    if (this.#wakeAt === undefined || now < this.#wakeAt) return;
    this.#wakeAt = undefined;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const channel of dirty) this.#deliver(channel, channel.subscribers);
    this.#announce(dirty);
    this.#log.expire(now);
  }

  // Hands over what was collected for the subscribers so far, before that set changes.
  #seal(channel: Channel<Subscriber>): void {
    if (channel.delivered.length > 0) this.#deliver(channel, new Set(channel.subscribers));
  }

  #deliver(channel: Channel<Subscriber>, subscribers: ReadonlySet<Subscriber>): void {
    if (channel.delivered.length === 0) return;
    this.#outputs.push({
      kind: "deliver",
      channel: channel.name,
      messages: channel.delivered.take(),
      subscribers,
      excepts: channel.excepts,
    });
    channel.excepts = undefined;
  }

  #announce(dirty: readonly Channel<Subscriber>[]): void {
    const channels = new Batch<ChannelMessages>();
    for (const channel of dirty) {
      channel.dirty = false;
      if (channel.announced.length > 0) {
        channels.push({ channel: channel.name, messages: channel.announced.take() });
      }
      if (isUnwanted(channel)) this.#channels.delete(channel.name);
    }
    if (channels.length > 0) this.#outputs.push({ kind: "announce", channels: channels.take() });
  }

  #soil(name: string, now: Millis): Channel<Subscriber> {
    const channel = this.#open(name);
    if (!channel.dirty) {
      channel.dirty = true;
      this.#dirty.push(channel);
      this.#wakeAt ??= now;
    }
    return channel;
  }

  #open(name: string): Channel<Subscriber> {
    let channel = this.#channels.get(name);
    if (channel === undefined) this.#channels.set(name, channel = new Channel(name));
    return channel;
  }
}

function isUnwanted(channel: Channel<unknown>): boolean {
  return channel.subscribers.size === 0 && channel.pendingCount === 0;
}
