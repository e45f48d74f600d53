import { BoundedQueue } from "./bounded_queue.ts";
import { latestOf } from "./channel/presence_entry.ts";
import type { PresenceNodeStats } from "./channel/presence_input.ts";
import type { PresenceChange } from "./channel/presence_roster.ts";
import { createNodeId, type NodeId } from "./core/node.ts";
import { PresenceError } from "./errors.ts";
import { PresenceEvent, TypedEventTarget } from "./events.ts";
import { encodeMeta, Member, type MemberConnection, parseMeta, requireName } from "./member.ts";
import { requireInteger, requireKnown } from "./options.ts";
import { PendingJoins } from "./pending_joins.ts";
import { type AdmitRequest, type Admitted, PresenceCore } from "./presence_core.ts";
import { createAdmit, type PresenceOptions, resolvePresenceOptions } from "./presence_options.ts";
import { systemClock } from "./runtime/clock.ts";
import { systemRandomBytes } from "./runtime/crypto.ts";

/** How to join. */
export interface JoinOptions {
  /** Any JSON value that the others should see. Default: none. */
  readonly meta?: unknown;
  /**
   * A name for the connection, unique on this node. A member is in a channel as long as one of its
   * connections is.
   *
   * @default {one that all who leave it out share}
   */
  readonly connection?: string;
}

/** Which connection is meant. */
export type ConnectionOptions = Pick<JoinOptions, "connection">;

/** How to follow what changes. */
export interface ChangesOptions {
  /**
   * Changes that may wait to be read. Past it the oldest goes and `droppedCount` grows.
   *
   * @default {10000}
   */
  readonly queueChangesMax?: number;
}

/** The events of a {@linkcode Presence}: for each member of a channel they alternate. */
export interface PresenceEvents extends Readonly<Record<string, Event>> {
  /** A member's first connection anywhere is in a channel. */
  readonly join: PresenceEvent;
  /** The metadata of a member in a channel is another. */
  readonly update: PresenceEvent;
  /** A member's last connection is out of a channel. */
  readonly leave: PresenceEvent;
}

/** A snapshot of presence's counters and gauges. */
export type PresenceStats = PresenceNodeStats;

/** The running half of presence, for the parts of this library that join them to others. */
export let presenceCoreOf: (presence: Presence) => PresenceCore;

/** Changes to iterate over, up to a bound. */
export class PresenceChanges implements AsyncIterable<PresenceEvent>, Disposable {
  readonly #queue: BoundedQueue<PresenceEvent>;

  /** Made by `Presence.changes`. */
  constructor(core: PresenceCore, channel: string | undefined, queueChangesMax: number) {
    const ignore = core.observe((changes) => {
      const wanted = channel === undefined
        ? changes
        : changes.filter((change) => change.channel === channel);
      this.#queue.push(wanted.map(toEvent));
    }, () => this.close());
    this.#queue = new BoundedQueue(queueChangesMax, ignore);
    if (core.isStopped) this.close();
  }

  /** Changes that had to go because nobody read them in time. */
  get droppedCount(): number {
    return this.#queue.droppedCount;
  }

  /** Follows no longer. Iteration ends after the changes that are here already. */
  close(): void {
    this.#queue.close();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Reads the changes in order. Leaving the loop follows no longer. */
  [Symbol.asyncIterator](): AsyncGenerator<PresenceEvent, void, void> {
    return this.#queue[Symbol.asyncIterator]();
  }
}

/**
 * Who is online in which channel: in one process as it is, across nodes once attached to a
 * `Cluster`.
 *
 * A member may have many connections, on many nodes: it is there as long as one of them is, and
 * shows the metadata of the latest. Every node knows the whole roster, so questions are answered
 * at once.
 *
 * @example
 * ```ts
 * import { Presence } from "jsr:@chorus/cluster";
 *
 * const presence = new Presence();
 * presence.addEventListener("join", ({ channel, member }) => console.log(member, "is in", channel));
 * await presence.join("lobby", "ann", { meta: { status: "busy" } });
 * console.log(presence.count("lobby"), presence.get("lobby", "ann")?.meta);
 * presence.leave("lobby", "ann");
 * ```
 */
export class Presence extends TypedEventTarget<PresenceEvents> implements AsyncDisposable {
  static {
    presenceCoreOf = (presence) => presence.#core;
  }
  readonly #core: PresenceCore;
  readonly #connections = new Map<string, number>();
  readonly #pending = new PendingJoins();
  #isListenedTo = false;
  #stopped: Promise<void> | undefined;

  /**
   * Makes presence for this process.
   *
   * @param options See {@linkcode PresenceOptions}.
   * @throws {TypeError | RangeError} If an option is unknown or out of bounds.
   */
  constructor(options: PresenceOptions = {}) {
    super();
    const settings = resolvePresenceOptions(options);
    const node = createNodeId("node", systemRandomBytes(16));
    const admit = options.admit === undefined ? undefined : createAdmit(options.admit);
    this.#core = new PresenceCore(node, settings, { clock: systemClock, admit });
  }

  /** The node under whose name members join here. */
  get nodeId(): NodeId {
    return this.#core.node;
  }

  /**
   * Whether this node is cut off from the others, so that the roster is what it last knew. Nobody
   * is purged for that. After `stop` it is always so.
   */
  get stale(): boolean {
    return this.#core.isStale;
  }

  /**
   * A member joins a channel, or has other metadata there. Where nothing has to be awaited to admit
   * it, it has joined when the call returns.
   *
   * @param channel 1 to 255 bytes of UTF-8 without control characters.
   * @param member Who: the same bounds as for a channel.
   * @returns The member as it was admitted.
   * @throws {TypeError} If the channel or the member is no name, the metadata no JSON, or an option
   *     is unknown.
   * @throws {PresenceError} `refused`, `channel_full`, `node_full`, `meta_too_large` or `stopped`;
   *     `cancelled` if it left or its connection ended before it was admitted.
   */
  async join(channel: string, member: string, options: JoinOptions = {}): Promise<Member> {
    requireName("channel", channel);
    requireName("member", member);
    requireKnown("join", options, ["meta", "connection"]);
    const meta = encodeMeta(options.meta);
    const decision = this.#admit({ action: "join", channel, member, meta, identity: undefined });
    if (!(decision instanceof Promise)) return this.#join(channel, decision, options.connection);
    const join = this.#pending.add({ channel, member, connection: options.connection });
    try {
      const admitted = await decision;
      this.#pending.confirm(join);
      return this.#join(channel, admitted, options.connection);
    } finally {
      this.#pending.remove(join);
    }
  }

  /**
   * Gives a member that has joined here other metadata.
   *
   * @param meta Any JSON value, or `undefined` for none.
   * @throws {TypeError} As `join`.
   * @throws {PresenceError} `not_joined`, `refused`, `meta_too_large` or `stopped`.
   */
  async update(
    channel: string,
    member: string,
    meta: unknown,
    options: ConnectionOptions = {},
  ): Promise<void> {
    requireName("channel", channel);
    requireName("member", member);
    requireKnown("update", options, ["connection"]);
    const request = { channel, member, meta: encodeMeta(meta), identity: undefined };
    const decision = this.#admit({ action: "update", ...request });
    const admitted = decision instanceof Promise ? await decision : decision;
    const connection = this.#known(options.connection);
    this.#core.update({ connection, channel, member }, admitted.meta);
  }

  /**
   * A member leaves a channel. A join of it that still waits to be admitted is called off.
   *
   * @returns Whether the connection was there as this member.
   */
  leave(channel: string, member: string, options: ConnectionOptions = {}): boolean {
    const { connection } = options;
    this.#pending.leave({ channel, member, connection });
    const membership = { connection: this.#known(connection), channel, member };
    const wasThere = this.#core.hasJoined(membership);
    if (!wasThere) return false;
    this.#core.leave(membership);
    this.#forgetUnused(connection, membership.connection);
    return true;
  }

  /**
   * A connection has ended: its members leave all their channels, after the grace period. What it
   * still waits to be admitted to is called off.
   *
   * @param connection Its name, as given to `join`.
   */
  disconnect(connection: string): void {
    this.#pending.disconnect(connection);
    const known = this.#connections.get(connection);
    if (known === undefined) return;
    this.#connections.delete(connection);
    this.#core.disconnect(known);
  }

  /** Who is in a channel, on all nodes, in the order in which this node heard of them. */
  members(channel: string): readonly Member[] {
    const members: Member[] = [];
    for (const [member, entries] of this.#core.roster.members(channel)) {
      members.push(new Member(member, latestOf(entries).meta));
    }
    return members;
  }

  /** How many members are in a channel, on all nodes. */
  count(channel: string): number {
    return this.#core.roster.count(channel);
  }

  /** A member of a channel, or `undefined` if it is not there. */
  get(channel: string, member: string): Member | undefined {
    const shown = this.#core.roster.shown(channel, member);
    return shown === undefined ? undefined : new Member(member, shown.meta);
  }

  /** A member's connections in a channel, on all nodes. */
  connections(channel: string, member: string): readonly MemberConnection[] {
    return Array.from(this.#core.roster.entries(channel, member), ({ owner, meta }) => ({
      node: owner.node,
      meta: parseMeta(meta),
    }));
  }

  /** The channels that a member is in, on any node. */
  channelsOf(member: string): readonly string[] {
    return this.#core.roster.channelsOf(member);
  }

  /**
   * Follows what changes from now on, in one channel or in all, to iterate over it.
   *
   * @param channel Default: all channels.
   * @throws {TypeError | RangeError} If the channel is no name, or an option is unknown or out of
   *     bounds.
   */
  changes(channel?: string, options: ChangesOptions = {}): PresenceChanges {
    if (channel !== undefined) requireName("channel", channel);
    requireKnown("changes", options, ["queueChangesMax"]);
    const { queueChangesMax = 10_000 } = options;
    requireInteger("changes", "queueChangesMax", queueChangesMax, { min: 1, max: 1e9 });
    return new PresenceChanges(this.#core, channel, queueChangesMax);
  }

  /** A snapshot of counters and gauges. */
  stats(): PresenceStats {
    return this.#core.stats;
  }

  /**
   * Ends it: nobody can join any more, and for the other nodes the members of this one are gone,
   * those of clients after the grace period. Whoever follows changes comes to their end. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  /** The same as `stop`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Calls `listener` on each event of a type. */
  override addEventListener<Type extends keyof PresenceEvents & string>(
    type: Type,
    listener: (event: PresenceEvents[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Adds a listener: typed for the known events, as `EventTarget` has it for the others. */
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  // Events for a hundred thousand members are not made as long as nobody listens.
  override addEventListener(
    type: string,
    listener: unknown,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener as EventListener, options);
    if (this.#isListenedTo) return;
    this.#isListenedTo = true;
    this.#core.observe((changes) => {
      for (const change of changes) this.dispatchEvent(toEvent(change));
    });
  }

  async #end(): Promise<void> {
    // Whoever calls from a listener is inside an output, and the others of its batch come first.
    await undefined;
    this.#core.stop();
  }

  #join(channel: string, admitted: NonNullable<Admitted>, name: string | undefined): Member {
    const { member, meta } = admitted;
    const connection = this.#connectionOf(name);
    try {
      this.#core.join({ connection, channel, member }, meta);
    } finally {
      this.#forgetUnused(name, connection);
    }
    return new Member(member, meta);
  }

  #admit(request: AdmitRequest): NonNullable<Admitted> | Promise<NonNullable<Admitted>> {
    const { admit } = this.#core;
    if (admit === undefined) return { member: request.member, meta: request.meta };
    const fail = (cause: unknown): never => {
      throw refusal(request, "the application could not decide", cause);
    };
    let admitted: Admitted | Promise<Admitted>;
    try {
      admitted = admit(request);
    } catch (error) {
      return fail(error);
    }
    if (!(admitted instanceof Promise)) return requireAdmitted(admitted, request);
    return admitted.then((each) => requireAdmitted(each, request), fail);
  }

  #forgetUnused(name: string | undefined, connection: number): void {
    if (name !== undefined && !this.#core.isInUse(connection)) this.#connections.delete(name);
  }

  #connectionOf(name: string | undefined): number {
    if (name === undefined) return 0;
    let connection = this.#connections.get(name);
    if (connection === undefined) {
      this.#connections.set(name, connection = this.#core.openConnection());
    }
    return connection;
  }

  #known(name: string | undefined): number {
    return name === undefined ? 0 : this.#connections.get(name) ?? -1;
  }
}

function requireAdmitted(admitted: Admitted, request: AdmitRequest): NonNullable<Admitted> {
  if (admitted !== undefined) return admitted;
  throw refusal(request, "the application refuses it");
}

function refusal(request: AdmitRequest, reason: string, cause?: unknown): PresenceError {
  const who = `${JSON.stringify(request.member)} to ${JSON.stringify(request.channel)}`;
  return new PresenceError("refused", `Cannot admit ${who}: ${reason}`, { cause });
}

function toEvent({ kind, channel, member, meta }: PresenceChange): PresenceEvent {
  return new PresenceEvent(kind, { channel, member, meta });
}
