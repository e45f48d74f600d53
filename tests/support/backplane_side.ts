import type {
  Backplane,
  BackplaneHandler,
  BackplaneStart,
  BackplaneState,
  NodeIdentity,
  PathLoss,
} from "../../src/backplane/backplane.ts";
import type { NodeId } from "../../src/core/node.ts";

const TIME_LIMIT_MS = 20_000;
const EVENTS_SHOWN = 20;

interface Waiter {
  readonly isDone: () => boolean;
  readonly resolve: () => void;
}

/** One started backplane, and all that it reported. */
export class BackplaneSide implements BackplaneHandler {
  /** Its node. */
  readonly id: NodeId;
  /** The engine. */
  readonly backplane: Backplane;
  /** `+b` for a node that is up, `-b left` for one that is down, `?b` for one that is gone. */
  readonly paths: string[] = [];
  /** Payloads by the name of the node that they came from, in order. */
  readonly payloads: Map<string, Uint8Array[]> = new Map();
  readonly subscriptions: string[] = [];
  readonly states: BackplaneState[] = [];
  readonly faults: Error[] = [];
  /** Reports that break the contract: out of turn, or after `stop`. */
  readonly offences: string[] = [];
  readonly #up = new Set<NodeId>();
  readonly #waiters = new Set<Waiter>();
  #hasStopped = false;

  constructor(name: string, backplane: Backplane) {
    this.id = `${name}~${crypto.randomUUID().slice(0, 8)}`;
    this.backplane = backplane;
  }

  get name(): string {
    return nameOf(this.id);
  }

  /** Starts the engine. */
  start(): Promise<BackplaneStart> {
    return this.backplane.start(this.id, this.name, this);
  }

  /** Stops the engine, and from then on takes every report for an offence. */
  async stop(): Promise<void> {
    await this.backplane.stop();
    this.#hasStopped = true;
  }

  /** Sends texts to some sides, or to all nodes. */
  sends(texts: readonly string[], to?: readonly BackplaneSide[], channel?: string): void {
    const encoder = new TextEncoder();
    const nodes = to?.map(({ id }) => id);
    for (const text of texts) this.backplane.send(nodes, encoder.encode(text), channel);
  }

  /** The texts that came from a side, in order. */
  heard(from: BackplaneSide): string[] {
    const decoder = new TextDecoder();
    return (this.payloads.get(from.name) ?? []).map((payload) => decoder.decode(payload));
  }

  /** Whether a side can be reached at this moment. */
  reaches(other: BackplaneSide): boolean {
    return this.#up.has(other.id);
  }

  /** Waits until something is so, as seen after each report. */
  async until(what: string, isDone: () => boolean): Promise<void> {
    if (isDone()) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const done = new Promise<void>((resolve) => this.#waiters.add({ isDone, resolve }));
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(this.#describe(what))), TIME_LIMIT_MS);
    });
    await Promise.race([done, late]).finally(() => clearTimeout(timer));
  }

  up(node: NodeIdentity): void {
    if (this.#up.has(node.id)) this.offences.push(`${nameOf(node.id)} came up twice`);
    this.#up.add(node.id);
    this.#note(this.paths, `+${node.name}`);
  }

  down(node: NodeId, loss: PathLoss): void {
    if (!this.#up.delete(node)) this.offences.push(`${nameOf(node)} went down twice`);
    this.#note(this.paths, `-${nameOf(node)} ${loss}`);
  }

  gone(node: NodeId): void {
    if (this.#up.has(node)) this.offences.push(`${nameOf(node)} is gone and up`);
    this.#note(this.paths, `?${nameOf(node)}`);
  }

  received(node: NodeId, payload: Uint8Array): void {
    const name = nameOf(node);
    if (!this.#up.has(node)) this.offences.push(`${name} is heard and not up`);
    const payloads = this.payloads.get(name) ?? [];
    this.payloads.set(name, payloads);
    this.#note(payloads, payload);
  }

  dropped(node: NodeId): void {
    this.#note([], node);
  }

  subscribed(channel: string): void {
    this.#note(this.subscriptions, channel);
  }

  state(state: BackplaneState): void {
    this.#note(this.states, state);
  }

  fault(error: Error): void {
    this.#note(this.faults, error);
  }

  #note<Item>(list: Item[], item: Item): void {
    if (this.#hasStopped) this.offences.push(`${String(item)} was reported after the stop`);
    list.push(item);
    for (const waiter of [...this.#waiters]) {
      if (!waiter.isDone()) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  #describe(what: string): string {
    const heard = [...this.payloads].map(([name, payloads]) => `${payloads.length} of ${name}`);
    const faults = this.faults.slice(-EVENTS_SHOWN).map(({ message }) => message);
    return `${this.name} waited in vain: ${what}; it saw ${this.paths.slice(-EVENTS_SHOWN)}; ` +
      `heard ${heard}; states ${this.states}; faults ${faults.join(" | ")}`;
  }
}

function nameOf(id: NodeId): string {
  return id.slice(0, id.indexOf("~"));
}
