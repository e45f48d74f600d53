/**
 * One connected client: its socket, its session and its subscriptions, joined. Internal.
 *
 * @module
 */

import type { ChannelCore, Confirmation, Subscriber } from "./channel_core.ts";
import { BROADCAST_CHANNEL, type Payload } from "./core/message.ts";
import type { Delivery } from "./delivery.ts";
import { type ClientHandler, type ClientSocket, Outgoing } from "./edge/client_socket.ts";
import { ClientPresence, type PresentClient, type Verdict } from "./client_presence.ts";
import type { PresenceCore } from "./presence_core.ts";
import { Session, type SessionInput, type SessionOutput } from "./protocol/session.ts";
import type { SessionSettings } from "./protocol/session_settings.ts";

/** What a client needs of the endpoint that it came in by. */
export interface ClientOwner {
  /** The channels that clients subscribe to. */
  readonly core: ChannelCore;
  /** The members of channels, if clients can have to do with them. */
  readonly presence: PresenceCore | undefined;
  /** How sessions behave. */
  readonly sessionSettings: SessionSettings;
  /** Something was queued for the client: flush it at the end of the tick. */
  soil(client: Client): void;
  /** Asks the application. */
  authorize(
    client: Client,
    request: SessionOutput & { readonly kind: "authorize" },
  ): boolean | Promise<boolean>;
  /** Asks the application whether the token is good. */
  authenticate(client: Client, token: string): boolean | Promise<boolean>;
  /** So many messages of the client were not looked at, as they came too fast. */
  limited(count: number): void;
  /** The client's connection is over. */
  closed(client: Client, code: number): void;
  /** The application's code failed. */
  failed(error: unknown): void;
}

const ACKNOWLEDGE_TIMEOUT_MS = 5_000;

/** One client. Made for each connection, so it holds as little as it can. */
export class Client implements ClientHandler, Subscriber {
  /** What `authenticate` returned, for `authorize`. */
  identity: unknown;
  /** Whether it waits to be flushed. Kept by the owner. */
  isDirty = false;
  readonly #owner: ClientOwner;
  readonly #socket: ClientSocket;
  readonly #session: Session;
  #presence: ClientPresence | undefined;

  /** Starts the session. */
  constructor(
    owner: ClientOwner,
    socket: ClientSocket,
    client: { identity: unknown; name: string },
  ) {
    this.#owner = owner;
    this.#socket = socket;
    this.identity = client.identity;
    const { core, sessionSettings } = owner;
    const identity = { node: core.node, connection: client.name };
    this.#session = new Session(sessionSettings, identity, core.clock.now());
    this.#settle();
  }

  /** A text message came. */
  text(text: string): void {
    this.#feed({ kind: "text", text });
  }

  /** A text message came, of ASCII alone. */
  ascii(bytes: Uint8Array): void {
    this.#feed({ kind: "ascii", bytes });
  }

  /** A binary message came. */
  binary(bytes: Uint8Array): void {
    this.#feed({ kind: "binary", bytes });
  }

  /** The connection is over. */
  closed(code: number, _reason: string): void {
    this.#feed({ kind: "closed" });
    this.#presence?.end();
    this.#owner.closed(this, code);
  }

  /** Queues this tick's messages of a channel. */
  deliver(delivery: Delivery): void {
    for (const frame of delivery.frames) this.#socket.send(frame);
    if (!this.isDirty) this.#owner.soil(this);
  }

  /** Queues this tick's broadcasts, for a client that is let in. */
  broadcast(delivery: Delivery): void {
    if (this.#session.isWelcome) this.deliver(delivery);
  }

  /** Messages of a channel are lost. */
  gap(channel: string): void {
    this.#feed({ kind: "gap", channel });
  }

  /** Writes out what was queued. */
  flush(): void {
    this.#socket.flush();
  }

  /** Ends the connection, after what was queued. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Looks at the time, if the session wants to. */
  wake(): void {
    if (this.#session.deadline !== undefined) this.#feed({ kind: "wake" });
  }

  /** Tells the client to connect elsewhere soon. */
  drain(): void {
    this.#feed({ kind: "draining" });
  }

  #feed(input: SessionInput): void {
    this.#session.handle(input, this.#owner.core.clock.now());
    this.#settle();
  }

  // An answer that the application gives at once is handed in below without a call of its own to
  // this method, or a frame of many requests would nest as deeply.
  #settle(): void {
    const session = this.#session;
    for (let outputs = session.take(); outputs.length > 0; outputs = session.take()) {
      for (const output of outputs) this.#perform(output);
    }
  }

  #perform(output: SessionOutput): void {
    switch (output.kind) {
      case "publish":
        return this.#publish(output);
      case "broadcast":
        return this.#broadcast(output);
      case "send":
        return this.#send(new Outgoing(output.text));
      case "subscribe":
        return this.#subscribe(output);
      case "unsubscribe":
        return this.#owner.core.unsubscribe(output.channel, this);
      case "authorize":
        return this.#authorize(output);
      case "hello":
        return void this.#authenticate(output.token);
      case "presence":
        return this.#openPresence().perform(output.request);
      case "limited":
        return this.#owner.limited(output.count);
      case "close":
        return this.#socket.close(output.code, output.reason);
    }
  }

  #send(message: Outgoing): void {
    this.#socket.send(message);
    if (!this.isDirty) this.#owner.soil(this);
  }

  #publish(output: SessionOutput & { readonly kind: "publish" }): void {
    const { core } = this.#owner;
    const { channel, id, qos, exclude } = output.request;
    const payload: Payload = output.request;
    const except = exclude ? this : undefined;
    if (id === undefined) return core.publish(channel, payload, except);
    if (qos === 1) return this.#publishAcknowledged({ channel, payload, except }, id);
    this.#feed({ kind: "published", id, position: core.publishAt(channel, payload, except) });
  }

  #publishAcknowledged(
    publish: Parameters<ChannelCore["publishAcknowledged"]>[0],
    id: number,
  ): void {
    this.#owner.core.publishAcknowledged(publish, ACKNOWLEDGE_TIMEOUT_MS, (position, held) => {
      if (held.missing.length === 0) return this.#feed({ kind: "published", id, position });
      const message = `Not acknowledged in time by ${held.missing.join(", ")}`;
      this.#feed({ kind: "failed", id, code: "overloaded", message });
    });
  }

  #broadcast(output: SessionOutput & { readonly kind: "broadcast" }): void {
    const { core } = this.#owner;
    const { id } = output.request;
    if (id === undefined) return core.publish(BROADCAST_CHANNEL, output.request);
    const position = core.publishAt(BROADCAST_CHANNEL, output.request);
    this.#feed({ kind: "published", id, position });
  }

  #subscribe(output: SessionOutput & { readonly kind: "subscribe" }): void {
    const { channel, ticket } = output;
    this.#owner.core.subscribe(channel, this, ({ positions, missing }: Confirmation) => {
      if (!this.#session.awaits(channel, ticket)) return false;
      this.#feed({ kind: "subscribed", channel, ticket, positions, missing });
      return true;
    });
  }

  #authorize(output: SessionOutput & { readonly kind: "authorize" }): void {
    const { ticket } = output;
    try {
      const answer = this.#judge(output);
      if (!(answer instanceof Promise)) return this.#decide(ticket, answer);
      answer.then(
        (verdict) => {
          this.#decide(ticket, verdict);
          this.#settle();
        },
        (error) => {
          this.#decideNothing(ticket, error);
          this.#settle();
        },
      );
    } catch (error) {
      this.#decideNothing(ticket, error);
    }
  }

  // First whether it may do such a thing at all, then, for a member, whether it may be this one.
  #judge(output: SessionOutput & { readonly kind: "authorize" }): Verdict | Promise<Verdict> {
    const judge = (isAllowed: boolean): Verdict | Promise<Verdict> => {
      if (isAllowed !== true || output.entry === undefined) return { allowed: isAllowed === true };
      return this.#openPresence().admit(output.entry, this.identity);
    };
    const allowed = this.#owner.authorize(this, output);
    return typeof allowed === "boolean" ? judge(allowed) : Promise.resolve(allowed).then(judge);
  }

  #decide(ticket: number, verdict: Verdict & { readonly reason?: string }): void {
    const now = this.#owner.core.clock.now();
    this.#session.handle({ kind: "authorized", ticket, ...verdict }, now);
  }

  // Only where the session's settings say that there is presence.
  #openPresence(): ClientPresence {
    if (this.#presence === undefined) {
      const socket = this.#socket;
      const client: PresentClient = {
        get bufferedBytes(): number {
          return socket.bufferedBytes;
        },
        channelsMax: this.#owner.sessionSettings.channelsMax,
        send: (message) => this.#send(message),
        feed: (input) => this.#feed(input),
      };
      this.#presence = new ClientPresence(this.#owner.presence!, client);
    }
    return this.#presence;
  }

  #decideNothing(ticket: number, error: unknown): void {
    this.#owner.failed(error);
    this.#decide(ticket, { allowed: false, reason: "The server could not decide" });
  }

  async #authenticate(token: string | undefined): Promise<void> {
    if (token === undefined || !this.#owner.sessionSettings.tokenRequired) return;
    try {
      const answer = this.#owner.authenticate(this, token);
      const accepted = typeof answer === "boolean" ? answer : await answer;
      this.#feed(accepted ? { kind: "authenticated" } : { kind: "refused" });
    } catch (error) {
      this.#owner.failed(error);
      this.#feed({ kind: "refused", reason: "The server could not decide" });
    }
  }
}
