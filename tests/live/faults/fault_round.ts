import { Network } from "../../support/network.ts";
import { type StartProcess, withProcesses } from "../../support/process.ts";
import { type RuntimeName, RUNTIMES } from "../../support/runtime_command.ts";
import { Attendance } from "./attendance.ts";
import { checkEvidence, slowestBystanderMs, slowestMs } from "./checker.ts";
import type { Evidence, FaultRecord } from "./evidence.ts";
import { type Fault, NODE_NAMES, pass } from "./fault.ts";
import { FaultCluster } from "./fault_cluster.ts";
import { type Linking, LINKINGS } from "./linking.ts";
import { Load } from "./load.ts";
import { findLocalPlaces, type Place } from "./place.ts";
import { checkPresence, purgedMs } from "./presence_checker.ts";

/** What the nodes of a round run on: one runtime, or a different one each. */
export type NodeMix = RuntimeName | "mixed";

/** How to run a round. */
export interface RoundOptions {
  /** What the nodes run on. */
  readonly mix: NodeMix;
  /** How the nodes are linked: a name of `LINKINGS`. */
  readonly link: string;
  /** How long the load lasts, the fault included. Faults that need longer take longer. */
  readonly seconds: number;
  /** After how much silence a node is down. */
  readonly nodeTimeoutMs: number;
  /** Clients for each node. */
  readonly clientsPerNode: number;
  /** Messages that each client publishes a second. */
  readonly messagesPerSecond: number;
}

/** What a round showed. */
export interface RoundResult {
  /** The fault's name. */
  readonly fault: string;
  /** How the nodes were linked. */
  readonly link: string;
  /** What the nodes ran on. */
  readonly mix: NodeMix;
  /** Messages that nodes took. */
  readonly published: number;
  /** Messages that clients got. */
  readonly delivered: number;
  /** Messages that nodes had to ask for, as they count them. */
  readonly repaired: number;
  /** Gaps that clients were told of. */
  readonly gaps: number;
  /** Changes of presence that clients were told of. */
  readonly changes: number;
  /** How long after its beginning all nodes that should had noticed the fault. */
  readonly noticedMs: number | undefined;
  /** How long after a node was lost the last other one had purged its members. */
  readonly purgedMs: number | undefined;
  /** How long after its end every node had every other, and every client heard every other. */
  readonly convergedMs: number | undefined;
  /** The longest that a message took between nodes that the fault did not touch. */
  readonly bystanderMs: number;
  /** The longest that any message took. */
  readonly slowestMs: number;
  /** What broke a promise. */
  readonly findings: readonly string[];
}

// What is still under way when a promise's time is up is worth knowing, for a while.
const PATIENCE_MS = 20_000;

/** Runs one fault on a cluster of its own, under load, and checks every promise. */
export async function runRound(fault: Fault, options: RoundOptions): Promise<RoundResult> {
  const isLocal = fault.need === undefined || fault.need === "cuttable links";
  // One host more, for what is between the nodes.
  const network = isLocal ? undefined : new Network(NODE_NAMES.length + 1);
  try {
    const places = await findPlaces(network);
    const isCuttable = fault.need === "cuttable links";
    const host = network?.hosts[NODE_NAMES.length];
    const hub = { hostname: host?.innerHostname ?? "127.0.0.1", within: host?.within ?? [] };
    const linking = await LINKINGS[options.link]!(places, { isCuttable, hub });
    try {
      const results: RoundResult[] = [];
      await withProcesses(async (start) => {
        results.push(await runOn({ fault, options, network, places, linking, start }));
      });
      return results[0]!;
    } finally {
      await linking.close();
    }
  } finally {
    network?.close();
  }
}

async function findPlaces(network: Network | undefined): Promise<Place[]> {
  const places = await findLocalPlaces(NODE_NAMES);
  return places.map((place, index) => {
    const host = network?.hosts[index];
    if (host === undefined) return place;
    const { hostname, innerHostname: clusterHostname, within } = host;
    return { ...place, hostname, clusterHostname, within };
  });
}

/** What a round is made of. */
interface Stage {
  readonly fault: Fault;
  readonly options: RoundOptions;
  readonly network: Network | undefined;
  readonly places: readonly Place[];
  readonly linking: Linking;
  readonly start: StartProcess;
}

async function runOn(stage: Stage): Promise<RoundResult> {
  const { options, places, linking, start } = stage;
  const { mix, nodeTimeoutMs } = options;
  const runtimes = NODE_NAMES.map((_, index) => mix === "mixed" ? RUNTIMES[index]! : mix);
  const cluster = await FaultCluster.start(start, { places, runtimes, linking, nodeTimeoutMs });
  const load = new Load(cluster, options);
  const attendance = new Attendance(cluster);
  const course = new Course(stage, { cluster, load, attendance });
  try {
    await course.run();
  } catch (error) {
    course.findings.push(error instanceof Error ? error.message : String(error));
  }
  const result = await course.conclude();
  await Promise.all([load.close(), attendance.close()]);
  const living = cluster.members.filter(({ life }) => life.ending === undefined);
  const endings = await Promise.allSettled(living.map((each) => cluster.leave(each)));
  const failed = endings.flatMap((each) => each.status === "rejected" ? [`${each.reason}`] : []);
  return { ...result, findings: [...result.findings, ...failed] };
}

/** Who takes part in a round. */
interface Cast {
  readonly cluster: FaultCluster;
  readonly load: Load;
  readonly attendance: Attendance;
}

/** The course of one round. */
class Course {
  /** What broke a promise, as far as the course itself sees it. */
  readonly findings: string[] = [];
  readonly #stage: Stage;
  readonly #cluster: FaultCluster;
  readonly #load: Load;
  readonly #attendance: Attendance;
  readonly #touchedClients: string[] = [];
  #startedAt = Infinity;
  #endedAt = Infinity;
  #noticedMs: number | undefined;
  #convergedMs: number | undefined;

  constructor(stage: Stage, cast: Cast) {
    this.#stage = stage;
    this.#cluster = cast.cluster;
    this.#load = cast.load;
    this.#attendance = cast.attendance;
  }

  /** Load, fault, load; then quiet. */
  async run(): Promise<void> {
    const { fault, linking, options } = this.#stage;
    const ms = options.seconds * 1_000;
    const trustedAt = performance.now() + linking.trustMs;
    await this.#load.start();
    await this.#attendance.start();
    const loadedAt = performance.now();
    await this.#load.flowed();
    await pass(Math.max(0.1 * ms, trustedAt - performance.now()));
    await this.#runFault(0.4 * ms);
    await this.#cluster.agreed(fault.convergesInMs + PATIENCE_MS);
    await this.#load.flowed(fault.convergesInMs + PATIENCE_MS);
    this.#convergedMs = performance.now() - this.#endedAt;
    this.#limit("converged", this.#convergedMs, fault.convergesInMs);
    await pass(loadedAt + ms - performance.now());
    await this.#load.settle();
    await this.#attendance.settle();
  }

  /** Reads what all took part in, and checks it. */
  async conclude(): Promise<RoundResult> {
    const { fault, options } = this.#stage;
    const stats = await Promise.all(this.#cluster.members.map((each) => this.#cluster.stats(each)));
    const counts = stats.flatMap((each) => each === undefined ? [] : [each.cluster.cluster]);
    this.#cluster.collectReports();
    const evidence = this.#evidence();
    const { sessions } = evidence;
    const presence = { ...evidence, visits: this.#attendance.visits };
    const purged = purgedMs(presence);
    this.#limit("purged", purged, fault.noticedInMs?.(options.nodeTimeoutMs) ?? Infinity);
    const heard = sessions.flatMap((session) => [...session.heard.values()]);
    const published = sessions.flatMap((session) => [...session.published.values()].flat());
    const open = sum(counts.map(({ holesOpen }) => holesOpen));
    if (open > 0) this.findings.push(`P4: ${open} holes are open in the end`);
    for (const each of stats) this.#compare(each?.presence.entries);
    return {
      fault: fault.name,
      link: options.link,
      mix: options.mix,
      published: published.filter(({ isTaken }) => isTaken).length,
      delivered: sum(heard.map(({ receipts }) => receipts.length)),
      repaired: sum(counts.map(({ messagesRepaired }) => messagesRepaired)),
      gaps: sum(heard.map(({ gapsAt }) => gapsAt.length)),
      noticedMs: this.#noticedMs,
      purgedMs: purged,
      convergedMs: this.#convergedMs,
      changes: sum(presence.visits.map(({ sightings }) => sightings.length)),
      bystanderMs: slowestBystanderMs(evidence),
      slowestMs: slowestMs(evidence),
      findings: [...this.findings, ...checkEvidence(evidence), ...checkPresence(presence)],
    };
  }

  async #runFault(holdMs: number): Promise<void> {
    const { fault, linking, network, options } = this.#stage;
    this.#startedAt = performance.now();
    await fault.run({
      cluster: this.#cluster,
      populate: async (member) => {
        await Promise.all([this.#load.join(member), this.#attendance.join(member)]);
      },
      load: this.#load,
      linking,
      network,
      nodeTimeoutMs: options.nodeTimeoutMs,
      holdMs,
      touchedClients: this.#touchedClients,
      begun: () => this.#startedAt = performance.now(),
      noticed: () => this.#noticedMs = performance.now() - this.#startedAt,
      over: () => this.#endedAt = performance.now(),
    });
    if (this.#endedAt === Infinity) this.#endedAt = performance.now();
    const limitMs = fault.noticedInMs?.(options.nodeTimeoutMs) ?? Infinity;
    this.#limit("noticed", this.#noticedMs, limitMs);
  }

  #compare(entries: number | undefined): void {
    const expected = this.#attendance.entryCount;
    if (entries === expected) return;
    this.findings.push(`P7: a node counts ${entries} members' connections, not ${expected}`);
  }

  #limit(what: string, ms: number | undefined, limitMs: number): void {
    if (ms === undefined || ms <= limitMs) return;
    this.findings.push(`${what} after ${Math.round(ms)} ms, not within ${limitMs}`);
  }

  #evidence(): Evidence {
    const { noticedInMs, bystanders } = this.#stage.fault;
    const record: FaultRecord = {
      startedAt: this.#startedAt,
      endedAt: this.#endedAt,
      isNoticed: noticedInMs !== undefined,
      bystanders,
      touchedClients: this.#touchedClients,
    };
    return { sessions: this.#load.sessions, lives: this.#cluster.lives, fault: record };
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
