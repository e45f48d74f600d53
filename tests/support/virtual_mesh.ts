import { Mesh } from "../../src/backplane/mesh/mesh.ts";
import type { MeshInput } from "../../src/backplane/mesh/mesh_input.ts";
import {
  type MeshOptions,
  type MeshSettings,
  resolveMeshOptions,
} from "../../src/backplane/mesh/mesh_options.ts";
import type { MeshOutput } from "../../src/backplane/mesh/mesh_output.ts";
import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";
import { createPrng, type Prng } from "../../src/core/prng.ts";
import type { LinkErrorCode } from "../../src/errors.ts";
import { systemDigests } from "../../src/runtime/crypto.ts";
import { joinBytes } from "./join_bytes.ts";

const LATENCY_MS = 1;

interface Happening {
  readonly at: Millis;
  readonly act: () => void;
}

/** One connection between two machines. */
interface Wire {
  readonly ends: readonly [WireEnd, WireEnd];
  latencyMs: Millis;
}

interface WireEnd {
  readonly node: VirtualMachine;
  readonly link: number;
  isOver: boolean;
}

/** How a machine is set up. */
export interface MachineOptions extends MeshOptions {
  /** What differs from settings that an operator may choose. */
  readonly settings?: Partial<MeshSettings>;
  /** Where it listens. Default: `10.0.0.1:1` for the first, and so on. */
  readonly listens?: string;
  /** Where it says that it listens, if it is mistaken. */
  readonly address?: string;
}

/** One mesh machine, and all that came out of it. */
export class VirtualMachine {
  readonly id: NodeId;
  readonly name: string;
  /** Where it listens. */
  readonly address: string;
  /** The host that others see. */
  readonly host: string;
  readonly mesh: Mesh;
  /** `+b` for a node that is up, `-b lost` for one that is down, `?b` for one that is gone. */
  readonly paths: string[] = [];
  /** What came in, as `b: text`. */
  readonly received: string[] = [];
  readonly faults: LinkErrorCode[] = [];
  /** Addresses that it dialled, in order, and when. */
  readonly dials: { readonly address: string; readonly at: Millis }[] = [];
  /** Names that it looked up, and when. */
  readonly lookups: { readonly hostname: string; readonly at: Millis }[] = [];
  /** Nodes to which messages were dropped, by name. */
  readonly dropped: string[] = [];
  /** Reports that break the contract of a backplane. */
  readonly offences: string[] = [];
  isFrozen = false;
  isDead = false;
  readonly #up = new Set<NodeId>();
  readonly #world: VirtualMesh;
  #missed: MeshInput[] = [];

  constructor(world: VirtualMesh, id: NodeId, options: MachineOptions) {
    this.#world = world;
    this.id = id;
    this.name = nameOf(id);
    const { listens = "10.0.0.1:1", address = listens, settings, ...mesh } = options;
    this.address = listens;
    this.host = listens.slice(0, listens.lastIndexOf(":"));
    this.mesh = new Mesh(
      {
        id,
        name: this.name,
        address,
        digests: systemDigests,
        randomBytes: (count) =>
          Uint8Array.from({ length: count }, () => Math.floor(world.prng() * 256)),
        prng: world.prng,
      },
      { ...resolveMeshOptions({ secret: "s", ...mesh }), ...settings },
      world.now,
    );
    this.settle();
  }

  /** Names of the nodes that it believes to reach. */
  get reaches(): string[] {
    return [...this.#up].map(nameOf).sort();
  }

  /** Sends texts to nodes, or to all. */
  sends(texts: readonly string[], nodes?: readonly VirtualMachine[], isRepeatable = false): void {
    const ids = nodes?.map(({ id }) => id);
    for (const text of texts) {
      const payload = new TextEncoder().encode(text);
      this.feed({ kind: "send", nodes: ids, payload, isRepeatable });
    }
  }

  feed(input: MeshInput): void {
    if (this.isDead) return;
    if (this.isFrozen) this.#missed.push(input);
    else {
      this.mesh.handle(input, this.#world.now);
      this.settle();
    }
  }

  /** Runs on after a freeze: first its timers, then what came in. */
  thaw(): void {
    this.isFrozen = false;
    this.feed({ kind: "wake" });
    const missed = this.#missed;
    this.#missed = [];
    for (const input of missed) this.feed(input);
  }

  settle(): void {
    for (let outputs = this.mesh.take(); outputs.length > 0; outputs = this.mesh.take()) {
      for (const output of outputs) this.#perform(output);
    }
  }

  #perform(output: MeshOutput): void {
    const { now } = this.#world;
    switch (output.kind) {
      case "dial":
        this.dials.push({ address: output.address, at: now });
        return this.#world.dial(this, output.address);
      case "resolve":
        this.lookups.push({ hostname: output.hostname, at: now });
        return this.#world.resolve(this, output.hostname);
      case "write":
        return this.#world.transmit(this, output.link, joinBytes(output.parts));
      case "hangup":
        return this.#world.hangUp(this, output.link);
      case "up":
        if (this.#up.has(output.node.id)) this.offences.push(`${output.node.id} is up twice`);
        this.#up.add(output.node.id);
        return void this.paths.push(`+${output.node.name}`);
      case "down":
        if (!this.#up.delete(output.node)) this.offences.push(`${output.node} is down twice`);
        return void this.paths.push(`-${nameOf(output.node)} ${output.loss}`);
      case "gone":
        if (this.#up.has(output.node)) this.offences.push(`${output.node} is gone and up`);
        return void this.paths.push(`?${nameOf(output.node)}`);
      case "received": {
        if (!this.#up.has(output.node)) this.offences.push(`${output.node} is heard and not up`);
        const text = new TextDecoder().decode(output.payload);
        return void this.received.push(`${nameOf(output.node)}: ${text}`);
      }
      case "dropped":
        return void this.dropped.push(nameOf(output.node));
      case "fault":
        return void this.faults.push(output.error.code);
    }
  }
}

/** Mesh machines and a network between them, in virtual time. */
export class VirtualMesh {
  now: Millis = 0;
  readonly prng: Prng;
  /** What names stand for. */
  readonly names: Map<string, readonly string[]> = new Map();
  /** Other addresses at which a node answers. */
  readonly aliases: Map<string, string> = new Map();
  /** Milliseconds that a new connection from one node to another takes for each way. */
  latency: (from: VirtualMachine, to: VirtualMachine) => Millis = () => LATENCY_MS;
  /** Whether nothing gets through between two nodes, not even a refusal. */
  isCut: (from: VirtualMachine, to: VirtualMachine) => boolean = () => false;
  /** Whether a dial to an address where nobody is hears nothing, in place of a refusal. */
  isDesert = false;
  readonly machines: VirtualMachine[] = [];
  readonly #wires: Wire[] = [];
  #happenings: Happening[] = [];
  #linkCount = 0;

  constructor(seed = 1) {
    this.prng = createPrng(seed);
  }

  /** Connections that are open on both sides. */
  get connections(): number {
    return this.#wires.filter(({ ends }) => ends.every(({ isOver }) => !isOver)).length;
  }

  /** Starts a node. `seeds` are `peers` of the mesh. */
  add(id: NodeId, seeds: readonly string[] = [], options: MachineOptions = {}): VirtualMachine {
    const listens = `10.0.0.${this.machines.length + 1}:1`;
    const machine = new VirtualMachine(this, id, { listens, peers: seeds, ...options });
    this.machines.push(machine);
    return machine;
  }

  /** Lets time pass. */
  run(durationMs: Millis): void {
    const end = this.now + durationMs;
    for (;;) {
      const next = this.#next();
      if (next > end) break;
      this.now = Math.max(this.now, next);
      const due = this.#happenings.filter(({ at }) => at <= this.now);
      this.#happenings = this.#happenings.filter(({ at }) => at > this.now);
      for (const { act } of due) act();
      if (due.length > 0) continue;
      for (const machine of this.#running()) {
        if ((machine.mesh.deadline ?? Infinity) <= this.now) machine.feed({ kind: "wake" });
      }
    }
    this.now = end;
  }

  /** Ends a node's process: its system resets what comes for it. */
  kill(machine: VirtualMachine): void {
    machine.isDead = true;
    for (const { ends } of this.#wiresOf(machine)) this.#end(ends, machine);
  }

  /** Ends all connections between two nodes, for both at once. */
  sever(a: VirtualMachine, b: VirtualMachine): void {
    for (const { ends } of this.#wiresOf(a)) {
      if (ends.every(({ node }) => node === a || node === b)) this.#end(ends, undefined);
    }
  }

  /** Tells a node that so many bytes wait for another. */
  queue(from: VirtualMachine, to: VirtualMachine, byteLength: number): void {
    from.feed({ kind: "queued", link: this.#between(from, to), byteLength });
  }

  /** Sends bytes from a node that the code there would not send. */
  inject(from: VirtualMachine, to: VirtualMachine, bytes: Uint8Array): void {
    this.transmit(from, this.#between(from, to), bytes);
  }

  dial(from: VirtualMachine, address: string): void {
    // Nodes that are added in one moment find each other.
    this.#after(0, () => this.#dial(from, address));
  }

  #dial(from: VirtualMachine, address: string): void {
    const listens = this.aliases.get(address) ?? address;
    const to = this.machines.findLast((machine) => machine.address === listens);
    const latencyMs = to === undefined ? LATENCY_MS : this.latency(from, to);
    const fail = (delayMs: Millis, isRefused: boolean): void => {
      const cause = new Error(isRefused ? "refused" : "timed out");
      this.#after(delayMs, () => from.feed({ kind: "dial_failed", address, isRefused, cause }));
    };
    const isUnheard = to === undefined ? this.isDesert : this.isCut(from, to);
    if (isUnheard) return fail(3_000, false);
    if (to === undefined || to.isDead) return fail(2 * latencyMs, true);
    const ends = [
      { node: from, link: ++this.#linkCount, isOver: false },
      { node: to, link: ++this.#linkCount, isOver: false },
    ] as const;
    this.#wires.push({ ends, latencyMs });
    this.#after(latencyMs, () => {
      to.feed({ kind: "opened", link: ends[1].link, dialled: undefined, remote: `${from.host}:9` });
    });
    this.#after(2 * latencyMs, () => {
      if (ends[0].isOver) fail(0, true);
      else from.feed({ kind: "opened", link: ends[0].link, dialled: address, remote: address });
    });
  }

  resolve(from: VirtualMachine, hostname: string): void {
    const addresses = this.names.get(hostname) ?? [];
    const cause = addresses.length === 0 ? new Error("unknown") : undefined;
    this.#after(LATENCY_MS, () => from.feed({ kind: "resolved", hostname, addresses, cause }));
  }

  transmit(from: VirtualMachine, link: number, chunk: Uint8Array): void {
    const { wire, mine, theirs } = this.#find(from, link) ?? {};
    // What a test opened by hand leads nowhere.
    if (wire === undefined || mine === undefined || theirs === undefined) return;
    if (mine.isOver || this.isCut(from, theirs.node)) return;
    this.#after(wire.latencyMs, () => {
      if (!theirs.isOver) theirs.node.feed({ kind: "bytes", link: theirs.link, chunk });
    });
  }

  hangUp(from: VirtualMachine, link: number): void {
    const { wire, mine, theirs } = this.#find(from, link) ?? {};
    if (wire === undefined || mine === undefined || theirs === undefined || mine.isOver) return;
    mine.isOver = true;
    from.feed({ kind: "ended", link, cause: undefined });
    if (!this.isCut(from, theirs.node)) this.#after(wire.latencyMs, () => this.#endOf(theirs));
  }

  #end(ends: readonly WireEnd[], killed: VirtualMachine | undefined): void {
    for (const end of ends) {
      if (end.node === killed) end.isOver = true;
      else this.#after(killed === undefined ? 0 : LATENCY_MS, () => this.#endOf(end));
    }
  }

  #endOf(end: WireEnd): void {
    if (end.isOver) return;
    end.isOver = true;
    const cause = new Error("reset");
    end.node.feed({ kind: "ended", link: end.link, cause });
  }

  #wiresOf(machine: VirtualMachine): Wire[] {
    return this.#wires.filter(({ ends }) => ends.some(({ node }) => node === machine));
  }

  #between(from: VirtualMachine, to: VirtualMachine): number {
    const wire = this.#wires.find(({ ends }) =>
      ends.every(({ node, isOver }) => !isOver && (node === from || node === to))
    );
    return wire!.ends.find(({ node }) => node === from)!.link;
  }

  #find(
    machine: VirtualMachine,
    link: number,
  ): { readonly wire: Wire; readonly mine: WireEnd; readonly theirs: WireEnd } | undefined {
    for (const wire of this.#wires) {
      const [a, b] = wire.ends;
      if (a.node === machine && a.link === link) return { wire, mine: a, theirs: b };
      if (b.node === machine && b.link === link) return { wire, mine: b, theirs: a };
    }
    return undefined;
  }

  #after(delayMs: Millis, act: () => void): void {
    this.#happenings.push({ at: this.now + delayMs, act });
  }

  #next(): Millis {
    let next = Infinity;
    for (const { at } of this.#happenings) next = Math.min(next, at);
    for (const { mesh } of this.#running()) next = Math.min(next, mesh.deadline ?? Infinity);
    return next;
  }

  #running(): VirtualMachine[] {
    return this.machines.filter(({ isFrozen, isDead }) => !isFrozen && !isDead);
  }
}

/** Two nodes, of which the second dials the first. */
export function createPair(): { world: VirtualMesh; a: VirtualMachine; b: VirtualMachine } {
  const world = new VirtualMesh();
  const a = world.add("a~1");
  const b = world.add("b~1", [a.address]);
  world.run(100);
  return { world, a, b };
}

/** Many nodes, which know the first. */
export function createCluster(count: number): { world: VirtualMesh; nodes: VirtualMachine[] } {
  const world = new VirtualMesh();
  const nodes: VirtualMachine[] = [];
  for (let index = 0; index < count; index++) {
    const id = `n${String(index).padStart(2, "0")}~1`;
    nodes.push(world.add(id, index === 0 ? [] : [nodes[0]!.address]));
  }
  return { world, nodes };
}

function nameOf(id: NodeId): string {
  return id.split("~")[0]!;
}
