import { type NodeId, nodeName } from "../../src/core/node.ts";
import { Broker } from "./broker.ts";
import type { Chance } from "./chance.ts";
import { SimulatedClient } from "./client.ts";
import { Faults } from "./faults.ts";
import { History } from "./history.ts";
import { Machine } from "./machine.ts";
import { Network } from "./network.ts";
import type { SimulationOptions } from "./options.ts";
import { Process } from "./process.ts";
import { Schedule } from "./schedule.ts";
import { Trace } from "./trace.ts";

/** Machines, the network between them, clients and what goes wrong, on one virtual clock. */
export class World {
  readonly options: SimulationOptions;
  readonly schedule: Schedule = new Schedule();
  readonly history: History = new History();
  readonly trace: Trace;
  readonly network: Network;
  readonly broker: Broker;
  readonly machines: readonly Machine[];
  readonly clients: SimulatedClient[] = [];
  readonly faults: Faults;
  readonly #chance: Chance;
  readonly #clientChance: Chance;

  /** Makes a world in which nothing runs yet. */
  constructor(options: SimulationOptions, chance: Chance, write?: (line: string) => void) {
    this.options = options;
    this.trace = new Trace(this.schedule, write);
    this.network = new Network(this.schedule, chance.split(), options.network);
    this.broker = new Broker(this.schedule, chance.split(), options.broker);
    this.faults = new Faults(this, chance.split());
    this.#clientChance = chance.split();
    this.#chance = chance.split();
    const addresses = Array.from(
      { length: options.nodeCount },
      (_, index) => `10.0.${index >> 7}.${(index & 127) + 1}:5410`,
    );
    this.machines = addresses.map((address, index) => {
      // Everybody knows the first one or two; the rest is found by gossip.
      const seeds = addresses.slice(0, this.#chance.integer(1, 2)).filter((seed) =>
        seed !== address || this.#chance.happens(0.3)
      );
      return new Machine(`n${index + 1}`, address, seeds);
    });
  }

  /** What runs and lets clients in. */
  openProcesses(): readonly Process[] {
    return this.#running().filter((process) => process.isOpen);
  }

  /** Starts a process on a machine. */
  startProcess(machine: Machine): Process {
    machine.process = new Process(this, machine, this.#chance.split());
    return machine.process;
  }

  /** Adds a client, which begins at once. */
  addClient(): SimulatedClient {
    const name = `client ${this.clients.length + 1}`;
    const { client } = this.options;
    const added = new SimulatedClient(name, this, this.#clientChance.split(), client, this.options);
    this.clients.push(added);
    return added;
  }

  /** Adds a client that stays at one node and does nothing by itself. */
  addProbe(process: Process): void {
    const name = `probe ${process.name}`;
    const { client } = this.options;
    const { schedule, history, trace } = this;
    const world = {
      schedule,
      history,
      trace,
      openProcesses: () => process.isOpen ? [process] : [],
    };
    const chance = this.#clientChance.split();
    const probe = new SimulatedClient(name, world, chance, client, this.options);
    probe.calm();
    this.clients.push(probe);
  }

  /** The machine of a node, running or not. */
  addressOf(node: NodeId): string {
    const name = nodeName(node);
    return this.machines.find((machine) => machine.name === name)!.address;
  }

  /** The process of a node, if it runs. */
  find(node: NodeId): Process | undefined {
    return this.#running().find(({ id }) => id === node);
  }

  #running(): Process[] {
    return this.machines.flatMap(({ process }) => process === undefined ? [] : [process]);
  }
}
