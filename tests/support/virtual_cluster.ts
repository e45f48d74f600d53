import { Hub, type HubOutput } from "../../src/channel/hub.ts";
import type { ClusterInput } from "../../src/cluster/cluster_input.ts";
import { ClusterNode } from "../../src/cluster/cluster_node.ts";
import type { ClusterOutput } from "../../src/cluster/cluster_output.ts";
import type { ClusterSettings } from "../../src/cluster/settings.ts";
import type { Millis } from "../../src/core/machine.ts";
import type { NodeId, Position } from "../../src/core/node.ts";
import { contentOf, toPayload } from "./payload.ts";

/** Times as a cluster has them by default. */
export const SETTINGS: ClusterSettings = {
  heartbeatMs: 1_000,
  deafMs: 3_000,
  nodeTimeoutMs: 5_000,
  confirmTimeoutMs: 5_000,
  interestLingerMs: 5_000,
};

const LOG = { logMessagesMax: 1_000, logBytesMax: 10_000_000, logAgeMs: 60_000 };

interface Parcel {
  readonly at: Millis;
  readonly path: number;
  readonly from: VirtualNode;
  readonly to: VirtualNode;
  readonly payload: Uint8Array;
}

/** One node: its hub and its cluster core, and all that came out of them. */
export class VirtualNode {
  readonly id: NodeId;
  readonly hub: Hub<string>;
  readonly cluster: ClusterNode;
  /** What each subscriber got, as `channel:data`. */
  readonly received: Map<string, string[]> = new Map();
  /** `+b~1` for a peer that connected, `-b~1 died` for one that is gone. */
  readonly peerEvents: string[] = [];
  /** Channels in which something was lost, in order. */
  readonly gaps: string[] = [];
  /** Subscriptions that were confirmed: `channel missing…`. */
  readonly confirmed: string[] = [];
  readonly acknowledged: { nodes: readonly NodeId[]; missing: readonly NodeId[] }[] = [];
  readonly rebuilt: NodeId[] = [];
  /** What an attached part was told: who is up (`+`) and down (`-`), and what others' parts said. */
  readonly parts: string[] = [];
  readonly health: boolean[] = [];
  /** How often it asked its backplanes to compare notes. */
  discoverCount = 0;
  /** Envelopes of messages that came in, wanted or not. */
  messageEnvelopes = 0;
  /** The paths that deliver a channel when asked to. Default: all. */
  listeningPaths: readonly number[] | undefined;
  isFrozen = false;
  isDead = false;
  readonly #world: VirtualCluster;

  constructor(world: VirtualCluster, id: NodeId, paths: number) {
    this.#world = world;
    this.id = id;
    this.hub = new Hub(id, LOG);
    this.cluster = new ClusterNode(id, world.settings, paths, world.now);
  }

  /** A local subscriber asks for a channel. */
  subscribe(subscriber: string, channel: string): void {
    this.received.set(subscriber, this.received.get(subscriber) ?? []);
    const before = this.hub.positions(channel);
    this.hub.handle({ kind: "subscribe", channel, subscriber }, this.#world.now);
    const ticket = (missing: readonly NodeId[]): void => {
      this.confirmed.push([channel, ...missing].join(" "));
      const after = this.hub.start(channel, before);
      this.hub.handle({ kind: "activate", channel, subscriber, after }, this.#world.now);
    };
    this.feed({ kind: "subscribe", channel, ticket });
  }

  /** A local subscriber is done with a channel. */
  unsubscribe(subscriber: string, channel: string): void {
    this.hub.handle({ kind: "unsubscribe", channel, subscriber }, this.#world.now);
    this.settle();
  }

  /** Publishes JSON text. */
  publishes(channel: string, data: string): void {
    this.hub.handle({ kind: "publish", channel, payload: toPayload(data) }, this.#world.now);
    this.settle();
  }

  /** Publishes and asks who holds it. */
  publishesAcknowledged(channel: string, data: string, timeoutMs: Millis): void {
    const payload = toPayload(data);
    this.hub.handle({ kind: "publish", channel, payload, ticket: timeoutMs }, this.#world.now);
    this.settle();
  }

  feed(input: ClusterInput): void {
    this.cluster.handle(input, this.#world.now);
    this.settle();
  }

  get deadline(): Millis {
    return Math.min(this.hub.deadline ?? Infinity, this.cluster.deadline);
  }

  wake(): void {
    this.hub.handle({ kind: "wake" }, this.#world.now);
    this.cluster.handle({ kind: "wake" }, this.#world.now);
    this.settle();
  }

  settle(): void {
    for (let isBusy = true; isBusy;) {
      const hub = this.hub.take();
      const cluster = this.cluster.take();
      isBusy = hub.length + cluster.length > 0;
      for (const output of hub) this.#onHub(output);
      for (const output of cluster) this.#onCluster(output);
    }
  }

  #onHub(output: HubOutput<string>): void {
    const { now } = this.#world;
    switch (output.kind) {
      case "deliver":
        for (const subscriber of output.subscribers) {
          const lines = output.messages.map((message) => `${output.channel}:${contentOf(message)}`);
          this.received.get(subscriber)!.push(...lines);
        }
        return;
      case "announce":
        return this.cluster.handle(output, now);
      case "published":
        return this.#expect(output.position, output.ticket as Millis);
      case "interest":
        if (!output.wanted) {
          this.cluster.handle({ kind: "unsubscribe", channel: output.channel }, now);
        }
        return;
      case "gap":
        this.gaps.push(output.channel);
        return;
    }
  }

  #expect(position: Position, timeoutMs: Millis): void {
    const ticket = (result: VirtualNode["acknowledged"][number]): void => {
      this.acknowledged.push(result);
    };
    const { seq } = position;
    this.cluster.handle(
      { kind: "acknowledge", channel: "c", seq, ticket, timeoutMs },
      this.#world.now,
    );
  }

  #onCluster(output: ClusterOutput): void {
    const { now } = this.#world;
    switch (output.kind) {
      case "send":
        return this.#world.send(this, output);
      case "deliver":
        return this.hub.handle({ ...output, kind: "receive" }, now);
      case "rebase":
      case "gap":
        return this.hub.handle(output, now);
      case "read": {
        const { to, channel, node, after, limit } = output;
        const read = this.hub.read(channel, node, { after, limit });
        return this.cluster.handle({ kind: "log", to, channel, node, ...read }, now);
      }
      case "confirmed":
        return (output.ticket as (missing: readonly NodeId[]) => void)(output.missing);
      case "acknowledged":
        return (output.ticket as (result: typeof output) => void)(output);
      case "listen":
        return this.#listen(output.channel, output.wanted);
      case "rebuild":
        this.rebuilt.push(output.node);
        return this.#world.rebuild(this, output.node, output.path);
      case "peer_connected":
        this.peerEvents.push(`+${output.node}`);
        return;
      case "peer_disconnected":
        this.peerEvents.push(`-${output.node} ${output.reason}`);
        return;
      case "deaf":
        this.health.push(output.isDeaf);
        return;
      case "peer_up":
        this.parts.push(`+${output.node}`);
        return;
      case "peer_down":
        this.parts.push(`-${output.node}`);
        return;
      case "part_received":
        this.parts.push(`${output.node} ${output.part}:${output.body.join(" ")}`);
        return;
      case "discover":
        this.discoverCount++;
        return;
      case "fault":
    }
  }

  #listen(channel: string, wanted: boolean): void {
    if (!wanted) return;
    for (let path = 0; path < this.#world.paths; path++) {
      if (this.listeningPaths?.includes(path) === false) continue;
      this.cluster.handle({ kind: "listening", path, channel }, this.#world.now);
    }
  }
}

/** Some nodes, the network between them and a clock: nothing happens until `run`. */
export class VirtualCluster {
  readonly nodes: VirtualNode[] = [];
  readonly settings: ClusterSettings;
  readonly paths: number;
  now: Millis = 0;
  /** Decides what happens to a payload: `false` loses it, a number delays it by so much more. */
  tamper: (parcel: { from: NodeId; to: NodeId; path: number; payload: Uint8Array }) =>
    | boolean
    | Millis = () => true;
  #parcels: Parcel[] = [];
  readonly #cuts = new Set<string>();
  readonly #links = new Set<string>();
  readonly #lost = new Set<string>();

  constructor(options: { settings?: Partial<ClusterSettings>; paths?: number } = {}) {
    this.settings = { ...SETTINGS, ...options.settings };
    this.paths = options.paths ?? 1;
  }

  /** Adds a node that is linked with all the others. */
  add(id: NodeId): VirtualNode {
    const node = new VirtualNode(this, id, this.paths);
    this.nodes.push(node);
    node.settle();
    for (const other of this.nodes) if (other !== node && !other.isDead) this.link(node, other);
    return node;
  }

  /** Tells both sides that each path between them, or one of them, is there. */
  link(left: VirtualNode, right: VirtualNode, only?: number): void {
    for (const path of this.#pathsOf(only)) {
      this.#links.add(`${left.id} ${right.id} ${path}`).add(`${right.id} ${left.id} ${path}`);
      if (this.#isLost(left, right, path)) continue;
      left.feed({ kind: "path_up", path, node: { id: right.id, name: right.id } });
      right.feed({ kind: "path_up", path, node: { id: left.id, name: left.id } });
    }
  }

  /** Breaks each path between two nodes, or one of them; what is under way there is lost. */
  unlink(
    left: VirtualNode,
    right: VirtualNode,
    loss: "left" | "refused" | "lost",
    only?: number,
  ): void {
    const paths = this.#pathsOf(only);
    for (const path of paths) {
      this.#links.delete(`${left.id} ${right.id} ${path}`);
      this.#links.delete(`${right.id} ${left.id} ${path}`);
    }
    this.#parcels = this.#parcels.filter(({ from, to, path }) =>
      !paths.includes(path) || !(from === left ? to === right : from === right && to === left)
    );
    for (const path of paths) {
      if (!left.isDead) left.feed({ kind: "path_down", path, node: right.id, loss });
      if (!right.isDead) right.feed({ kind: "path_down", path, node: left.id, loss: "lost" });
    }
  }

  /** The network between two nodes swallows everything, and nobody is told. */
  cut(left: VirtualNode, right: VirtualNode): void {
    this.#cuts.add(`${left.id} ${right.id}`).add(`${right.id} ${left.id}`);
  }

  /** Undoes `cut`. */
  heal(left: VirtualNode, right: VirtualNode): void {
    this.#cuts.delete(`${left.id} ${right.id}`);
    this.#cuts.delete(`${right.id} ${left.id}`);
  }

  /** A backplane goes down as a whole for a node: so it says, and what it carries is lost. */
  losePath(node: VirtualNode, path: number): void {
    this.#lost.add(`${node.id} ${path}`);
    node.feed({ kind: "path_lost", path });
    for (const other of this.nodes) {
      if (other !== node) node.feed({ kind: "path_down", path, node: other.id, loss: "lost" });
    }
  }

  /** Undoes `losePath`. */
  findPath(node: VirtualNode, path: number): void {
    this.#lost.delete(`${node.id} ${path}`);
    node.feed({ kind: "path_found", path });
    for (const other of this.nodes) {
      if (other === node || other.isDead || this.#lost.has(`${other.id} ${path}`)) continue;
      node.feed({ kind: "path_up", path, node: { id: other.id, name: other.id } });
      other.feed({ kind: "path_up", path, node: { id: node.id, name: node.id } });
    }
  }

  /** The process of a node ends without a word. */
  kill(node: VirtualNode): void {
    node.isDead = true;
    for (const other of this.nodes) if (other !== node) this.unlink(other, node, "refused");
  }

  rebuild(from: VirtualNode, to: NodeId, path: number): void {
    const other = this.nodes.find(({ id }) => id === to);
    if (other === undefined || this.#cuts.has(`${from.id} ${to}`)) return;
    // The other side learns of it when it runs again.
    this.unlink(from, other, "lost", path);
    if (!other.isFrozen && !other.isDead) this.link(from, other, path);
  }

  send(from: VirtualNode, output: ClusterOutput & { readonly kind: "send" }): void {
    const wanted = output.nodes === undefined ? undefined : new Set(output.nodes);
    for (const to of this.nodes) {
      if (to === from || to.isDead || (wanted !== undefined && !wanted.has(to.id))) continue;
      for (let path = 0; path < this.paths; path++) {
        if (output.path !== undefined && output.path !== path) continue;
        this.#post(from, to, path, output.payload);
      }
    }
  }

  /** Runs for a while. */
  run(durationMs: Millis): void {
    const end = this.now + durationMs;
    for (let next = this.#next(); next <= end; next = this.#next()) {
      this.now = Math.max(this.now, next);
      this.#deliver();
      for (const node of this.nodes) {
        if (!node.isDead && !node.isFrozen && node.deadline <= this.now) node.wake();
      }
    }
    this.now = end;
  }

  #next(): Millis {
    let next = Infinity;
    for (const parcel of this.#parcels) if (!parcel.to.isFrozen) next = Math.min(next, parcel.at);
    for (const node of this.nodes) {
      if (!node.isDead && !node.isFrozen) next = Math.min(next, node.deadline);
    }
    return next;
  }

  #pathsOf(only: number | undefined): readonly number[] {
    return only === undefined ? Array.from({ length: this.paths }, (_, path) => path) : [only];
  }

  #isLost(left: VirtualNode, right: VirtualNode, path: number): boolean {
    return [left, right].some(({ id }) => this.#lost.has(`${id} ${path}`));
  }

  #post(from: VirtualNode, to: VirtualNode, path: number, payload: Uint8Array): void {
    const isLinked = this.#links.has(`${from.id} ${to.id} ${path}`);
    if (!isLinked || this.#cuts.has(`${from.id} ${to.id}`)) return;
    if (this.#isLost(from, to, path)) return;
    const fate = this.tamper({ from: from.id, to: to.id, path, payload });
    if (fate === false) return;
    const at = this.now + 1 + (fate === true ? 0 : fate);
    this.#parcels.push({ at, path, from, to, payload });
  }

  #deliver(): void {
    const due = this.#parcels.filter((parcel) => parcel.at <= this.now && !parcel.to.isFrozen);
    if (due.length === 0) return;
    const dueNow = new Set(due);
    this.#parcels = this.#parcels.filter((parcel) => !dueNow.has(parcel));
    for (const { path, from, to, payload } of due) {
      if (to.isDead) continue;
      if (payload[0] === 1) to.messageEnvelopes++;
      to.feed({ kind: "received", path, node: from.id, payload });
    }
  }
}

/** Two nodes that are connected. */
export function pair(
  options: ConstructorParameters<typeof VirtualCluster>[0] = {},
): { world: VirtualCluster; a: VirtualNode; b: VirtualNode } {
  const world = new VirtualCluster(options);
  const a = world.add("a~1");
  const b = world.add("b~1");
  world.run(100);
  return { world, a, b };
}
