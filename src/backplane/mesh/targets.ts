import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { Prng } from "../../core/prng.ts";
import { formatAddress, type HostPort } from "./address.ts";
import type { MeshSettings } from "./mesh_options.ts";

/** An address that may be dialled. */
interface Target {
  readonly place: HostPort;
  /** Whether the operator named it, or a name that stands for it. */
  isSeed: boolean;
  /** The node that was last met or told of there. */
  node: NodeId | undefined;
  /** Whether this node itself listens there. */
  isSelf: boolean;
  isDialling: boolean;
  failures: number;
  failingSince: Millis | undefined;
  nextAt: Millis;
}

/** A name among the seeds, which stands for all of its addresses. */
interface Name {
  readonly hostname: string;
  readonly ports: Set<number>;
  isResolving: boolean;
  nextAt: Millis;
}

const FORGET_MS = 600_000;
const RESOLVE_AGAIN_MS = 1_000;

/** Whom to dial, and when: seeds, the addresses behind their names, and what gossip told. */
export class Targets {
  readonly #settings: MeshSettings;
  readonly #prng: Prng;
  readonly #targets = new Map<string, Target>();
  readonly #names = new Map<string, Name>();

  /** Starts without any. */
  constructor(settings: MeshSettings, prng: Prng) {
    this.#settings = settings;
    this.#prng = prng;
  }

  /** Number of addresses known. */
  get size(): number {
    return this.#targets.size;
  }

  /** Adds an address, or what is newly known of it. */
  add(
    place: HostPort,
    known: { readonly isSeed?: boolean; readonly node?: NodeId },
    now: Millis,
  ): void {
    const address = formatAddress(place);
    const target = this.#targets.get(address);
    if (target !== undefined) {
      target.isSeed ||= known.isSeed ?? false;
      // Where another node is told of, it may be worth a try at once.
      if (known.node !== undefined && known.node !== target.node) {
        target.node = known.node;
        target.nextAt = Math.min(target.nextAt, now);
      }
      return;
    }
    this.#targets.set(address, {
      place,
      isSeed: known.isSeed ?? false,
      node: known.node,
      isSelf: false,
      isDialling: false,
      failures: 0,
      failingSince: undefined,
      nextAt: now,
    });
  }

  /** Adds a name to look up. */
  addName(seed: HostPort): void {
    const name = this.#names.get(seed.hostname);
    if (name !== undefined) name.ports.add(seed.port);
    else {
      const { hostname, port } = seed;
      this.#names.set(hostname, {
        hostname,
        ports: new Set([port]),
        isResolving: false,
        nextAt: 0,
      });
    }
  }

  /** A name was looked up; without addresses if that failed. */
  resolved(hostname: string, addresses: readonly string[], now: Millis): void {
    const name = this.#names.get(hostname);
    if (name === undefined) return;
    name.isResolving = false;
    const pauseMs = addresses.length > 0 ? this.#settings.resolveIntervalMs : RESOLVE_AGAIN_MS;
    name.nextAt = now + pauseMs;
    for (const address of addresses) {
      for (const port of name.ports) this.add({ hostname: address, port }, {}, now);
    }
  }

  /** Takes the names that are due to be looked up. */
  takeNames(now: Millis): string[] {
    const due = [...this.#names.values()].filter((name) => !name.isResolving && now >= name.nextAt);
    for (const name of due) name.isResolving = true;
    return due.map((name) => name.hostname);
  }

  /** Takes the addresses that are due to be dialled. */
  takeDue(now: Millis, isLinked: (node: NodeId) => boolean): HostPort[] {
    const due: HostPort[] = [];
    const dialled = new Set<NodeId>();
    for (const { isDialling, node } of this.#targets.values()) {
      if (isDialling && node !== undefined) dialled.add(node);
    }
    for (const target of this.#targets.values()) {
      if (target.isDialling || target.isSelf || now < target.nextAt) continue;
      if (target.node !== undefined) {
        // A node with several addresses is dialled at one of them at a time.
        if (isLinked(target.node) || dialled.has(target.node)) continue;
        dialled.add(target.node);
      }
      target.isDialling = true;
      due.push(target.place);
    }
    return due;
  }

  /** A node was met at an address that was dialled. */
  reached(address: string, node: NodeId): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.isDialling = false;
    target.node = node;
    target.failures = 0;
    target.failingSince = undefined;
  }

  /** An address that was dialled did not lead to a node. The pause doubles, and chance spreads it. */
  failed(address: string, now: Millis): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.isDialling = false;
    target.failingSince ??= now;
    if (!target.isSeed && now >= target.failingSince + FORGET_MS) {
      this.#targets.delete(address);
      return;
    }
    const { reconnectMinMs, reconnectMaxMs } = this.#settings;
    const ceilingMs = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(target.failures, 30));
    target.failures++;
    // Full jitter, with a floor that keeps a lone node from spinning.
    target.nextAt = now + Math.max(reconnectMinMs / 2, this.#prng() * ceilingMs);
    this.#lookAgain(now);
  }

  /** This node itself listens at an address. */
  isSelf(address: string): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.isDialling = false;
    target.isSelf = true;
  }

  /** The link to the node at an address broke: dial it at once. */
  retry(address: string, now: Millis): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.failures = 0;
    target.nextAt = now;
  }

  /** The node at an address left: nobody is expected there, unless the operator says so. */
  left(address: string, now: Millis): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    if (!target.isSeed) {
      this.#targets.delete(address);
      return this.#lookAgain(now);
    }
    target.node = undefined;
    target.failures = 0;
    target.nextAt = now + this.#settings.reconnectMinMs;
  }

  // A name may stand for other addresses by now.
  #lookAgain(now: Millis): void {
    for (const name of this.#names.values()) {
      name.nextAt = Math.min(name.nextAt, now + RESOLVE_AGAIN_MS);
    }
  }
}
