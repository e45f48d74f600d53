import { Deque } from "../../core/deque.ts";
import { type Machine, type Millis, NO_OUTPUTS } from "../../core/machine.ts";
import type { Prng } from "../../core/prng.ts";
import { RedisError, type RedisErrorCode } from "../../errors.ts";
import type { TcpAddress, TcpTls } from "../../runtime/tcp.ts";
import type { ConnectionInput } from "./connection_input.ts";
import type { DialerInput } from "./dialer_input.ts";
import type { ServerIdentity } from "./handshake.ts";
import type { KeptConnectionSettings } from "./kept_connection_settings.ts";
import { isShardedVerb, type SubscriptionVerb } from "./subscription_verb.ts";
import { Subscriptions } from "./subscriptions.ts";
import { Wire, type WireEvent } from "./wire.ts";

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

// A connection that lasted for less is no sign that the server is well.
const STEADY_MS = 1_000;
// Channels in one command: the server answers one command before it looks at the next client.
const CHANNELS_AT_ONCE = 1_000;

/**
 * A {@linkcode Wire} for whoever does not want to know when it is broken.
 *
 * While there is no connection, commands wait for one, within the bounds of the settings; past them
 * they fail at once with `queue_full`, and after `waitTimeoutMs` with `timed_out`. What was sent
 * and not answered when a connection was lost fails and is never sent again, as it may have been
 * done. Channels that are subscribed to are asked for again on each new connection, and told again.
 */
export class KeptConnection<Ticket>
  implements Machine<KeptConnectionInput<Ticket>, WireEvent<Ticket>> {
  readonly #settings: KeptConnectionSettings;
  readonly #wire: Wire<Ticket>;
  readonly #waiting = new Deque<Waiting<Ticket>>();
  readonly #plain = new Subscriptions();
  readonly #sharded = new Subscriptions();
  #outputs: WireEvent<Ticket>[] = [];
  #waitingBytes = 0;
  #full: RedisError | undefined;
  #steadyAt: Millis = Infinity;
  #isClosed = false;

  /** Starts: the server is dialled at the first wake. */
  constructor(
    settings: KeptConnectionSettings,
    target: { readonly address: TcpAddress; readonly tls: TcpTls | undefined },
    prng: Prng,
    now: Millis,
  ) {
    this.#settings = settings;
    const { reconnectMinMs, reconnectMaxMs } = settings;
    let number = 0;
    const context = {
      connection: settings,
      tls: target.tls,
      reconnectMinMs,
      reconnectMaxMs,
      prng,
      nextNumber: () => ++number,
    };
    this.#wire = new Wire(context, target.address, now);
  }

  /** When it wants to be woken: now if something waits to be written. */
  get deadline(): Millis | undefined {
    const { deadline } = this.#wire;
    const first = this.#waiting.first;
    if (first === undefined) return deadline;
    return Math.min(deadline ?? Infinity, first.since + this.#settings.waitTimeoutMs);
  }

  /** The server, while it takes commands. */
  get server(): ServerIdentity | undefined {
    return this.#wire.server;
  }

  /** Commands and subscriptions that wait for their answers. */
  get pendingCommands(): number {
    return this.#wire.pendingCommands;
  }

  /** Commands that wait for a connection. */
  get waitingCommands(): number {
    return this.#waiting.length;
  }

  /** Applies one input. */
  handle(input: KeptConnectionInput<Ticket>, now: Millis): void {
    switch (input.kind) {
      case "command":
        if (this.#wire.server === undefined) return this.#wait(input, now);
        this.#wire.command(input.command, input.ticket, now);
        break;
      case "subscription":
        this.#subscription(input.verb, input.channels, now);
        break;
      case "close":
        return this.#close(now);
      case "wake":
        this.#wire.handle(input, now);
        if (this.#waiting.length > 0) this.#loseThePatient(now);
        break;
      default:
        this.#wire.handle(input, now);
    }
    this.#settle(now);
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): WireEvent<Ticket>[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #wait(input: CommandInput<Ticket>, now: Millis): void {
    const { queueBytesMax, queueCommandsMax } = this.#settings;
    if (this.#isClosed) return this.#fail(input, this.#closedError());
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
    if (this.#isClosed) {
      const error = this.#closedError();
      if (isOn) this.#outputs.push({ kind: "subscription_failed", channels, isSharded, error });
      return;
    }
    const changed = isOn ? ledger.want(channels) : ledger.leave(channels);
    if (this.#wire.server !== undefined) return this.#request(verb, changed, now);
    if (!isOn) this.#dropLeft();
  }

  #request(verb: SubscriptionVerb, channels: readonly string[], now: Millis): void {
    (isShardedVerb(verb) ? this.#sharded : this.#plain).requested(channels);
    for (let start = 0; start < channels.length; start += CHANNELS_AT_ONCE) {
      this.#wire.subscription(verb, channels.slice(start, start + CHANNELS_AT_ONCE), now);
    }
  }

  /** Without a connection, what was left is left. */
  #dropLeft(): void {
    for (const [ledger, isSharded] of [[this.#plain, false], [this.#sharded, true]] as const) {
      for (const channel of ledger.disconnected()) {
        this.#outputs.push({ kind: "unsubscribed", channel, isSharded, isAsked: true });
      }
    }
  }

  #settle(now: Millis): void {
    const wire = this.#wire;
    if (now >= this.#steadyAt) {
      this.#steadyAt = Infinity;
      wire.praise();
    }
    for (let outputs = wire.take(); outputs.length > 0; outputs = wire.take()) {
      for (const output of outputs) this.#perform(output, now);
    }
  }

  #perform(output: WireEvent<Ticket>, now: Millis): void {
    switch (output.kind) {
      case "up":
        this.#outputs.push(output);
        return this.#onUp(now);
      case "down":
        this.#steadyAt = Infinity;
        this.#dropLeft();
        this.#outputs.push(output);
        return;
      case "subscribed":
      case "unsubscribed": {
        const ledger = output.isSharded ? this.#sharded : this.#plain;
        const isOn = output.kind === "subscribed";
        if (ledger.confirmed(output.channel, isOn) === output.kind) this.#outputs.push(output);
        return;
      }
      case "subscription_failed": {
        const ledger = output.isSharded ? this.#sharded : this.#plain;
        this.#outputs.push({ ...output, channels: ledger.refused(output.channels) });
        return;
      }
      default:
        this.#outputs.push(output);
    }
  }

  #onUp(now: Millis): void {
    this.#steadyAt = now + STEADY_MS;
    this.#request("SUBSCRIBE", this.#plain.wanted(), now);
    this.#request("SSUBSCRIBE", this.#sharded.wanted(), now);
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#wire.command(next.input.command, next.input.ticket, now);
    }
    this.#waitingBytes = 0;
    this.#relieve();
  }

  #close(now: Millis): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const error = this.#closedError();
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#fail(next.input, error);
    }
    this.#wire.close(now);
    this.#settle(now);
    this.#outputs.push({ kind: "down", error });
  }

  #loseThePatient(now: Millis): void {
    const { waitTimeoutMs } = this.#settings;
    for (let first = this.#waiting.first; first !== undefined; first = this.#waiting.first) {
      if (now < first.since + waitTimeoutMs) break;
      this.#waiting.shift();
      this.#waitingBytes -= first.byteLength;
      const detail = `no connection within ${waitTimeoutMs} ms`;
      this.#fail(first.input, this.#error("timed_out", detail));
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

  #closedError(): RedisError {
    return this.#error("closed", "this side closed the connection");
  }

  #error(code: RedisErrorCode, detail: string): RedisError {
    const server = this.#wire.place;
    return new RedisError(code, `Cannot speak with Redis at ${server}: ${detail}`, { server });
  }
}
