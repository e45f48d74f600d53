import type { MeshSettings } from "../../src/backplane/mesh/mesh_options.ts";
import type { PresenceLogSettings } from "../../src/channel/presence_log.ts";
import type { LogSettings } from "../../src/channel/log.ts";
import type { ClusterSettings } from "../../src/cluster/settings.ts";
import type { Millis } from "../../src/core/machine.ts";
import type { BrokerOptions } from "./broker.ts";
import type { Chance } from "./chance.ts";
import type { NetworkOptions } from "./network.ts";

/** What may go wrong in a run. */
export type FaultKind =
  | "crash"
  | "power"
  | "leave"
  | "freeze"
  | "jump"
  | "cut"
  | "split"
  | "isolate"
  | "one_way"
  | "pair"
  | "broker_down"
  | "broker_unreachable"
  | "broker_forgets";

/** Which backplanes the nodes have. */
export type Backplanes = "mesh" | "broker" | "both";

/** All that a run depends on beside its seed. */
export interface SimulationOptions {
  readonly nodeCount: number;
  readonly clientCount: number;
  readonly channels: readonly string[];
  readonly backplanes: Backplanes;
  /** How long faults come, in ms. */
  readonly faultyMs: Millis;
  /** How long the cluster has to converge after the last fault, in ms. */
  readonly calmMs: Millis;
  readonly faults: readonly FaultKind[];
  /** Mean pause between two faults, in ms. */
  readonly faultPauseMs: Millis;
  /** Longest fault that ends by itself, in ms. */
  readonly faultMaxMs: Millis;
  /** Who the clients are. Fewer than clients: then some are there over several connections. */
  readonly members: readonly string[];
  /** How long the members of a connection that has ended stay, in ms. */
  readonly graceMs: Millis;
  /** What nodes tell each other of their members. */
  readonly presenceLog: PresenceLogSettings;
  /** Whether crashed nodes start again. */
  readonly restarts: boolean;
  readonly cluster: ClusterSettings;
  readonly mesh: Pick<MeshSettings, "queueBytesMax" | "linkSilenceMs" | "reconnectMaxMs">;
  readonly log: LogSettings;
  readonly network: NetworkOptions;
  readonly broker: BrokerOptions;
  /** How much clocks drift: 0.01 is one per cent. */
  readonly drift: number;
  readonly client: ClientOptions;
}

/** How clients behave. */
export interface ClientOptions {
  readonly delayMs: Millis;
  /** Mean pause between two publishes of a client. */
  readonly publishPauseMs: Millis;
  /** Most messages of one publish. */
  readonly burstMax: number;
  readonly payloadBytesMax: number;
  /** Mean pause between two changes of a client's subscriptions. */
  readonly changePauseMs: Millis;
  /** How often a change is a reconnect. */
  readonly reconnectChance: number;
}

/** A log that remembers whatever a run publishes. */
export const AMPLE_LOG: LogSettings = {
  logMessagesMax: 1_000_000,
  logBytesMax: 1_000_000_000,
  logAgeMs: 86_400_000,
};

const ALL_FAULTS: readonly FaultKind[] = [
  "crash",
  "power",
  "leave",
  "freeze",
  "jump",
  "cut",
  "split",
  "isolate",
  "one_way",
  "pair",
  "broker_down",
  "broker_unreachable",
  "broker_forgets",
];

const CLUSTER_SETTINGS: readonly ClusterSettings[] = [
  {
    heartbeatMs: 1_000,
    deafMs: 3_000,
    nodeTimeoutMs: 5_000,
    confirmTimeoutMs: 5_000,
    interestLingerMs: 5_000,
  },
  {
    heartbeatMs: 500,
    deafMs: 1_500,
    nodeTimeoutMs: 3_000,
    confirmTimeoutMs: 2_000,
    interestLingerMs: 1_000,
  },
  {
    heartbeatMs: 1_000,
    deafMs: 3_000,
    nodeTimeoutMs: 8_000,
    confirmTimeoutMs: 10_000,
    interestLingerMs: 0,
  },
];

// Smaller than an operator may choose, but it holds the largest envelope of these runs.
const QUEUE_BYTES = 2 * 1024 * 1024;

/** Draws what one run is like. */
export function drawOptions(chance: Chance): SimulationOptions {
  const drawn = drawSteady(chance);
  return chance.happens(0.02) ? flooded(drawn) : drawn;
}

// More is said than a node that stands still for a while may be owed.
function flooded(options: SimulationOptions): SimulationOptions {
  return {
    ...options,
    backplanes: "mesh",
    nodeCount: 3,
    clientCount: 9,
    channels: ["c1"],
    faultyMs: 15_000,
    faults: ["freeze"],
    faultPauseMs: 1_500,
    faultMaxMs: 15_000,
    mesh: { ...options.mesh, queueBytesMax: QUEUE_BYTES },
    client: {
      ...options.client,
      publishPauseMs: 200,
      burstMax: 100,
      payloadBytesMax: 4_000,
      reconnectChance: 0,
    },
  };
}

function drawSteady(chance: Chance): SimulationOptions {
  const backplanes = chance.pick<Backplanes>(["mesh", "mesh", "mesh", "broker", "both"]);
  const nodeCount = drawNodeCount(chance, backplanes);
  const cluster = chance.pick(CLUSTER_SETTINGS);
  return {
    nodeCount,
    clientCount: chance.integer(2, Math.max(4, Math.min(12, 2 * nodeCount))),
    channels: Array.from({ length: chance.integer(1, 5) }, (_, index) => `c${index + 1}`),
    backplanes,
    faultyMs: chance.between(10_000, nodeCount > 10 ? 20_000 : 40_000),
    calmMs: 4 * cluster.nodeTimeoutMs + 15_000,
    faults: drawFaults(chance, backplanes),
    faultPauseMs: chance.pick([500, 1_500, 4_000]),
    faultMaxMs: chance.pick([500, 4_000, 15_000]),
    restarts: chance.happens(0.8),
    cluster,
    mesh: {
      queueBytesMax: chance.pick([QUEUE_BYTES, 64 * 1024 * 1024]),
      linkSilenceMs: chance.pick([6_000, 10_000]),
      reconnectMaxMs: chance.pick([1_000, 5_000]),
    },
    log: drawLog(chance),
    network: drawNetwork(chance),
    broker: drawBroker(chance),
    drift: chance.pick([0, 0.001, 0.02]),
    client: drawClient(chance),
    members: Array.from({ length: chance.integer(1, 8) }, (_, index) => `m${index + 1}`),
    graceMs: chance.pick([0, 0, 1_000, 5_000]),
    presenceLog: drawPresenceLog(chance),
  };
}

function drawNodeCount(chance: Chance, backplanes: Backplanes): number {
  if (chance.happens(0.03) && backplanes === "mesh") return chance.integer(13, 50);
  if (chance.happens(0.1)) return chance.integer(7, 12);
  return chance.integer(2, 6);
}

function drawFaults(chance: Chance, backplanes: Backplanes): readonly FaultKind[] {
  const possible = ALL_FAULTS.filter((kind) => backplanes !== "mesh" || !kind.startsWith("broker"));
  if (chance.happens(0.05)) return [];
  const share = chance.pick([0.2, 0.5, 1]);
  return possible.filter(() => chance.happens(share));
}

function drawLog(chance: Chance): LogSettings {
  if (chance.happens(0.75)) return AMPLE_LOG;
  return {
    logMessagesMax: chance.pick([0, 5, 50]),
    logBytesMax: chance.pick([20_000, 10_000_000]),
    logAgeMs: chance.pick([1_000, 10_000, 60_000]),
  };
}

// So small that some nodes miss more than is remembered, and get the whole in several pieces.
function drawPresenceLog(chance: Chance): PresenceLogSettings {
  return {
    toldBytesMax: chance.pick([0, 200, 1_048_576]),
    bodyCharactersMax: chance.pick([1, 200, 131_072]),
  };
}

function drawNetwork(chance: Chance): NetworkOptions {
  const delayMinMs = chance.pick([0.05, 0.5, 5]);
  return {
    delayMinMs,
    delayMaxMs: delayMinMs * chance.pick([1.5, 4, 20]),
    jitterMs: chance.pick([0.1, 3, 30]),
    splitChance: chance.pick([0, 0.02, 0.3]),
    joinChance: chance.pick([0, 0.1, 0.7]),
    bufferBytes: chance.pick([16 * 1024, 256 * 1024]),
  };
}

function drawBroker(chance: Chance): BrokerOptions {
  return {
    delayMs: chance.pick([0.1, 2]),
    jitterMs: chance.pick([0.1, 5, 50]),
    lossChance: chance.pick([0, 0, 0.01, 0.05]),
    repeatChance: chance.pick([0, 0.01, 0.1]),
  };
}

function drawClient(chance: Chance): ClientOptions {
  return {
    delayMs: chance.pick([0, 0.2, 5]),
    publishPauseMs: chance.pick([200, 1_000, 4_000]),
    burstMax: chance.pick([1, 3, 20]),
    payloadBytesMax: chance.pick([10, 200, 4_000]),
    changePauseMs: chance.pick([2_000, 10_000]),
    reconnectChance: chance.pick([0, 0.3]),
  };
}
