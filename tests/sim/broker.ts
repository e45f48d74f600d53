import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { Chance } from "./chance.ts";
import type { Host } from "./host.ts";
import type { Schedule } from "./schedule.ts";

/** What a pub/sub server does to what it carries. */
export interface BrokerOptions {
  readonly delayMs: Millis;
  /** How much the delay varies, in ms: what overtakes each other is out of order. */
  readonly jitterMs: Millis;
  /** How often a datagram is lost on its way to one receiver. */
  readonly lossChance: number;
  /** How often it comes twice. */
  readonly repeatChance: number;
}

/** What nodes say to each other through the server, beside the cluster's payloads. */
export type Datagram =
  | {
    readonly kind: "announce";
    readonly node: NodeId;
    readonly name: string;
    readonly address: string;
    /** Counts the connections of that node, so that the others see that one was lost. */
    readonly epoch: number;
    /** Whether the others should announce themselves too. */
    readonly isAsking: boolean;
  }
  | { readonly kind: "goodbye"; readonly node: NodeId }
  | { readonly kind: "payload"; readonly node: NodeId; readonly payload: Uint8Array };

/** One process's connection to the server. */
export interface BrokerSeat {
  readonly host: Host;
  readonly address: string;
  readonly node: NodeId;
  received(datagram: Datagram): void;
}

/** The topic that every node listens to. */
export const EVERYBODY = "*";

/** The topic of one node. */
export function inboxOf(node: NodeId): string {
  return `@${node}`;
}

/** The topic of a channel. */
export function topicOf(channel: string): string {
  return `#${channel}`;
}

/**
 * A pub/sub server such as Redis: topics, and no memory. It may lose, repeat and reorder, forget
 * what somebody subscribed to, be out of reach for one machine, or be down as a whole.
 */
export class Broker {
  readonly #schedule: Schedule;
  readonly #chance: Chance;
  readonly #options: BrokerOptions;
  readonly #topics = new Map<string, Set<BrokerSeat>>();
  readonly #unreachable = new Map<string, number>();
  #isDown = 0;
  #generation = 0;

  constructor(schedule: Schedule, chance: Chance, options: BrokerOptions) {
    this.#schedule = schedule;
    this.#chance = chance;
    this.#options = options;
  }

  /** Changes whenever the server starts anew: connections from before are over. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether a machine reaches the server. */
  isReachable(address: string): boolean {
    return this.#isDown === 0 && !this.#unreachable.has(address);
  }

  subscribe(topic: string, seat: BrokerSeat): void {
    const seats = this.#topics.get(topic);
    if (seats === undefined) this.#topics.set(topic, new Set([seat]));
    else seats.add(seat);
  }

  unsubscribe(topic: string, seat: BrokerSeat): void {
    const seats = this.#topics.get(topic);
    seats?.delete(seat);
    if (seats?.size === 0) this.#topics.delete(topic);
  }

  /** A connection is over. */
  leave(seat: BrokerSeat): void {
    for (const topic of [...this.#topics.keys()]) this.unsubscribe(topic, seat);
  }

  /** A datagram for whoever listens, but not for its sender. */
  publish(from: BrokerSeat, topic: string, datagram: Datagram): void {
    if (!this.isReachable(from.address)) return;
    const { delayMs, lossChance, repeatChance } = this.#options;
    if (lossChance > 0 && this.#chance.happens(lossChance / 2)) return;
    this.#schedule.in(delayMs, () => {
      if (this.#isDown > 0) return;
      for (const seat of this.#topics.get(topic) ?? []) {
        if (seat.node === from.node) continue;
        if (lossChance > 0 && this.#chance.happens(lossChance / 2)) continue;
        this.#deliver(seat, topic, datagram);
        if (repeatChance > 0 && this.#chance.happens(repeatChance)) {
          this.#deliver(seat, topic, datagram);
        }
      }
    });
  }

  /** The server goes down and forgets everybody. Counts: each call needs its `rise`. */
  fall(): void {
    this.#isDown++;
    this.#generation++;
    this.#topics.clear();
  }

  /** It is back, empty. */
  rise(): void {
    this.#isDown--;
  }

  /** One machine does not reach the server any more. Counts. */
  block(address: string): void {
    this.#unreachable.set(address, (this.#unreachable.get(address) ?? 0) + 1);
  }

  /** Undoes one `block`. */
  unblock(address: string): void {
    const count = this.#unreachable.get(address)! - 1;
    if (count > 0) this.#unreachable.set(address, count);
    else this.#unreachable.delete(address);
  }

  /** The server forgets that somebody listens to channels, as after a fail-over. Nobody is told. */
  forget(address: string): void {
    for (const [topic, seats] of [...this.#topics]) {
      if (!topic.startsWith("#")) continue;
      for (const seat of [...seats]) if (seat.address === address) this.unsubscribe(topic, seat);
    }
  }

  #deliver(seat: BrokerSeat, topic: string, datagram: Datagram): void {
    const { delayMs, jitterMs } = this.#options;
    this.#schedule.in(delayMs + this.#chance.between(0, jitterMs), () => {
      if (!this.isReachable(seat.address)) return;
      seat.host.enter(() => {
        if (this.#topics.get(topic)?.has(seat) === true) seat.received(datagram);
      });
    });
  }
}
