import { Deque } from "../../core/deque.ts";
import { type Machine, type Millis, NO_OUTPUTS } from "../../core/machine.ts";
import type { Prng } from "../../core/prng.ts";
import { RedisError, type RedisErrorCode } from "../../errors.ts";
import { Connection } from "./connection.ts";
import type { ConnectionInput } from "./connection_input.ts";
import type { ConnectionOutput } from "./connection_output.ts";
import type { DialerInput } from "./dialer_input.ts";
import type { KeptConnectionOutput } from "./kept_connection_output.ts";
import type { KeptConnectionSettings } from "./kept_connection_settings.ts";
import { isShardedVerb, type SubscriptionVerb } from "./subscription_verb.ts";
import { Subscriptions } from "./subscriptions.ts";

type CommandInput<Ticket> = ConnectionInput<Ticket> & { readonly kind: "command" };

/** What can happen to a kept connection. */
export type KeptConnectionInput<Ticket> =
  | DialerInput
  | Exclude<ConnectionInput<Ticket>, { readonly kind: "bytes" | "queued" | "ended" }>;

interface Waiting<Ticket> {
  readonly input: CommandInput<Ticket>;
  readonly byteLength: number;
  readonly since: Millis;
}

type State<Ticket> =
  | { readonly name: "pausing"; readonly until: Millis }
  | { readonly name: "dialling"; readonly id: number }
  | {
    readonly name: "connected";
    readonly id: number;
    readonly connection: Connection<Ticket>;
    /** When the server began to take commands. */
    readonly upAt: Millis | undefined;
  }
  | { readonly name: "closed" };

const CLOSED = { name: "closed" } as const;
// A connection that lasted for less is no sign that the server is well.
const STEADY_MS = 1_000;
// Channels in one command: the server answers one command before it looks at the next client.
const CHANNELS_AT_ONCE = 1_000;

/**
 * The way to one Redis server, which is built again whenever it is lost.
 *
 * ```text
 * pausing --time--> dialling --opened--> connected --lost--> pausing
 *    ^------------failed--'                  (any) --close--> closed
 * ```
 *
 * While there is no connection, commands wait for one, within the bounds of the settings; past them
 * they fail at once with `queue_full`, and after `waitTimeoutMs` with `timed_out`. What was sent
 * and not answered when a connection was lost fails and is never sent again, as it may have been
 * done. Channels that are subscribed to are asked for again on each new connection.
 */
export class KeptConnection<Ticket>
  implements Machine<KeptConnectionInput<Ticket>, KeptConnectionOutput<Ticket>> {
  readonly #settings: KeptConnectionSettings;
  readonly #address: string;
  readonly #prng: Prng;
  readonly #waiting = new Deque<Waiting<Ticket>>();
  readonly #plain = new Subscriptions();
  readonly #sharded = new Subscriptions();
  #state: State<Ticket>;
  #outputs: KeptConnectionOutput<Ticket>[] = [];
  #nextId = 1;
  #failures = 0;
  #waitingBytes = 0;
  #full: RedisError | undefined;

  /** Starts: the server is dialled at the first wake. `address` is for people. */
  constructor(settings: KeptConnectionSettings, address: string, prng: Prng, now: Millis) {
    this.#settings = settings;
    this.#address = address;
    this.#prng = prng;
    this.#state = { name: "pausing", until: now };
  }

  /** When it wants to be woken: now if something waits to be written. */
  get deadline(): Millis | undefined {
    const state = this.#state;
    if (state.name === "closed") return undefined;
    const patience = this.#patience();
    if (state.name === "dialling") return patience;
    const own = state.name === "connected" ? state.connection.deadline : state.until;
    if (own === undefined) return patience;
    return patience === undefined ? own : Math.min(own, patience);
  }

  /** The connection, while there is one. */
  get connection(): Connection<Ticket> | undefined {
    return this.#state.name === "connected" ? this.#state.connection : undefined;
  }

  /** Commands that wait for a connection. */
  get waitingCommands(): number {
    return this.#waiting.length;
  }

  /** Applies one input. */
  handle(input: KeptConnectionInput<Ticket>, now: Millis): void {
    const state = this.#state;
    switch (input.kind) {
      case "command":
        if (state.name !== "connected" || state.upAt === undefined) return this.#wait(input, now);
        state.connection.handle(input, now);
        break;
      case "bytes":
      case "queued":
      case "ended":
        if (state.name !== "connected" || state.id !== input.connection) return;
        state.connection.handle(input, now);
        break;
      case "subscription":
        return this.#subscription(input.verb, input.channels, now);
      case "opened":
        return this.#onOpened(input.connection, now);
      case "dial_failed":
        if (state.name !== "dialling" || state.id !== input.connection) return;
        return this.#pause(this.#dialError(input.cause), now);
      case "close":
        return this.#close(now);
      case "wake":
        return this.#wake(now);
    }
    this.#settle(now);
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): KeptConnectionOutput<Ticket>[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #wait(input: CommandInput<Ticket>, now: Millis): void {
    const { queueBytesMax, queueCommandsMax } = this.#settings;
    if (this.#state === CLOSED) {
      return this.#fail(input, this.#error("closed", "this side closed the connection"));
    }
    if (this.#waiting.length >= queueCommandsMax || this.#waitingBytes >= queueBytesMax) {
      const detail = `${this.#waiting.length} commands wait for a connection`;
      this.#full ??= this.#error("queue_full", detail);
      return this.#fail(input, this.#full);
    }
    let byteLength = 0;
    for (const argument of input.command) byteLength += argument.length;
    this.#waitingBytes += byteLength;
    this.#waiting.push({ input, byteLength, since: now });
  }

  #fail({ ticket }: CommandInput<Ticket>, error: RedisError): void {
    this.#outputs.push({ kind: "failed", ticket, error });
  }

  #subscription(verb: SubscriptionVerb, channels: readonly string[], now: Millis): void {
    const isSharded = isShardedVerb(verb);
    const ledger = isSharded ? this.#sharded : this.#plain;
    const isOn = verb === "SUBSCRIBE" || verb === "SSUBSCRIBE";
    if (this.#state === CLOSED) {
      const error = this.#error("closed", "this side closed the connection");
      if (isOn) this.#outputs.push({ kind: "subscription_failed", channels, isSharded, error });
      return;
    }
    const changed = isOn ? ledger.want(channels) : ledger.leave(channels);
    const state = this.#state;
    if (state.name === "connected" && state.upAt !== undefined) {
      this.#request(state.connection, verb, changed, now);
      return this.#settle(now);
    }
    if (isOn) return;
    for (const channel of ledger.disconnected()) {
      this.#outputs.push({ kind: "unsubscribed", channel, isSharded, isAsked: true });
    }
  }

  #request(
    connection: Connection<Ticket>,
    verb: SubscriptionVerb,
    channels: readonly string[],
    now: Millis,
  ): void {
    (isShardedVerb(verb) ? this.#sharded : this.#plain).requested(channels);
    for (let start = 0; start < channels.length; start += CHANNELS_AT_ONCE) {
      const some = channels.slice(start, start + CHANNELS_AT_ONCE);
      connection.handle({ kind: "subscription", verb, channels: some }, now);
    }
  }

  #onOpened(id: number, now: Millis): void {
    if (this.#state.name !== "dialling" || this.#state.id !== id) {
      this.#outputs.push({ kind: "hangup", connection: id, isGraceful: false });
      return;
    }
    const connection = new Connection<Ticket>(this.#settings, this.#address, now);
    this.#state = { name: "connected", id, connection, upAt: undefined };
    this.#settle(now);
  }

  #settle(now: Millis): void {
    const state = this.#state;
    if (state.name !== "connected") return;
    const { connection, id } = state;
    for (let outputs = connection.take(); outputs.length > 0; outputs = connection.take()) {
      for (const output of outputs) this.#perform(output, id, now);
    }
  }

  #perform(output: ConnectionOutput<Ticket>, id: number, now: Millis): void {
    switch (output.kind) {
      case "write":
        this.#outputs.push({ kind: "write", connection: id, parts: output.parts });
        return;
      case "hangup":
        this.#outputs.push({ kind: "hangup", connection: id, isGraceful: output.isGraceful });
        return;
      case "up":
        this.#outputs.push(output);
        return this.#onUp(now);
      case "down":
        return this.#onDown(output.error, now);
      case "subscribed":
      case "unsubscribed": {
        const ledger = output.isSharded ? this.#sharded : this.#plain;
        const isOn = output.kind === "subscribed";
        if (ledger.confirmed(output.channel, isOn) === output.kind) this.#outputs.push(output);
        return;
      }
      case "subscription_failed": {
        const { isSharded, error } = output;
        const channels = (isSharded ? this.#sharded : this.#plain).refused(output.channels);
        this.#outputs.push({ kind: "subscription_failed", channels, isSharded, error });
        return;
      }
      default:
        this.#outputs.push(output);
    }
  }

  #onUp(now: Millis): void {
    if (this.#state.name !== "connected") return;
    const { connection } = this.#state;
    this.#state = { ...this.#state, upAt: now };
    this.#request(connection, "SUBSCRIBE", this.#plain.wanted(), now);
    this.#request(connection, "SSUBSCRIBE", this.#sharded.wanted(), now);
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      connection.handle(next.input, now);
    }
    this.#waitingBytes = 0;
    this.#relieve();
  }

  #onDown(error: RedisError, now: Millis): void {
    if (this.#state.name !== "connected") return;
    const { upAt } = this.#state;
    if (upAt !== undefined && now - upAt >= STEADY_MS) this.#failures = 0;
    for (const [ledger, isSharded] of [[this.#plain, false], [this.#sharded, true]] as const) {
      for (const channel of ledger.disconnected()) {
        this.#outputs.push({ kind: "unsubscribed", channel, isSharded, isAsked: true });
      }
    }
    this.#pause(error, now);
  }

  #pause(error: RedisError, now: Millis): void {
    const { reconnectMinMs, reconnectMaxMs } = this.#settings;
    const ceilingMs = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    // Full jitter, with a floor that keeps a lone client from spinning.
    const retryInMs = Math.max(reconnectMinMs / 2, this.#prng() * ceilingMs);
    this.#state = { name: "pausing", until: now + retryInMs };
    this.#outputs.push({ kind: "down", error, retryInMs });
  }

  #close(now: Millis): void {
    const state = this.#state;
    if (state === CLOSED) return;
    const error = this.#error("closed", "this side closed the connection");
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#fail(next.input, error);
    }
    this.#state = CLOSED;
    if (state.name === "connected") {
      state.connection.handle({ kind: "close" }, now);
      for (const output of state.connection.take()) {
        if (output.kind !== "down") this.#perform(output, state.id, now);
      }
    }
    this.#outputs.push({ kind: "down", error, retryInMs: undefined });
  }

  #wake(now: Millis): void {
    const state = this.#state;
    if (state.name === "connected") {
      state.connection.handle({ kind: "wake" }, now);
      this.#settle(now);
    } else if (state.name === "pausing" && now >= state.until) {
      const id = this.#nextId++;
      this.#state = { name: "dialling", id };
      this.#outputs.push({ kind: "dial", connection: id });
    }
    this.#loseThePatient(now);
  }

  /** When the oldest command that waits for a connection has waited for too long. */
  #patience(): Millis | undefined {
    const first = this.#waiting.first;
    return first === undefined ? undefined : first.since + this.#settings.waitTimeoutMs;
  }

  #loseThePatient(now: Millis): void {
    for (let at = this.#patience(); at !== undefined && now >= at; at = this.#patience()) {
      const { input, byteLength } = this.#waiting.shift()!;
      this.#waitingBytes -= byteLength;
      const detail = `no connection within ${this.#settings.waitTimeoutMs} ms`;
      this.#fail(input, this.#error("timed_out", detail));
    }
    this.#relieve();
  }

  #relieve(): void {
    const { queueBytesMax, queueCommandsMax } = this.#settings;
    if (this.#full === undefined || this.#waiting.length > queueCommandsMax / 2) return;
    if (this.#waitingBytes > queueBytesMax / 2) return;
    this.#full = undefined;
    this.#outputs.push({ kind: "relieved" });
  }

  #dialError(cause: unknown): RedisError {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `Cannot reach Redis at ${this.#address}: ${why}`;
    return new RedisError("connect_failed", message, { server: this.#address, cause });
  }

  #error(code: RedisErrorCode, detail: string): RedisError {
    const message = `Cannot speak with Redis at ${this.#address}: ${detail}`;
    return new RedisError(code, message, { server: this.#address });
  }
}
