import { CHANNEL_NAME_BYTES_MAX } from "../core/limits.ts";
import { type Machine, type Millis, NO_OUTPUTS } from "../core/machine.ts";
import { BROADCAST_CHANNEL } from "../core/message.ts";
import type { Positions } from "../core/node.ts";
import { ownBytes } from "../core/own.ts";
import { decodeUtf8 } from "../core/utf8.ts";
import { decodeBinary } from "./binary_codec.ts";
import { decodeMessage, encodeServerMessage, hasTooManyMessages } from "./codec.ts";
import { FRAME_MESSAGES_MAX, SUBSCRIBE_REPEATS_MAX } from "./limits.ts";
import {
  type BroadcastMessage,
  CLOSE_CODES,
  type CloseCode,
  type DecodedMessage,
  type ErrorCode,
  type HelloMessage,
  type PresenceMessage,
  PROTOCOL_VERSION,
  type PublishMessage,
  type ServerMessage,
  type SubscribeMessage,
} from "./message.ts";
import { readPlainPublish } from "./plain_publish.ts";
import { encodeJoined } from "./presence_frames.ts";
import type { SessionInput } from "./session_input.ts";
import type { SessionOutput } from "./session_output.ts";
import type { SessionSettings } from "./session_settings.ts";
import {
  CLOSED,
  FRESH,
  type GreetingState,
  OPEN,
  type PendingSubscription,
  type Request,
  rewritten,
  type SessionIdentity,
  type State,
} from "./session_state.ts";
import { TokenBucket } from "./token_bucket.ts";
import { WaitingFrames } from "./waiting_frames.ts";

export type { SessionIdentity, SessionInput, SessionOutput };

const LIVE = "live";
const NOWHERE: Positions = Object.freeze({});

/**
 * One client: what it may say when, what it is answered, and what is asked of the server.
 *
 * ```text
 * (token required)  greeting --hello--> authenticating --authenticated--> open
 * (otherwise)       fresh --first message--> open
 *                   open --request--> authorizing --authorized--> open
 * any state --broken frame | refused | too late | too much | closed--> closed
 * ```
 *
 * `welcome` is always the first thing that is sent. Frames are handled in order: while the
 * application decides on one, those behind it wait. An idle session is one small object.
 */
export class Session implements Machine<SessionInput, SessionOutput> {
  readonly #settings: SessionSettings;
  #state: State;
  #outputs: SessionOutput[] | undefined;
  #channels: Map<string, PendingSubscription | typeof LIVE> | undefined;
  #waiting: WaitingFrames | undefined;
  #bucket: TokenBucket | undefined;
  #heardAt: Millis = 0;
  #ticket = 0;
  #limitedCount = 0;

  /** Starts with an open connection. Where no token is required, `welcome` is the first output. */
  constructor(settings: SessionSettings, identity: SessionIdentity, now: Millis) {
    this.#settings = settings;
    if (settings.idleTimeoutMs > 0) this.#heardAt = now;
    if (settings.tokenRequired) {
      this.#state = { name: "greeting", identity, until: now + settings.helloTimeoutMs };
    } else {
      this.#state = FRESH;
      this.#welcome(identity);
    }
  }

  /** When the client has been silent for too long, where that has an end. */
  get deadline(): Millis | undefined {
    const state = this.#state;
    if (state.name === "greeting" || state.name === "authenticating") return state.until;
    if (this.#settings.idleTimeoutMs === 0 || state.name === "closed") return undefined;
    return this.#heardAt + this.#settings.idleTimeoutMs;
  }

  /** Channels that the client has, confirmed or not. */
  get channelCount(): number {
    return this.#channels?.size ?? 0;
  }

  /** Whether it has had its `welcome`: before that a client must not be told anything else. */
  get isWelcome(): boolean {
    return this.#state.name !== "greeting" && this.#state.name !== "authenticating";
  }

  /** Whether the `subscribe` output with this ticket still wants its `subscribed`. */
  awaits(channel: string, ticket: number): boolean {
    const subscription = this.#channels?.get(channel);
    return subscription !== undefined && subscription !== LIVE && subscription.ticket === ticket;
  }

  /** Applies one input. After the end all are ignored, as answers come late. */
  handle(input: SessionInput, now: Millis): void {
    if (this.#state === CLOSED) return;
    switch (input.kind) {
      case "text":
        return this.#receive(input.text, now);
      case "ascii":
        return this.#receiveAscii(input.bytes, now);
      case "binary":
        return this.#receive(input.bytes, now);
      case "authenticated":
        return this.#authenticated(now);
      case "refused":
        return this.#refuse(input.reason ?? "The token was refused");
      case "authorized":
        return this.#authorized(input, now);
      case "subscribed":
        return this.#subscribed(input);
      case "unsubscribable":
        return this.#unsubscribable(input);
      case "published":
        return this.#answer({ type: "published", id: input.id, position: input.position });
      case "joined":
        return this.#say(encodeJoined(input));
      case "updated":
      case "left":
        return this.#answer({ type: input.kind, channel: input.channel, id: input.id });
      case "failed":
        return this.#error(input.id, input.code, input.message);
      case "gap":
        return this.#gap(input.channel);
      case "draining":
        return this.#drain();
      case "closed":
        return this.#end();
      case "wake":
        return this.#wake(now);
    }
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): SessionOutput[] {
    const outputs = this.#outputs ?? NO_OUTPUTS;
    const count = this.#limitedCount;
    this.#outputs = undefined;
    if (count === 0) return outputs;
    this.#limitedCount = 0;
    return [{ kind: "limited", count }, ...outputs];
  }

  #receiveAscii(bytes: Uint8Array, now: Millis): void {
    const publish = this.#isDeciding ? undefined : readPlainPublish(bytes);
    if (publish === undefined) return this.#receive(decodeUtf8(bytes)!, now);
    if (this.#settings.idleTimeoutMs > 0) this.#heardAt = now;
    this.#accept(publish, now);
  }

  #receive(frame: string | Uint8Array, now: Millis): void {
    if (this.#settings.idleTimeoutMs > 0) this.#heardAt = now;
    if (typeof frame === "string" && hasTooManyMessages(frame)) {
      return this.#close(CLOSE_CODES.tooLarge, `At most ${FRAME_MESSAGES_MAX} messages a frame`);
    }
    if (this.#isDeciding) return this.#wait(frame, 0);
    const end = this.#read(frame, 0, now);
    if (end < frame.length) this.#wait(frame, end);
  }

  /** Handles a frame's messages from `start` on. Returns where it had to stop, or the frame's end. */
  #read(frame: string | Uint8Array, start: number, now: Millis): number {
    if (typeof frame !== "string") {
      this.#accept(decodeBinary(frame), now);
      return frame.length;
    }
    let from = start;
    do {
      const newline = frame.indexOf("\n", from);
      const end = newline < 0 ? frame.length : newline;
      this.#accept(decodeMessage(frame.slice(from, end)), now);
      from = end + 1;
    } while (from < frame.length && !this.#isDeciding && this.#state !== CLOSED);
    return this.#state === CLOSED ? frame.length : Math.min(from, frame.length);
  }

  get #isDeciding(): boolean {
    return this.#state.name === "authorizing" || this.#state.name === "authenticating";
  }

  #wait(frame: string | Uint8Array, offset: number): void {
    if (this.#waiting === undefined) {
      this.#waiting = new WaitingFrames();
      this.#waiting.offset = offset;
    }
    this.#waiting.push(frame);
    const { waitingFramesMax, waitingBytesMax } = this.#settings;
    if (this.#waiting.count <= waitingFramesMax && this.#waiting.size <= waitingBytesMax) return;
    this.#close(CLOSE_CODES.tryAgainLater, "Too many requests in flight");
  }

  #resume(now: Millis): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    for (let frame = waiting.first; frame !== undefined; frame = waiting.first) {
      const end = this.#read(frame, waiting.offset, now);
      if (end < frame.length) waiting.offset = end;
      else waiting.shift();
      if (this.#isDeciding || this.#state === CLOSED) break;
    }
    // A burst must not hold its memory for ever.
    if (waiting.count === 0) this.#waiting = undefined;
  }

  #accept(message: DecodedMessage, now: Millis): void {
    if (message.type === "broken") return this.#close(CLOSE_CODES.invalidData, message.reason);
    const state = this.#state;
    if (state.name === "greeting") return this.#greet(message, state);
    if (this.#settings.messagesPerSecondMax > 0 && this.#isOverRate(message, now)) return;
    const isFirst = state === FRESH;
    if (isFirst) this.#state = OPEN;
    switch (message.type) {
      case "publish":
      case "broadcast":
        return this.#send(message);
      case "subscribe":
        return this.#subscribe(message);
      case "unsubscribe":
        return this.#unsubscribe(message.channel, message.id);
      case "join":
      case "update":
      case "leave":
      case "members":
        return this.#presence(message);
      case "ping":
        return this.#answer({ type: "pong", id: message.id });
      case "hello":
        return this.#hello(message, isFirst);
      case "fault":
        return this.#error(message.id, message.code, message.message);
    }
  }

  #greet(message: DecodedMessage, state: GreetingState): void {
    if (message.type !== "hello") {
      // A hello that cannot be read tells more than that there was none.
      if (message.type === "fault") this.#error(message.id, message.code, message.message);
      return this.#refuse('Expected a "hello" with a "token" first', idOf(message));
    }
    if (message.token === undefined) return this.#refuse('Expected a "token" in "hello"');
    this.#state = { ...state, name: "authenticating" };
    this.#push({ kind: "hello", client: message.client, token: message.token });
  }

  #hello(message: HelloMessage, isFirst: boolean): void {
    if (!isFirst) {
      return this.#close(CLOSE_CODES.protocolError, '"hello" must be the first message');
    }
    this.#push({ kind: "hello", client: message.client, token: message.token });
  }

  #authenticated(now: Millis): void {
    if (this.#state.name !== "authenticating") return;
    const { identity } = this.#state;
    this.#state = OPEN;
    this.#welcome(identity);
    this.#resume(now);
  }

  #refuse(reason: string, id?: number): void {
    this.#error(id, "unauthenticated", reason);
    this.#close(CLOSE_CODES.unauthenticated, "Unauthenticated");
  }

  #isOverRate(message: DecodedMessage, now: Millis): boolean {
    this.#bucket ??= new TokenBucket(this.#settings, now);
    const wasDry = this.#bucket.isDry;
    if (this.#bucket.take(now)) return false;
    this.#limitedCount++;
    const id = idOf(message);
    // A request is always answered; of the others only the first, or a flood would be two.
    if (id !== undefined || !wasDry) {
      const { messagesPerSecondMax } = this.#settings;
      this.#error(id, "rate_limited", `At most ${messagesPerSecondMax} messages a second`);
    }
    return true;
  }

  #subscribe(message: SubscribeMessage): void {
    const { channel, id } = message;
    const subscription = this.#channels?.get(channel);
    if (subscription === LIVE) {
      return this.#answer({ type: "subscribed", channel, id, position: NOWHERE });
    }
    if (subscription !== undefined) return this.#repeat(subscription, id);
    const { channelsMax } = this.#settings;
    if (this.channelCount >= channelsMax) {
      return this.#error(id, "channel_limit", `At most ${channelsMax} channels a connection`);
    }
    this.#request(message);
  }

  #repeat(subscription: PendingSubscription, id: number): void {
    if (subscription.ids.length < SUBSCRIBE_REPEATS_MAX) subscription.ids.push(id);
    else this.#error(id, "overloaded", "Too many subscribes to a channel that is not confirmed");
  }

  #unsubscribe(channel: string, id: number): void {
    const subscription = this.#channels?.get(channel);
    if (subscription !== undefined) {
      this.#forget(channel);
      if (subscription !== LIVE) this.#cancel(subscription);
      this.#push({ kind: "unsubscribe", channel });
    }
    this.#answer({ type: "unsubscribed", channel, id });
  }

  #cancel(subscription: PendingSubscription): void {
    for (const id of subscription.ids) {
      this.#error(id, "cancelled", "Unsubscribed before the subscription was confirmed");
    }
  }

  #send(message: PublishMessage | BroadcastMessage): void {
    const { messageBytesMax, allowsBroadcast } = this.#settings;
    // Numbers may take more room than the client gave them.
    const byteLength = message.data.length;
    if (byteLength > messageBytesMax) {
      const text = `"data" has ${byteLength} bytes, at most ${messageBytesMax}`;
      return this.#error(message.id, "message_too_large", text);
    }
    if (message.type === "broadcast" && !allowsBroadcast) {
      return this.#error(message.id, "forbidden", "Clients may not broadcast on this server");
    }
    if (message.type === "publish" && message.qos === 2) {
      return this.#error(message.id, "unsupported", '"qos" 2 is not available on this server');
    }
    this.#request(message);
  }

  #presence(message: PresenceMessage): void {
    if (this.#settings.presence === "none") {
      return this.#error(message.id, "unsupported", "Presence is not available on this server");
    }
    if (message.type !== "leave") return this.#request(message);
    this.#push({ kind: "presence", request: message });
  }

  #request(request: Request): void {
    const entry = request.type === "join" || request.type === "update" ? request : undefined;
    const isAdmitted = entry !== undefined && this.#settings.presence === "admitted";
    if (!this.#settings.authorizes && !isAdmitted) return this.#perform(request);
    const ticket = ++this.#ticket;
    const channel = request.type === "broadcast" ? undefined : request.channel;
    const action = request.type === "update" ? "join" : request.type;
    this.#state = { name: "authorizing", ticket, request: kept(request) };
    this.#push({ kind: "authorize", ticket, action, channel, entry });
  }

  #authorized(input: SessionInput & { readonly kind: "authorized" }, now: Millis): void {
    if (this.#state.name !== "authorizing" || this.#state.ticket !== input.ticket) return;
    const { request } = this.#state;
    this.#state = OPEN;
    if (input.allowed) this.#perform(rewritten(request, input));
    else this.#error(request.id, "forbidden", input.reason ?? `May not ${request.type} here`);
    this.#resume(now);
  }

  #perform(request: Request): void {
    switch (request.type) {
      case "publish":
        return this.#push({ kind: "publish", request });
      case "broadcast":
        return this.#push({ kind: "broadcast", request });
      case "subscribe":
        return this.#open(request);
      default:
        return this.#push({ kind: "presence", request });
    }
  }

  #open(request: SubscribeMessage): void {
    const { channel, position, history } = request;
    const ticket = ++this.#ticket;
    this.#channels ??= new Map();
    this.#channels.set(channel, { ticket, ids: [request.id] });
    this.#push({ kind: "subscribe", channel, ticket, position, history });
  }

  #subscribed(input: SessionInput & { readonly kind: "subscribed" }): void {
    const { channel, positions: position, recovered, missing } = input;
    const subscription = this.#channels?.get(channel);
    if (!this.awaits(channel, input.ticket)) return;
    this.#channels!.set(channel, LIVE);
    const lacking = missing === undefined || missing.length === 0 ? undefined : missing;
    for (const id of (subscription as PendingSubscription).ids) {
      this.#answer({ type: "subscribed", channel, id, position, recovered, missing: lacking });
    }
  }

  #unsubscribable(input: SessionInput & { readonly kind: "unsubscribable" }): void {
    const { channel, code, message } = input;
    const subscription = this.#channels?.get(channel);
    if (!this.awaits(channel, input.ticket)) return;
    this.#forget(channel);
    for (const id of (subscription as PendingSubscription).ids) this.#error(id, code, message);
  }

  #forget(channel: string): void {
    this.#channels?.delete(channel);
    if (this.#channels?.size === 0) this.#channels = undefined;
  }

  #gap(channel: string): void {
    const hears = channel === BROADCAST_CHANNEL
      ? this.isWelcome
      : this.#channels?.get(channel) === LIVE;
    if (hears) this.#answer({ type: "gap", channel });
  }

  #drain(): void {
    if (this.isWelcome) this.#answer({ type: "draining" });
  }

  #wake(now: Millis): void {
    const { deadline } = this;
    if (deadline === undefined || now < deadline) return;
    const { helloTimeoutMs, idleTimeoutMs } = this.#settings;
    if (this.#state.name === "greeting" || this.#state.name === "authenticating") {
      return this.#refuse(`Not accepted within ${helloTimeoutMs} ms`);
    }
    this.#close(CLOSE_CODES.idle, `No message for ${idleTimeoutMs} ms`);
  }

  #welcome(identity: SessionIdentity): void {
    const { messageBytesMax, channelsMax, messagesPerSecondMax } = this.#settings;
    const channelNameBytesMax = CHANNEL_NAME_BYTES_MAX;
    this.#answer({
      type: "welcome",
      node: identity.node,
      connection: identity.connection,
      protocol: PROTOCOL_VERSION,
      limits: { messageBytesMax, channelNameBytesMax, channelsMax, messagesPerSecondMax },
    });
  }

  #close(code: CloseCode, reason: string): void {
    this.#end();
    this.#push({ kind: "close", code, reason });
  }

  #end(): void {
    for (const channel of this.#channels?.keys() ?? []) {
      this.#push({ kind: "unsubscribe", channel });
    }
    this.#state = CLOSED;
    this.#channels = undefined;
    this.#waiting = undefined;
    this.#bucket = undefined;
  }

  #error(id: number | undefined, code: ErrorCode, message: string): void {
    this.#answer({ type: "error", id, code, message });
  }

  #answer(message: ServerMessage): void {
    this.#say(encodeServerMessage(message));
  }

  // Answers that follow each other leave as one frame.
  #say(text: string): void {
    const last = this.#outputs?.at(-1);
    if (last?.kind !== "send") return this.#push({ kind: "send", text });
    this.#outputs![this.#outputs!.length - 1] = { kind: "send", text: `${last.text}\n${text}` };
  }

  #push(output: SessionOutput): void {
    if (this.#outputs === undefined) this.#outputs = [output];
    else this.#outputs.push(output);
  }
}

function idOf(message: DecodedMessage): number | undefined {
  return "id" in message ? message.id : undefined;
}

// While the application decides, a payload must not keep in memory what came with it.
function kept(request: Request): Request {
  return "data" in request ? { ...request, data: ownBytes(request.data) } : request;
}
