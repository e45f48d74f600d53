import { type Machine, type Millis, NO_OUTPUTS, type Wake } from "../../core/machine.ts";
import type { Prng } from "../../core/prng.ts";
import { RedisError } from "../../errors.ts";
import type { TcpAddress, TcpTls } from "../../runtime/tcp.ts";
import { formatAddress } from "../../runtime/tcp_address.ts";
import type { RedisCommand } from "./command_writer.ts";
import { Connection } from "./connection.ts";
import type { SubscriptionVerb } from "./subscription_verb.ts";
import type { ConnectionOutput } from "./connection_output.ts";
import type { ConnectionSettings } from "./connection_settings.ts";
import type { ServerIdentity } from "./handshake.ts";
import type { DialerInput } from "./dialer_input.ts";
import type { WireOutput } from "./redis_output.ts";

/** What all wires of a node share. */
export interface WireContext {
  /** How servers are spoken to. */
  readonly connection: ConnectionSettings;
  /** Certificates, if TLS is spoken. */
  readonly tls: TcpTls | undefined;
  /** Shortest pause between attempts. */
  readonly reconnectMinMs: Millis;
  /** Longest pause between attempts. */
  readonly reconnectMaxMs: Millis;
  /** Chance. */
  readonly prng: Prng;
  /** Gives a connection a number that no other has. */
  readonly nextNumber: () => number;
}

/** What came of a wire. */
export type WireEvent<Ticket> =
  | WireOutput
  | Exclude<ConnectionOutput<Ticket>, { readonly kind: "write" | "hangup" | "down" }>
  /** The connection is over, or none could be opened: another one is dialled. */
  | { readonly kind: "down"; readonly error: RedisError };

type State<Ticket> =
  | { readonly name: "waiting"; readonly until: Millis }
  | { readonly name: "dialling" }
  | { readonly name: "open"; readonly connection: Connection<Ticket> }
  | { readonly name: "closed" };

/**
 * A connection to a server that comes back: after its end it is dialled again, at once if it was
 * of use, and with growing pauses while it is not.
 *
 * ```text
 * waiting --time--> dialling --opened--> open --end--> waiting
 *    ^---------------failed-----'
 * ```
 */
export class Wire<Ticket> implements Machine<DialerInput | Wake, WireEvent<Ticket>> {
  readonly #context: WireContext;
  #address: TcpAddress;
  #number = 0;
  #state: State<Ticket>;
  #failures = 0;
  #outputs: WireEvent<Ticket>[] = [];

  /** Is dialled when it is woken next. */
  constructor(context: WireContext, address: TcpAddress, now: Millis) {
    this.#context = context;
    this.#address = address;
    this.#state = { name: "waiting", until: now };
  }

  /** When it wants to be woken: now if something waits to be written. */
  get deadline(): Millis | undefined {
    const state = this.#state;
    if (state.name === "waiting") return state.until;
    return state.name === "open" ? state.connection.deadline : undefined;
  }

  /** The number of its connection. */
  get number(): number {
    return this.#number;
  }

  /** The server, as `"host:port"` or a path. */
  get place(): string {
    return formatAddress(this.#address);
  }

  /** The server, while it takes commands. */
  get server(): ServerIdentity | undefined {
    return this.#state.name === "open" ? this.#state.connection.server : undefined;
  }

  /** Bytes that wait for the server. */
  get queuedBytes(): number {
    return this.#state.name === "open" ? this.#state.connection.queuedBytes : 0;
  }

  /** Commands and subscriptions that wait for their answers. */
  get pendingCommands(): number {
    return this.#state.name === "open" ? this.#state.connection.pendingCommands : 0;
  }

  /** Sends a command, if the server takes any. */
  command(command: RedisCommand, ticket: Ticket | undefined, now: Millis): void {
    if (this.#state.name !== "open") return;
    this.#state.connection.handle({ kind: "command", command, ticket }, now);
    this.#settle(this.#state.connection, now);
  }

  /** Subscribes or unsubscribes, if the server takes commands. */
  subscription(verb: SubscriptionVerb, channels: readonly string[], now: Millis): void {
    if (this.#state.name !== "open") return;
    this.#state.connection.handle({ kind: "subscription", verb, channels }, now);
  }

  /** Applies one input. One that is about an earlier connection is ignored. */
  handle(input: DialerInput | Wake, now: Millis): void {
    if (input.kind === "wake") return this.#wake(now);
    if (input.connection !== this.#number) return;
    const state = this.#state;
    switch (input.kind) {
      case "opened":
        return this.#open(now);
      case "dial_failed":
        return this.#onDialFailed(input.cause, now);
      case "bytes":
      case "queued":
      case "ended":
        if (state.name !== "open") return;
        state.connection.handle(input, now);
        return this.#settle(state.connection, now);
    }
  }

  /** Returns and forgets what came so far, oldest first. */
  take(): WireEvent<Ticket>[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  /** Gives the connection up for an error, and dials again, perhaps another server. */
  redial(error: RedisError, address: TcpAddress, now: Millis): void {
    this.#address = address;
    if (this.#state.name === "closed") return;
    if (this.#state.name === "open") {
      this.#outputs.push({ kind: "hangup", connection: this.#number, isGraceful: false });
      this.#outputs.push({ kind: "down", error });
    }
    this.#wait(now);
  }

  /** Sends what waits, and ends it for good. What is not answered fails. */
  close(now: Millis): void {
    const state = this.#state;
    this.#state = { name: "closed" };
    if (state.name !== "open") return;
    state.connection.handle({ kind: "close" }, now);
    for (const output of state.connection.take()) {
      if (output.kind !== "down") this.#forward(output);
    }
  }

  /** Starts over with short pauses: the server was of use. */
  praise(): void {
    this.#failures = 0;
  }

  #wake(now: Millis): void {
    const state = this.#state;
    if (state.name === "open") {
      state.connection.handle(WAKE, now);
      return this.#settle(state.connection, now);
    }
    if (state.name !== "waiting" || now < state.until) return;
    this.#state = { name: "dialling" };
    this.#number = this.#context.nextNumber();
    const { tls } = this.#context;
    this.#outputs.push({ kind: "dial", connection: this.#number, address: this.#address, tls });
  }

  #open(now: Millis): void {
    if (this.#state.name !== "dialling") {
      // It was given up while it was dialled.
      this.#outputs.push({ kind: "hangup", connection: this.#number, isGraceful: false });
      return;
    }
    const connection = new Connection<Ticket>(this.#context.connection, this.place, now);
    this.#state = { name: "open", connection };
    this.#settle(connection, now);
  }

  #onDialFailed(cause: unknown, now: Millis): void {
    if (this.#state.name !== "dialling") return;
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `Cannot connect with Redis at ${this.place}: ${why}`;
    const error = new RedisError("connect_failed", message, { server: this.place, cause });
    this.#wait(now);
    this.#outputs.push({ kind: "down", error });
  }

  #settle(connection: Connection<Ticket>, now: Millis): void {
    for (const output of connection.take()) {
      if (output.kind === "down") this.#wait(now);
      this.#forward(output);
    }
  }

  #forward(output: ConnectionOutput<Ticket>): void {
    switch (output.kind) {
      case "write":
        this.#outputs.push({ kind: "write", connection: this.#number, parts: output.parts });
        return;
      case "hangup":
        this.#outputs.push({ ...output, connection: this.#number });
        return;
      default:
        this.#outputs.push(output);
    }
  }

  // Full jitter, so that the nodes that a server lost do not all come back at once. The first
  // attempt after a connection that was of use comes soon: most often only that one was broken.
  #wait(now: Millis): void {
    const { reconnectMinMs, reconnectMaxMs, prng } = this.#context;
    const ceilingMs = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(this.#failures, 30));
    const floorMs = this.#failures === 0 ? 0 : reconnectMinMs / 2;
    this.#failures++;
    this.#state = { name: "waiting", until: now + Math.max(floorMs, prng() * ceilingMs) };
  }
}

const WAKE: Wake = { kind: "wake" };
