import { type Millis, NO_OUTPUTS, type Wake } from "../../core/machine.ts";
import { RedisError } from "../../errors.ts";
import type { TcpAddress } from "../../runtime/tcp.ts";
import { formatAddress } from "../../runtime/tcp_address.ts";
import type { HostPort } from "../mesh/address.ts";
import type { DialerInput } from "./dialer_input.ts";
import { keySlot } from "./key_slot.ts";
import type { RedisTopology } from "./redis_options.ts";
import type { RespValue } from "./resp.ts";
import { readShards, readSlots, type SlotMap } from "./slot_map.ts";
import type { Topology, TopologyOutput } from "./topology.ts";
import { Wire, type WireContext, type WireEvent } from "./wire.ts";

/** Which nodes of the Cluster to begin with. */
export type ClusterSettings = RedisTopology & { readonly kind: "cluster" };

type Ticket = "shards" | "slots";

const ASK_MS = 5_000;
const ASK_AGAIN_MS = 250;

/**
 * The servers of a Redis Cluster, as one of them tells: it is asked every few seconds, and when a
 * server is lost or says that it is not in charge. One that tells nothing new then, or nothing at
 * all, is not asked again before the others were.
 *
 * A Cluster from before 7.0 has no sharded channels. What is published on one of its servers
 * reaches all, so one is enough there.
 */
export class ClusterTopology implements Topology {
  readonly role = "any";
  readonly #seeds: readonly HostPort[];
  readonly #isTls: boolean;
  readonly #wire: Wire<Ticket>;
  #asked: HostPort;
  #untried: HostPort[];
  #map: SlotMap | undefined;
  #isSharded = true;
  #outputs: TopologyOutput[] = [];
  #askAt: Millis;
  #askedAt: Millis = -Infinity;
  #isLooking = false;
  #isClosed = false;

  /** Starts to ask. */
  constructor(wires: WireContext, settings: ClusterSettings, now: Millis) {
    this.#seeds = settings.nodes;
    this.#isTls = wires.tls !== undefined;
    this.#asked = settings.nodes[0]!;
    this.#untried = settings.nodes.slice(1);
    this.#wire = new Wire(wires, this.#asked, now);
    this.#askAt = now + ASK_MS;
    this.handle(WAKE, now);
  }

  get isSharded(): boolean {
    return this.#isSharded;
  }

  get addresses(): readonly TcpAddress[] {
    if (this.#map === undefined) return [];
    return this.#isSharded ? this.#map.masters : this.#map.masters.slice(0, 1);
  }

  get deadline(): Millis | undefined {
    return this.#isClosed ? undefined : Math.min(this.#askAt, this.#wire.deadline ?? Infinity);
  }

  addressOf(channel: string): TcpAddress | undefined {
    return this.#isSharded ? this.#map?.masterOf(keySlot(channel)) : this.addresses[0];
  }

  handle(input: DialerInput | Wake, now: Millis): void {
    if (this.#isClosed) return;
    if (input.kind === "wake" && now >= this.#askAt) this.#ask(now);
    this.#wire.handle(input, now);
    for (const event of this.#wire.take()) this.#onEvent(event, now);
  }

  take(): TopologyOutput[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  look(now: Millis): void {
    this.#isLooking = true;
    this.#askAt = Math.min(this.#askAt, Math.max(now, this.#askedAt + ASK_AGAIN_MS));
  }

  close(now: Millis): void {
    this.#isClosed = true;
    this.#wire.close(now);
    for (const event of this.#wire.take()) {
      if (event.kind === "write" || event.kind === "hangup") this.#outputs.push(event);
    }
  }

  #ask(now: Millis): void {
    this.#askAt = now + ASK_MS;
    this.#askedAt = now;
    this.#wire.command(["CLUSTER", "SHARDS"], "shards", now);
  }

  #onEvent(event: WireEvent<Ticket>, now: Millis): void {
    switch (event.kind) {
      case "dial":
      case "write":
      case "hangup":
        this.#outputs.push(event);
        return;
      case "up":
        return this.#ask(now);
      case "reply":
        return this.#onAnswer(event.ticket, event.value, now);
      case "failed":
        return this.#onRefused(event.ticket, event.error, now);
      case "down":
        return this.#onDown(event.error, now);
      default:
        // Nothing is subscribed to over this one.
    }
  }

  #onAnswer(ticket: Ticket, value: RespValue, now: Millis): void {
    const map = ticket === "shards"
      ? readShards(value, this.#asked, this.#isTls)
      : readSlots(value, this.#asked);
    if (map === undefined || map.masters.length === 0) {
      const place = formatAddress(this.#asked);
      const message = `Cannot use the Redis Cluster: ${place} knows no server in charge of a slot`;
      return this.#moveOn(new RedisError("cluster_down", message, { server: place }), now);
    }
    this.#wire.praise();
    const wasLooking = this.#isLooking;
    this.#isLooking = false;
    if (this.#map?.digest !== map.digest) {
      this.#map = map;
      this.#isSharded = ticket === "shards";
      this.#untried = this.#others();
      this.#outputs.push({ kind: "changed" });
    } else if (wasLooking) {
      const message = `Cannot learn from ${formatAddress(this.#asked)} what has changed`;
      this.#turnTo(new RedisError("closed", message, { server: formatAddress(this.#asked) }), now);
    }
  }

  #onRefused(ticket: Ticket | undefined, error: RedisError, now: Millis): void {
    const isOld = error.code === "server_error" && /unknown|syntax/i.test(error.message);
    if (ticket === "shards" && isOld) {
      return this.#wire.command(["CLUSTER", "SLOTS"], "slots", now);
    }
    // What the end of the connection left unanswered is told by that.
    if (ticket !== undefined && error.reply !== undefined) this.#moveOn(error, now);
  }

  #onDown(error: RedisError, now: Millis): void {
    const next = this.#next();
    if (next === undefined) this.#fail(error);
    this.#wire.redial(error, next ?? this.#asked, now);
    this.#asked = next ?? this.#asked;
  }

  /** The server is of no use: the next one is asked. */
  #moveOn(error: RedisError, now: Millis): void {
    if (this.#untried.length === 0) this.#fail(error);
    this.#turnTo(error, now);
  }

  #turnTo(error: RedisError, now: Millis): void {
    const next = this.#next() ?? this.#asked;
    this.#asked = next;
    this.#wire.redial(error, next, now);
    // Its end was meant.
    for (const event of this.#wire.take()) {
      if (event.kind !== "down") this.#onEvent(event, now);
    }
  }

  #fail(error: RedisError): void {
    this.#untried = this.#others();
    this.#outputs.push({ kind: "failed", error });
  }

  #next(): HostPort | undefined {
    if (this.#untried.length === 0 && this.#map !== undefined) this.#untried = this.#others();
    return this.#untried.shift();
  }

  // Those that are known, then those that were told at first.
  #others(): HostPort[] {
    const asked = formatAddress(this.#asked);
    const servers = [...this.#map?.servers ?? [], ...this.#seeds];
    return servers.filter((server) => formatAddress(server) !== asked);
  }
}

const WAKE: Wake = { kind: "wake" };
