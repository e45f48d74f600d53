import { Deque } from "../../core/deque.ts";
import { type Machine, type Millis, NO_OUTPUTS } from "../../core/machine.ts";
import { RedisError, type RedisErrorCode } from "../../errors.ts";
import { CommandWriter, type RedisCommand } from "./command_writer.ts";
import type { ConnectionInput } from "./connection_input.ts";
import type { ConnectionOutput } from "./connection_output.ts";
import type { ConnectionSettings } from "./connection_settings.ts";
import { Handshake, type ServerIdentity } from "./handshake.ts";
import { toRedisError } from "./reply_error.ts";
import { RespError, RespMessage, RespPush, respText, type RespValue } from "./resp.ts";
import { type RespDecoded, RespDecoder } from "./resp_decoder.ts";
import { isShardedVerb, type SubscriptionVerb } from "./subscription_verb.ts";

/** A command whose answer has not come: its owner's ticket, or the channels that it is about. */
interface Pending<Ticket> {
  readonly name: string;
  readonly ticket: Ticket | undefined;
  /** The channels of a subscription that are not confirmed yet; `undefined` for a command. */
  readonly channels: Set<string> | undefined;
  readonly sentAt: Millis;
}

type State =
  | { readonly name: "greeting"; readonly handshake: Handshake; readonly until: Millis }
  | { readonly name: "open"; readonly server: ServerIdentity }
  | { readonly name: "closed" };

const CLOSED: State = { name: "closed" };
const PING = "PING";
// A wake that comes this much later than asked for says that this process stood still.
const STALL_MS = 1_000;

/**
 * One connection to one Redis server: greeting, commands and their answers, subscriptions, silence.
 *
 * ```text
 * greeting --answered--> open --close | end | silence | bytes that are no RESP--> closed
 *     '------refused | end | time limit | bytes that are no RESP-------------------^
 * ```
 *
 * Commands of one tick are written at the end of it, joined. Answers come in the order of the
 * commands. What is at the bound is refused at once and counted; what waits keeps its place. It
 * does not come back after its end: who owns it makes another.
 */
export class Connection<Ticket>
  implements Machine<ConnectionInput<Ticket>, ConnectionOutput<Ticket>> {
  readonly #settings: ConnectionSettings;
  readonly #address: string;
  readonly #decoder = new RespDecoder();
  readonly #writer = new CommandWriter();
  readonly #pending = new Deque<Pending<Ticket>>();
  #state: State;
  #outputs: ConnectionOutput<Ticket>[] = [];
  #heardAt: Millis;
  #answeredAt: Millis;
  #queuedBytes = 0;
  #isFull: RedisError | undefined;
  #refusedCommands = 0;
  #unknownPushes = 0;

  /** Starts the greeting. `address` is for people. */
  constructor(settings: ConnectionSettings, address: string, now: Millis) {
    this.#settings = settings;
    this.#address = address;
    this.#heardAt = now;
    this.#answeredAt = now;
    const handshake = new Handshake(settings, this.#writer, address);
    this.#state = { name: "greeting", handshake, until: now + settings.handshakeTimeoutMs };
    this.#flush();
  }

  /** When it wants to be woken: now if something waits to be written. */
  get deadline(): Millis | undefined {
    const state = this.#state;
    if (state.name === "closed") return undefined;
    if (state.name === "greeting") return state.until;
    if (this.#writer.byteLength > 0) return -Infinity;
    return this.#limit();
  }

  /** The server, once it takes commands. */
  get server(): ServerIdentity | undefined {
    return this.#state.name === "open" ? this.#state.server : undefined;
  }

  /** Bytes that wait for the server to take them. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#writer.byteLength;
  }

  /** Commands and subscriptions that wait for their answers. */
  get pendingCommands(): number {
    return this.#pending.length;
  }

  /** Commands that were refused at the bound. */
  get refusedCommands(): number {
    return this.#refusedCommands;
  }

  /** Pushes of kinds that this version does not know. */
  get unknownPushes(): number {
    return this.#unknownPushes;
  }

  /** Applies one input. Inputs after the end are ignored, but commands, which fail. */
  handle(input: ConnectionInput<Ticket>, now: Millis): void {
    if (input.kind === "command") return this.#command(input.command, input.ticket, now);
    if (this.#state === CLOSED) return;
    switch (input.kind) {
      case "bytes":
        return this.#receive(input.chunk, now);
      case "queued":
        this.#queuedBytes = input.byteLength;
        return this.#relieve();
      case "ended":
        return this.#end("connection_lost", "the connection ended", { cause: input.cause });
      case "subscription":
        return this.#subscription(input.verb, input.channels, now);
      case "close":
        this.#flush();
        return this.#end("closed", "this side closed the connection", { isGraceful: true });
      case "wake":
        return this.#wake(now);
    }
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): ConnectionOutput<Ticket>[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #command(command: RedisCommand, ticket: Ticket | undefined, now: Millis): void {
    const error = this.#state.name === "open" ? this.#refusal() : this.#notOpen();
    if (error === undefined) {
      this.#writer.append(command);
      this.#expect(String(command[0]), ticket, undefined, now);
      return;
    }
    this.#refusedCommands++;
    this.#outputs.push({ kind: "failed", ticket, error });
  }

  // What is asked for here is bounded by the channels that its owner wants, so it is never refused.
  #subscription(verb: SubscriptionVerb, channels: readonly string[], now: Millis): void {
    if (this.#state.name !== "open" || channels.length === 0) return;
    this.#writer.append([verb, ...channels]);
    this.#expect(verb, undefined, new Set(channels), now);
  }

  #expect(
    name: string,
    ticket: Ticket | undefined,
    channels: Set<string> | undefined,
    now: Millis,
  ): void {
    this.#pending.push({ name, ticket, channels, sentAt: now });
  }

  #refusal(): RedisError | undefined {
    const { queueBytesMax, queueCommandsMax } = this.#settings;
    const isFull = this.queuedBytes >= queueBytesMax || this.#pending.length >= queueCommandsMax;
    if (!isFull) return undefined;
    // One error for all that is refused until there is room: a burst must not cost a stack each.
    this.#isFull ??= this.#error(
      "queue_full",
      `${this.#pending.length} commands and ${this.queuedBytes} bytes wait`,
    );
    return this.#isFull;
  }

  #notOpen(): RedisError {
    const isClosed = this.#state === CLOSED;
    return this.#error("closed", `the connection is ${isClosed ? "closed" : "not open yet"}`);
  }

  #relieve(): void {
    if (this.#isFull === undefined) return;
    const { queueBytesMax, queueCommandsMax } = this.#settings;
    if (this.queuedBytes > queueBytesMax / 2) return;
    if (this.#pending.length > queueCommandsMax / 2) return;
    this.#isFull = undefined;
    this.#outputs.push({ kind: "relieved" });
  }

  #receive(chunk: Uint8Array, now: Millis): void {
    this.#heardAt = now;
    const decoder = this.#decoder;
    decoder.push(chunk);
    for (let found = decoder.next(); found !== undefined; found = decoder.next()) {
      if (found instanceof RespMessage && this.#state.name === "open") this.#outputs.push(found);
      else this.#accept(found, now);
      if (this.#state === CLOSED) return;
    }
    const { fault } = decoder;
    if (fault !== undefined) return this.#end("not_redis", fault.detail);
    if (this.#isFull !== undefined) this.#relieve();
  }

  #accept(found: RespDecoded, now: Millis): void {
    if (found instanceof RespMessage || found instanceof RespPush) {
      // A push before the greeting's end is nobody's.
      if (this.#state.name === "open" && found instanceof RespPush) this.#onPush(found.items, now);
      return;
    }
    if (this.#state.name === "greeting") return this.#onGreeting(this.#state.handshake, found, now);
    this.#onReply(found, now);
  }

  #onGreeting(handshake: Handshake, reply: RespValue, now: Millis): void {
    const result = handshake.read(reply);
    if (result === undefined) return this.#flush();
    if (result.kind === "failed") {
      this.#close(result.error, true);
      return;
    }
    this.#answeredAt = now;
    this.#state = { name: "open", server: result.server };
    this.#outputs.push({ kind: "up", server: result.server });
  }

  #onReply(value: RespValue, now: Millis): void {
    const pending = this.#pending.first;
    if (pending === undefined) {
      return this.#end("not_redis", "an answer came that nobody asked for");
    }
    this.#answeredAt = now;
    if (pending.channels === undefined) {
      this.#pending.shift();
      return this.#answer(pending, value);
    }
    if (value instanceof RespError) {
      this.#pending.shift();
      const error = toRedisError(value, { action: pending.name, server: this.#address });
      const channels = [...pending.channels];
      const isSharded = isShardedVerb(pending.name);
      this.#outputs.push({ kind: "subscription_failed", channels, isSharded, error });
      return;
    }
    // In RESP2 confirmations look like answers, until the first one has come.
    if (Array.isArray(value)) return this.#onPush(value as readonly RespValue[], now);
    this.#end("not_redis", `${pending.name} was answered by something else`);
  }

  #answer(pending: Pending<Ticket>, value: RespValue): void {
    const { ticket, name } = pending;
    if (value instanceof RespError) {
      // Whatever it says to a ping of ours, it is there.
      if (ticket === undefined && name === PING) return;
      const error = toRedisError(value, { action: name, server: this.#address });
      this.#outputs.push({ kind: "failed", ticket, error });
    } else if (ticket !== undefined) this.#outputs.push({ kind: "reply", ticket, value });
  }

  #onPush(items: readonly RespValue[], now: Millis): void {
    const kind = respText(items[0]);
    switch (kind) {
      case "subscribe":
      case "ssubscribe":
      case "unsubscribe":
      case "sunsubscribe":
        return this.#onConfirmation(kind, items, now);
      case "pong":
        // In RESP2 a ping is answered like this while there are subscriptions.
        return this.#onReply("PONG", now);
      default:
        this.#unknownPushes++;
    }
  }

  #onConfirmation(kind: string, items: readonly RespValue[], now: Millis): void {
    const channel = respText(items[1]);
    const isAsked = channel !== undefined && this.#confirm(kind, channel, now);
    if (this.server?.protocol === 2) this.#decoder.arraysArePushes = items[2] !== 0;
    // Without a channel it says that there was none to leave.
    if (channel === undefined) return;
    const isSharded = isShardedVerb(kind.toUpperCase());
    if (kind.endsWith("unsubscribe")) {
      this.#outputs.push({ kind: "unsubscribed", channel, isSharded, isAsked });
    } else this.#outputs.push({ kind: "subscribed", channel, isSharded });
  }

  /** Whether the confirmation was asked for: a server also says so by itself when a slot moves. */
  #confirm(kind: string, channel: string, now: Millis): boolean {
    const pending = this.#pending.first;
    if (pending?.channels === undefined || pending.name !== kind.toUpperCase()) return false;
    if (!pending.channels.delete(channel)) return false;
    this.#answeredAt = now;
    if (pending.channels.size === 0) this.#pending.shift();
    return true;
  }

  /** When the patience with the server ends: for an answer, or for a sign of life. */
  #limit(): Millis {
    const { commandTimeoutMs, pingIntervalMs } = this.#settings;
    const pending = this.#pending.first;
    if (pending === undefined) return this.#heardAt + pingIntervalMs;
    return Math.max(pending.sentAt, this.#answeredAt) + commandTimeoutMs;
  }

  #wake(now: Millis): void {
    const { deadline } = this;
    if (deadline === undefined) return;
    // Time in which this process stood still is no silence of the server's.
    if (deadline > 0 && now > deadline + STALL_MS) {
      this.#heardAt = now;
      this.#answeredAt = now;
    }
    if (this.#state.name === "greeting") {
      if (now < this.#state.until) return;
      const { handshakeTimeoutMs } = this.#settings;
      return this.#end("timed_out", `no greeting within ${handshakeTimeoutMs} ms`);
    }
    const pending = this.#pending.first;
    if (now >= this.#limit()) {
      if (pending !== undefined) {
        const silentMs = Math.round(now - Math.max(pending.sentAt, this.#answeredAt));
        return this.#end("timed_out", `${pending.name} was not answered for ${silentMs} ms`);
      }
      this.#writer.append([PING]);
      this.#expect(PING, undefined, undefined, now);
    }
    this.#flush();
  }

  #flush(): void {
    if (this.#writer.byteLength === 0) return;
    this.#outputs.push({ kind: "write", parts: this.#writer.take() });
  }

  #end(
    code: RedisErrorCode,
    detail: string,
    end: { readonly isGraceful?: boolean; readonly cause?: unknown } = {},
  ): void {
    this.#close(this.#error(code, detail, end.cause), end.isGraceful ?? false);
  }

  #close(error: RedisError, isGraceful: boolean): void {
    this.#state = CLOSED;
    this.#outputs.push({ kind: "hangup", isGraceful });
    const unanswered = this.#pending.length;
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      const { ticket, channels } = next;
      if (ticket !== undefined && channels === undefined) {
        this.#outputs.push({ kind: "failed", ticket, error });
      }
    }
    this.#outputs.push({ kind: "down", error, unanswered });
  }

  #error(code: RedisErrorCode, detail: string, cause?: unknown): RedisError {
    const why = cause instanceof Error ? `${detail} (${cause.message})` : detail;
    const message = `Cannot speak with Redis at ${this.#address}: ${why}`;
    return new RedisError(code, message, { server: this.#address, cause });
  }
}
