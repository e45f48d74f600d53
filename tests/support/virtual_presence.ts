import { PresenceNode } from "../../src/channel/presence.ts";
import { decodePresence } from "../../src/channel/presence_codec.ts";
import type { PresenceInput, PresenceOutput } from "../../src/channel/presence_input.ts";
import { latestOf } from "../../src/channel/presence_entry.ts";
import type { Millis } from "../../src/core/machine.ts";
import type { NodeId } from "../../src/core/node.ts";

interface Parcel {
  readonly at: Millis;
  readonly from: NodeId;
  readonly to: NodeId;
  readonly body: Uint8Array;
}

/** One node's presence, and all that came out of it. */
export class VirtualMembers {
  readonly id: NodeId;
  readonly presence: PresenceNode<string>;
  /** `+room/ann`, `*room/ann` and `-room/ann`, each with the metadata where there is some. */
  readonly changes: string[] = [];
  /** What each watcher was told, one text per push. */
  readonly told: Map<string, string[]> = new Map();
  readonly #world: VirtualPresence;
  #digest: Uint8Array | undefined;

  constructor(world: VirtualPresence, id: NodeId) {
    this.#world = world;
    this.id = id;
    this.presence = new PresenceNode(id);
  }

  /** What its heartbeats tell. */
  get digest(): Uint8Array | undefined {
    return this.#digest;
  }

  join(channel: string, member: string, join: { meta?: string; connection?: number } = {}): void {
    const { meta = "", connection = 0 } = join;
    this.feed({ kind: "join", channel, member, meta, connection });
  }

  leave(channel: string, member: string, connection = 0): void {
    this.feed({ kind: "leave", channel, member, connection });
  }

  disconnect(connection: number, lingerMs: Millis = 0): void {
    this.feed({ kind: "disconnect", connection, lingerMs });
  }

  watch(watcher: string, channel: string, mode: "changes" | "count" | undefined): void {
    this.told.set(watcher, this.told.get(watcher) ?? []);
    this.feed({ kind: "watch", channel, watcher, mode });
  }

  /** Who is in a channel, sorted, each with the metadata that shows. */
  members(channel: string): string[] {
    const members = this.presence.roster.members(channel) ?? new Map();
    return [...members].map(([member, entries]) => member + latestOf(entries).meta).sort();
  }

  feed(input: PresenceInput<string>): void {
    this.presence.handle(input, this.#world.now);
    this.settle();
  }

  settle(): void {
    for (const output of this.presence.take()) this.#perform(output);
  }

  #perform(output: PresenceOutput<string>): void {
    switch (output.kind) {
      case "changes":
        for (const { kind, channel, member, meta } of output.changes) {
          const sign = { join: "+", update: "*", leave: "-" }[kind];
          this.changes.push(`${sign}${channel}/${member}${meta}`);
        }
        return;
      case "send":
        return this.#world.send(this.id, output.node, output.body);
      case "digest":
        this.#digest = output.body;
        return;
      case "push": {
        const { joined, updated, left, count } = output;
        const parts = [
          ...joined.map(({ member, meta }) => `+${member}${meta}`),
          ...updated.map(({ member, meta }) => `*${member}${meta}`),
          ...left.map((member) => `-${member}`),
        ];
        for (const watcher of output.watchers) {
          this.told.get(watcher)!.push(`${parts.join(" ")} =${count}`);
        }
        return;
      }
      case "count":
        for (const watcher of output.watchers) this.told.get(watcher)!.push(`=${output.count}`);
    }
  }
}

/** Some nodes' presence and the network between them: nothing happens until `run`. */
export class VirtualPresence {
  readonly nodes: Map<NodeId, VirtualMembers> = new Map();
  now: Millis = 0;
  /** Every body that was sent, by its kind. */
  readonly sent: Record<string, number> = {};
  sentBytes = 0;
  /** How a body fares: the delays of its copies; none for a loss. */
  tamper: (parcel: { from: NodeId; to: NodeId; body: Uint8Array }) => readonly Millis[] = () => [1];
  #parcels: Parcel[] = [];
  readonly #links = new Set<string>();
  #beatAt: Millis = 1_000;

  /** Adds a node that is linked with all the others. */
  add(id: NodeId): VirtualMembers {
    const node = new VirtualMembers(this, id);
    this.nodes.set(id, node);
    for (const other of this.nodes.values()) if (other !== node) this.link(id, other.id);
    return node;
  }

  /** Tells both sides that they can reach each other. */
  link(left: NodeId, right: NodeId): void {
    this.#links.add(`${left} ${right}`).add(`${right} ${left}`);
    this.nodes.get(left)?.feed({ kind: "peer_up", node: right });
    this.nodes.get(right)?.feed({ kind: "peer_up", node: left });
  }

  /** What two nodes send each other is lost from now on. */
  cut(left: NodeId, right: NodeId): void {
    this.#links.delete(`${left} ${right}`);
    this.#links.delete(`${right} ${left}`);
    this.#parcels = this.#parcels.filter(({ from, to }) =>
      !(from === left && to === right) && !(from === right && to === left)
    );
  }

  /** One side takes the other for gone. */
  lose(at: NodeId, node: NodeId, hasLeft = false): void {
    this.nodes.get(at)?.feed({ kind: "peer_down", node, hasLeft });
  }

  /** A node's process ends, and the others learn of it at once. */
  kill(id: NodeId, hasLeft = false): void {
    this.nodes.delete(id);
    for (const other of this.nodes.keys()) {
      // Whatever it sent before its goodbye arrives before it.
      if (!hasLeft) this.cut(id, other);
      else this.#deliver(Infinity, (parcel) => parcel.from === id);
      this.lose(other, id, hasLeft);
    }
  }

  send(from: NodeId, to: NodeId | undefined, body: Uint8Array): void {
    const decoded = decodePresence(body);
    const kind = typeof decoded === "object" ? decoded.kind : "broken";
    for (const other of to === undefined ? this.nodes.keys() : [to]) {
      if (other === from || !this.#links.has(`${from} ${other}`)) continue;
      this.sent[kind] = (this.sent[kind] ?? 0) + 1;
      this.sentBytes += body.byteLength;
      for (const delay of this.tamper({ from, to: other, body })) {
        this.#parcels.push({ at: this.now + delay, from, to: other, body });
      }
    }
  }

  /** Runs for a while. */
  run(durationMs: Millis): void {
    const end = this.now + durationMs;
    for (let next = this.#next(); next <= end; next = this.#next()) {
      this.now = Math.max(this.now, next);
      if (this.now >= this.#beatAt) this.#beat();
      this.#deliver(this.now, () => true);
      for (const { presence } of this.nodes.values()) {
        if ((presence.deadline ?? Infinity) <= this.now) {
          presence.handle({ kind: "wake" }, this.now);
        }
      }
      for (const node of this.nodes.values()) node.settle();
    }
    this.now = end;
  }

  #beat(): void {
    this.#beatAt = this.now + 1_000;
    for (const [id, { digest }] of this.nodes) {
      if (digest !== undefined) this.send(id, undefined, digest);
    }
  }

  #deliver(until: Millis, isMeant: (parcel: Parcel) => boolean): void {
    const due = this.#parcels.filter((parcel) => parcel.at <= until && isMeant(parcel));
    const dueNow = new Set(due);
    this.#parcels = this.#parcels.filter((parcel) => !dueNow.has(parcel));
    for (const { from, to, body } of due.sort((left, right) => left.at - right.at)) {
      this.nodes.get(to)?.feed({ kind: "received", node: from, body });
    }
  }

  #next(): Millis {
    let next = this.#beatAt;
    for (const { at } of this.#parcels) next = Math.min(next, at);
    for (const { presence } of this.nodes.values()) {
      next = Math.min(next, presence.deadline ?? Infinity);
    }
    return next;
  }
}
