/**
 * The running half of `Cluster`: drives the cluster's machine, and stands between the channels
 * and the backplanes. Internal: `mod.ts` does not export it.
 *
 * @module
 */

import type { Backplane, BackplaneHandler, BackplaneState } from "./backplane/backplane.ts";
import type { ChannelCore, ChannelUplink } from "./channel_core.ts";
import type { ClusterInput } from "./cluster/cluster_input.ts";
import { ClusterNode } from "./cluster/cluster_node.ts";
import type { ClusterNodeStats } from "./cluster/cluster_node_stats.ts";
import type { ClusterOutput } from "./cluster/cluster_output.ts";
import type { PeerView } from "./cluster/membership.ts";
import type { ClusterSettings } from "./cluster/settings.ts";
import type { Clock } from "./core/clock.ts";
import { type Drive, drive } from "./core/drive.ts";
import type { NodeId } from "./core/node.ts";
import type { PresenceCore, PresenceUplink } from "./presence_core.ts";

/** What the core does with its backplanes. How they are started and stopped is the owner's. */
export type ClusterPath = Pick<
  Backplane,
  "send" | "subscribe" | "unsubscribe" | "rebuild" | "discover"
>;

/** What the owner is told. Its methods MUST NOT throw. */
export interface ClusterObserver {
  /** A peer counts from now on. */
  peerConnected(peer: ClusterOutput & { readonly kind: "peer_connected" }): void;
  /** A peer that counted is down. */
  peerDisconnected(peer: ClusterOutput & { readonly kind: "peer_disconnected" }): void;
  /** Something that health depends on has changed. */
  healthMayDiffer(): void;
  /** Something failed and was dealt with. */
  fault(error: Error): void;
}

/** The parts that talk through the cluster, by the numbers that they have on the wire. */
const PART = { presence: 1 } as const;

type Ticket = (...values: never[]) => void;

/** Drives one node among others. */
export class ClusterCore {
  readonly #node: NodeId;
  readonly #paths: readonly ClusterPath[];
  readonly #clock: Clock;
  readonly #observer: ClusterObserver;
  readonly #machine: ClusterNode;
  readonly #states: BackplaneState[];
  readonly #started = new Set<ClusterPath>();
  #drive: Drive<ClusterInput> | undefined;
  #channels: ChannelCore | undefined;
  #presence: PresenceCore | undefined;

  /** Makes a node that is alone until `start`. `paths` are its backplanes. */
  constructor(
    node: NodeId,
    settings: ClusterSettings,
    paths: readonly ClusterPath[],
    environment: { readonly clock: Clock; readonly observer: ClusterObserver },
  ) {
    this.#node = node;
    this.#paths = paths;
    this.#clock = environment.clock;
    this.#observer = environment.observer;
    this.#states = paths.map(() => "down");
    this.#machine = new ClusterNode(node, settings, paths.length, this.#clock.now());
  }

  /** Number of nodes that count, this one not included. */
  get connectedCount(): number {
    return this.#machine.connectedCount;
  }

  /** Whether this node fails to hear what it should hear. */
  get isDeaf(): boolean {
    return this.#machine.isDeaf;
  }

  /** Whether nodes are kept though nothing can be known of them. */
  get isStale(): boolean {
    return this.#machine.isStale;
  }

  /** Whether no backplane is up. */
  get hasLostEveryPath(): boolean {
    return this.#states.every((state) => state === "down");
  }

  /** Counters and gauges. */
  get stats(): ClusterNodeStats {
    return this.#machine.stats;
  }

  /** The other nodes that are not down. */
  peers(): PeerView[] {
    return this.#machine.peers(this.#clock.now());
  }

  /**
   * Makes channels span the cluster.
   *
   * @throws {Error} If channels are attached already, here or elsewhere, or have published.
   */
  attach(channels: ChannelCore): void {
    if (this.#channels !== undefined) {
      throw new Error("Cannot attach channels: this cluster has channels attached already");
    }
    channels.attach(this.#node, this.#createUplink());
    this.#channels = channels;
  }

  /**
   * Makes presence span the cluster.
   *
   * @throws {Error} If presence is attached already, here or elsewhere.
   */
  attachPresence(presence: PresenceCore): void {
    if (this.#presence !== undefined) {
      throw new Error("Cannot attach presence: this cluster has presence attached already");
    }
    presence.attach(this.#node, this.#createPresenceUplink());
    this.#presence = presence;
    for (const { id } of this.peers()) presence.peerUp(id);
  }

  /** Starts to perform what the machine decides: what it has decided so far, first. */
  start(): void {
    this.#drive = drive(this.#machine, this.#clock, (output) => this.#perform(output));
  }

  /** A backplane has been started, and is up or tries to be: it is asked for the wanted channels. */
  started(path: number, state: BackplaneState): void {
    const backplane = this.#paths[path]!;
    // One that reported in the meantime that it is up is up.
    if (this.#states[path] === "down") this.#onState(path, state);
    this.#started.add(backplane);
    for (const channel of this.#machine.channels) backplane.subscribe(channel);
  }

  /** Tells those who wait what is known, and ends. Returns the peers that there were. */
  stop(): PeerView[] {
    const peers = this.peers();
    this.#presence?.farewell();
    this.#channels?.detach();
    this.#feed({ kind: "leave" });
    this.#drive?.stop();
    this.#presence?.detach();
    return peers;
  }

  /** Takes what a backplane reports. */
  handler(path: number): BackplaneHandler {
    const feed = (input: ClusterInput): void => this.#feed(input);
    return {
      up: (node) => feed({ kind: "path_up", path, node }),
      down: (node, loss) => feed({ kind: "path_down", path, node, loss }),
      gone: (node) => feed({ kind: "path_gone", path, node }),
      received: (node, payload) => feed({ kind: "received", path, node, payload }),
      dropped: (node) => feed({ kind: "dropped", node }),
      subscribed: (channel) => feed({ kind: "listening", path, channel }),
      state: (state) => this.#onState(path, state),
      fault: (error) => this.#observer.fault(error),
    };
  }

  #createUplink(): ChannelUplink {
    const feed = (input: ClusterInput): void => this.#feed(input);
    return {
      subscribe: (channel, ticket) => {
        if (this.#drive !== undefined) return feed({ kind: "subscribe", channel, ticket });
        // Before the start there is nobody to wait for.
        feed({ kind: "subscribe", channel, ticket: undefined });
        ticket([]);
      },
      unsubscribe: (channel) => feed({ kind: "unsubscribe", channel }),
      announce: (channels) => feed({ kind: "announce", channels }),
      acknowledge: (message, ticket) => {
        if (this.#drive === undefined) ticket({ nodes: [], missing: [] });
        else feed({ kind: "acknowledge", ...message, ticket });
      },
    };
  }

  #createPresenceUplink(): PresenceUplink {
    const part = PART.presence;
    const isStale = (): boolean => this.#isCutOff;
    return {
      get isStale(): boolean {
        return isStale();
      },
      send: (node, body) => this.#feed({ kind: "part_send", part, node, body }),
      digest: (body) => this.#feed({ kind: "part_digest", part, body }),
    };
  }

  get #isCutOff(): boolean {
    if (this.#drive === undefined) return false;
    return this.isStale || this.isDeaf || this.hasLostEveryPath;
  }

  // What happens before the start is kept by the machine, and performed then.
  #feed(input: ClusterInput): void {
    if (this.#drive !== undefined) this.#drive.feed(input);
    else this.#machine.handle(input, this.#clock.now());
  }

  #onState(path: number, state: BackplaneState): void {
    this.#states[path] = state;
    this.#feed({ kind: state === "down" ? "path_lost" : "path_found", path });
    this.#observer.healthMayDiffer();
  }

  #perform(output: ClusterOutput): void {
    switch (output.kind) {
      case "send":
        return this.#send(output);
      case "deliver":
        return this.#channels?.receive(output.channel, output.messages);
      case "rebase":
        return this.#channels?.rebase(output.channel, output.node, output.seq);
      case "gap":
        return this.#channels?.gap(output.channel);
      case "read":
        return this.#read(output);
      case "confirmed":
        return (output.ticket as Ticket as (missing: readonly NodeId[]) => void)(output.missing);
      case "acknowledged":
        return (output.ticket as Ticket as (result: typeof output) => void)(output);
      case "listen":
        return this.#listen(output.channel, output.wanted);
      case "rebuild":
        return this.#paths[output.path]!.rebuild(output.node);
      case "discover":
        for (const path of this.#paths) path.discover(output.nodes);
        return;
      case "peer_connected":
        return this.#observer.peerConnected(output);
      case "peer_disconnected":
        return this.#observer.peerDisconnected(output);
      case "peer_up":
        return this.#presence?.peerUp(output.node);
      case "peer_down":
        return this.#presence?.peerDown(output.node, output.reason === "left");
      case "part_received":
        if (output.part === PART.presence) this.#presence?.receive(output.node, output.body);
        return;
      case "deaf":
        return this.#observer.healthMayDiffer();
      case "fault": {
        const message = `Cannot read an envelope of ${output.node}: its path is built anew`;
        this.#observer.fault(new Error(message));
      }
    }
  }

  #send(output: ClusterOutput & { readonly kind: "send" }): void {
    const { nodes, payload, channel, path } = output;
    if (path !== undefined) return this.#paths[path]!.send(nodes, payload, channel);
    for (const each of this.#paths) each.send(nodes, payload, channel);
  }

  #listen(channel: string, wanted: boolean): void {
    for (const path of this.#started) {
      if (wanted) path.subscribe(channel);
      else path.unsubscribe(channel);
    }
  }

  #read(output: ClusterOutput & { readonly kind: "read" }): void {
    const { to, channel, node, after, limit } = output;
    const read = this.#channels?.read(channel, node, { after, limit });
    if (read !== undefined) this.#feed({ kind: "log", to, channel, node, ...read });
  }
}
