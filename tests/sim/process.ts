import { resolveMeshOptions } from "../../src/backplane/mesh/mesh_options.ts";
import { ChannelCore, type Subscriber } from "../../src/channel_core.ts";
import { Client, type ClientOwner } from "../../src/client_connection.ts";
import { ClusterCore } from "../../src/cluster_core.ts";
import { BROADCAST_CHANNEL } from "../../src/core/message.ts";
import { itemsOf } from "../../src/core/few.ts";
import { createNodeId, type NodeId, nodeName } from "../../src/core/node.ts";
import { PresenceCore } from "../../src/presence_core.ts";
import type { ClientHandler } from "../../src/edge/client_socket.ts";
import {
  DEFAULT_SESSION_SETTINGS,
  type SessionSettings,
} from "../../src/protocol/session_settings.ts";
import type { Broker } from "./broker.ts";
import { BrokerPath } from "./broker_path.ts";
import type { Chance } from "./chance.ts";
import type { History } from "./history.ts";
import { Host } from "./host.ts";
import { watchForLoops } from "./loop_checkers.ts";
import { MeshPath } from "./mesh_path.ts";
import type { Network } from "./network.ts";
import type { SimulationOptions } from "./options.ts";
import type { SimulatedPath } from "./path.ts";
import type { Schedule } from "./schedule.ts";
import type { Trace } from "./trace.ts";
import type { Wire } from "./wire.ts";

/** What a process finds in the world. */
export interface ProcessWorld {
  readonly schedule: Schedule;
  readonly network: Network;
  readonly broker: Broker;
  readonly history: History;
  readonly trace: Trace;
  readonly options: SimulationOptions;
}

const SESSION_SETTINGS: SessionSettings = {
  ...DEFAULT_SESSION_SETTINGS,
  allowsBroadcast: true,
  presence: "open",
};
const GOING_AWAY = 1001;

/**
 * One run of one node: the shipped channels, cluster, sessions and links, joined as `cluster.ts`
 * and `endpoint.ts` join them.
 */
export class Process {
  readonly id: NodeId;
  readonly name: string;
  readonly address: string;
  readonly host: Host;
  readonly channels: ChannelCore;
  readonly presence: PresenceCore;
  readonly cluster: ClusterCore;
  readonly paths: readonly SimulatedPath[];
  readonly #world: ProcessWorld;
  readonly #owner: ClientOwner;
  readonly #clients = new Set<Client>();
  readonly #wires = new Map<Wire, Client>();
  #dirty: Client[] = [];
  #isFlushDue = false;
  #acceptedCount = 0;
  #isStopping = false;
  readonly #letsClientsGoFirst: boolean;

  /** Starts the process on its machine; `seeds` are the addresses that it knows. */
  constructor(
    world: ProcessWorld,
    machine: { readonly name: string; readonly address: string; readonly seeds: readonly string[] },
    chance: Chance,
  ) {
    const { schedule, options } = world;
    const { name, address } = machine;
    this.#world = world;
    this.name = name;
    this.address = address;
    this.id = createNodeId(name, chance.bytes(16));
    const rate = 1 + chance.between(-options.drift, options.drift);
    this.host = new Host(schedule, { rate, start: chance.between(0, 1_000_000) });
    this.paths = this.#createPaths(machine.seeds, chance);
    this.channels = new ChannelCore(`${name}~new`, options.log, this.host);
    this.presence = this.#createPresence();
    const environment = { clock: this.host, observer: this.#createObserver() };
    const paths = this.paths.map((path) => watchForLoops(path, this.id, world.history));
    this.cluster = new ClusterCore(this.id, options.cluster, paths, environment);
    this.#owner = this.#createOwner();
    this.#letsClientsGoFirst = chance.happens(0.7);
    this.#start();
  }

  /** Whether it lets clients in. */
  get isOpen(): boolean {
    return this.host.isAlive && !this.#isStopping;
  }

  /** Lets a client in. */
  accept(wire: Wire): ClientHandler {
    const name = (++this.#acceptedCount).toString(36);
    const client = new Client(this.#owner, wire, { identity: undefined, name });
    this.#clients.add(client);
    this.#wires.set(wire, client);
    return client;
  }

  /** A client's connection is over. */
  forget(wire: Wire): void {
    this.#wires.delete(wire);
  }

  /** Stops as `serve` and `Cluster` do: clients first, then a goodbye; or the other way round. */
  stop(clientsFirst: boolean = this.#letsClientsGoFirst): void {
    if (!this.isOpen) return;
    this.#isStopping = true;
    if (clientsFirst) this.#letClientsGo();
    this.channels.unsubscribe(BROADCAST_CHANNEL, this.#broadcasts);
    this.cluster.stop();
    for (const path of this.paths) path.stop();
    this.#letClientsGo();
    this.channels.stop();
    this.presence.stop();
    this.#conclude("left");
  }

  /** The process is killed. `isDark` takes the whole machine with it, and nobody is told. */
  crash(isDark: boolean): void {
    const { network, broker } = this.#world;
    if (isDark) network.darken(this.address);
    else {
      network.unlisten(this.address);
      network.hostEnded(this.host);
    }
    for (const path of this.paths) if (path instanceof BrokerPath) path.abandon(broker);
    for (const wire of this.#wires.keys()) wire.serverGone(!isDark);
    this.#conclude("crashed");
  }

  /** What is left that a stopped process must not have, as words. */
  leftovers(): string[] {
    const left: string[] = [];
    if (this.host.timerCount > 0) left.push(`${this.host.timerCount} timers`);
    const open = this.#world.network.openCount(this.host);
    if (open > 0) left.push(`${open} connections`);
    if (this.#clients.size > 0) left.push(`${this.#clients.size} clients`);
    return left;
  }

  #start(): void {
    const { history, schedule, trace } = this.#world;
    trace.line(this.name, `starts as ${this.id}`);
    history.lives.set(this.id, {
      node: this.id,
      startedAt: schedule.now,
      end: "running",
      endedAt: Infinity,
    });
    this.cluster.attach(this.channels);
    this.cluster.attachPresence(this.presence);
    this.channels.subscribe(BROADCAST_CHANNEL, this.#broadcasts, () => !this.#isStopping);
    this.cluster.start();
    for (const [index, path] of this.paths.entries()) {
      const state = path.start(this.cluster.handler(index));
      this.cluster.started(index, state);
    }
  }

  #letClientsGo(): void {
    for (const client of [...this.#clients]) client.close(GOING_AWAY, "The server stops");
    this.#flushAll();
  }

  #conclude(end: "crashed" | "left"): void {
    const { history, schedule, trace } = this.#world;
    const life = history.lives.get(this.id)!;
    life.end = end;
    life.endedAt = schedule.now;
    trace.line(this.name, `${end} as ${this.id}`);
    if (end === "crashed") return this.host.end();
    // What a stopped process still has shows once this tick is over.
    schedule.in(1_000, () => {
      const left = this.leftovers();
      if (left.length > 0) history.faults.push(`${this.id} stopped and left ${left.join(", ")}`);
      this.host.end();
    });
  }

  #createPaths(seeds: readonly string[], chance: Chance): SimulatedPath[] {
    const { network, broker, options } = this.#world;
    const { id, name, address, host } = this;
    const secret = "long and random";
    const settings = { ...resolveMeshOptions({ peers: seeds, secret }), ...options.mesh };
    const identity = { id, name, address, host };
    const mesh = new MeshPath({ ...identity, network, chance: chance.split() }, settings);
    const pubSub = new BrokerPath({ ...identity, broker });
    if (options.backplanes === "both") return [mesh, pubSub];
    return [options.backplanes === "mesh" ? mesh : pubSub];
  }

  #createPresence(): PresenceCore {
    const { options, history, schedule, trace } = this.#world;
    const { graceMs, presenceLog } = options;
    const settings = { ...presenceLog, graceMs, membersMax: 1_000, metaBytesMax: 1_000 };
    const presence = new PresenceCore(`${this.name}~new`, settings, {
      clock: this.host,
      admit: undefined,
    });
    presence.observe((changes) => {
      for (const { kind, channel, member, meta } of changes) {
        history.memberChanges.push({ at: schedule.now, observer: this.id, kind, channel, member });
        trace.line(this.id, `${kind} ${member} in ${channel} ${meta}`);
      }
      this.#noteOverlaps();
    });
    return presence;
  }

  #noteOverlaps(): void {
    const { options, history, schedule } = this.#world;
    const nodes = new Map<string, NodeId>();
    for (const channel of options.channels) {
      for (const [, entries] of this.presence.roster.members(channel) ?? []) {
        for (const { owner: { node } } of itemsOf(entries)) {
          const other = nodes.get(nodeName(node)) ?? node;
          nodes.set(nodeName(node), node);
          if (other === node) continue;
          history.overlaps.push({ at: schedule.now, observer: this.id, nodes: [other, node] });
        }
      }
    }
  }

  // Whoever died, or is out of reach for too long, takes all its members with it in one step (P8).
  #requirePurged(node: NodeId): void {
    const { options, history, schedule } = this.#world;
    for (const channel of options.channels) {
      for (const [member, entries] of this.presence.roster.members(channel)) {
        for (const { owner } of itemsOf(entries)) {
          if (owner.node !== node) continue;
          const when = schedule.now.toFixed(0);
          history.faults.push(`${this.id} kept ${member} of ${node} in ${channel} at ${when}`);
        }
      }
    }
  }

  #createObserver(): ConstructorParameters<typeof ClusterCore>[3]["observer"] {
    const { history, schedule, trace, options } = this.#world;
    const record = (node: NodeId, isConnected: boolean, reason: string): void => {
      history.peerChanges.push({ at: schedule.now, observer: this.id, node, isConnected, reason });
      trace.line(this.id, `${isConnected ? "+" : "-"}${node} ${reason}`);
    };
    return {
      peerConnected: ({ node }) => record(node, true, ""),
      peerDisconnected: ({ node, reason }) => {
        record(node, false, reason);
        if (reason !== "left" || options.graceMs === 0) this.#requirePurged(node);
      },
      healthMayDiffer: () => {},
      fault: () => {},
    };
  }

  #createOwner(): ClientOwner {
    return {
      core: this.channels,
      presence: this.presence,
      sessionSettings: SESSION_SETTINGS,
      soil: (client) => this.#soil(client),
      authorize: () => true,
      authenticate: () => true,
      limited: () => {},
      closed: (client) => void this.#clients.delete(client),
      failed: (error) => {
        throw error;
      },
    };
  }

  readonly #broadcasts: Subscriber = {
    deliver: (delivery) => {
      for (const client of this.#clients) client.broadcast(delivery);
    },
    gap: () => {
      for (const client of this.#clients) client.gap(BROADCAST_CHANNEL);
    },
  };

  #soil(client: Client): void {
    client.isDirty = true;
    this.#dirty.push(client);
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.host.defer(() => this.host.defer(() => this.#flushAll()));
  }

  #flushAll(): void {
    this.#isFlushDue = false;
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const client of dirty) {
      client.isDirty = false;
      client.flush();
    }
  }
}
