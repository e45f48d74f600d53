import { DEFAULT_PRESENCE_LOG_SETTINGS } from "../../src/channel/presence_log.ts";
import type { Millis } from "../../src/core/machine.ts";
import { Chance } from "./chance.ts";
import type { SimulatedClient } from "./client.ts";
import { checkDelivery } from "./delivery_checkers.ts";
import type { Item, PeerChange, Stay } from "./history.ts";
import { AMPLE_LOG, type SimulationOptions } from "./options.ts";
import type { Process } from "./process.ts";
import { World } from "./world.ts";

/** Options of a run in which nothing goes wrong by itself and nobody does anything unasked. */
export const CALM_OPTIONS: SimulationOptions = {
  nodeCount: 3,
  clientCount: 0,
  channels: ["news"],
  backplanes: "mesh",
  faultyMs: 0,
  calmMs: 0,
  faults: [],
  faultPauseMs: 1_000,
  faultMaxMs: 1_000,
  restarts: false,
  members: ["ann", "bob"],
  graceMs: 0,
  presenceLog: DEFAULT_PRESENCE_LOG_SETTINGS,
  cluster: {
    heartbeatMs: 1_000,
    deafMs: 3_000,
    nodeTimeoutMs: 5_000,
    confirmTimeoutMs: 5_000,
    interestLingerMs: 5_000,
  },
  mesh: { queueBytesMax: 64 * 1024 * 1024, linkSilenceMs: 10_000, reconnectMaxMs: 5_000 },
  log: AMPLE_LOG,
  network: {
    delayMinMs: 1,
    delayMaxMs: 1,
    jitterMs: 0,
    splitChance: 0,
    joinChance: 0,
    bufferBytes: 64 * 1024,
  },
  broker: { delayMs: 1, jitterMs: 0, lossChance: 0, repeatChance: 0 },
  drift: 0,
  client: {
    delayMs: 0,
    publishPauseMs: 1_000,
    burstMax: 1,
    payloadBytesMax: 0,
    changePauseMs: 1_000,
    reconnectChance: 0,
  },
};

/** A world for a scenario: what happens is what the scenario says, step by step. */
export class CalmWorld extends World {
  /** Starts all nodes, and lets them meet. */
  constructor(change: Partial<SimulationOptions> = {}) {
    super({ ...CALM_OPTIONS, ...change }, new Chance(1));
    for (const machine of this.machines) this.startProcess(machine);
  }

  /** What runs on a machine, counted from 0. */
  process(index: number): Process {
    return this.machines[index]!.process!;
  }

  /** A client of one node that has every channel. */
  client(index: number): SimulatedClient {
    this.addProbe(this.process(index));
    const client = this.clients.at(-1)!;
    this.passes(150);
    for (const channel of this.options.channels) client.want(channel);
    this.passes(10);
    return client;
  }

  /** Lets time pass. */
  passes(durationMs: Millis): void {
    this.schedule.runUntil(this.schedule.now + durationMs);
  }

  /** Nothing gets from one machine to the other, either way, until `mend`. */
  cutOff(left: number, right: number): () => void {
    const [here, there] = [this.machines[left]!.address, this.machines[right]!.address];
    this.network.block(here, there);
    this.network.block(there, here);
    return () => {
      this.network.unblock(here, there);
      this.network.unblock(there, here);
    };
  }

  /** What a client got in a channel since it subscribed last. */
  got(client: SimulatedClient, channel: string): readonly Item[] {
    return this.#stay(client, channel)?.items ?? [];
  }

  /** What a node told of others: `+n2`, `-n2 died`. */
  told(index: number): string[] {
    const { id } = this.process(index);
    const changes = this.history.peerChanges.filter(({ observer }) => observer === id);
    return changes.map(describe);
  }

  /** What a node told of members: `join ann`. */
  toldOfMembers(index: number): string[] {
    const { id } = this.process(index);
    const changes = this.history.memberChanges.filter(({ observer }) => observer === id);
    return changes.map(({ kind, member }) => `${kind} ${member}`);
  }

  /** What the delivery checkers find. */
  faultsOfDelivery(): string[] {
    return checkDelivery(this.history, {
      isAmple: true,
      repeatableMax: 0,
      settleMs: 0,
      endedAt: this.schedule.now,
    });
  }

  #stay(client: SimulatedClient, channel: string): Stay | undefined {
    return this.history.stays.findLast((stay) =>
      stay.client === client.name && stay.channel === channel
    );
  }
}

function describe({ node, isConnected, reason }: PeerChange): string {
  const name = node.slice(0, node.indexOf("~"));
  return isConnected ? `+${name}` : `-${name} ${reason}`;
}
