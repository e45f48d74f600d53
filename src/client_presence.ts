/**
 * One client's part in presence: where it is a member, and what it is told of the others. Internal.
 *
 * @module
 */

import { latestOf } from "./channel/presence_entry.ts";
import type { CancelTimer } from "./core/clock.ts";
import { Outgoing } from "./edge/client_socket.ts";
import { PresenceError, type PresenceErrorCode } from "./errors.ts";
import type { Admitted, PresenceCore, PresenceWatcher } from "./presence_core.ts";
import type { PresenceDelivery } from "./presence_delivery.ts";
import { FRAME_JOIN_CHARACTERS_MAX } from "./protocol/limits.ts";
import type {
  ErrorCode,
  Follow,
  JoinMessage,
  MembersMessage,
  PresenceMessage,
  UpdateMessage,
} from "./protocol/message.ts";
import { encodeMembers, type FrameMember } from "./protocol/presence_frames.ts";
import type { SessionInput } from "./protocol/session.ts";

/** What it needs of the client that it is a part of. */
export interface PresentClient {
  /** Bytes that wait for the client to read. */
  readonly bufferedBytes: number;
  /** Most channels that the client may be in, and most that it may follow. */
  readonly channelsMax: number;
  /** Sends a message. */
  send(message: Outgoing): void;
  /** Feeds the client's session. */
  feed(input: SessionInput): void;
}

/** What the application says to a request: no, or yes, and then with what. */
export type Verdict = {
  readonly allowed: boolean;
  readonly member?: string;
  readonly meta?: string;
};

/** The answer to a join lists the others up to this number: a larger roster has to be asked for. */
const JOINED_MEMBERS_MAX = 100;
/** Rosters that may wait to be sent to one client. */
const ROSTERS_WAITING_MAX = 64;
/** A roster goes on only while less than this waits for the client to read. */
const ROSTER_BUFFERED_BYTES_MAX = 262_144;
const ROSTER_PAUSE_MS = 20;

const REFUSED: Verdict = { allowed: false };

/** A roster on its way to the client. */
interface RosterReading {
  readonly request: MembersMessage;
  readonly members: Iterator<FrameMember>;
}

/** Made for a client when it first has to do with presence. */
export class ClientPresence implements PresenceWatcher {
  readonly #core: PresenceCore;
  readonly #client: PresentClient;
  readonly #connection: number;
  /** As whom the client is in which channel. */
  readonly #members = new Map<string, string>();
  readonly #followed = new Set<string>();
  readonly #readings: RosterReading[] = [];
  #cancelTimer: CancelTimer | undefined;
  #isOver = false;

  /** Starts in no channel. */
  constructor(core: PresenceCore, client: PresentClient) {
    this.#core = core;
    this.#client = client;
    this.#connection = core.openConnection();
  }

  /** Asks the application whether the client may join or change, and with what. */
  admit(request: JoinMessage | UpdateMessage, identity: unknown): Verdict | Promise<Verdict> {
    const { admit } = this.#core;
    const { type: action, channel, meta } = request;
    const member = action === "join" ? this.#memberOf(request) : this.#members.get(channel);
    // Who is no member is told so later, whatever the application thinks of it.
    if (admit === undefined || member === undefined) return { allowed: true };
    const admitted = admit({ action, channel, member, meta, identity });
    return admitted instanceof Promise ? admitted.then(toVerdict) : toVerdict(admitted);
  }

  /** Does what was asked, and answers it. */
  perform(request: PresenceMessage): void {
    try {
      this.#perform(request);
    } catch (error) {
      if (!(error instanceof PresenceError)) throw error;
      this.#fail(request.id, codeOf(error.code), error.message);
    }
  }

  /** Tells the client what changed. */
  present(delivery: PresenceDelivery): void {
    for (const frame of delivery.frames) this.#client.send(frame);
  }

  /** The client's connection is over. */
  end(): void {
    this.#isOver = true;
    this.#cancelTimer?.();
    for (const channel of this.#followed) this.#core.watch(channel, this, undefined);
    if (this.#members.size > 0) this.#core.disconnect(this.#connection);
  }

  #perform(request: PresenceMessage): void {
    switch (request.type) {
      case "join":
        return this.#join(request);
      case "update":
        return this.#update(request);
      case "leave":
        return this.#leave(request.channel, request.id);
      case "members":
        return this.#answerMembers(request);
    }
  }

  #join(request: JoinMessage): void {
    const { channel, id, meta } = request;
    const connection = this.#connection;
    const previous = this.#members.get(channel);
    if (previous === undefined && !this.#hasRoom(this.#members, id)) return;
    const member = this.#memberOf(request);
    this.#core.join({ connection, channel, member }, meta);
    this.#members.set(channel, member);
    if (previous !== undefined && previous !== member) {
      this.#core.leave({ connection, channel, member: previous });
    }
    const count = this.#core.roster.count(channel);
    const members = count > JOINED_MEMBERS_MAX ? undefined : [...this.#read(channel)];
    this.#client.feed({ kind: "joined", channel, id, member, count, members });
    this.#follow(channel, request.follow);
  }

  #update({ channel, id, meta }: UpdateMessage): void {
    const member = this.#members.get(channel);
    if (member === undefined) {
      return this.#fail(id, "not_joined", `Not a member of ${JSON.stringify(channel)}`);
    }
    this.#core.update({ connection: this.#connection, channel, member }, meta);
    this.#client.feed({ kind: "updated", channel, id });
  }

  #leave(channel: string, id: number): void {
    const member = this.#members.get(channel);
    if (member !== undefined) {
      this.#members.delete(channel);
      this.#core.leave({ connection: this.#connection, channel, member });
    }
    this.#follow(channel, "nothing");
    this.#client.feed({ kind: "left", channel, id });
  }

  #answerMembers(request: MembersMessage): void {
    const { channel, id, follow } = request;
    const isNew = follow !== undefined && follow !== "nothing" && !this.#followed.has(channel);
    if (isNew && !this.#hasRoom(this.#followed, id)) return;
    if (this.#readings.length >= ROSTERS_WAITING_MAX) {
      return this.#fail(id, "overloaded", "Too many rosters are on their way already");
    }
    if (follow !== undefined) this.#follow(channel, follow);
    if (follow === "count") return this.#sendPiece(request, undefined, false);
    this.#readings.push({ request, members: this.#read(channel) });
    if (this.#readings.length === 1) this.#sendRosters();
  }

  // One piece a tick, so that nobody else has to wait for a large roster.
  #sendRosters(): void {
    const reading = this.#readings[0];
    if (reading === undefined || this.#isOver) return;
    if (this.#client.bufferedBytes > ROSTER_BUFFERED_BYTES_MAX) {
      this.#cancelTimer = this.#core.clock.setTimer(ROSTER_PAUSE_MS, () => this.#sendRosters());
      return;
    }
    const { members, isLast } = takePiece(reading.members);
    this.#sendPiece(reading.request, members, !isLast);
    if (isLast) this.#readings.shift();
    if (this.#readings.length > 0) this.#core.clock.defer(() => this.#sendRosters());
  }

  #sendPiece(
    { channel, id }: MembersMessage,
    members: readonly FrameMember[] | undefined,
    hasMore: boolean,
  ): void {
    const count = this.#core.roster.count(channel);
    const { isStale } = this.#core;
    this.#client.send(
      new Outgoing(encodeMembers({ channel, id, members, count, hasMore, isStale })),
    );
  }

  *#read(channel: string): Generator<FrameMember, void, void> {
    for (const [member, entries] of this.#core.roster.members(channel)) {
      yield { member, meta: latestOf(entries).meta };
    }
  }

  #follow(channel: string, follow: Follow): void {
    if (follow === "nothing") {
      if (this.#followed.delete(channel)) this.#core.watch(channel, this, undefined);
      return;
    }
    this.#followed.add(channel);
    this.#core.watch(channel, this, follow);
  }

  #memberOf({ member }: JoinMessage): string {
    return member ?? `${this.#core.node}/${this.#connection}`;
  }

  #hasRoom(channels: { readonly size: number }, id: number): boolean {
    const { channelsMax } = this.#client;
    if (channels.size < channelsMax) return true;
    this.#fail(id, "channel_limit", `At most ${channelsMax} channels a connection`);
    return false;
  }

  #fail(id: number, code: ErrorCode, message: string): void {
    this.#client.feed({ kind: "failed", id, code, message });
  }
}

/** The next members, as many as one frame should hold. */
function takePiece(members: Iterator<FrameMember>): {
  readonly members: readonly FrameMember[];
  readonly isLast: boolean;
} {
  const piece: FrameMember[] = [];
  let characters = 0;
  while (characters < FRAME_JOIN_CHARACTERS_MAX) {
    const next = members.next();
    if (next.done === true) return { members: piece, isLast: true };
    piece.push(next.value);
    characters += next.value.member.length + next.value.meta.length;
  }
  return { members: piece, isLast: false };
}

function toVerdict(admitted: Admitted): Verdict {
  return admitted === undefined ? REFUSED : { allowed: true, ...admitted };
}

function codeOf(code: PresenceErrorCode): ErrorCode {
  switch (code) {
    case "refused":
      return "forbidden";
    case "node_full":
      return "overloaded";
    case "meta_too_large":
      return "message_too_large";
    case "stopped":
      return "unsupported";
    case "channel_full":
    case "not_joined":
    case "cancelled":
      return code;
  }
}
