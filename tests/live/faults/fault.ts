import { type Network, type NetworkDiscipline, whyNoNetwork } from "../../support/network.ts";
import { skipWithoutRedis } from "../../support/redis_server.ts";
import type { FaultCluster, Member } from "./fault_cluster.ts";
import type { Linking } from "./linking.ts";
import type { Load } from "./load.ts";

/** What a fault needs, beside processes that it can signal. */
export type FaultNeed =
  /** Links that can be cut. */
  | "cuttable links"
  /** A network of its own, whose packets can be dropped. */
  | "network"
  /** A network that can also do this to packets. */
  | NetworkDiscipline;

/** What a fault has to work with. */
export interface Scene {
  /** The nodes. */
  readonly cluster: FaultCluster;
  /** The clients. */
  readonly load: Load;
  /** How the nodes are linked. */
  readonly linking: Linking;
  /** What connects the nodes. Only where the fault asked for it. */
  readonly network: Network | undefined;
  /** After how much silence a node is down. */
  readonly nodeTimeoutMs: number;
  /** How long the fault should last, where that is for the fault to say. */
  readonly holdMs: number;
  /** Clients that the fault touches, to be filled by it. */
  readonly touchedClients: string[];
  /** Writes down that the fault begins only now. */
  begun(): void;
  /** Connects new clients to a node, and waits until they are there. */
  populate(member: Member): Promise<void>;
  /** Writes down how long after the beginning all nodes knew of the fault. */
  noticed(): void;
  /** Writes down that the fault is over, where `run` still has something to do after it. */
  over(): void;
}

/** Something that goes wrong. */
export interface Fault {
  /** Its name, in one word or a few. */
  readonly name: string;
  /** What holds nevertheless, as a sentence. */
  readonly promise: string;
  /** Names of the linkings that it is about. Default: all. */
  readonly links?: readonly string[];
  /** What it needs. */
  readonly need?: FaultNeed;
  /** Names of nodes that it does not touch. */
  readonly bystanders: readonly string[];
  /**
   * Within how many ms of its beginning all nodes must know of it, of so long a node timeout. Where
   * it is left out, nodes must not lose each other.
   */
  readonly noticedInMs?: (nodeTimeoutMs: number) => number;
  /** Within what time after its end every node has every other, and every client hears every other. */
  readonly convergesInMs: number;
  /** Does it, and returns when it is over. */
  run(scene: Scene): Promise<void>;
}

/** The faults that are about a linking. */
export function faultsOn(link: string, faults: readonly Fault[]): Fault[] {
  return faults.filter(({ links }) => links?.includes(link) ?? true);
}

/** Why a fault cannot be had here over a linking, or `undefined` if it can. */
export function whyImpossible({ need }: Fault, link: string): string | undefined {
  if (link === "redis" && skipWithoutRedis !== false) return skipWithoutRedis;
  if (need === undefined || need === "cuttable links") return undefined;
  return whyNoNetwork(need === "network" ? undefined : need);
}

/** The names of the three nodes that every fault has. */
export const NODE_NAMES = ["a", "b", "c"] as const;

/** Waits for so long: what a fault lasts is time. */
export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

/** Waits until every one of these nodes has lost every one of those. */
export async function allLost(
  cluster: FaultCluster,
  ones: readonly Member[],
  others: readonly Member[],
): Promise<void> {
  await Promise.all(others.map(({ life }) => cluster.lost(life, ones)));
}
