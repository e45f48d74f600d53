import { MESH_ADDRESSES_MAX, MESH_DIALS_MAX } from "../../core/limits.ts";
import type { Millis } from "../../core/machine.ts";
import type { NodeId } from "../../core/node.ts";
import type { Prng } from "../../core/prng.ts";
import { formatAddress, type HostPort } from "./address.ts";
import type { MeshSettings } from "./mesh_options.ts";

/** A place to dial, and how it was found. */
export interface DialPlace extends HostPort {
  /** The name whose address it is, if it was looked up: what a certificate must show. */
  readonly serverName?: string | undefined;
}

/** An address that may be dialled. */
interface Target {
  readonly place: DialPlace;
  /** Whether the operator named it. */
  isSeed: boolean;
  /** The node that was last met there, or was linked and said that it is there. */
  proven: NodeId | undefined;
  /** The node that was last met or told of there. */
  node: NodeId | undefined;
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

/**
 * Whom to dial, and when: seeds, the addresses behind their names, and what gossip told.
 *
 * At most `MESH_ADDRESSES_MAX` addresses are kept beside the seeds. Of those that are known from
 * gossip alone at most `MESH_DIALS_MAX` are dialled at once.
 */
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

  /** The node that was last met or told of at an address. */
  nodeAt(address: string): NodeId | undefined {
    return this.#targets.get(address)?.node;
  }

  /** Adds an address or a name that the operator gave. */
  addSeed(seed: HostPort, isName: boolean, now: Millis): void {
    const { hostname, port } = seed;
    if (!isName) {
      const target = this.#targets.get(formatAddress(seed)) ?? this.#add(seed, now);
      target.isSeed = true;
      return;
    }
    const name = this.#names.get(hostname);
    if (name !== undefined) name.ports.add(port);
    else {
      this.#names.set(hostname, {
        hostname,
        ports: new Set([port]),
        isResolving: false,
        nextAt: now,
      });
    }
  }

  /** A node that is linked says where it is dialled. */
  met(place: HostPort, node: NodeId, now: Millis): void {
    const target = this.#targets.get(formatAddress(place)) ?? this.#addInPlace(place, now);
    if (target !== undefined) prove(target, node);
  }

  /** Gossip tells of a node, to be dialled after a pause unless it dials first. */
  heardOf(place: HostPort, node: NodeId, pauseMs: Millis, now: Millis): void {
    const known = this.#targets.get(formatAddress(place));
    if (known === undefined && this.#targets.size >= MESH_ADDRESSES_MAX) return;
    const target = known ?? this.#add(place, now + pauseMs);
    if (node === target.node) return;
    target.node = node;
    // Where another node is told of, it may be worth a try soon.
    target.nextAt = Math.min(target.nextAt, now + pauseMs);
  }

  /** A name was looked up; without addresses if that failed. */
  resolved(hostname: string, addresses: readonly string[], now: Millis): void {
    const name = this.#names.get(hostname);
    if (name === undefined) return;
    name.isResolving = false;
    const pauseMs = addresses.length > 0 ? this.#settings.resolveIntervalMs : RESOLVE_AGAIN_MS;
    name.nextAt = now + pauseMs;
    for (const address of addresses) {
      for (const port of name.ports) {
        const place = { hostname: address, port, serverName: hostname };
        if (!this.#targets.has(formatAddress(place))) this.#addInPlace(place, now);
      }
    }
  }

  /** Takes the names that are due to be looked up. */
  takeNames(now: Millis): string[] {
    const due = [...this.#names.values()].filter((name) => !name.isResolving && now >= name.nextAt);
    for (const name of due) name.isResolving = true;
    return due.map((name) => name.hostname);
  }

  /** Takes the addresses that are due to be dialled. */
  takeDue(now: Millis, isLinked: (node: NodeId) => boolean): DialPlace[] {
    const due: DialPlace[] = [];
    const dialled = new Set<NodeId>();
    let doubtful = 0;
    for (const target of this.#targets.values()) {
      if (!target.isDialling) continue;
      if (target.node !== undefined) dialled.add(target.node);
      if (isDoubtful(target)) doubtful++;
    }
    for (const target of this.#targets.values()) {
      const { node } = target;
      if (target.isDialling || now < target.nextAt) continue;
      // A node with several addresses is dialled at one of them at a time.
      if (node !== undefined && (isLinked(node) || dialled.has(node))) continue;
      if (isDoubtful(target) && ++doubtful > MESH_DIALS_MAX) continue;
      if (node !== undefined) dialled.add(node);
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
    target.failingSince = undefined;
    prove(target, node);
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
    this.#pause(target, now);
    this.#lookAgain(now);
  }

  /**
   * This node itself answers at an address. It is tried again as seldom as names are looked up,
   * as what stands behind an address may change.
   */
  isSelf(address: string, now: Millis): void {
    const target = this.#targets.get(address);
    if (target === undefined) return;
    target.isDialling = false;
    target.node = undefined;
    target.nextAt = now + this.#settings.resolveIntervalMs;
  }

  /** The link to a node broke: it is dialled at once, or after a pause if the link did not last. */
  lost(node: NodeId, hasLasted: boolean, now: Millis): void {
    for (const target of this.#targets.values()) {
      if (target.node !== node) continue;
      if (hasLasted) {
        target.failures = 0;
        target.nextAt = now;
      } else this.#pause(target, now);
    }
  }

  /** A node left: nobody is expected where it was, unless the operator says so. */
  left(node: NodeId, now: Millis): void {
    for (const [address, target] of [...this.#targets]) {
      if (target.node !== node) continue;
      if (!target.isSeed) this.#targets.delete(address);
      else {
        target.node = undefined;
        target.failures = 0;
        target.nextAt = now + this.#settings.reconnectMinMs;
      }
    }
    this.#lookAgain(now);
  }

  #add(place: DialPlace, nextAt: Millis): Target {
    const target: Target = {
      place,
      isSeed: false,
      proven: undefined,
      node: undefined,
      isDialling: false,
      failures: 0,
      failingSince: undefined,
      nextAt,
    };
    this.#targets.set(formatAddress(place), target);
    return target;
  }

  // What is known for certain takes the place of what gossip told, so that lies keep nobody out.
  #addInPlace(place: DialPlace, now: Millis): Target | undefined {
    if (this.#targets.size >= MESH_ADDRESSES_MAX) {
      const rival = [...this.#targets].find(([, target]) => isDoubtful(target));
      if (rival === undefined) return undefined;
      this.#targets.delete(rival[0]);
    }
    return this.#add(place, now);
  }

  #pause(target: Target, now: Millis): void {
    const { reconnectMinMs, reconnectMaxMs } = this.#settings;
    const ceilingMs = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(target.failures, 30));
    target.failures++;
    // Full jitter, with a floor that keeps a lone node from spinning.
    target.nextAt = now + Math.max(reconnectMinMs / 2, this.#prng() * ceilingMs);
  }

  // A name may stand for other addresses by now.
  #lookAgain(now: Millis): void {
    for (const name of this.#names.values()) {
      name.nextAt = Math.min(name.nextAt, now + RESOLVE_AGAIN_MS);
    }
  }
}

// That an address failed says nothing of a node that is new there, whose end must be found out soon.
function prove(target: Target, node: NodeId): void {
  if (target.proven !== node) target.failures = 0;
  target.proven = node;
  target.node = node;
}

/** Whether nothing but gossip speaks for an address. */
function isDoubtful({ isSeed, proven, place }: Target): boolean {
  return !isSeed && proven === undefined && place.serverName === undefined;
}
