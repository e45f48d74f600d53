import type { Backplane, BackplaneStart, BackplaneStats } from "./backplane/backplane.ts";
import { Channels, coreOf } from "./channels.ts";
import { ClusterCore, type ClusterObserver } from "./cluster_core.ts";
import type { ClusterNodeStats } from "./cluster/cluster_node_stats.ts";
import type { ClusterSettings } from "./cluster/settings.ts";
import type { Millis } from "./core/machine.ts";
import { createNodeId, type NodeId } from "./core/node.ts";
import { ClusterError } from "./errors.ts";
import { FaultEvent, PeerEvent, TypedEventTarget } from "./events.ts";
import { Presence, presenceCoreOf } from "./presence.ts";
import { requireInteger, requireKnown } from "./options.ts";
import { requireNodeName } from "./node_name.ts";
import { systemClock } from "./runtime/clock.ts";
import { systemRandomBytes } from "./runtime/crypto.ts";

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
   * After how much silence a path counts as deaf and is built anew, in ms, up to ten minutes. At
   * least twice `heartbeatMs`, or one late heartbeat would break a healthy path.
   *
   * @default {3000}
   */
  readonly deafMs?: number;
  /**
   * After how much silence a node is declared down, in ms. More than `deafMs`, at most an hour.
   *
   * Lower purges a frozen node sooner; higher forgives longer pauses. A node whose process died
   * is found out within a second, whatever this says. Over Redis it is at least `heartbeatMs` and
   * 3 s more: for so long a server that stands still goes unnoticed, and looks as if all were dead.
   *
   * @default {5000}
   */
  readonly nodeTimeoutMs?: number;
  /**
   * How long a subscription waits until every connected node knows of it, in ms, up to ten
   * minutes. What has not answered by then is reported as missing.
   *
   * @default {5000}
   */
  readonly confirmTimeoutMs?: number;
  /**
   * How long this node goes on receiving a channel after its last subscriber left, in ms, up to
   * ten minutes, so that a page reload costs the other nodes nothing.
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
export type Attachable = Channels | Presence;

/** How to wait. */
export interface WaitOptions {
  /** Longest wait in ms, at most an hour. Default: no limit. */
  readonly timeoutMs?: number;
}

type Phase = "new" | "starting" | "running" | "stopping" | "stopped";

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
  readonly #core: ClusterCore;
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
    this.#backplanes = requireBackplanes(backplane);
    const settings = resolveOptions(options, this.#backplanes);
    this.name = requireNodeName("cluster", "name", options.name ?? "node");
    this.nodeId = createNodeId(this.name, systemRandomBytes(16));
    this.#labels = labelsOf(this.#backplanes);
    this.#core = this.#createCore(settings);
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
    return this.#core.isStale || this.#hasLostEveryBackplane;
  }

  /** Number of nodes that count, this one not included. 0 once it has stopped. */
  get connectedPeerCount(): number {
    return this.#phase === "stopped" ? 0 : this.#core.connectedCount;
  }

  /** The other nodes that are not down. None once it has stopped. */
  get peers(): readonly Peer[] {
    if (this.#phase === "stopped") return [];
    return this.#core.peers().map(({ paths, ...view }) => ({
      ...view,
      backplanes: paths.map((path) => this.#labels[path]!),
    }));
  }

  /**
   * Makes channels or presence span the cluster. To be called before the first message is
   * published, and best before any client is served.
   *
   * @throws {TypeError} If it is neither.
   * @throws {ClusterError} `stopped` if the cluster was stopped.
   * @throws {Error} If some are attached already, here or elsewhere, or channels have published.
   */
  attach(part: Attachable): void {
    this.#requireGoingOn("attach");
    if (part instanceof Presence) this.#core.attachPresence(presenceCoreOf(part));
    else if (part instanceof Channels) this.#core.attach(coreOf(part));
    else {
      const received = String(part);
      throw new TypeError(`Cannot attach: expected Channels or Presence, received ${received}`);
    }
  }

  /**
   * Starts the backplanes. Resolves when others can reach this node; connecting to them goes on,
   * see `whenReady`.
   *
   * Of several backplanes one is enough. One that cannot be had now, as its Redis is down, is told
   * as a `fault`, goes on being tried, and is used from when it is there. Each is given the time to
   * say so: for a Redis that does not answer, its `connectTimeoutMs`, and 10 s more for one that
   * answers and serves nothing.
   *
   * @throws {ClusterError} `listen_failed` if a port is taken, `unreachable` if none of several
   *     backplanes can be had, `stopped` if it was stopped.
   * @throws {RedisError} If the only backplane cannot be had, or if somebody has to fix what is wrong
   *     with one of several, such as a password.
   */
  async start(): Promise<void> {
    if (this.#phase !== "new") {
      throw new ClusterError("stopped", `Cannot start cluster: it is ${this.#phase} already`);
    }
    this.#phase = "starting";
    this.#core.start();
    const starting = this.#backplanes.map((_, path) => this.#startPath(path));
    let reasons: readonly Error[];
    try {
      reasons = (await Promise.all(starting)).flatMap(reasonOf);
      // Meanwhile one of them may have come up.
      const isCutOff = reasons.length === starting.length && this.#core.hasLostEveryPath;
      if (isCutOff) throw this.#unreachable(reasons);
      this.#requireGoingOn("start");
    } catch (error) {
      await this.stop();
      await Promise.allSettled(starting);
      throw error;
    }
    this.#phase = "running";
    this.#review();
    for (const reason of reasons) this.dispatchEvent(new FaultEvent(reason));
  }

  /**
   * Waits until `ready`.
   *
   * @throws {ClusterError} `timed_out` after `timeoutMs`, `stopped` if the cluster stops first.
   * @throws {TypeError | RangeError} If an option is unknown or out of bounds.
   */
  whenReady(options: WaitOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      requireKnown("whenReady", options, ["timeoutMs"]);
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
        requireInteger("whenReady", "timeoutMs", timeoutMs, { min: 0, max: 3_600_000 });
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
      cluster: this.#core.stats,
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

  #requireGoingOn(action: string): void {
    if (this.#isOver) {
      throw new ClusterError("stopped", `Cannot ${action}: the cluster was stopped`);
    }
  }

  async #startPath(path: number): Promise<BackplaneStart> {
    const handler = this.#core.handler(path);
    const start = await this.#backplanes[path]!.start(this.nodeId, this.name, handler);
    this.#requireGoingOn("start");
    this.#core.started(path, start.state);
    return start;
  }

  // Tells why each backplane, of all that there are, could not be had.
  #unreachable(reasons: readonly Error[]): Error {
    if (reasons.length === 1) return reasons[0]!;
    const told = reasons.map(({ message }, path) => `${this.#labels[path]}: ${message}`).join("; ");
    const message = `Cannot start cluster: none of its backplanes can be reached; ${told}`;
    return new ClusterError("unreachable", message, { cause: new AggregateError(reasons, told) });
  }

  async #end(): Promise<void> {
    this.#phase = "stopping";
    // Whoever calls from a listener is inside an output, and the others of its batch come first.
    await undefined;
    const peers = this.#core.stop();
    await Promise.allSettled(this.#backplanes.map((backplane) => backplane.stop()));
    this.#phase = "stopped";
    for (const peer of peers) {
      if (peer.state === "syncing") continue;
      this.dispatchEvent(new PeerEvent("peerdisconnected", { ...peer, reason: "stopped" }));
    }
    this.#review();
  }

  #createCore(settings: ClusterSettings): ClusterCore {
    const observer = {
      peerConnected: (peer) => this.#onPeer("peerconnected", { ...peer, id: peer.node }),
      peerDisconnected: (peer) => this.#onPeer("peerdisconnected", { ...peer, id: peer.node }),
      healthMayDiffer: () => this.#review(),
      fault: (error) => void this.dispatchEvent(new FaultEvent(error)),
    } satisfies ClusterObserver;
    const environment = { clock: systemClock, observer };
    return new ClusterCore(this.nodeId, settings, this.#backplanes, environment);
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
    if (this.#core.isDeaf || this.#hasLostEveryBackplane) return "deaf";
    return this.ready ? "ok" : "starting";
  }

  get #hasLostEveryBackplane(): boolean {
    return this.#phase === "running" && this.#core.hasLostEveryPath;
  }
}

function resolveOptions(
  options: ClusterOptions,
  backplanes: readonly Backplane[],
): ClusterSettings {
  requireKnown("cluster", options, KNOWN_OPTIONS);
  const { heartbeatMs = 1_000, deafMs = 3_000, nodeTimeoutMs = 5_000 } = options;
  const { confirmTimeoutMs = 5_000, interestLingerMs = 5_000 } = options;
  requireInteger("cluster", "heartbeatMs", heartbeatMs, { min: 100, max: 60_000 });
  requireInteger("cluster", "deafMs", deafMs, { min: 2 * heartbeatMs, max: 600_000 });
  // A heartbeat may have been due just when the backplane was lost.
  const noticed = backplanes.map(({ lossNoticeMs }) => lossNoticeMs + heartbeatMs);
  const min = Math.max(deafMs + 1, ...noticed);
  requireInteger("cluster", "nodeTimeoutMs", nodeTimeoutMs, { min, max: 3_600_000 });
  requireInteger("cluster", "confirmTimeoutMs", confirmTimeoutMs, { min: 1, max: 600_000 });
  requireInteger("cluster", "interestLingerMs", interestLingerMs, { min: 0, max: 600_000 });
  return Object.freeze({ heartbeatMs, deafMs, nodeTimeoutMs, confirmTimeoutMs, interestLingerMs });
}

function reasonOf(start: BackplaneStart): readonly Error[] {
  return start.state === "down" ? [start.reason] : [];
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
