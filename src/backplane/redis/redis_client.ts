import type { Clock } from "../../core/clock.ts";
import { type Drive, drive } from "../../core/drive.ts";
import type { Millis } from "../../core/machine.ts";
import { createPrng } from "../../core/prng.ts";
import type { RedisError } from "../../errors.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemSeed } from "../../runtime/crypto.ts";
import type { TcpAddress, TcpTls } from "../../runtime/tcp.ts";
import type { ServerIdentity } from "./handshake.ts";
import { KeptConnection, type KeptConnectionInput } from "./kept_connection.ts";
import {
  DEFAULT_KEPT_CONNECTION_SETTINGS,
  type KeptConnectionSettings,
} from "./kept_connection_settings.ts";
import { RedisDialer } from "./redis_dialer.ts";
import type { RespValue } from "./resp.ts";
import type { WireEvent } from "./wire.ts";

/** Which server, and how to speak to it. */
export interface RedisClientOptions extends Partial<KeptConnectionSettings> {
  /** Where the server is. */
  readonly address: TcpAddress;
  /** Certificates, to speak TLS. Default: none, and no TLS. */
  readonly tls?: TcpTls | undefined;
  /** How long a connection may take to open, in ms. Default: 3 s. */
  readonly connectTimeoutMs?: Millis | undefined;
  /**
   * Hears of each connection that is up, lost, or could not be made, and of channels that the
   * server refuses. MUST NOT throw.
   */
  readonly onState?: ((state: RedisClientState) => void) | undefined;
}

/** What became of a client's connection and of what it is subscribed to. */
export type RedisClientState = Extract<
  WireEvent<unknown>,
  { readonly kind: "up" | "down" | "subscription_failed" }
>;

/** Takes the messages of a channel. The bytes are its own. It MUST NOT throw. */
export type RedisListener = (payload: Uint8Array, channel: string) => void;

interface Ticket {
  resolve(value: RespValue): void;
  reject(error: RedisError): void;
}

interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: RedisError) => void;
}

interface Subscriber {
  readonly listener: RedisListener;
  readonly confirmed: Deferred<void>;
}

// What another attempt will not mend by itself.
const LASTING: readonly RedisError["code"][] = [
  "auth_failed",
  "auth_required",
  "no_permission",
  "not_redis",
  "server_error",
  "closed",
];
const GOODBYE_MS = 500;

/**
 * A client of one Redis server: promises over a {@linkcode KeptConnection}.
 *
 * Commands of one tick leave in one write, or in two: the first does not wait for the others. A
 * lost connection is built again, with growing pauses, and what was subscribed to is subscribed to
 * again; messages that were published meanwhile are lost, as Redis keeps none. In RESP2 a
 * connection with subscriptions takes no other commands, so there each needs a client of its own.
 */
export class RedisClient {
  readonly #timeoutMs: Millis;
  readonly #onState: (state: RedisClientState) => void;
  readonly #kept: KeptConnection<Ticket>;
  readonly #dialer: RedisDialer;
  readonly #drive: Drive<KeptConnectionInput<Ticket>>;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #ready = defer<ServerIdentity>();
  #closed: Promise<void> | undefined;

  /** Starts to connect. */
  constructor(options: RedisClientOptions) {
    const { address, tls, connectTimeoutMs = 3_000, onState = () => {}, ...settings } = options;
    this.#timeoutMs = connectTimeoutMs;
    this.#onState = onState;
    // Whoever does not ask whether it is ready hears of failures elsewhere.
    this.#ready.promise.catch(() => {});
    this.#kept = new KeptConnection(
      { ...DEFAULT_KEPT_CONNECTION_SETTINGS, ...settings },
      { address, tls },
      createPrng(systemSeed()),
      systemClock.now(),
    );
    this.#dialer = new RedisDialer((input) => this.#drive.feed(input));
    const clock: Clock = {
      now: () => systemClock.now(),
      setTimer: (delayMs, callback) => systemClock.setTimer(delayMs, callback),
      defer: (callback) => this.#defer(callback),
    };
    this.#drive = drive(this.#kept, clock, (output) => this.#perform(output));
  }

  /**
   * Resolves when the server takes commands for the first time. Rejects when it says no for a
   * reason that another attempt will not mend, such as a wrong password; the attempts go on.
   */
  get ready(): Promise<ServerIdentity> {
    return this.#ready.promise;
  }

  /** The server, while the connection is up. */
  get server(): ServerIdentity | undefined {
    return this.#kept.server;
  }

  /**
   * Sends a command and resolves with its answer. Its bytes MUST NOT change until then.
   *
   * @throws {RedisError} The server's, or one that tells what became of the connection.
   */
  send(...command: readonly (string | Uint8Array)[]): Promise<RespValue> {
    return new Promise((resolve, reject) => {
      this.#drive.feed({ kind: "command", command, ticket: { resolve, reject } });
    });
  }

  /** Publishes a message, and resolves with the number of connections that it went to. */
  publish(channel: string, payload: string | Uint8Array): Promise<number> {
    return this.send("PUBLISH", channel, payload) as Promise<number>;
  }

  /**
   * Hands the messages of a channel to a listener, from now until `unsubscribe`. One listener a
   * channel: the newest.
   *
   * @returns Resolves when the server has confirmed it: what is published from then on is heard.
   * @throws {RedisError} If the server refuses.
   */
  subscribe(channel: string, listener: RedisListener): Promise<void> {
    const known = this.#subscribers.get(channel);
    const confirmed = known?.confirmed ?? defer<void>();
    this.#subscribers.set(channel, { listener, confirmed });
    if (known === undefined) this.#subscription("SUBSCRIBE", channel);
    return confirmed.promise;
  }

  /** Hears no more of a channel. */
  unsubscribe(channel: string): void {
    const known = this.#subscribers.get(channel);
    if (known === undefined) return;
    this.#subscribers.delete(channel);
    known.confirmed.resolve();
    this.#subscription("UNSUBSCRIBE", channel);
  }

  /** Sends what waits and ends everything, within a second. What is not answered fails. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    // The drive goes on without a deadline: what is asked for from now on is told that it is late.
    this.#drive.feed({ kind: "close" });
    await this.#dialer.end(GOODBYE_MS);
  }

  // A command that waits for no other leaves with those of the same job: who asks one thing after
  // the other gains nothing by a longer wait. Behind it the others of the tick come together.
  #defer(callback: () => void): void {
    if (this.#kept.pendingCommands <= 1) queueMicrotask(callback);
    else systemClock.defer(callback);
  }

  #subscription(verb: "SUBSCRIBE" | "UNSUBSCRIBE", channel: string): void {
    this.#drive.feed({ kind: "subscription", verb, channels: [channel] });
  }

  #perform(output: WireEvent<Ticket>): void {
    switch (output.kind) {
      case "message":
        return this.#subscribers.get(output.channel)?.listener(output.payload, output.channel);
      case "reply":
        return output.ticket.resolve(output.value);
      case "failed":
        return output.ticket?.reject(output.error);
      case "write":
        return this.#dialer.write(output.connection, output.parts);
      case "dial":
        return this.#dial(output);
      case "hangup":
        return this.#dialer.hangup(output.connection, output.isGraceful);
      case "up":
        this.#ready.resolve(output.server);
        return this.#onState(output);
      case "down":
        return this.#onDown(output);
      case "subscribed":
        return this.#subscribers.get(output.channel)?.confirmed.resolve();
      case "subscription_failed":
        for (const channel of output.channels) this.#refuse(channel, output.error);
        return this.#onState(output);
      case "unsubscribed":
      case "relieved":
        return;
    }
  }

  #dial({ connection, address, tls }: WireEvent<Ticket> & { readonly kind: "dial" }): void {
    void this.#dialer.dial(connection, { address, tls, timeoutMs: this.#timeoutMs });
  }

  #onDown(output: RedisClientState & { readonly kind: "down" }): void {
    const { error } = output;
    if (LASTING.includes(error.code)) this.#ready.reject(error);
    if (error.code === "closed") {
      for (const channel of this.#subscribers.keys()) this.#refuse(channel, error);
    }
    this.#onState(output);
  }

  #refuse(channel: string, error: RedisError): void {
    this.#subscribers.get(channel)?.confirmed.reject(error);
    this.#subscribers.delete(channel);
  }
}

function defer<Value>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => {};
  let reject: (error: RedisError) => void = () => {};
  const promise = new Promise<Value>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}
