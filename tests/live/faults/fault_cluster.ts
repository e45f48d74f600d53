import type { ProcessExit, StartProcess, TestProcess } from "../../support/process.ts";
import type { RuntimeName } from "../../support/runtime_command.ts";
import type { NodeLife, PeerReport } from "./evidence.ts";
import type { Linking } from "./linking.ts";
import type { Endpoint } from "./load_client.ts";
import type { Place } from "./place.ts";
import { until } from "./until.ts";

/** What a node counts, of `GET /stats`, as far as rounds read it. */
export interface NodeStats {
  /** Whether it is cut off, so that it only knows who was there. */
  readonly stale: boolean;
  /** The nodes that it knows. */
  readonly peers: readonly { readonly id: string; readonly state: string }[];
  /** Its clients. */
  readonly clients: { readonly slowConsumers: number };
  /** Its roster. */
  readonly presence: { readonly entries: number };
  /** Its part of the cluster. */
  readonly cluster: {
    readonly cluster: { readonly messagesRepaired: number; readonly holesOpen: number };
  };
}

/** How to start a cluster. */
export interface FaultClusterOptions {
  /** Where its nodes are. */
  readonly places: readonly Place[];
  /** What each node runs on; as many as there are places. */
  readonly runtimes: readonly RuntimeName[];
  /** How they are linked. */
  readonly linking: Linking;
  /** After how much silence a node is down. */
  readonly nodeTimeoutMs: number;
}

/** One node of the cluster, through all of its incarnations. */
export interface Member {
  /** Where it is. */
  readonly place: Place;
  /** What it runs on. */
  readonly runtime: RuntimeName;
  /** The process of its present incarnation. */
  process: TestProcess;
  /** Its present incarnation. */
  life: NodeLife;
  /** Whether clients should connect to it. */
  isServing: boolean;
}

const STATS_TIME_LIMIT_MS = 1_000;

/** Nodes of `demo/node.ts` as real processes, and what can be done to them. */
export class FaultCluster {
  /** The nodes. */
  readonly members: readonly Member[];
  /** Every incarnation that there was. */
  readonly lives: readonly NodeLife[];
  readonly #options: FaultClusterOptions;
  readonly #start: StartProcess;
  readonly #processes = new Map<NodeLife, TestProcess>();
  #turn = 0;

  /** Use {@linkcode FaultCluster.start}. */
  constructor(start: StartProcess, options: FaultClusterOptions, members: Member[]) {
    this.#start = start;
    this.#options = options;
    this.members = members;
    this.lives = members.map(({ life }) => life);
    for (const { life, process } of members) this.#processes.set(life, process);
  }

  /** Starts the nodes, and waits until each has connected to all others. */
  static async start(start: StartProcess, options: FaultClusterOptions): Promise<FaultCluster> {
    const members = await Promise.all(options.places.map(async (place, index) => {
      const runtime = options.runtimes[index]!;
      const begun = await begin(start, options, { place, runtime });
      return { place, runtime, isServing: true, ...begun };
    }));
    const cluster = new FaultCluster(start, options, members);
    await cluster.agreed();
    return cluster;
  }

  /** The member of a name. */
  member(name: string): Member {
    return this.members.find(({ place }) => place.name === name)!;
  }

  /** All members but one. */
  others(member: Member): Member[] {
    return this.members.filter((other) => other !== member);
  }

  /** A node that serves, another one each time, and `avoided` only if there is no other. */
  findEndpoint(avoided?: string): Endpoint {
    const serving = this.members.filter(({ isServing }) => isServing);
    const others = serving.filter(({ place }) => place.name !== avoided);
    const found = others.length > 0 ? others : serving;
    const { place } = found[this.#turn++ % found.length]!;
    return place;
  }

  /** Ends a node with SIGKILL. */
  async crash(member: Member): Promise<void> {
    await this.#end(member, "SIGKILL", "crashed");
  }

  /** Ends a node with SIGTERM. @throws {Error} If its exit code is not 0. */
  async leave(member: Member): Promise<void> {
    const exit = await this.#end(member, "SIGTERM", "left");
    if (exit.code === 0) return;
    throw new Error(`${member.life.node} ended with ${JSON.stringify(exit)}`);
  }

  /**
   * Starts a node again where it was, as a new incarnation, and waits until it listens. Clients
   * come when it is admitted.
   */
  async restart(member: Member): Promise<void> {
    Object.assign(member, await begin(this.#start, this.#options, member));
    this.#processes.set(member.life, member.process);
    (this.lives as NodeLife[]).push(member.life);
  }

  /**
   * Waits until a node has all others, and lets clients connect to it: a subscription is a promise
   * about the nodes that are connected when it is confirmed.
   */
  async admit(member: Member): Promise<void> {
    await this.agreed();
    member.isServing = true;
  }

  /** Waits until nodes report that they have lost another one. */
  async lost(life: NodeLife, by: readonly Member[], reason?: string): Promise<void> {
    const fields = { peer: life.node, ...(reason === undefined ? {} : { reason }) };
    await Promise.all(by.map(({ process }) => process.event("peerdisconnected", fields)));
  }

  /** Waits until each node that lives has each other one, and none else. */
  async agreed(timeLimitMs?: number): Promise<void> {
    await until("each node has each other one", async () => {
      const living = this.members.filter(({ life }) => life.ending === undefined);
      const views = await Promise.all(living.map((member) => this.stats(member)));
      return views.every((view, index) => {
        const others = living.filter((other) => other !== living[index]);
        const connected = view?.peers.filter(({ state }) => state === "connected") ?? [];
        return view?.peers.length === others.length &&
          others.every(({ life }) => connected.some(({ id }) => id === life.node));
      });
    }, timeLimitMs);
  }

  /** What a node counts, or `undefined` if it does not answer. */
  async stats({ place }: Member): Promise<NodeStats | undefined> {
    try {
      const response = await fetch(`http://${place.hostname}:${place.port}/stats`, {
        signal: AbortSignal.timeout(STATS_TIME_LIMIT_MS),
      });
      return await response.json();
    } catch {
      // A node that does not answer is a finding for whoever asked.
      return undefined;
    }
  }

  /** Writes down what the nodes have told of each other up to now. */
  collectReports(): void {
    for (const [life, { output }] of this.#processes) life.reports = readReports(output);
  }

  async #end(
    member: Member,
    signal: "SIGKILL" | "SIGTERM",
    ending: "crashed" | "left",
  ): Promise<ProcessExit> {
    member.isServing = false;
    member.life.ending = ending;
    member.life.endedAt = performance.now();
    member.process.kill(signal);
    return await member.process.exited;
  }
}

async function begin(
  start: StartProcess,
  { linking, nodeTimeoutMs }: FaultClusterOptions,
  { place, runtime }: Pick<Member, "place" | "runtime">,
): Promise<Pick<Member, "process" | "life">> {
  const { name, hostname, port, within } = place;
  const args = ["--json", "--name", name, "--host", hostname, "--port", `${port}`];
  args.push("--node-timeout", `${nodeTimeoutMs}`, ...linking.flagsFor(place));
  const process = start({ script: "demo/node.ts", runtime, within, args });
  const { node } = await process.event("listening");
  const life = { node: `${node}`, name, ending: undefined, endedAt: undefined, reports: [] };
  return { process, life };
}

function readReports(output: string): PeerReport[] {
  return output.split("\n").flatMap((line) => {
    if (!line.startsWith('{"event":"peer')) return [];
    return [JSON.parse(line) as PeerReport];
  });
}
