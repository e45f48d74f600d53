import { ByteWriter } from "../core/byte_writer.ts";
import { type Machine, type Millis, NO_OUTPUTS } from "../core/machine.ts";
import { type NodeId, nodeName } from "../core/node.ts";
import {
  decodePresence,
  encodePresence,
  type PresenceBody,
  type WantBody,
} from "./presence_codec.ts";
import { PresenceCopy } from "./presence_copy.ts";
import type { PresenceEntry } from "./presence_entry.ts";
import type { PresenceInput, PresenceNodeStats, PresenceOutput } from "./presence_input.ts";
import {
  DEFAULT_PRESENCE_LOG_SETTINGS,
  PresenceLog,
  type PresenceLogSettings,
} from "./presence_log.ts";
import { PresencePeer } from "./presence_peer.ts";
import { Roster } from "./presence_roster.ts";
import { PresenceWatchers } from "./presence_watchers.ts";

/**
 * How long the members of a node wait for those of another of its name to go: a little more than
 * it takes, by default, to know that a node is down. Longer than that, both of them live.
 */
const SUCCESSION_MS = 6_000;

/**
 * Who is online, as one node among others knows it.
 *
 * Each node writes only its own roster and keeps copies of the others'; who is in a channel is the
 * union of them all, so it is answered at once, and a node that is down takes its copy with it.
 * Whatever was lost on the way is found by the versions of what comes after it, or by the digest
 * in the next heartbeat, and asked for.
 */
export class PresenceNode<Watcher>
  implements Machine<PresenceInput<Watcher>, PresenceOutput<Watcher>> {
  readonly #roster = new Roster();
  readonly #log: PresenceLog;
  readonly #watchers: PresenceWatchers<Watcher>;
  readonly #writer = new ByteWriter();
  readonly #peers = new Map<NodeId, PresencePeer>();
  /** What nodes that said goodbye have left behind. */
  readonly #orphans = new Map<NodeId, PresenceCopy>();
  #outputs: PresenceOutput<Watcher>[] = [];
  #asked = 0;
  #answered = 0;
  #invalid = 0;
  #unknown = 0;

  /** Starts alone and empty. */
  constructor(node: NodeId, settings: PresenceLogSettings = DEFAULT_PRESENCE_LOG_SETTINGS) {
    this.#log = new PresenceLog(node, this.#roster, settings);
    this.#watchers = new PresenceWatchers(this.#roster);
  }

  /** Now if changes wait for the end of this tick. */
  get deadline(): Millis | undefined {
    if (this.#log.hasNews || this.#watchers.hasNews) return -Infinity;
    let deadline = earlier(this.#watchers.deadline, this.#log.copy.lingersUntil);
    for (const copy of this.#orphans.values()) deadline = earlier(deadline, copy.lingersUntil);
    for (const peer of this.#peers.values()) deadline = earlier(deadline, peer.deadline);
    return deadline;
  }

  /** Who is there, to read. */
  get roster(): Omit<Roster, "open" | "add" | "remove" | "change" | "takeChanges"> {
    return this.#roster;
  }

  /** Counters and gauges. */
  get stats(): PresenceNodeStats {
    let entries = this.#log.copy.size;
    for (const { copy } of this.#peers.values()) entries += copy.size;
    for (const copy of this.#orphans.values()) entries += copy.size;
    return {
      channels: this.#roster.channelCount,
      members: this.#roster.memberCount,
      ownEntries: this.#log.copy.size,
      entries,
      asked: this.#asked,
      answered: this.#answered,
      bodiesInvalid: this.#invalid,
      bodiesUnknown: this.#unknown,
      toldBytes: this.#log.toldBytes,
    };
  }

  /** Whether this node can take no more members. */
  get isFull(): boolean {
    return this.#log.isFull;
  }

  /** Under which name this node's members are from now on. Only while there is no other node. */
  rename(node: NodeId): void {
    this.#log.copy.node = node;
  }

  /** Whether a connection of this node is in a channel as a member. */
  hasJoined(connection: number, channel: string, member: string): boolean {
    return this.#own(connection, channel, member) !== undefined;
  }

  /** Whether a connection of this node is in any channel. */
  isInUse(connection: number): boolean {
    for (const _entry of this.#log.entriesOf(connection)) return true;
    return false;
  }

  /** Applies one input. */
  handle(input: PresenceInput<Watcher>, now: Millis): void {
    this.#apply(input, now);
    this.#report();
    // What was lingering has gone by now, so that the last word of a tick knows of it.
    if (input.kind === "wake") this.#outputs.push(...this.#watchers.tell(now));
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): PresenceOutput<Watcher>[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #apply(input: PresenceInput<Watcher>, now: Millis): void {
    switch (input.kind) {
      case "join":
        return this.#join(input);
      case "leave":
        return this.#leave(input.connection, input.channel, input.member);
      case "disconnect":
        return this.#disconnect(input.connection, input.lingerMs, now);
      case "watch":
        return this.#watchers.watch(input.channel, input.watcher, input.mode);
      case "received":
        return this.#receive(input.node, input.body, now);
      case "peer_up":
        return this.#meet(input.node, now);
      case "peer_down":
        return this.#lose(input.node, input.hasLeft, now);
      case "farewell":
        return this.#sayFarewell(input.lingerMs);
      case "stop":
        this.#sayFarewell(input.lingerMs);
        return this.#sayGoodbye();
      case "detach":
        for (const node of [...this.#peers.keys()]) this.#lose(node, false, now);
        for (const copy of this.#orphans.values()) copy.clear();
        return this.#orphans.clear();
      case "wake":
        return this.#wake(now);
    }
  }

  #join(join: { connection: number; channel: string; member: string; meta: string }): void {
    const { connection, channel, member, meta } = join;
    const entry = this.#own(connection, channel, member);
    if (entry !== undefined) {
      if (entry.meta !== meta) this.#log.update(entry, meta);
      return;
    }
    this.#log.join({ connection, channel, member, meta });
    const { copy } = this.#log;
    if (copy.lingering.size === 0) return;
    // Whose connection ended here has returned: what was kept for that has done its work.
    for (const other of [...this.#roster.entries(channel, member)]) {
      if (copy.lingering.has(other)) this.#log.leave(other);
    }
  }

  #leave(connection: number, channel: string, member: string): void {
    const entry = this.#own(connection, channel, member);
    if (entry !== undefined) this.#log.leave(entry);
  }

  #disconnect(connection: number, lingerMs: Millis, now: Millis): void {
    for (const entry of [...this.#log.entriesOf(connection)]) {
      if (lingerMs > 0) this.#log.linger(entry, lingerMs, now);
      else this.#log.leave(entry);
    }
  }

  #own(connection: number, channel: string, member: string): PresenceEntry | undefined {
    const { copy } = this.#log;
    for (const entry of this.#roster.entries(channel, member)) {
      if (entry.owner !== copy || entry.connection !== connection) continue;
      if (!copy.lingering.has(entry)) return entry;
    }
    return undefined;
  }

  #meet(node: NodeId, now: Millis): void {
    if (!this.#peers.has(node)) {
      // Whatever else it left behind, it will say so itself.
      const copy = this.#orphans.get(node) ?? new PresenceCopy(node, this.#roster);
      this.#orphans.delete(node);
      const peer = new PresencePeer(copy);
      if (this.#hasPredecessor(node)) peer.hold(now + SUCCESSION_MS);
      this.#peers.set(node, peer);
    }
    this.#tell();
    // It may have missed anything, and asks if it has.
    this.#send(node, { kind: "digest", ...this.#log.digest });
  }

  // A node that was restarted may be here before it is known to have died. Where several have its
  // name, this one among them or not, the name tells nothing.
  #hasPredecessor(node: NodeId): boolean {
    const name = nodeName(node);
    if (name === nodeName(this.#log.copy.node)) return false;
    const namesakes = [...this.#peers].filter(([other]) => nodeName(other) === name);
    return namesakes.length === 1 && namesakes[0]![1].copy.size > 0;
  }

  #lose(node: NodeId, hasLeft: boolean, now: Millis): void {
    const copy = this.#peers.get(node)?.copy;
    if (copy === undefined) return;
    this.#peers.delete(node);
    if (hasLeft) copy.purge();
    else copy.clear();
    if (copy.size > 0) this.#orphans.set(node, copy);
    for (const [other, peer] of this.#peers) {
      if (nodeName(other) === nodeName(node)) this.#ask(other, peer.release(now));
    }
  }

  // The connections may well be there still, so that here nothing changes.
  #sayFarewell(lingerMs: Millis): void {
    const { copy } = this.#log;
    if (lingerMs > 0) {
      for (const entry of copy) {
        if (entry.connection === 0 || copy.lingering.has(entry)) continue;
        this.#log.leaveBehind(entry, lingerMs);
      }
    }
    this.#tell();
  }

  // Repeated by every heartbeat from now on, as nothing else is said that could tell of its loss.
  #sayGoodbye(): void {
    const body = encodePresence(this.#writer, { kind: "goodbye" });
    this.#outputs.push({ kind: "send", node: undefined, body }, { kind: "digest", body });
  }

  #receive(node: NodeId, bytes: Uint8Array, now: Millis): void {
    const peer = this.#peers.get(node);
    if (peer === undefined) return;
    const body = decodePresence(bytes);
    if (body === undefined) this.#invalid++;
    else if (body === "unknown") this.#unknown++;
    else this.#accept(node, peer, body, now);
    // What comes next here is later than all that was seen.
    this.#log.observe(peer.copy.version);
  }

  #accept(node: NodeId, peer: PresencePeer, body: PresenceBody, now: Millis): void {
    // It is asked for all of it once its predecessor is gone.
    if (peer.isHeld && body.kind !== "want" && body.kind !== "goodbye") return;
    switch (body.kind) {
      case "delta":
        return this.#ask(node, peer.delta(body, now));
      case "piece":
        return this.#ask(node, peer.piece(body, now));
      case "digest":
        return this.#ask(node, peer.digest(body, now));
      case "goodbye":
        return this.#lose(node, true, now);
      case "want":
        if (peer.isNewQuestion(body, now)) this.#answer(node, body, now);
    }
  }

  #ask(node: NodeId, want: WantBody | undefined): void {
    if (want === undefined) return;
    this.#asked++;
    this.#send(node, want);
  }

  #answer(node: NodeId, want: WantBody, now: Millis): void {
    this.#answered++;
    this.#tell();
    // Who knows nothing has no use for the past.
    const isPartial = want.slot === undefined && want.after > 0;
    const told = isPartial ? this.#log.toldAfter(want.after) : undefined;
    const bodies = told ?? [this.#log.piece(want.slot ?? 0, now)];
    for (const body of bodies) this.#outputs.push({ kind: "send", node, body });
  }

  #wake(now: Millis): void {
    for (const entry of this.#log.copy.lingeredEnough(now)) this.#log.leave(entry);
    for (const [node, copy] of this.#orphans) {
      for (const entry of copy.lingeredEnough(now)) copy.drop(entry);
      if (copy.size === 0) this.#orphans.delete(node);
    }
    for (const [node, peer] of this.#peers) this.#ask(node, peer.wake(now));
    this.#tell();
  }

  #report(): void {
    const changes = this.#roster.takeChanges();
    if (changes.length === 0) return;
    for (const change of changes) this.#watchers.note(change);
    this.#outputs.push({ kind: "changes", changes });
  }

  // Before any node is there, nobody is told; the first that comes is told everything.
  #tell(): void {
    if (!this.#log.hasNews) return;
    if (this.#peers.size === 0) this.#log.tellNobody();
    else {
      for (const body of this.#log.tell()) {
        this.#outputs.push({ kind: "send", node: undefined, body });
      }
    }
    const body = encodePresence(this.#writer, { kind: "digest", ...this.#log.digest });
    this.#outputs.push({ kind: "digest", body });
  }

  #send(node: NodeId, body: PresenceBody): void {
    this.#outputs.push({ kind: "send", node, body: encodePresence(this.#writer, body) });
  }
}

function earlier(left: Millis | undefined, right: Millis | undefined): Millis | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return Math.min(left, right);
}
