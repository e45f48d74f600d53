/**
 * The running half of `Presence`: drives its machine, and stands between the clients' side and the
 * cluster's. Internal: `mod.ts` does not export it.
 *
 * @module
 */

import { PresenceNode } from "./channel/presence.ts";
import type { PresenceInput, PresenceNodeStats, PresenceOutput } from "./channel/presence_input.ts";
import type { PresenceLogSettings } from "./channel/presence_log.ts";
import type { PresenceChange } from "./channel/presence_roster.ts";
import type { WatchMode } from "./channel/presence_watchers.ts";
import type { Clock } from "./core/clock.ts";
import { type Drive, drive } from "./core/drive.ts";
import type { Millis } from "./core/machine.ts";
import type { NodeId } from "./core/node.ts";
import { PresenceError } from "./errors.ts";
import { PresenceDelivery } from "./presence_delivery.ts";

/** Whoever is told on this node who is in a channel: a client's connection. */
export interface PresenceWatcher {
  /** What changed in this tick. The same object goes to every watcher. */
  present(delivery: PresenceDelivery): void;
}

/** What presence needs of the cluster. */
export interface PresenceUplink {
  /** Whether the cluster cannot know who is there. */
  readonly isStale: boolean;
  /** Sends a body to a node, or to all. */
  send(node: NodeId | undefined, body: Uint8Array): void;
  /** What every heartbeat from now on is to tell. */
  digest(body: Uint8Array): void;
}

/** The bounds of presence, checked and complete. */
export interface PresenceSettings extends PresenceLogSettings {
  /** How long the members of a connection that has ended stay, in ms. */
  readonly graceMs: Millis;
  /** Most members of one channel. */
  readonly membersMax: number;
  /** Largest metadata of a member, in bytes of JSON. */
  readonly metaBytesMax: number;
}

/** A connection that is in a channel as a member. */
export interface Membership {
  /** The connection's number. 0 is server code without a connection. */
  readonly connection: number;
  /** The channel. */
  readonly channel: string;
  /** The member. */
  readonly member: string;
}

/** Who wants to come in, or to change. */
export interface AdmitRequest {
  /** Whether it is new in the channel, or has other metadata. */
  readonly action: "join" | "update";
  /** The channel. */
  readonly channel: string;
  /** The member. */
  readonly member: string;
  /** The metadata as JSON text; empty for none. */
  readonly meta: string;
  /** Who the client is, as `authenticate` has told; `undefined` for server code. */
  readonly identity: unknown;
}

/** Who may come in, and with what. `undefined` for nobody. */
export type Admitted = { readonly member: string; readonly meta: string } | undefined;

/** Asks the application. */
export type Admit = (request: AdmitRequest) => Admitted | Promise<Admitted>;

const encoder = new TextEncoder();

/** Drives presence. */
export class PresenceCore {
  /** Asks the application who may come in; `undefined` if everybody may. */
  readonly admit: Admit | undefined;
  /** The bounds. */
  readonly settings: PresenceSettings;
  readonly #machine: PresenceNode<PresenceWatcher>;
  readonly #drive: Drive<PresenceInput<PresenceWatcher>>;
  /** Who is told of changes, and what is called when there are none any more. */
  readonly #observers = new Map<(changes: readonly PresenceChange[]) => void, () => void>();
  readonly #clock: Clock;
  #node: NodeId;
  #uplink: PresenceUplink | undefined;
  #digest: Uint8Array | undefined;
  #connections = 0;
  #isStopped = false;

  /** Starts without a cluster. */
  constructor(
    node: NodeId,
    settings: PresenceSettings,
    environment: { readonly clock: Clock; readonly admit: Admit | undefined },
  ) {
    this.#node = node;
    this.settings = settings;
    this.admit = environment.admit;
    this.#clock = environment.clock;
    this.#machine = new PresenceNode(node, settings);
    this.#drive = drive(this.#machine, this.#clock, (output) => this.#perform(output));
  }

  /** Under which name members are here. */
  get node(): NodeId {
    return this.#node;
  }

  /** Where time comes from. */
  get clock(): Clock {
    return this.#clock;
  }

  /** Whether the roster may lack what happened elsewhere, as this node is cut off or it is over. */
  get isStale(): boolean {
    return this.#isStopped || (this.#uplink?.isStale ?? false);
  }

  /** Who is there, to read. */
  get roster(): PresenceNode<PresenceWatcher>["roster"] {
    return this.#machine.roster;
  }

  /** Counters and gauges. */
  get stats(): PresenceNodeStats {
    return this.#machine.stats;
  }

  /** A number for a connection, to join with. */
  openConnection(): number {
    return ++this.#connections;
  }

  /** Calls back with what changes, as it does, until it is over. Returns how to undo it. */
  observe(
    observer: (changes: readonly PresenceChange[]) => void,
    ended: () => void = () => {},
  ): () => void {
    this.#observers.set(observer, ended);
    return () => void this.#observers.delete(observer);
  }

  /**
   * A connection is in a channel as a member from now on, or has other metadata there.
   *
   * @throws {PresenceError} `channel_full`, `node_full`, `meta_too_large` or `stopped`.
   */
  join(membership: Membership, meta: string): void {
    this.#requireRoom(membership);
    this.#requireMeta(meta);
    this.#drive.feed({ kind: "join", ...membership, meta });
  }

  /**
   * A connection has other metadata.
   *
   * @throws {PresenceError} `not_joined`, `meta_too_large` or `stopped`.
   */
  update(membership: Membership, meta: string): void {
    if (!this.hasJoined(membership)) {
      const { channel, member } = membership;
      const what = `${JSON.stringify(member)} in ${JSON.stringify(channel)}`;
      throw new PresenceError("not_joined", `Cannot update ${what}: it has not joined there`);
    }
    this.join(membership, meta);
  }

  /** Whether a connection is in a channel as a member. */
  hasJoined({ connection, channel, member }: Membership): boolean {
    return this.#machine.hasJoined(connection, channel, member);
  }

  /** Whether a connection is in any channel. */
  isInUse(connection: number): boolean {
    return this.#machine.isInUse(connection);
  }

  /** A connection is no longer in a channel as a member. */
  leave({ connection, channel, member }: Membership): void {
    this.#drive.feed({ kind: "leave", connection, channel, member });
  }

  /** A connection has ended. Its members stay for the grace period. */
  disconnect(connection: number): void {
    const lingerMs = this.settings.graceMs;
    this.#drive.feed({ kind: "disconnect", connection, lingerMs });
  }

  /** Starts or ends telling somebody about a channel. */
  watch(channel: string, watcher: PresenceWatcher, mode: WatchMode | undefined): void {
    this.#drive.feed({ kind: "watch", channel, watcher, mode });
  }

  /**
   * Joins a cluster under its name for this node.
   *
   * @throws {Error} If a cluster is attached already.
   */
  attach(node: NodeId, uplink: PresenceUplink): void {
    if (this.#uplink !== undefined) {
      throw new Error("Cannot attach presence: it is attached to a cluster already");
    }
    this.#machine.rename(node);
    this.#node = node;
    this.#uplink = uplink;
    if (this.#digest !== undefined) uplink.digest(this.#digest);
  }

  /** Goes on alone. */
  detach(): void {
    this.#uplink = undefined;
    this.#drive.feed({ kind: "detach" });
  }

  /** A node can be reached. */
  peerUp(node: NodeId): void {
    this.#drive.feed({ kind: "peer_up", node });
  }

  /** A node is down. */
  peerDown(node: NodeId, hasLeft: boolean): void {
    this.#drive.feed({ kind: "peer_down", node, hasLeft });
  }

  /** A body came from a node. */
  receive(node: NodeId, body: Uint8Array): void {
    this.#drive.feed({ kind: "received", node, body });
  }

  /** This node is about to say goodbye: its clients' members stay for the grace period elsewhere. */
  farewell(): void {
    this.#drive.feed({ kind: "farewell", lingerMs: this.settings.graceMs });
  }

  /** Whether it is over. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Ends all of it. Not to be called while an output is performed: the last ones would be lost. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#drive.feed({ kind: "stop", lingerMs: this.settings.graceMs });
    this.#drive.stop();
    this.#uplink = undefined;
    for (const ended of [...this.#observers.values()]) ended();
    this.#observers.clear();
  }

  #requireRoom({ channel, member }: Membership): void {
    if (this.#isStopped) {
      throw new PresenceError("stopped", `Cannot join ${JSON.stringify(channel)}: stopped`);
    }
    const { roster } = this.#machine;
    const { membersMax } = this.settings;
    if (roster.count(channel) >= membersMax && roster.shown(channel, member) === undefined) {
      const message = `Cannot join ${JSON.stringify(channel)}: it has ${membersMax} members`;
      throw new PresenceError("channel_full", message);
    }
    if (this.#machine.isFull) {
      const message = `Cannot join ${JSON.stringify(channel)}: this node can take no more members`;
      throw new PresenceError("node_full", message);
    }
  }

  #requireMeta(meta: string): void {
    const { metaBytesMax } = this.settings;
    // A UTF-16 unit takes at most three bytes of UTF-8.
    if (meta.length * 3 <= metaBytesMax) return;
    const { byteLength } = encoder.encode(meta);
    if (byteLength <= metaBytesMax) return;
    const message = `Cannot take metadata: ${byteLength} bytes, at most ${metaBytesMax}`;
    throw new PresenceError("meta_too_large", message);
  }

  #perform(output: PresenceOutput<PresenceWatcher>): void {
    switch (output.kind) {
      case "changes":
        for (const observer of this.#observers.keys()) observer(output.changes);
        return;
      case "push": {
        const delivery = new PresenceDelivery(output.channel, output.count, output);
        for (const watcher of output.watchers) watcher.present(delivery);
        return;
      }
      case "count": {
        const delivery = new PresenceDelivery(output.channel, output.count);
        for (const watcher of output.watchers) watcher.present(delivery);
        return;
      }
      case "send":
        return this.#uplink?.send(output.node, output.body);
      case "digest":
        this.#digest = output.body;
        return this.#uplink?.digest(output.body);
    }
  }
}
