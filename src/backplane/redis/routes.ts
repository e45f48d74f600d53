import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import { formatAddress } from "../../runtime/tcp_address.ts";
import { Lane } from "./lane.ts";
import type { RedisNames } from "./redis_names.ts";
import type { WireOutput } from "./redis_output.ts";
import type { Topology } from "./topology.ts";
import type { WireContext } from "./wire.ts";

/** How a node hears itself. */
export interface RouteCanary {
  /** This node. */
  readonly id: NodeId;
  /** The names of the channels. */
  readonly names: RedisNames;
  /** Makes the canary with a number. */
  readonly encodeCanary: (number: number) => Uint8Array;
}

/** Which server carries which channel: a lane to each server, and every wanted channel on one. */
export class Routes {
  readonly #wires: WireContext;
  readonly #topology: Topology;
  readonly #canary: RouteCanary;
  readonly #lanes = new Map<string, Lane>();
  #laneList: readonly Lane[] = [];
  /** The Redis channels that are wanted, and where each is subscribed to. */
  readonly #routes = new Map<string, Lane | undefined>();
  /** Those that no server is in charge of, or another one than before, until they are heard again. */
  readonly #homeless = new Set<string>();
  #outputs: WireOutput[] = [];

  /** Starts without lanes: they come with `reroute`. */
  constructor(wires: WireContext, topology: Topology, canary: RouteCanary) {
    this.#wires = wires;
    this.#topology = topology;
    this.#canary = canary;
  }

  /** The way over each server. */
  get lanes(): readonly Lane[] {
    return this.#laneList;
  }

  /** Number of channels that are wanted. */
  get channelCount(): number {
    return this.#routes.size;
  }

  /** Whether messages of every channel come through over every server. */
  get isWhole(): boolean {
    return this.#homeless.size === 0 && this.#laneList.every((lane) => lane.isReady);
  }

  /** Bytes that wait for the servers. */
  get queuedBytes(): number {
    let bytes = 0;
    for (const lane of this.#laneList) bytes += lane.queuedBytes;
    return bytes;
  }

  /** When the first lane wants to be woken. */
  get deadline(): Millis {
    let deadline = Infinity;
    for (const lane of this.#laneList) deadline = Math.min(deadline, lane.deadline ?? Infinity);
    return deadline;
  }

  /** Returns and forgets what closed lanes have left to write. */
  take(): readonly WireOutput[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  /** The way over the server in charge of a channel. */
  laneOf(channel: string): Lane | undefined {
    const address = this.#topology.addressOf(channel);
    return address === undefined ? undefined : this.#lanes.get(formatAddress(address));
  }

  /** Whether the messages of a wanted channel come through. */
  isReady(channel: string): boolean {
    return this.#routes.get(channel)?.isReady ?? false;
  }

  /** A channel is wanted. */
  add(channel: string, now: Millis): void {
    if (this.#routes.has(channel)) return;
    this.#routes.set(channel, undefined);
    this.#route(channel, now);
  }

  /** A channel is wanted no longer. */
  remove(channel: string, now: Millis): void {
    this.#routes.get(channel)?.unsubscribe(channel, now);
    this.#routes.delete(channel);
    this.#homeless.delete(channel);
  }

  /** A server is not in charge of these channels any more. */
  moved(channels: readonly string[]): void {
    for (const channel of channels) {
      if (!this.#routes.has(channel)) continue;
      this.#routes.set(channel, undefined);
      this.#homeless.add(channel);
    }
  }

  /** A channel is subscribed to. Tells whether it was the last of those that had moved. */
  arrived(channel: string): boolean {
    return this.#homeless.delete(channel) && this.#homeless.size === 0;
  }

  /** Tries again where no server was in charge. */
  retry(now: Millis): void {
    for (const channel of this.#homeless) {
      if (this.#routes.get(channel) === undefined) this.#route(channel, now);
    }
  }

  /** The servers in charge are others than before: opens and closes lanes, and moves channels. */
  reroute(now: Millis): void {
    const { addresses } = this.#topology;
    const wanted = new Set(addresses.map(formatAddress));
    for (const [place, lane] of this.#lanes) {
      // A node that cannot hear itself there cannot tell whether it hears.
      const isInCharge = this.laneOf(lane.canary) === lane;
      if (!wanted.has(place) || !isInCharge) this.#closeLane(lane, now);
    }
    for (const address of addresses) {
      const place = formatAddress(address);
      if (this.#lanes.has(place)) continue;
      const { isSharded, role } = this.#topology;
      const { encodeCanary, names } = this.#canary;
      const canary = this.#canaryAt(place);
      const life = names.life(canary);
      const options = { address, isSharded, role, canary, life, encodeCanary };
      this.#lanes.set(place, new Lane(this.#wires, options, now));
    }
    this.#laneList = [...this.#lanes.values()];
    for (const channel of this.#routes.keys()) this.#route(channel, now);
  }

  /** Sends what waits, and ends everything. */
  close(now: Millis): void {
    for (const lane of this.#laneList) this.#closeLane(lane, now);
    this.#laneList = [];
  }

  // Asks the server in charge for a channel, and no other one any more.
  #route(channel: string, now: Millis): void {
    const lane = this.laneOf(channel);
    const before = this.#routes.get(channel);
    if (before !== undefined && before !== lane) {
      before.unsubscribe(channel, now);
      this.#homeless.add(channel);
    }
    this.#routes.set(channel, lane);
    if (lane === undefined) this.#homeless.add(channel);
    else lane.subscribe(channel, now);
  }

  #closeLane(lane: Lane, now: Millis): void {
    this.#lanes.delete(lane.place);
    lane.close(now);
    for (const output of lane.take()) {
      if (output.kind === "write" || output.kind === "hangup") this.#outputs.push(output);
    }
    for (const [channel, route] of this.#routes) {
      if (route !== lane) continue;
      this.#routes.set(channel, undefined);
      this.#homeless.add(channel);
    }
  }

  // A channel of this node's own that the server is in charge of.
  #canaryAt(place: string): string {
    const { id, names } = this.#canary;
    for (let number = 0;; number++) {
      const channel = number === 0 ? names.node(id) : names.canary(id, number);
      const address = this.#topology.addressOf(channel);
      if (address === undefined || formatAddress(address) === place) return channel;
    }
  }
}
