import type {
  Backplane,
  BackplaneHandler,
  BackplaneState,
  BackplaneStats,
} from "./backplane/backplane.ts";
import type { Channels } from "./channels.ts";
import { coreOf } from "./channels.ts";
import type { ChannelCore, ChannelUplink } from "./channel_core.ts";
import type { ClusterInput } from "./cluster/cluster_input.ts";
import { ClusterNode } from "./cluster/cluster_node.ts";
import type { ClusterNodeStats } from "./cluster/cluster_node_stats.ts";
import type { ClusterOutput } from "./cluster/cluster_output.ts";
import type { ClusterSettings } from "./cluster/settings.ts";
import type { Millis } from "./core/machine.ts";
import { createNodeId, type NodeId } from "./core/node.ts";
import { ClusterError } from "./errors.ts";
import { FaultEvent, PeerEvent, TypedEventTarget } from "./events.ts";
import { requireInteger, requireKnown } from "./options.ts";
import { requireNodeName } from "./node_name.ts";
import { systemClock } from "./runtime/clock.ts";
import { systemRandomBytes } from "./runtime/crypto.ts";
import { type Drive, drive } from "./runtime/drive.ts";

/** Options of a {@linkcode Cluster}. Every field may be left out. */
export interface ClusterOptions {
  /**
   * The operator's name for this node: 1 to 64 bytes of letters, digits, `.`, `_` and `-`.
   *
   * It should be unique, but nothing breaks if it is not: each start adds an incarnation.
   *
   * @default {"node"}
   */
  readonly name?: string;
  /**
   * How often this node proves to each peer that it is there, in ms. 100 to 60,000.
   *
   * Lower finds a deaf path sooner and costs one small frame per peer each time.
   *
   * @default {1000}
   */
  readonly heartbeatMs?: number;
  /**
   * After how much silence a path counts as deaf and is built anew, in ms. At least twice
   * `heartbeatMs`, or one late heartbeat would break a healthy path.
   *
   * @default {3000}
   */
  readonly deafMs?: number;
  /**
   * After how much silence a node is declared down, in ms. More than `deafMs`, at most an hour.
   *
   * Lower purges a frozen node sooner; higher forgives longer pauses. A node whose process died
   * is found out within a second, whatever this says.
   *
   * @default {5000}
   */
  readonly nodeTimeoutMs?: number;
  /**
   * How long a subscription waits until every connected node knows of it, in ms. What has not
   * answered by then is reported as missing.
   *
   * @default {5000}
   */
  readonly confirmTimeoutMs?: number;
  /**
   * How long this node goes on receiving a channel after its last subscriber left, in ms, so
   * that a page reload costs the other nodes nothing.
   *
   * @default {5000}
   */
  readonly interestLingerMs?: number;
}

/** Another node, as this one sees it. */
export interface Peer {
  /** Its id: name and incarnation. */
  readonly id: NodeId;
  /** The operator's name for it. */
  readonly name: string;
  /**
   * `syncing` until it counts, `connected` while it is heard, `suspect` while nothing is heard
   * of it or no path leads to it.
   */
  readonly state: "syncing" | "connected" | "suspect";
  /** The backplanes over which it can be reached, such as `mesh`. */
  readonly backplanes: readonly string[];
  /** How long it has been silent, in ms. */
  readonly silentMs: Millis;
}

/** The events of a {@linkcode Cluster}. */
export interface ClusterEvents extends Readonly<Record<string, Event>> {
  /** A node joined: messages flow both ways. */
  readonly peerconnected: PeerEvent;
  /** A node left, died or is out of reach. */
  readonly peerdisconnected: PeerEvent;
  /** `health` has changed. */
  readonly healthchange: Event;
  /** Something failed and was dealt with: a refused peer, a broken frame. */
  readonly fault: FaultEvent;
}

/**
 * How a cluster feels: `starting` until it is ready, `ok`, `deaf` when this node does not hear
 * what it should, `stopped`.
 */
export type ClusterHealth = "starting" | "ok" | "deaf" | "stopped";

/** A snapshot of a cluster's counters and gauges. */
export interface ClusterStats {
  /** This node. */
  readonly node: NodeId;
  /** Nodes that count, this one not included. */
  readonly connectedPeers: number;
  /** What the cores count. */
  readonly cluster: ClusterNodeStats;
  /** What each backplane counts. */
  readonly backplanes: Readonly<Record<string, BackplaneStats>>;
}

/** Something that a cluster can hold together across nodes. */
export type Attachable = Channels;

/** How to wait. */
export interface WaitOptions {
  /** Longest wait in ms. Default: no limit. */
  readonly timeoutMs?: number;
}

type Phase = "new" | "starting" | "running" | "stopping" | "stopped";
type Ticket = (...values: never[]) => void;

const KNOWN_OPTIONS = [
  "name",
  "heartbeatMs",
  "deafMs",
  "nodeTimeoutMs",
  "confirmTimeoutMs",
  "interestLingerMs",
] as const;

/**
 * This node among the others: what is attached to it spans all nodes.
 *
 * @example
 * ```ts
 * import { Channels, Cluster, mesh } from "jsr:@chorus/cluster";
 *
 * const channels = new Channels();
 * const cluster = new Cluster(mesh({ port: 0 }));
 * cluster.attach(channels);
 * await cluster.start();
 * await channels.publish("news", { text: "hello, everybody" });
 * ```
 */
export class Cluster extends TypedEventTarget<ClusterEvents> implements AsyncDisposable {
  /** This node's id: its name and the incarnation drawn now. */
  readonly nodeId: NodeId;
  /** The operator's name for this node. */
  readonly name: string;
  readonly #backplanes: readonly Backplane[];
  readonly #labels: readonly string[];
  readonly #machine: ClusterNode;
  readonly #states: BackplaneState[];
  #drive: Drive<ClusterInput> | undefined;
  #channels: ChannelCore | undefined;
  #phase: Phase = "new";
  #health: ClusterHealth = "starting";
  #readyWaiters = new Set<() => void>();
  #stopped: Promise<void> | undefined;

  /**
   * Makes a node that is alone until `start`.
   *
   * @param backplane What carries messages between nodes: one, or several that are used at once.
   * @param options See {@linkcode ClusterOptions}.
   * @throws {TypeError | RangeError} If an option is unknown or out of bounds.
   */
  constructor(backplane: Backplane | readonly Backplane[], options: ClusterOptions = {}) {
    super();
    const settings = resolveOptions(options);
    this.name = requireNodeName("cluster", "name", options.name ?? "node");
    this.nodeId = createNodeId(this.name, systemRandomBytes(16));
    this.#backplanes = requireBackplanes(backplane);
    this.#labels = labelsOf(this.#backplanes);
    this.#states = this.#backplanes.map(() => "down");
    const count = this.#backplanes.length;
    this.#machine = new ClusterNode(this.nodeId, settings, count, systemClock.now());
  }

  /** Whether messages can flow: started, and at least one peer is connected or none is expected. */
  get ready(): boolean {
    if (this.#phase !== "running") return false;
    return this.connectedPeerCount > 0 || !this.#backplanes.some((each) => each.expectsPeers);
  }

  /** How this node feels. `readyz` should be 200 only for `ok`. */
  get health(): ClusterHealth {
    return this.#health;
  }

  /**
   * Whether this node cannot know who is there, as the backplane that leads to the others is down.
   * Nobody is purged for that: the peers stay as they were, until it is back.
   */
  get stale(): boolean {
    return this.#machine.isStale || this.#hasLostEveryBackplane;
  }

  /** Number of nodes that count, this one not included. */
  get connectedPeerCount(): number {
    return this.#machine.connectedCount;
  }

  /** The other nodes that are not down. */
  get peers(): readonly Peer[] {
    const views = this.#machine.peers(systemClock.now());
    return views.map(({ paths, ...view }) => ({
      ...view,
      backplanes: paths.map((path) => this.#labels[path]!),
    }));
  }

  /**
   * Makes channels span the cluster. To be called before their first message is published, and
   * best before any client is served.
   *
   * @throws {Error} If channels are attached already, here or elsewhere, or have published.
   */
  attach(part: Attachable): void {
    if (this.#channels !== undefined) {
      throw new Error("Cannot attach channels: this cluster has channels attached already");
    }
    const core = coreOf(part);
    core.attach(this.nodeId, this.#createUplink());
    this.#channels = core;
  }

  /**
   * Starts the backplanes. Resolves when others can reach this node; connecting to them goes on,
   * see `whenReady`.
   *
   * @throws {ClusterError} `listen_failed` if a port is taken, `stopped` if it was stopped.
   */
  async start(): Promise<void> {
    if (this.#phase !== "new") {
      throw new ClusterError("stopped", `Cannot start cluster: it is ${this.#phase} already`);
    }
    this.#phase = "starting";
    this.#drive = drive(this.#machine, systemClock, (output) => this.#perform(output));
    try {
      for (const [path, backplane] of this.#backplanes.entries()) {
        await backplane.start(this.nodeId, this.name, this.#createHandler(path));
        this.#states[path] = "up";
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
    if (this.#phase !== "starting") return;
    this.#phase = "running";
    this.#review();
  }

  /**
   * Waits until `ready`.
   *
   * @throws {ClusterError} `timed_out` after `timeoutMs`, `stopped` if the cluster stops first.
   */
  whenReady(options: WaitOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      let cancelTimer: () => void = () => {};
      const settle = (): void => {
        if (!this.ready && !this.#isOver) return;
        this.#readyWaiters.delete(settle);
        cancelTimer();
        if (this.ready) resolve();
        else reject(new ClusterError("stopped", "Cannot wait for the cluster: it was stopped"));
      };
      const { timeoutMs } = options;
      if (timeoutMs !== undefined) {
        cancelTimer = systemClock.setTimer(timeoutMs, () => {
          this.#readyWaiters.delete(settle);
          const message = `Cannot reach any peer: none connected within ${timeoutMs} ms`;
          reject(new ClusterError("timed_out", message));
        });
      }
      this.#readyWaiters.add(settle);
      settle();
    });
  }

  /** A snapshot of counters and gauges. */
  stats(): ClusterStats {
    return {
      node: this.nodeId,
      connectedPeers: this.connectedPeerCount,
      cluster: this.#machine.stats,
      backplanes: Object.fromEntries(
        this.#backplanes.map((each, path) => [this.#labels[path]!, each.stats()]),
      ),
    };
  }

  /**
   * Says goodbye to the peers and ends everything that `start` began. What is attached goes on
   * alone. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  /** The same as `stop`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  get #isOver(): boolean {
    return this.#phase === "stopping" || this.#phase === "stopped";
  }

  async #end(): Promise<void> {
    const peers = this.#machine.peers(systemClock.now());
    this.#phase = "stopping";
    this.#drive?.feed({ kind: "leave" });
    this.#drive?.stop();
    this.#channels?.detach();
    await Promise.allSettled(this.#backplanes.map((backplane) => backplane.stop()));
    this.#phase = "stopped";
    for (const peer of peers) {
      if (peer.state === "syncing") continue;
      this.dispatchEvent(new PeerEvent("peerdisconnected", { ...peer, reason: "stopped" }));
    }
    this.#review();
  }

  #createUplink(): ChannelUplink {
    const feed = (input: ClusterInput): void => this.#feed(input);
    return {
      subscribe: (channel, ticket) => feed({ kind: "subscribe", channel, ticket }),
      unsubscribe: (channel) => feed({ kind: "unsubscribe", channel }),
      announce: (channel, messages) => feed({ kind: "announce", channel, messages }),
      acknowledge: (message, ticket) => feed({ kind: "acknowledge", ...message, ticket }),
    };
  }

  // What happens before the start is kept by the machine, and performed then.
  #feed(input: ClusterInput): void {
    if (this.#drive !== undefined) this.#drive.feed(input);
    else this.#machine.handle(input, systemClock.now());
  }

  #createHandler(path: number): BackplaneHandler {
    const feed = (input: ClusterInput): void => this.#feed(input);
    return {
      up: (node) => feed({ kind: "path_up", path, node }),
      down: (node, loss) => feed({ kind: "path_down", path, node, loss }),
      gone: (node) => feed({ kind: "path_gone", path, node }),
      received: (node, payload) => feed({ kind: "received", path, node, payload }),
      dropped: (node) => feed({ kind: "dropped", node }),
      subscribed: (channel) => feed({ kind: "listening", path, channel }),
      state: (state) => this.#onState(path, state),
      fault: (error) => void this.dispatchEvent(new FaultEvent(error)),
    };
  }

  #onState(path: number, state: BackplaneState): void {
    this.#states[path] = state;
    this.#feed({ kind: state === "down" ? "path_lost" : "path_found", path });
    this.#review();
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
        return this.#backplanes[output.path]!.rebuild(output.node);
      case "discover":
        for (const backplane of this.#backplanes) backplane.discover();
        return;
      case "peer_connected":
        return this.#onPeer("peerconnected", { id: output.node, name: output.name });
      case "peer_disconnected":
        return this.#onPeer("peerdisconnected", {
          id: output.node,
          name: output.name,
          reason: output.reason,
        });
      case "deaf":
        return this.#review();
      case "fault": {
        const message = `Cannot read an envelope of ${output.node}: its path is built anew`;
        this.dispatchEvent(new FaultEvent(new Error(message)));
      }
    }
  }

  #send(output: ClusterOutput & { readonly kind: "send" }): void {
    const { nodes, payload, channel, path } = output;
    if (path !== undefined) return this.#backplanes[path]!.send(nodes, payload, channel);
    for (const backplane of this.#backplanes) backplane.send(nodes, payload, channel);
  }

  #listen(channel: string, wanted: boolean): void {
    for (const backplane of this.#backplanes) {
      if (wanted) backplane.subscribe(channel);
      else backplane.unsubscribe(channel);
    }
  }

  #read(output: ClusterOutput & { readonly kind: "read" }): void {
    const { to, channel, node, after, limit } = output;
    const read = this.#channels?.read(channel, node, { after, limit });
    if (read !== undefined) this.#feed({ kind: "log", to, channel, node, ...read });
  }

  #onPeer(
    type: "peerconnected" | "peerdisconnected",
    peer: ConstructorParameters<typeof PeerEvent>[1],
  ): void {
    this.#review();
    this.dispatchEvent(new PeerEvent(type, peer));
  }

  #review(): void {
    for (const settle of [...this.#readyWaiters]) settle();
    const health = this.#feel();
    if (health === this.#health) return;
    this.#health = health;
    this.dispatchEvent(new Event("healthchange"));
  }

  #feel(): ClusterHealth {
    if (this.#isOver) return "stopped";
    if (this.#machine.isDeaf || this.#hasLostEveryBackplane) return "deaf";
    return this.ready ? "ok" : "starting";
  }

  get #hasLostEveryBackplane(): boolean {
    return this.#phase === "running" && this.#states.every((state) => state === "down");
  }
}

function resolveOptions(options: ClusterOptions): ClusterSettings {
  requireKnown("cluster", options, KNOWN_OPTIONS);
  const { heartbeatMs = 1_000, deafMs = 3_000, nodeTimeoutMs = 5_000 } = options;
  const { confirmTimeoutMs = 5_000, interestLingerMs = 5_000 } = options;
  requireInteger("cluster", "heartbeatMs", heartbeatMs, { min: 100, max: 60_000 });
  requireInteger("cluster", "deafMs", deafMs, { min: 2 * heartbeatMs, max: 600_000 });
  requireInteger("cluster", "nodeTimeoutMs", nodeTimeoutMs, { min: deafMs + 1, max: 3_600_000 });
  requireInteger("cluster", "confirmTimeoutMs", confirmTimeoutMs, { min: 1, max: 600_000 });
  requireInteger("cluster", "interestLingerMs", interestLingerMs, { min: 0, max: 600_000 });
  return Object.freeze({ heartbeatMs, deafMs, nodeTimeoutMs, confirmTimeoutMs, interestLingerMs });
}

function requireBackplanes(given: Backplane | readonly Backplane[]): readonly Backplane[] {
  const backplanes: readonly Backplane[] = Array.isArray(given) ? given : [given as Backplane];
  if (backplanes.length === 0) {
    throw new TypeError("Cannot configure cluster: a list of backplanes needs at least one");
  }
  for (const backplane of backplanes) {
    if (typeof backplane?.start === "function") continue;
    throw new TypeError(
      `Cannot configure cluster: expected a backplane such as mesh({ port: 5410 }), received ${
        String(backplane)
      }`,
    );
  }
  return backplanes;
}

// Two of a kind are told apart by their place: "mesh", "mesh 2".
function labelsOf(backplanes: readonly Backplane[]): readonly string[] {
  const names = backplanes.map(({ name }) => name);
  return names.map((name, index) => {
    const earlier = names.slice(0, index).filter((other) => other === name).length;
    return earlier === 0 ? name : `${name} ${earlier + 1}`;
  });
}
