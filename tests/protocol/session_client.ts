/**
 * A client and its session without a network, and a server that answers as the test says.
 *
 * @module
 */

import { deepStrictEqual } from "node:assert/strict";
import type { PublishMessage } from "../../src/protocol/message.ts";
import { Session, type SessionInput, type SessionOutput } from "../../src/protocol/session.ts";
import {
  DEFAULT_SESSION_SETTINGS,
  type SessionSettings,
} from "../../src/protocol/session_settings.ts";

/** The node that the sessions of tests run on. */
export const NODE = "berlin~0k3v9x2m4q7z";

/** Something that the server said, parsed. */
export type Said = Readonly<Record<string, unknown>>;

/** Talks with one session. */
export class SessionClient {
  /** The session under test. */
  readonly session: Session;
  /** Frames with what the server said, since the last `heard`. */
  readonly frames: string[] = [];
  /** What the session asked of its owner, since the last `asked`. */
  readonly outputs: SessionOutput[] = [];
  /** Whether the session is handed text of ASCII alone as its bytes. */
  readsAscii = false;
  /** The time. */
  now = 1_000;

  /** Connects. `welcome` is not read yet. */
  constructor(settings: Partial<SessionSettings> = {}) {
    const all = { ...DEFAULT_SESSION_SETTINGS, ...settings };
    this.session = new Session(all, { node: NODE, connection: "17" }, this.now);
    this.#collect();
  }

  /** A client that has read its welcome. */
  static welcomed(settings: Partial<SessionSettings> = {}): SessionClient {
    const client = new SessionClient(settings);
    client.heard();
    return client;
  }

  /** Says messages, in one frame. */
  says(...messages: readonly object[]): this {
    return this.sends(messages.map((message) => JSON.stringify(message)).join("\n"));
  }

  /** Sends one frame, as it is. */
  sends(frame: string | Uint8Array): this {
    if (typeof frame !== "string") return this.feeds({ kind: "binary", bytes: frame });
    const bytes = new TextEncoder().encode(frame);
    const isAscii = bytes.length === frame.length;
    return this.feeds(
      this.readsAscii && isAscii ? { kind: "ascii", bytes } : { kind: "text", text: frame },
    );
  }

  /** Feeds the session what else can happen to it. */
  feeds(input: SessionInput): this {
    this.session.handle(input, this.now);
    this.#collect();
    return this;
  }

  /** Confirms the last subscription that was asked for to a channel. */
  confirms(channel: string, positions: Readonly<Record<string, number>> = { [NODE]: 41 }): this {
    const ticket = this.outputs.findLast((output) =>
      output.kind === "subscribe" && output.channel === channel
    );
    if (ticket?.kind !== "subscribe") throw new Error(`Nobody subscribed to ${channel}`);
    return this.feeds({ kind: "subscribed", channel, ticket: ticket.ticket, positions });
  }

  /** Allows, or not, the request that the application was asked about last. */
  decides(allowed: boolean, reason?: string): this {
    const asked = this.outputs.findLast((output) => output.kind === "authorize");
    if (asked?.kind !== "authorize") throw new Error("Nobody asked");
    return this.feeds({ kind: "authorized", ticket: asked.ticket, allowed, reason });
  }

  /** Lets time pass, and wakes the session. */
  waits(ms: number): this {
    this.now += ms;
    return this.feeds({ kind: "wake" });
  }

  /** What the server said since the last call, over all frames. */
  heard(): Said[] {
    return this.frames.splice(0).flatMap((frame) =>
      frame.split("\n").map((line) => JSON.parse(line))
    );
  }

  /** The same, as `type:id`, or `code:id` for errors. */
  heardBriefly(): string[] {
    return this.heard().map((said) => `${said.code ?? said.type}:${said.id ?? ""}`);
  }

  /** What the session asked of its owner since the last call, without `send`. */
  asked(): SessionOutput[] {
    return this.outputs.splice(0);
  }

  /** The same, kinds alone. */
  askedBriefly(): string[] {
    return this.asked().map((output) => output.kind);
  }

  /** Checks that the connection was closed just now, with this code. */
  isClosedWith(code: number): void {
    const last = this.outputs.at(-1);
    deepStrictEqual(last?.kind === "close" ? last.code : undefined, code);
    const reason = last?.kind === "close" ? last.reason : "";
    const bytes = new TextEncoder().encode(reason).byteLength;
    deepStrictEqual(bytes > 0 && bytes <= 123, true, "a reason that fits a close frame");
  }

  #collect(): void {
    const outputs = this.session.take();
    for (const output of outputs) {
      if (output.kind === "send") this.frames.push(output.text);
      else this.outputs.push(output);
    }
  }
}

/** What a session asks of its owner for a publish. */
export function asksToPublish(request: Omit<PublishMessage, "type">): SessionOutput {
  return { kind: "publish", request: { type: "publish", ...request } };
}

/** A subscribe, as a client says it. */
export function subscribe(channel: string, id: number): object {
  return { type: "subscribe", channel, id };
}

/** An unsubscribe, as a client says it. */
export function unsubscribe(channel: string, id: number): object {
  return { type: "unsubscribe", channel, id };
}

/** A ping, as a client says it. */
export function ping(id: number): object {
  return { type: "ping", id };
}

/** A publish, as a client says it. */
export function publish(channel: string, data: unknown, more: object = {}): object {
  return { type: "publish", channel, data, ...more };
}
