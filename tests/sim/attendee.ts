import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";
import type { Chance } from "./chance.ts";
import type { ClientWorld } from "./client.ts";
import type { Attendance } from "./history.ts";

/** A member as a client is told of it. */
export interface ToldMember {
  readonly member: string;
  readonly meta?: number;
}

/** What a client is told about presence. */
export interface ToldPresence {
  readonly type: string;
  readonly id?: number;
  readonly channel?: string;
  readonly members?: readonly ToldMember[];
  readonly joined?: readonly ToldMember[];
  readonly updated?: readonly ToldMember[];
  readonly left?: readonly string[];
  readonly count?: number;
  readonly code?: string;
}

/** How an attendee speaks to its node. */
export interface AttendeeVoice {
  readonly name: string;
  /** Sends a request with an `id` of its own, which is returned. */
  request(message: object): number;
}

interface Wish {
  readonly channel: string;
  readonly member: string;
  readonly meta: number;
}

interface Asked extends Wish {
  /** Whether it wants to know no more than how many there are. */
  readonly isCounting: boolean;
}

const COUNT_CHANCE = 0.2;

/** One client's part in presence: joins, updates, leaves, and writes down what it sees. */
export class Attendee {
  /** Who is in which channel, as this client was told. */
  readonly views: Map<string, Map<string, number | undefined>> = new Map();
  /** How many are in a channel, as this client was told where it wants to know no more. */
  readonly counts: Map<string, number> = new Map();
  readonly #voice: AttendeeVoice;
  readonly #world: Pick<ClientWorld, "schedule" | "history" | "trace">;
  readonly #chance: Chance;
  readonly #channels: readonly string[];
  readonly #members: readonly string[];
  readonly #wishes = new Map<string, Wish>();
  readonly #asked = new Map<number, Asked>();
  readonly #attendances = new Map<string, Attendance>();
  #node: NodeId | undefined;
  #metaCount = 0;

  constructor(
    voice: AttendeeVoice,
    world: Pick<ClientWorld, "schedule" | "history" | "trace">,
    chance: Chance,
    names: { readonly channels: readonly string[]; readonly members: readonly string[] },
  ) {
    this.#voice = voice;
    this.#world = world;
    this.#chance = chance;
    this.#channels = names.channels;
    this.#members = names.members;
  }

  /** A node has let the client in: it is to be where it wanted to be. */
  welcomed(node: NodeId): void {
    this.#node = node;
    for (const wish of this.#wishes.values()) this.#ask(wish);
  }

  /** The connection is over. */
  closed(): void {
    for (const channel of [...this.#attendances.keys()]) this.#end(channel, true);
    this.#node = undefined;
    this.#asked.clear();
    this.views.clear();
    this.counts.clear();
  }

  /** Changes something in some channel. */
  change(): void {
    const channel = this.#chance.pick(this.#channels);
    const wish = this.#wishes.get(channel);
    if (wish !== undefined && this.#chance.happens(0.3)) return this.leave(channel);
    const isUpdate = wish !== undefined && this.#chance.happens(0.6);
    const member = isUpdate ? wish.member : this.#chance.pick(this.#members);
    this.join(channel, member);
  }

  /** Has other metadata wherever it is. */
  renew(): void {
    for (const { channel, member } of this.#wishes.values()) this.join(channel, member);
  }

  /** Is in a channel as a member, with metadata that nobody had before. */
  join(channel: string, member: string): void {
    const wish = { channel, member, meta: ++this.#metaCount };
    const isUpdate = this.#attendances.get(channel)?.member === member;
    this.#wishes.set(channel, wish);
    if (this.#node === undefined) return;
    if (!isUpdate) return this.#ask(wish);
    const { meta } = wish;
    const id = this.#voice.request({ type: "update", channel, meta });
    this.#asked.set(id, { ...wish, isCounting: false });
  }

  /** Is in a channel no longer. */
  leave(channel: string): void {
    if (!this.#wishes.delete(channel) || this.#node === undefined) return;
    this.#end(channel, false);
    this.views.delete(channel);
    this.counts.delete(channel);
    this.#voice.request({ type: "leave", channel });
  }

  /** Takes what the node says. */
  hear(told: ToldPresence): void {
    switch (told.type) {
      case "joined":
      case "updated":
        return this.#onAnswer(told);
      case "presence":
        return this.#onChanges(told);
      case "error":
        return this.#onError(told);
    }
  }

  // Whoever is there as another member is not any more when the node reads it.
  #ask(wish: Wish): void {
    const { channel, member, meta } = wish;
    if (this.#attendances.get(channel)?.member !== member) this.#end(channel, false);
    const isCounting = this.#chance.happens(COUNT_CHANCE);
    const follow = isCounting ? "count" : true;
    const id = this.#voice.request({ type: "join", channel, member, meta, follow });
    this.#asked.set(id, { ...wish, isCounting });
  }

  #end(channel: string, isCutShort: boolean): void {
    const { now } = this.#world.schedule;
    // It may have been let in already, though it has not heard of it.
    for (const asked of isCutShort ? [] : this.#asked.values()) {
      if (asked.channel === channel) this.#say(asked, now);
    }
    const attendance = this.#attendances.get(channel);
    if (attendance === undefined) return;
    attendance.endedAt = now;
    attendance.isCutShort = isCutShort;
    if (!isCutShort) this.#say(attendance, now);
    this.#attendances.delete(channel);
  }

  #say({ channel, member }: { channel: string; member: string }, at: Millis): void {
    this.#world.history.farewells.push({ at, channel, member });
  }

  #onAnswer({ type, id, members, count }: ToldPresence): void {
    const asked = this.#asked.get(id!);
    if (asked === undefined) return;
    this.#asked.delete(id!);
    const { channel, member, meta, isCounting } = asked;
    // It may have been taken back since.
    if (this.#wishes.get(channel)?.member !== member) return;
    const { schedule, history, trace } = this.#world;
    trace.line(this.#voice.name, `${type} ${channel} as ${member} ${meta}`);
    if (type === "joined") this.#begin(channel, isCounting, { members: members!, count: count! });
    const attendance = this.#attendances.get(channel);
    if (attendance?.member === member) {
      attendance.meta = meta;
      attendance.changedAt = schedule.now;
      return;
    }
    const added: Attendance = {
      client: this.#voice.name,
      node: this.#node!,
      channel,
      member,
      meta,
      changedAt: schedule.now,
      joinedAt: schedule.now,
      endedAt: Infinity,
      isCutShort: false,
    };
    this.#attendances.set(channel, added);
    history.attendances.push(added);
  }

  // Whatever an attendee asks for is allowed.
  #onError({ id, code }: ToldPresence): void {
    if (!this.#asked.delete(id ?? -1)) return;
    this.#world.history.faults.push(`${this.#voice.name} is refused with ${code}`);
  }

  #begin(
    channel: string,
    isCounting: boolean,
    roster: { readonly members: readonly ToldMember[]; readonly count: number },
  ): void {
    this.views.delete(channel);
    this.counts.delete(channel);
    if (isCounting) this.counts.set(channel, roster.count);
    else this.views.set(channel, new Map(roster.members.map(toEntry)));
  }

  #onChanges({ channel, joined = [], updated = [], left = [], count }: ToldPresence): void {
    if (this.counts.has(channel!)) this.counts.set(channel!, count!);
    const view = this.views.get(channel!);
    if (view === undefined) return;
    for (const member of left) view.delete(member);
    for (const told of [...joined, ...updated]) view.set(...toEntry(told));
  }
}

function toEntry({ member, meta }: ToldMember): [string, number | undefined] {
  return [member, meta];
}
