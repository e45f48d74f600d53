import { ByteWriter } from "../../core/byte_writer.ts";
import { type Machine, type Millis, NO_OUTPUTS, type Wake } from "../../core/machine.ts";
import { BROADCAST_CHANNEL } from "../../core/message.ts";
import type { NodeId } from "../../core/node.ts";
import { RedisError } from "../../errors.ts";
import type { BackplaneState, BackplaneStats } from "../backplane.ts";
import { explain } from "./access_line.ts";
import type { Lane, LaneOutput } from "./lane.ts";
import { Outbox } from "./outbox.ts";
import { decodePacket, encodePacket, isFrom, PACKET_TYPE, type PacketBody } from "./packet.ts";
import { mayPass } from "./passing_error.ts";
import { RedisCounts } from "./redis_counts.ts";
import type { DialerInput } from "./dialer_input.ts";
import type { RedisInput } from "./redis_input.ts";
import { RedisNames } from "./redis_names.ts";
import type { RedisSettings } from "./redis_options.ts";
import type { RedisOutput, WireOutput } from "./redis_output.ts";
import { ABSENCE_CHECK_MS, type Look, Roster, type RosterOutput } from "./roster.ts";
import { Routes } from "./routes.ts";
import type { Topology, TopologyOutput } from "./topology.ts";
import type { WireContext } from "./wire.ts";

/** Who this node is, and what it needs of the world. */
export interface RedisContext {
  /** This node. */
  readonly id: NodeId;
  /** The operator's name for it. */
  readonly name: string;
  /** What all connections share. */
  readonly wires: WireContext;
}

type SendInput = Extract<RedisInput, { readonly kind: "send" }>;
/** `delayed` is a start that was given up as such, and has not come to anything yet. */
type Phase = "starting" | "delayed" | "running" | "left";

const TICK_MS = ABSENCE_CHECK_MS;
/** A server that answers may still not serve: a start waits for so long, beyond the connecting. */
const START_MS = 10_000;
/** A break that heals sooner is no state to report: the peers are told anew, and that is all. */
const GRACE_MS = 1_000;
/**
 * How long it may take, beyond a pause, until another node's subscriptions are confirmed: to learn
 * which server is in charge now, and to connect.
 */
const RETURN_MS = 3_000;

/**
 * A node's way to the others over Redis: who is there, what is subscribed to, what is published.
 *
 * Redis forgets what nobody hears. So whenever the way of this node was broken and is back, it
 * asks all others to begin anew with it, and they repair what it missed. While it is broken,
 * nobody is taken for dead.
 */
export class Redis implements Machine<RedisInput, RedisOutput> {
  readonly #context: RedisContext;
  readonly #settings: RedisSettings;
  readonly #names: RedisNames;
  readonly #topology: Topology;
  readonly #roster: Roster;
  readonly #outbox = new Outbox();
  readonly #counts = new RedisCounts();
  readonly #writer = new ByteWriter();
  readonly #idBytes: Uint8Array;
  readonly #routes: Routes;
  /** Who has a connection, by its number. */
  readonly #owners = new Map<number, Lane | Topology>();
  #outputs: RedisOutput[] = [];
  #phase: Phase = "starting";
  #isOpen = false;
  #state: BackplaneState = "down";
  #brokenSince: Millis | undefined;
  #isDropping = false;
  /** Whether broadcasts were asked for: the channel is subscribed to in any case. */
  #hearsBroadcasts = false;
  #tickAt: Millis;

  /** Starts to connect. */
  constructor(context: RedisContext, settings: RedisSettings, topology: Topology, now: Millis) {
    this.#context = context;
    this.#settings = settings;
    this.#topology = topology;
    this.#names = new RedisNames(settings.channel);
    this.#roster = new Roster(context.id, settings.reconnectMaxMs + RETURN_MS);
    this.#idBytes = new TextEncoder().encode(context.id);
    this.#tickAt = now + TICK_MS;
    this.#brokenSince = now;
    this.#routes = new Routes(context.wires, topology, {
      id: context.id,
      names: this.#names,
      encodeCanary: (number) => this.#encode({ kind: "canary", number }),
    });
    this.#routes.add(this.#names.all, now);
    this.#routes.add(this.#ownChannel, now);
    // Every node hears broadcasts sooner or later, and so it is known whether the user may.
    this.#routes.add(this.#names.channel(BROADCAST_CHANNEL), now);
    this.#reroute(now);
    this.#settle(now);
  }

  /** Now if something waits to be written, else the next tick. */
  get deadline(): Millis | undefined {
    if (this.#phase === "left") return undefined;
    if (!this.#outbox.isEmpty) return -Infinity;
    return Math.min(this.#tickAt, this.#topology.deadline ?? Infinity, this.#routes.deadline);
  }

  /** Counters and gauges. */
  get stats(): BackplaneStats {
    return {
      links: this.#roster.upCount,
      servers: this.#routes.lanes.length,
      subscriptions: this.#routes.channelCount,
      queueBytes: this.#queuedBytes,
      ...this.#counts.snapshot(),
    };
  }

  /** Applies one input. */
  handle(input: RedisInput, now: Millis): void {
    if (this.#phase === "left") return;
    // It waits for the end of the tick, and nobody else has anything to say about it.
    if (input.kind === "send") return this.#send(input);
    this.#apply(input, now);
    this.#settle(now);
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): RedisOutput[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #apply(input: Exclude<RedisInput, SendInput>, now: Millis): void {
    switch (input.kind) {
      case "subscribe":
        return this.#subscribe(input.channel, now);
      case "unsubscribe":
        if (input.channel === BROADCAST_CHANNEL) return;
        return this.#routes.remove(this.#names.channel(input.channel), now);
      case "rebuild":
        return this.#roster.rebuild(input.node, now);
      case "discover":
        return this.#roster.discover();
      case "leave":
        return this.#leave(now);
      case "wake":
        return this.#wake(now);
      default:
        return this.#onWire(input, now);
    }
  }

  #subscribe(channel: string, now: Millis): void {
    const name = this.#names.channel(channel);
    if (channel !== BROADCAST_CHANNEL) return this.#routes.add(name, now);
    this.#hearsBroadcasts = true;
    if (this.#routes.isReady(name)) this.#outputs.push({ kind: "subscribed", channel });
  }

  #onWire(input: DialerInput, now: Millis): void {
    if (input.kind === "bytes") this.#counts.bytesIn += input.chunk.byteLength;
    const owner = this.#owners.get(input.connection);
    if (input.kind === "ended" || input.kind === "dial_failed") {
      this.#owners.delete(input.connection);
    }
    if (owner !== undefined) owner.handle(input, now);
    // Its owner is gone: the server is none of ours any more.
    else if (input.kind === "opened") {
      this.#outputs.push({ kind: "hangup", connection: input.connection, isGraceful: false });
    }
  }

  #send({ nodes, payload, channel }: SendInput): void {
    const targets = nodes === undefined ? undefined : this.#reachable(nodes);
    const count = targets?.length ?? this.#roster.upCount;
    if (count === 0 || !this.#hasRoom(payload, channel !== undefined)) return;
    this.#counts.payloadsOut++;
    if (targets === undefined) this.#outbox.addToMany(this.#names.all, payload);
    else if (channel !== undefined && count > 1) {
      this.#outbox.addToMany(this.#names.channel(channel), payload);
    } else {
      for (const node of targets) this.#outbox.addToNode(this.#names.node(node), payload);
    }
  }

  #reachable(nodes: Iterable<NodeId>): NodeId[] {
    const reachable: NodeId[] = [];
    for (const node of nodes) if (this.#roster.isUp(node)) reachable.push(node);
    return reachable;
  }

  // What the log cannot repeat has as much room again.
  #hasRoom(payload: Uint8Array, isRepeatable: boolean): boolean {
    const waiting = this.#queuedBytes + payload.byteLength;
    const { queueBytesMax } = this.#settings;
    if (waiting <= (isRepeatable ? queueBytesMax : 2 * queueBytesMax)) return true;
    this.#counts.messagesDropped++;
    this.#isDropping = true;
    return false;
  }

  // The servers in charge are others than before, or may be.
  #reroute(now: Millis): void {
    this.#routes.reroute(now);
    for (const [connection, owner] of this.#owners) {
      const isGone = owner !== this.#topology && !this.#routes.lanes.includes(owner as Lane);
      if (isGone) this.#owners.delete(connection);
    }
    for (const output of this.#routes.take()) this.#perform(output);
    this.#roster.distrust(now);
    this.#review(now);
  }

  get #queuedBytes(): number {
    return this.#outbox.byteLength + this.#routes.queuedBytes;
  }

  #wake(now: Millis): void {
    this.#flush(now);
    this.#topology.handle(WAKE, now);
    for (const lane of this.#routes.lanes) lane.handle(WAKE, now);
    if (now < this.#tickAt) return;
    this.#tickAt = now + TICK_MS;
    this.#roster.tick(now);
    this.#countListeners(now);
    this.#relieve();
    this.#routes.retry(now);
    if (this.#brokenSince === undefined) return;
    // Another server may be in charge by now, and nobody tells unasked.
    this.#topology.look(now);
    if (now >= this.#brokenSince + GRACE_MS) this.#report("down");
    const startMs = START_MS + this.#settings.connectTimeoutMs;
    if (this.#phase === "starting" && now >= this.#brokenSince + startMs) {
      const message =
        `Cannot use Redis: after ${startMs} ms it does not serve every channel that ` +
        `this node needs`;
      this.#onFailed(new RedisError("timed_out", message));
    }
  }

  #flush(now: Millis): void {
    for (const { channel, payloads } of this.#outbox.take()) {
      this.#publish(channel, { kind: "payloads", payloads }, now);
    }
  }

  #publish(channel: string, body: PacketBody, now: Millis): void {
    const lane = this.#routes.laneOf(channel);
    if (lane === undefined || !lane.isWritable) {
      this.#counts.packetsDropped++;
      return;
    }
    this.#counts.packetsOut++;
    lane.publish(channel, this.#encode(body), now);
  }

  #encode(body: PacketBody): Uint8Array {
    return encodePacket(this.#writer, this.#context.id, body);
  }

  #countListeners(now: Millis): void {
    const byLane = new Map<Lane, string[]>();
    for (const node of this.#roster.suspects(now)) {
      const channel = this.#names.node(node);
      const lane = this.#routes.laneOf(channel);
      if (lane?.isReady !== true) continue;
      const channels = byLane.get(lane) ?? [];
      byLane.set(lane, channels);
      channels.push(channel);
      // Not for all: with many nodes this is most of what the server is asked.
      if (this.#roster.isAbsent(node)) channels.push(this.#names.life(channel));
    }
    for (const [lane, channels] of byLane) lane.countListeners(channels, now);
  }

  #relieve(): void {
    if (!this.#isDropping) return;
    if (this.#queuedBytes > this.#settings.queueBytesMax / 2) return;
    this.#isDropping = false;
    for (const node of this.#roster.upNodes) this.#outputs.push({ kind: "dropped", node });
  }

  #settle(now: Millis): void {
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      for (const lane of this.#routes.lanes) {
        for (const output of lane.take()) {
          isBusy = true;
          this.#onLane(lane, output, now);
          // Who is up by what came is so before what came behind it.
          this.#settleRoster(now);
        }
      }
      for (const output of this.#topology.take()) {
        isBusy = true;
        this.#onTopology(output, now);
      }
      isBusy = this.#settleRoster(now) || isBusy;
    }
  }

  #settleRoster(now: Millis): boolean {
    const outputs = this.#roster.take();
    for (const output of outputs) this.#onRoster(output, now);
    return outputs.length > 0;
  }

  #onLane(lane: Lane, output: LaneOutput, now: Millis): void {
    switch (output.kind) {
      case "message":
        return this.#onMessage(lane, output.payload, now);
      case "dial":
        this.#owners.set(output.connection, lane);
        return this.#perform(output);
      case "write":
      case "hangup":
        return this.#perform(output);
      case "subscribed":
        return this.#onSubscribed(output.channel, now);
      case "ready":
        return this.#onReady(now);
      case "lost":
        this.#counts.breaks++;
        if (output.isDeaf) this.#counts.deaf++;
        this.#outputs.push({ kind: "fault", error: output.error });
        this.#topology.look(now);
        this.#review(now);
        return output.isDeaf ? this.#report("down") : undefined;
      case "failed":
        this.#topology.look(now);
        return this.#onFailed(output.error);
      case "listeners":
        return this.#onListeners(output);
      case "moved":
        this.#routes.moved(output.channels);
        return this.#topology.look(now);
      case "dropped":
        this.#counts.packetsDropped++;
        return;
      case "relieved":
        return this.#relieve();
      case "fault":
        this.#outputs.push({ kind: "fault", error: explain(output.error, this.#settings) });
    }
  }

  #onTopology(output: TopologyOutput, now: Millis): void {
    switch (output.kind) {
      case "dial":
        this.#owners.set(output.connection, this.#topology);
        return this.#perform(output);
      case "write":
      case "hangup":
        return this.#perform(output);
      case "changed":
        return this.#reroute(now);
      case "failed":
        return this.#onFailed(output.error);
    }
  }

  #onRoster(output: RosterOutput, now: Millis): void {
    switch (output.kind) {
      case "up":
        this.#outputs.push({ kind: "up", node: { ...output.node, address: "" } });
        return;
      case "tell": {
        const { to, wants } = output;
        const channel = to === undefined ? this.#names.all : this.#names.node(to);
        return this.#publish(channel, { kind: "here", name: this.#context.name, wants }, now);
      }
      default:
        this.#outputs.push(output);
    }
  }

  #onMessage(lane: Lane, bytes: Uint8Array, now: Millis): void {
    if (isFrom(bytes, this.#idBytes)) {
      this.#counts.packetsOwn++;
      const packet = bytes[0] === PACKET_TYPE.canary ? decodePacket(bytes) : undefined;
      if (packet?.kind === "canary") lane.canaryHeard(packet.number, now);
      return;
    }
    this.#counts.packetsIn++;
    const packet = decodePacket(bytes);
    switch (packet?.kind) {
      case "payloads":
        return this.#onPayloads(packet.from, packet.payloads, now);
      case "here":
        return this.#roster.here(packet.from, packet.name, packet.wants);
      case "goodbye":
        return this.#roster.goodbye(packet.from);
      default:
        this.#counts.packetsUnknown++;
    }
  }

  #onPayloads(from: NodeId, payloads: readonly Uint8Array[], now: Millis): void {
    if (!this.#roster.heard(from, now)) {
      this.#counts.payloadsOfStrangers += payloads.length;
      return;
    }
    this.#counts.payloadsIn += payloads.length;
    for (const payload of payloads) this.#outputs.push({ kind: "received", node: from, payload });
  }

  #onSubscribed(name: string, now: Millis): void {
    const channel = this.#names.chorusChannel(name);
    const isAsked = channel !== BROADCAST_CHANNEL || this.#hearsBroadcasts;
    if (channel !== undefined && isAsked) this.#outputs.push({ kind: "subscribed", channel });
    if (this.#routes.arrived(name)) this.#onReady(now);
  }

  #onListeners(output: LaneOutput & { readonly kind: "listeners" }): void {
    const { counts, askedAt } = output;
    const found = new Map<NodeId, Look>();
    for (const [channel, count] of counts) {
      const node = this.#names.nodeOf(channel);
      if (node === undefined) continue;
      const other = found.get(node);
      const isThorough = other !== undefined;
      found.set(node, { count: count + (other?.count ?? 0), isThorough, askedAt });
    }
    for (const [node, look] of found) this.#roster.looked(node, look);
  }

  #onReady(now: Millis): void {
    const wasOpen = this.#isOpen;
    this.#review(now);
    // What came over this server, or in this channel, while it was lost is missing, though the
    // others stayed.
    if (wasOpen && this.#isOpen) this.#roster.opened(now);
  }

  #onFailed(failure: RedisError): void {
    const error = explain(failure, this.#settings);
    const isPassing = mayPass(failure);
    if (this.#phase === "starting") {
      if (isPassing) this.#phase = "delayed";
      this.#outputs.push({ kind: isPassing ? "delayed" : "failed", error });
    } else if (this.#phase === "running" || !isPassing) {
      this.#outputs.push({ kind: "fault", error });
    }
  }

  #review(now: Millis): void {
    const canMeet = this.#routes.isReady(this.#names.all) && this.#routes.isReady(this.#ownChannel);
    // Where a server is missing from the start nobody is told that all is well.
    const isOpen = canMeet && (this.#phase !== "starting" || this.#routes.isWhole);
    if (this.#routes.isWhole) {
      this.#brokenSince = undefined;
      this.#report("up");
    } else this.#brokenSince ??= now;
    if (isOpen === this.#isOpen) return;
    this.#isOpen = isOpen;
    if (!isOpen) return this.#roster.closed();
    this.#roster.opened(now);
    if (this.#phase === "starting") this.#outputs.push({ kind: "started" });
    this.#phase = "running";
  }

  get #ownChannel(): string {
    return this.#names.node(this.#context.id);
  }

  #report(state: BackplaneState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#outputs.push({ kind: "state", state });
  }

  #perform(output: WireOutput): void {
    if (output.kind === "write") {
      for (const part of output.parts) this.#counts.bytesOut += part.byteLength;
    }
    this.#outputs.push(output);
  }

  #leave(now: Millis): void {
    this.#flush(now);
    if (this.#isOpen) this.#publish(this.#names.all, { kind: "goodbye" }, now);
    this.#routes.close(now);
    this.#topology.close(now);
    for (const output of [...this.#routes.take(), ...this.#topology.take()]) {
      if (output.kind === "write" || output.kind === "hangup") this.#perform(output);
    }
    this.#phase = "left";
  }
}

const WAKE: Wake = { kind: "wake" };
