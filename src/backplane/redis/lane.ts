import { type Machine, type Millis, NO_OUTPUTS, type Wake } from "../../core/machine.ts";
import { RedisError } from "../../errors.ts";
import type { TcpAddress } from "../../runtime/tcp.ts";
import { formatAddress } from "../../runtime/tcp_address.ts";
import type { DialerInput } from "./dialer_input.ts";
import type { ServerIdentity } from "./handshake.ts";
import { type ListenerCounts, readListenerCounts } from "./listener_counts.ts";
import type { WireOutput } from "./redis_output.ts";
import type { RespValue } from "./resp.ts";
import { type RoleDemand, RoleWatch } from "./role_watch.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Wire, type WireContext, type WireEvent } from "./wire.ts";

/** How a lane is used. */
export interface LaneOptions {
  /** The server. */
  readonly address: TcpAddress;
  /** Whether channels are sharded, as in a Redis Cluster. */
  readonly isSharded: boolean;
  /** What the server has to be. */
  readonly role: RoleDemand;
  /** The channel in which this node hears itself. */
  readonly canary: string;
  /** The channel by which this node shows that it is there, when the way that hears is broken. */
  readonly life: string;
  /** Makes the canary with a number. */
  readonly encodeCanary: (number: number) => Uint8Array;
}

/** What a lane asks of its driver and tells its owner. */
export type LaneOutput =
  | WireOutput
  /** Everything is subscribed to, and it was proved that messages come through. */
  | { readonly kind: "ready" }
  /** They do no longer. `isDeaf` tells that it took a while to find out. */
  | { readonly kind: "lost"; readonly error: RedisError; readonly isDeaf: boolean }
  /** It could not become ready, and goes on trying. */
  | { readonly kind: "failed"; readonly error: RedisError }
  | { readonly kind: "subscribed"; readonly channel: string }
  | { readonly kind: "message"; readonly channel: string; readonly payload: Uint8Array }
  | { readonly kind: "listeners"; readonly counts: ListenerCounts; readonly askedAt: Millis }
  /** The server is not in charge of these channels any more, or of what was asked of it. */
  | { readonly kind: "moved"; readonly channels: readonly string[] }
  /** So many packets were not sent. */
  | { readonly kind: "dropped" }
  /** What was dropped may be offered again. */
  | { readonly kind: "relieved" }
  | { readonly kind: "fault"; readonly error: RedisError };

type Ticket =
  | { readonly kind: "listeners"; readonly askedAt: Millis }
  | { readonly kind: "role" };

/** How often it is proved that messages come through. */
export const CANARY_MS = 500;
/** How long none may come through. Less than the 3 s of P13, by the grain of the time. */
export const CANARY_LIMIT_MS = 2_500;
/** How often something that the server refused is tried again: it may be busy, or told to allow it. */
const RETRY_MS = 1_000;
/** Names in one command: about 100 KB at most. */
const SUBSCRIBE_NAMES_MAX = 400;
// A wake that comes this much later than asked for says that this process stood still.
const STALL_MS = 1_000;
const TICK_MS = 100;
/** Answers that say that the channel is to be found elsewhere, or nowhere for now. */
const ELSEWHERE: readonly RedisError["code"][] = ["moved", "ask", "cluster_down", "read_only"];

/**
 * The way over one server: a connection for commands and one for subscriptions. Both are seen by
 * the other nodes, so that a node whose reader the server dropped is not taken for dead.
 *
 * It is ready when all that is wanted is subscribed to and a canary has made the whole way: from
 * the one connection through the server to the other. A connection that is there and hears no
 * canary is deaf, and built anew.
 */
export class Lane implements Machine<DialerInput | Wake, LaneOutput> {
  readonly #options: LaneOptions;
  readonly #commands: Wire<Ticket>;
  readonly #listener: Wire<Ticket>;
  readonly #subscriptions = new Subscriptions();
  /** Wanted channels that are not subscribed to yet, since the connection is there. */
  readonly #awaited = new Set<string>();
  /** Wanted channels that the server refused: one after the other is tried again. */
  readonly #refused = new Set<string>();
  #retried: string | undefined;
  #retryAt: Millis = -Infinity;
  #refusedAt: Millis = -Infinity;
  #outputs: LaneOutput[] = [];
  #isReady = false;
  #isClosed = false;
  #isAllowed = false;
  readonly #role: RoleWatch;
  /** Whether the canary's channel is subscribed to. */
  #isListening = false;
  #canarySentAt: Millis = -Infinity;
  /** When a canary came through, or the wait for one began. */
  #canaryHeardAt: Millis = Infinity;
  #isCanaryHeard = false;
  #canaries = 0;
  #canariesFrom = 1;
  #tickAt: Millis;
  #rebuilds = 0;

  /** Starts to connect. */
  constructor(context: WireContext, options: LaneOptions, now: Millis) {
    this.#options = options;
    this.#role = new RoleWatch(options.role);
    this.#commands = new Wire(context, options.address, now);
    this.#listener = new Wire(context, options.address, now);
    this.#subscriptions.want([options.canary]);
    this.#tickAt = now + TICK_MS;
    this.#listener.handle(WAKE, now);
    this.#commands.handle(WAKE, now);
    this.#settle(now);
  }

  /** The server, as `"host:port"` or a path. */
  get place(): string {
    return formatAddress(this.#options.address);
  }

  /** Whether messages come through. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether commands can be sent, whether or not they are heard. */
  get isWritable(): boolean {
    return this.#commands.server !== undefined;
  }

  /** The channel in which this node hears itself. */
  get canary(): string {
    return this.#options.canary;
  }

  /** Bytes that wait for the server. */
  get queuedBytes(): number {
    return this.#commands.queuedBytes + this.#listener.queuedBytes;
  }

  /** Times that it was deaf. */
  get rebuilds(): number {
    return this.#rebuilds;
  }

  /** The numbers of its connections. */
  get wires(): readonly number[] {
    return [this.#commands.number, this.#listener.number];
  }

  /** When it wants to be woken: now if something waits to be written. */
  get deadline(): Millis | undefined {
    if (this.#isClosed) return undefined;
    const { deadline: commands = Infinity } = this.#commands;
    const { deadline: listener = Infinity } = this.#listener;
    return Math.min(commands, listener, this.#tickAt);
  }

  /** Applies one input. */
  handle(input: DialerInput | Wake, now: Millis): void {
    if (this.#isClosed) return;
    this.#commands.handle(input, now);
    this.#listener.handle(input, now);
    if (input.kind === "wake" && now >= this.#tickAt) this.#tick(now);
    this.#settle(now);
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): LaneOutput[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  /** Asks for the messages of a channel; answered by `subscribed`, also after each break. */
  subscribe(channel: string, now: Millis): void {
    if (this.#refused.has(channel)) return;
    this.#request("SUBSCRIBE", this.#subscriptions.want([channel]), now);
  }

  /** Takes back `subscribe`. */
  unsubscribe(channel: string, now: Millis): void {
    this.#awaited.delete(channel);
    this.#refused.delete(channel);
    if (this.#listener.server === undefined) this.#subscriptions.forget([channel]);
    else this.#request("UNSUBSCRIBE", this.#subscriptions.leave([channel]), now);
    this.#review();
  }

  /** Publishes a packet at the end of the tick, if the server takes commands. */
  publish(channel: string, packet: Uint8Array, now: Millis): void {
    if (!this.isWritable) {
      this.#outputs.push({ kind: "dropped" });
      return;
    }
    this.#commands.command([this.#verb("PUBLISH"), channel, packet], undefined, now);
  }

  /** Asks how many connections listen to channels, which must be this server's. */
  countListeners(channels: readonly string[], now: Millis): void {
    const verb = this.#options.isSharded ? "SHARDNUMSUB" : "NUMSUB";
    const ticket: Ticket = { kind: "listeners", askedAt: now };
    this.#commands.command(["PUBSUB", verb, ...channels], ticket, now);
  }

  /** A canary came in. */
  canaryHeard(number: number, now: Millis): void {
    // One from before the last break proves nothing about what there is now.
    if (number < this.#canariesFrom) return;
    this.#canaryHeardAt = now;
    this.#isCanaryHeard = true;
    this.#review();
  }

  /** Sends what waits, and ends both connections for good. */
  close(now: Millis): void {
    if (this.#isClosed) return;
    this.#commands.close(now);
    this.#listener.close(now);
    this.#settle(now);
    this.#isClosed = true;
    this.#isReady = false;
  }

  get #hasWay(): boolean {
    if (this.#commands.server === undefined || this.#listener.server === undefined) return false;
    return this.#isListening;
  }

  #tick(now: Millis): void {
    if (now > this.#tickAt + STALL_MS) this.#canaryHeardAt += now - this.#tickAt;
    this.#tickAt = now + TICK_MS;
    this.#askRole(now);
    if (now >= this.#retryAt) this.#retry(now);
    if (now < this.#canaryHeardAt + CANARY_LIMIT_MS || !this.#hasWay) return;
    const silentMs = Math.round(now - this.#canaryHeardAt);
    const message = `Cannot hear Redis at ${this.place}: its connection is there, and brought ` +
      `nothing of what was published for ${silentMs} ms; it is built anew`;
    this.#rebuilds++;
    const error = new RedisError("timed_out", message, { server: this.place });
    this.#lose(error, true);
    this.#redialListener(error, now);
  }

  #redialListener(error: RedisError, now: Millis): void {
    if (this.#listener.server !== undefined) {
      this.#listener.redial(error, this.#options.address, now);
    }
  }

  #askRole(now: Millis): void {
    const { server } = this.#commands;
    const question = server === undefined ? undefined : this.#role.question(server.protocol, now);
    if (question !== undefined) this.#commands.command(question, { kind: "role" }, now);
  }

  #retry(now: Millis): void {
    this.#retryAt = now + RETRY_MS;
    if (!this.#isAllowed && this.#commands.server !== undefined) {
      this.countListeners([this.#options.canary], now);
    }
    const [channel] = this.#refused;
    if (channel === undefined || this.#listener.server === undefined) return;
    this.#retried = channel;
    this.#wantAgain([channel], now);
  }

  #wantAgain(channels: readonly string[], now: Millis): void {
    for (const channel of channels) this.#refused.delete(channel);
    // Each by itself, so that none is refused for another.
    for (const channel of this.#subscriptions.want(channels)) {
      this.#request("SUBSCRIBE", [channel], now);
    }
  }

  #settle(now: Millis): void {
    for (const event of this.#commands.take()) this.#onCommands(event, now);
    for (const event of this.#listener.take()) this.#onListener(event, now);
    this.#sendCanary(now);
    // What one of them decides may make the other speak.
    for (const event of this.#commands.take()) this.#onCommands(event, now);
  }

  // The first one goes as soon as it can come back, and is repeated soon.
  #sendCanary(now: Millis): void {
    const pauseMs = this.#isCanaryHeard ? CANARY_MS : TICK_MS;
    if (now < this.#canarySentAt + pauseMs || !this.#hasWay) return;
    this.#canarySentAt = now;
    const packet = this.#options.encodeCanary(++this.#canaries);
    this.publish(this.#options.canary, packet, now);
  }

  #onCommands(event: WireEvent<Ticket>, now: Millis): void {
    switch (event.kind) {
      case "dial":
      case "write":
      case "hangup":
      case "relieved":
        this.#outputs.push(event);
        return;
      case "up":
        return this.#onCommandsUp(event.server, now);
      case "reply":
        return this.#onReply(event.ticket, event.value, now);
      case "failed":
        return this.#onFailed(event.ticket, event.error, now);
      case "down":
        this.#isAllowed = false;
        this.#role.lost();
        this.#onDown(event.error);
        // What was silent for one is not waited for by the other as well.
        if (isSilence(event.error)) this.#redialListener(event.error, now);
        return;
      default:
        // Of the sign of life, for which nobody waits.
    }
  }

  #onCommandsUp({ protocol, role }: ServerIdentity, now: Millis): void {
    if (!this.#role.greeted(role)) return this.#leaveDemoted(now);
    this.#awaitCanary(now);
    // In RESP2 a connection that subscribes can do nothing else.
    if (protocol === 3) {
      this.#commands.subscription(this.#verb("SUBSCRIBE"), [this.#options.life], now);
    }
    // Whether this is allowed must be known before it is needed.
    this.countListeners([this.#options.canary], now);
    this.#askRole(now);
  }

  #onReply(ticket: Ticket, value: RespValue, now: Millis): void {
    if (ticket.kind === "listeners") {
      this.#isAllowed = true;
      const counts = readListenerCounts(value);
      this.#outputs.push({ kind: "listeners", counts, askedAt: ticket.askedAt });
      return this.#review();
    }
    if (this.#role.answered(value)) this.#review();
    else this.#leaveDemoted(now);
  }

  // Both ways: who only listens to a replica hears the canaries that its master passes on.
  #leaveDemoted(now: Millis): void {
    const message = `Cannot use Redis at ${this.place}: it is no master any more`;
    const error = new RedisError("read_only", message, { server: this.place });
    this.#commands.redial(error, this.#options.address, now);
    this.#listener.redial(error, this.#options.address, now);
    this.#outputs.push({ kind: "moved", channels: [] });
  }

  #onFailed(ticket: Ticket | undefined, error: RedisError, now: Millis): void {
    if (ELSEWHERE.includes(error.code)) {
      this.#outputs.push({ kind: "moved", channels: [] }, { kind: "dropped" });
      return;
    }
    if (ticket === undefined) this.#outputs.push({ kind: "dropped" });
    // What was under way when a connection broke is told by its end.
    if (error.code !== "no_permission" && error.code !== "server_error") return;
    // A server that refuses everything is not complained of for each packet.
    if (this.#isReady && now < this.#refusedAt + RETRY_MS) return;
    this.#refusedAt = now;
    this.#refuse(error);
  }

  #refuse(error: RedisError): void {
    this.#outputs.push({ kind: this.#isReady ? "fault" : "failed", error });
  }

  #onListener(event: WireEvent<Ticket>, now: Millis): void {
    if ("payload" in event) {
      const { channel, payload } = event;
      this.#outputs.push({ kind: "message", channel, payload });
      return;
    }
    switch (event.kind) {
      case "dial":
      case "write":
      case "hangup":
        this.#outputs.push(event);
        return;
      case "up":
        return this.#onListenerUp(now);
      case "subscribed":
        return this.#onSubscribed(event.channel, now);
      case "unsubscribed":
        this.#subscriptions.confirmed(event.channel, false);
        return event.isAsked ? undefined : this.#onMoved([event.channel]);
      case "subscription_failed":
        return this.#onSubscriptionFailed(event.channels, event.error);
      case "down":
        this.#isListening = false;
        this.#subscriptions.disconnected();
        return this.#onDown(event.error);
      default:
        // No commands are sent over this one.
    }
  }

  #onListenerUp(now: Millis): void {
    this.#subscriptions.want([...this.#refused]);
    this.#refused.clear();
    const channels = this.#subscriptions.wanted();
    this.#awaited.clear();
    for (const channel of channels) this.#awaited.add(channel);
    this.#request("SUBSCRIBE", channels, now);
    this.#awaitCanary(now);
  }

  #request(verb: "SUBSCRIBE" | "UNSUBSCRIBE", channels: readonly string[], now: Millis): void {
    if (this.#listener.server === undefined) return;
    this.#subscriptions.requested(channels);
    // Channels of one command must be of one slot.
    const size = this.#options.isSharded ? 1 : SUBSCRIBE_NAMES_MAX;
    for (let start = 0; start < channels.length; start += size) {
      this.#listener.subscription(this.#verb(verb), channels.slice(start, start + size), now);
    }
  }

  #onSubscribed(channel: string, now: Millis): void {
    if (this.#subscriptions.confirmed(channel, true) !== "subscribed") return;
    if (channel === this.#options.canary) {
      this.#isListening = true;
      this.#awaitCanary(now);
    }
    this.#outputs.push({ kind: "subscribed", channel });
    this.#awaited.delete(channel);
    // What one is allowed the others may be too.
    if (channel === this.#retried) this.#wantAgain([...this.#refused], now);
    this.#review();
  }

  #onSubscriptionFailed(channels: readonly string[], error: RedisError): void {
    const refused = this.#subscriptions.refused(channels);
    if (ELSEWHERE.includes(error.code)) return this.#onMoved(refused);
    for (const channel of refused) this.#refused.add(channel);
    this.#refuse(error);
  }

  #onMoved(channels: readonly string[]): void {
    for (const channel of channels) this.#awaited.delete(channel);
    if (channels.includes(this.#options.canary)) this.#isListening = false;
    this.#outputs.push({ kind: "moved", channels });
  }

  #awaitCanary(now: Millis): void {
    this.#isCanaryHeard = false;
    this.#canaryHeardAt = now;
    this.#canarySentAt = -Infinity;
    this.#canariesFrom = this.#canaries + 1;
  }

  #onDown(error: RedisError): void {
    if (this.#isReady) return this.#lose(error, isSilence(error));
    if (!this.#isClosed) this.#outputs.push({ kind: "failed", error });
  }

  #lose(error: RedisError, isDeaf: boolean): void {
    this.#isCanaryHeard = false;
    if (!this.#isReady) return;
    this.#isReady = false;
    this.#outputs.push({ kind: "lost", error, isDeaf });
  }

  #review(): void {
    if (this.#isReady || !this.#isCanaryHeard || !this.#hasWay) return;
    if (this.#awaited.size > 0 || !this.#isAllowed || !this.#role.isWell) return;
    this.#isReady = true;
    this.#commands.praise();
    this.#listener.praise();
    this.#outputs.push({ kind: "ready" });
  }

  #verb<Verb extends "SUBSCRIBE" | "UNSUBSCRIBE" | "PUBLISH">(verb: Verb): Verb | `S${Verb}` {
    return this.#options.isSharded ? `S${verb}` : verb;
  }
}

const WAKE: Wake = { kind: "wake" };

function isSilence({ code }: RedisError): boolean {
  return code === "timed_out";
}
