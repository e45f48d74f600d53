import type {
  BackplaneHandler,
  BackplaneState,
  BackplaneStats,
} from "../../src/backplane/backplane.ts";
import type { CancelTimer } from "../../src/core/clock.ts";
import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";
import {
  type Broker,
  type BrokerSeat,
  type Datagram,
  EVERYBODY,
  inboxOf,
  topicOf,
} from "./broker.ts";
import type { Host } from "./host.ts";
import type { SimulatedPath } from "./path.ts";

/** Who is connected. */
export interface BrokerPathContext {
  readonly id: NodeId;
  readonly name: string;
  readonly address: string;
  readonly host: Host;
  readonly broker: Broker;
}

interface Known {
  readonly name: string;
  readonly address: string;
  epoch: number;
  heardAt: Millis;
}

const ANNOUNCE_MS = 1_000;
const LOST_MS = 10_000;
const TICK_MS = 250;
// How long it takes to notice that the server is out of reach: a ping without an answer.
const NOTICE_MS = 1_500;

/** A backplane over a pub/sub server, as simple as the contract allows. */
export class BrokerPath implements SimulatedPath {
  readonly #context: BrokerPathContext;
  #handler!: BackplaneHandler;
  readonly #seat: BrokerSeat;
  readonly #known = new Map<NodeId, Known>();
  readonly #channels = new Set<string>();
  readonly #gone = new Set<NodeId>();
  #epoch = 0;
  #generation = -1;
  #isUp = false;
  #reachedAt: Millis = 0;
  #announceAt: Millis = 0;
  #cancel: CancelTimer | undefined;

  constructor(context: BrokerPathContext) {
    this.#context = context;
    const { host, address, id: node } = context;
    this.#seat = { host, address, node, received: (datagram) => this.#receive(datagram) };
  }

  start(handler: BackplaneHandler): BackplaneState {
    this.#handler = handler;
    this.#reachedAt = this.#context.host.now();
    if (this.#isReachable) this.#connect();
    this.#arm();
    return this.#isUp ? "up" : "down";
  }

  send(nodes: Iterable<NodeId> | undefined, payload: Uint8Array, channel?: string): void {
    const datagram: Datagram = { kind: "payload", node: this.#context.id, payload };
    if (nodes === undefined) return this.#publish(EVERYBODY, datagram);
    const receivers = [...nodes];
    // What one node asked for reaches it even if the server forgot that it listens to the channel.
    if (receivers.length > 1 && channel !== undefined) {
      return this.#publish(topicOf(channel), datagram);
    }
    for (const node of receivers) this.#publish(inboxOf(node), datagram);
  }

  subscribe(channel: string): void {
    this.#channels.add(channel);
    if (this.#isUp) this.#listen(channel);
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel);
    this.#context.broker.unsubscribe(topicOf(channel), this.#seat);
  }

  rebuild(node: NodeId): void {
    if (!this.#known.delete(node)) return;
    this.#handler.down(node, "lost");
    this.#announce(true);
    // What the server forgot is told it again.
    for (const channel of this.#channels) this.#listen(channel);
  }

  discover(): void {
    this.#announce(true);
  }

  stats(): BackplaneStats {
    return {};
  }

  stop(): void {
    this.#cancel?.();
    this.#publish(EVERYBODY, { kind: "goodbye", node: this.#context.id });
    this.#context.broker.leave(this.#seat);
  }

  /** The process is killed: its connection is over, and nothing is said. */
  abandon(broker: Broker): void {
    broker.leave(this.#seat);
  }

  get #isReachable(): boolean {
    return this.#context.broker.isReachable(this.#context.address);
  }

  #publish(topic: string, datagram: Datagram): void {
    if (this.#isUp) this.#context.broker.publish(this.#seat, topic, datagram);
  }

  #connect(): void {
    const { broker } = this.#context;
    this.#isUp = true;
    this.#epoch++;
    this.#generation = broker.generation;
    broker.subscribe(EVERYBODY, this.#seat);
    broker.subscribe(inboxOf(this.#context.id), this.#seat);
    for (const channel of this.#channels) this.#listen(channel);
    this.#announce(true);
  }

  // The answer takes a while, and may come when the channel is no longer wanted.
  #listen(channel: string): void {
    this.#context.broker.subscribe(topicOf(channel), this.#seat);
    this.#context.host.defer(() => {
      if (this.#channels.has(channel) && this.#isUp) this.#handler.subscribed(channel);
    });
  }

  #announce(isAsking: boolean): void {
    const { id: node, name, address } = this.#context;
    this.#announceAt = this.#context.host.now() + ANNOUNCE_MS;
    const epoch = this.#epoch;
    this.#publish(EVERYBODY, { kind: "announce", node, name, address, epoch, isAsking });
  }

  #arm(): void {
    this.#cancel = this.#context.host.setTimer(TICK_MS, () => {
      this.#arm();
      this.#tick(this.#context.host.now());
    });
  }

  #tick(now: Millis): void {
    const isNew = this.#context.broker.generation !== this.#generation;
    const isReachable = this.#isReachable;
    if (isReachable && !(this.#isUp && isNew)) this.#reachedAt = now;
    if (this.#isUp && (isNew || now > this.#reachedAt + NOTICE_MS)) return this.#lose();
    if (!this.#isUp && isReachable) {
      this.#handler.state("up");
      return this.#connect();
    }
    if (now >= this.#announceAt) this.#announce(false);
    for (const [node, known] of [...this.#known]) {
      if (now > known.heardAt + LOST_MS) this.#forget(node);
    }
  }

  #lose(): void {
    this.#isUp = false;
    this.#context.broker.leave(this.#seat);
    for (const node of [...this.#known.keys()]) this.#forget(node);
    this.#handler.state("down");
  }

  #forget(node: NodeId): void {
    this.#known.delete(node);
    this.#handler.down(node, "lost");
  }

  #receive(datagram: Datagram): void {
    const { node } = datagram;
    if (datagram.kind === "announce") return this.#meet(datagram);
    const known = this.#known.get(node);
    if (known === undefined) return;
    known.heardAt = this.#context.host.now();
    if (datagram.kind === "payload") return this.#handler.received(node, datagram.payload);
    this.#known.delete(node);
    this.#gone.add(node);
    this.#handler.down(node, "left");
  }

  #meet(datagram: Datagram & { readonly kind: "announce" }): void {
    const { node, name, address, epoch, isAsking } = datagram;
    const heardAt = this.#context.host.now();
    const known = this.#known.get(node);
    // What it said before it left may come after its goodbye.
    if (this.#gone.has(node)) return;
    if (isAsking) this.#announce(false);
    if (known !== undefined) {
      known.heardAt = heardAt;
      if (epoch <= known.epoch) return;
      this.#handler.down(node, "lost");
    }
    this.#known.set(node, { name, address, epoch, heardAt });
    this.#handler.up({ id: node, name, address });
  }
}
