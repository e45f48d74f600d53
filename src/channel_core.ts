/**
 * The running half of `Channels`: drives the hub, and stands between the clients' side and the
 * cluster's. Internal: `mod.ts` does not export it.
 *
 * @module
 */

import { Hub, type HubDelivery, type HubOutput, type HubPublish } from "./channel/hub.ts";
import type { LogRead, LogSettings } from "./channel/log.ts";
import type { Clock } from "./core/clock.ts";
import { type Drive, drive } from "./core/drive.ts";
import type { Millis } from "./core/machine.ts";
import type { ChannelMessages, Message, Payload } from "./core/message.ts";
import type { NodeId, Position, Positions } from "./core/node.ts";
import { Delivery } from "./delivery.ts";

/** Whoever gets a channel's messages on this node: a client's connection, or server code. */
export interface Subscriber {
  /** This tick's messages of one channel. The same object goes to every subscriber. */
  deliver(delivery: Delivery): void;
  /** Messages of the channel are lost for good. */
  gap(channel: string): void;
}

/** A confirmed subscription. */
export interface Confirmation {
  /** Where it starts: every message after these positions is delivered. */
  readonly positions: Positions;
  /** Nodes that have not confirmed in time: messages published there may be missed. */
  readonly missing: readonly NodeId[];
}

/** Who holds a message. */
export interface Acknowledgement {
  /** The other nodes that hold it. */
  readonly nodes: readonly NodeId[];
  /** The other nodes that should, and have not said so in time. */
  readonly missing: readonly NodeId[];
}

/** What the channels need of the cluster. */
export interface ChannelUplink {
  /** Interest in a channel. Calls back when every node knows, or time is up. */
  subscribe(channel: string, confirmed: (missing: readonly NodeId[]) => void): void;
  /** No interest any more. */
  unsubscribe(channel: string): void;
  /** This node's messages of a tick. */
  announce(channels: readonly ChannelMessages[]): void;
  /** Calls back when the other nodes have acknowledged a message that is about to be announced. */
  acknowledge(
    message: { readonly channel: string; readonly seq: number; readonly timeoutMs: Millis },
    settled: (acknowledgement: Acknowledgement) => void,
  ): void;
}

type Published = (position: Position) => void;

/** Drives the hub. */
export class ChannelCore {
  readonly #clock: Clock;
  readonly #hub: Hub<Subscriber>;
  readonly #drive: Drive<Parameters<Hub<Subscriber>["handle"]>[0]>;
  #node: NodeId;
  #uplink: ChannelUplink | undefined;

  /** Starts without a cluster. */
  constructor(node: NodeId, settings: LogSettings, clock: Clock) {
    this.#node = node;
    this.#clock = clock;
    this.#hub = new Hub(node, settings);
    this.#drive = drive(this.#hub, clock, (output) => this.#perform(output));
  }

  /** Under which name messages are published here. */
  get node(): NodeId {
    return this.#node;
  }

  /** Where time comes from. */
  get clock(): Clock {
    return this.#clock;
  }

  /** The hub, to read. */
  get hub(): Pick<Hub<Subscriber>, "seq" | "channelCount" | "log" | "positions"> {
    return this.#hub;
  }

  /**
   * Joins a cluster under its name for this node.
   *
   * @throws {Error} If a cluster is attached already, or messages were published under the old name.
   */
  attach(node: NodeId, uplink: ChannelUplink): void {
    if (this.#uplink !== undefined) {
      throw new Error("Cannot attach channels: they are attached to a cluster already");
    }
    if (this.#hub.seq > 0) {
      throw new Error("Cannot attach channels: attach them before the first message is published");
    }
    this.#hub.rename(node);
    this.#node = node;
    this.#uplink = uplink;
    for (const channel of this.#hub.subscribedChannels()) uplink.subscribe(channel, () => {});
  }

  /** Tells the others what this tick has published, and goes on alone. */
  detach(): void {
    this.#drive.feed({ kind: "wake" });
    this.#uplink = undefined;
  }

  /**
   * Subscribes, and calls back once when the cluster knows.
   *
   * `accept` is asked just then whether the subscription is still wanted; messages follow it.
   */
  subscribe(
    channel: string,
    subscriber: Subscriber,
    accept: (confirmation: Confirmation) => boolean,
  ): void {
    const before = this.#hub.positions(channel);
    this.#drive.feed({ kind: "subscribe", channel, subscriber });
    const confirmed = (missing: readonly NodeId[]): void => {
      const positions = this.#hub.start(channel, before);
      if (!accept({ positions, missing })) return;
      this.#drive.feed({ kind: "activate", channel, subscriber, after: positions });
    };
    if (this.#uplink === undefined) confirmed([]);
    else this.#uplink.subscribe(channel, confirmed);
  }

  /** Ends a subscription, confirmed or not. */
  unsubscribe(channel: string, subscriber: Subscriber): void {
    this.#drive.feed({ kind: "unsubscribe", channel, subscriber });
  }

  /** Publishes without waiting for anything. */
  publish(channel: string, payload: Payload, except?: Subscriber): void {
    this.#drive.feed({ kind: "publish", channel, payload, except });
  }

  /** Publishes and tells the position at once. */
  publishAt(channel: string, payload: Payload, except?: Subscriber): Position {
    let position: Position | undefined;
    const ticket: Published = (given) => position = given;
    this.#drive.feed({ kind: "publish", channel, payload, except, ticket });
    // Inside another output's handling the answer comes after this call; the place is known anyway.
    return position ?? { node: this.#node, seq: this.#hub.seq };
  }

  /** Publishes, and calls back when the other nodes hold the message, or time is up. */
  publishAcknowledged(
    publish: Pick<HubPublish<Subscriber>, "channel" | "payload" | "except">,
    timeoutMs: Millis,
    settled: (position: Position, acknowledgement: Acknowledgement) => void,
  ): void {
    const position = this.publishAt(publish.channel, publish.payload, publish.except);
    if (this.#uplink === undefined) return settled(position, { nodes: [], missing: [] });
    this.#uplink.acknowledge(
      { channel: publish.channel, seq: position.seq, timeoutMs },
      (acknowledgement) => settled(position, acknowledgement),
    );
  }

  /** Messages of another node, in order. */
  receive(channel: string, messages: readonly Message[]): void {
    this.#drive.feed({ kind: "receive", channel, messages });
  }

  /** Another node's stream starts here. */
  rebase(channel: string, node: NodeId, seq: number): void {
    this.#drive.feed({ kind: "rebase", channel, node, seq });
  }

  /** Messages of another node are lost for good. */
  gap(channel: string): void {
    this.#drive.feed({ kind: "gap", channel });
  }

  /** Reads the log. */
  read(channel: string, node: NodeId, range: { after: number; limit: number }): LogRead {
    return this.#hub.read(channel, node, range);
  }

  /** Ends all of it. */
  stop(): void {
    this.#drive.stop();
    this.#uplink = undefined;
  }

  #perform(output: HubOutput<Subscriber>): void {
    switch (output.kind) {
      case "deliver":
        return this.#deliver(output);
      case "announce":
        return this.#uplink?.announce(output.channels);
      case "published":
        return (output.ticket as Published)(output.position);
      case "interest":
        if (!output.wanted) this.#uplink?.unsubscribe(output.channel);
        return;
      case "gap":
        for (const subscriber of output.subscribers) subscriber.gap(output.channel);
    }
  }

  #deliver(output: HubDelivery<Subscriber>): void {
    const delivery = new Delivery(output.channel, output.messages);
    if (output.excepts === undefined) {
      for (const subscriber of output.subscribers) subscriber.deliver(delivery);
    } else this.#deliverSome(output, output.excepts, delivery);
  }

  // Only those who are left out of something get a delivery of their own.
  #deliverSome(
    output: HubDelivery<Subscriber>,
    excepts: readonly (Subscriber | undefined)[],
    delivery: Delivery,
  ): void {
    const excluded = new Set(excepts);
    for (const subscriber of output.subscribers) {
      if (!excluded.has(subscriber)) subscriber.deliver(delivery);
      else {
        const messages = output.messages.filter((_, index) => excepts[index] !== subscriber);
        if (messages.length > 0) subscriber.deliver(new Delivery(output.channel, messages));
      }
    }
  }
}
