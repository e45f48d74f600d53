import type { Millis } from "../core/machine.ts";
import type { PresenceChange, Roster } from "./presence_roster.ts";

/** What a watcher of a channel is told: each change, or only how many members there are. */
export type WatchMode = "changes" | "count";

/** A member and what shows of it. */
export interface ShownMember {
  /** The member. */
  readonly member: string;
  /** The metadata as JSON text; empty for none. */
  readonly meta: string;
}

/** What changed in a channel in this tick, after all is said: one record for all watchers. */
export interface PresencePush<Watcher> {
  readonly kind: "push";
  readonly channel: string;
  readonly joined: readonly ShownMember[];
  readonly updated: readonly ShownMember[];
  readonly left: readonly string[];
  /** How many members the channel has now. */
  readonly count: number;
  /** Who is told. Valid until the machine is fed again. */
  readonly watchers: ReadonlySet<Watcher>;
}

/** The number of a channel's members is another one. */
export interface CountPush<Watcher> {
  readonly kind: "count";
  readonly channel: string;
  readonly count: number;
  /** Who is told. Valid until the machine is fed again. */
  readonly watchers: ReadonlySet<Watcher>;
}

/** Counts are told this often at most: in a channel that large, the last digit never rests. */
const COUNT_PAUSE_MS = 250;

interface Watched<Watcher> {
  readonly changes: Set<Watcher>;
  readonly counts: Set<Watcher>;
  /** Members that something happened to in this tick, and whether they were there before it. */
  touched: Map<string, boolean>;
  /** Who began to be told of changes after something had happened in this tick. */
  newcomers: Set<Watcher>;
  /** What all who count were told last; `undefined` if it was not the same. */
  toldCount: number | undefined;
  toldAt: Millis;
}

/** Who wants to know who is in a channel, and what they are still to be told. */
export class PresenceWatchers<Watcher> {
  readonly #roster: Roster;
  readonly #channels = new Map<string, Watched<Watcher>>();
  readonly #dirty = new Set<string>();
  readonly #uncounted = new Set<string>();

  /** Starts with nobody. */
  constructor(roster: Roster) {
    this.#roster = roster;
  }

  /** Whether changes wait for the end of the tick. */
  get hasNews(): boolean {
    return this.#dirty.size > 0;
  }

  /** When a count that waits may be told. */
  get deadline(): Millis | undefined {
    let deadline: Millis | undefined;
    for (const channel of this.#uncounted) {
      const at = this.#channels.get(channel)!.toldAt + COUNT_PAUSE_MS;
      if (deadline === undefined || at < deadline) deadline = at;
    }
    return deadline;
  }

  /** Somebody wants to be told from now on, or, without a mode, no longer. */
  watch(channel: string, watcher: Watcher, mode: WatchMode | undefined): void {
    let watched = this.#channels.get(channel);
    if (watched === undefined) {
      if (mode === undefined) return;
      this.#channels.set(channel, watched = createWatched());
    }
    if (mode === "changes" && watched.touched.size > 0) watched.newcomers.add(watcher);
    else watched.newcomers.delete(watcher);
    watched.changes.delete(watcher);
    watched.counts.delete(watcher);
    if (mode === "changes") watched.changes.add(watcher);
    if (mode === "count") {
      watched.counts.add(watcher);
      // What the newcomer was told is not what the others were: the next count is told to all.
      watched.toldCount = undefined;
    }
    if (watched.changes.size > 0 || watched.counts.size > 0) return;
    this.#channels.delete(channel);
    this.#dirty.delete(channel);
    this.#uncounted.delete(channel);
  }

  /** Something changed. */
  note({ channel, member, kind }: PresenceChange): void {
    const watched = this.#channels.get(channel);
    if (watched === undefined) return;
    if (!watched.touched.has(member)) watched.touched.set(member, kind !== "join");
    this.#dirty.add(channel);
  }

  /** Ends the tick: what the watchers are told. */
  tell(now: Millis): (PresencePush<Watcher> | CountPush<Watcher>)[] {
    const pushes: (PresencePush<Watcher> | CountPush<Watcher>)[] = [];
    for (const channel of this.#dirty) {
      const watched = this.#channels.get(channel)!;
      pushes.push(...this.#collect(channel, watched));
      if (watched.counts.size > 0) this.#uncounted.add(channel);
    }
    this.#dirty.clear();
    for (const channel of this.#uncounted) {
      const watched = this.#channels.get(channel)!;
      if (now < watched.toldAt + COUNT_PAUSE_MS) continue;
      this.#uncounted.delete(channel);
      const count = this.#roster.count(channel);
      if (count === watched.toldCount) continue;
      watched.toldCount = count;
      watched.toldAt = now;
      pushes.push({ kind: "count", channel, count, watchers: watched.counts });
    }
    return pushes;
  }

  // What came and went within the tick is not worth a word, but to those who saw the roster between.
  #collect(channel: string, watched: Watched<Watcher>): PresencePush<Watcher>[] {
    const { touched, newcomers, changes: watchers } = watched;
    watched.touched = new Map();
    watched.newcomers = new Set();
    if (watchers.size === 0) return [];
    const joined: ShownMember[] = [];
    const updated: ShownMember[] = [];
    const left: string[] = [];
    const brief: string[] = [];
    for (const [member, wasThere] of touched) {
      const meta = this.#roster.shown(channel, member)?.meta;
      if (meta !== undefined) (wasThere ? updated : joined).push({ member, meta });
      else (wasThere ? left : brief).push(member);
    }
    const count = this.#roster.count(channel);
    const push = { kind: "push", channel, joined, updated, left, count, watchers } as const;
    const pushes = joined.length + updated.length + left.length > 0 ? [push] : [];
    if (brief.length === 0 || newcomers.size === 0) return pushes;
    const correction = { ...push, joined: [], updated: [], left: brief, watchers: newcomers };
    return [...pushes, correction];
  }
}

function createWatched<Watcher>(): Watched<Watcher> {
  return {
    changes: new Set(),
    counts: new Set(),
    touched: new Map(),
    newcomers: new Set(),
    toldCount: undefined,
    toldAt: -Infinity,
  };
}
