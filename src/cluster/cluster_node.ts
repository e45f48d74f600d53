import { Batch } from "../core/batch.ts";
import { ByteWriter } from "../core/byte_writer.ts";
import type { Machine, Millis } from "../core/machine.ts";
import { BROADCAST_CHANNEL, type Message } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import type { ClusterInput, LogAnswer } from "./cluster_input.ts";
import type { ClusterNodeStats } from "./cluster_node_stats.ts";
import type { ClusterOutput } from "./cluster_output.ts";
import { Debts } from "./debts.ts";
import {
  type ChannelSeq,
  decodeEnvelope,
  type EncodableEnvelope,
  encodeEnvelope,
  type Envelope,
  firstBytes,
  type HeartbeatEnvelope,
  type InterestAllEnvelope,
  type InterestEnvelope,
  type MessagesEnvelope,
  type PartBody,
} from "./envelope.ts";
import {
  type HeartbeatDue,
  Membership,
  type MembershipOutput,
  type PeerView,
} from "./membership.ts";
import { RecentHeads } from "./recent_heads.ts";
import { Repair, type RepairOutput } from "./repair.ts";
import { Router, type RouterOutput } from "./router.ts";
import {
  type ClusterSettings,
  HEARTBEAT_HEADS_MAX,
  REPAIR_BATCH_MESSAGES,
  TICK_MS,
} from "./settings.ts";

/**
 * One node among others: who is there, who must hear what, and whether everything arrived.
 *
 * It joins membership, router, repair and acknowledgements over the envelopes, and knows
 * neither what carries them nor what a client is.
 */
export class ClusterNode implements Machine<ClusterInput, ClusterOutput> {
  readonly #self: NodeId;
  readonly #writer = new ByteWriter();
  readonly #membership: Membership;
  readonly #router: Router;
  readonly #debts = new Debts();
  readonly #repair: Repair;
  readonly #acknowledgements = new Acknowledgements();
  readonly #heads: RecentHeads;
  readonly #digests = new Map<number, Uint8Array>();
  readonly #outputs = new Batch<ClusterOutput>();
  #tickAt: Millis;
  #invalid = 0;
  #unknown = 0;
  #unwanted = 0;
  #repairsAnswered = 0;
  #rebuilt = 0;

  /**
   * Starts alone.
   *
   * @param self This node.
   * @param settings Times and limits.
   * @param paths How many backplanes there are.
   * @param now The time.
   */
  constructor(self: NodeId, settings: ClusterSettings, paths: number, now: Millis) {
    this.#self = self;
    this.#membership = new Membership(self, settings, now);
    this.#router = new Router(settings, paths);
    this.#repair = new Repair((node, channel) =>
      this.#debts.owedBy(node, this.#router.versionOf(channel))
    );
    this.#heads = new RecentHeads(settings);
    this.#tickAt = now + TICK_MS;
    // Broadcasts reach every node, so every node is interested in their channel from the start.
    this.#router.subscribe(BROADCAST_CHANNEL, undefined, now);
    this.#router.flush();
    this.#settle(now);
  }

  /** The next tick, or now if there is news to tell at the end of this one. */
  get deadline(): Millis {
    return this.#router.hasNews ? -Infinity : this.#tickAt;
  }

  /** Nodes that count, this one not included. */
  get connectedCount(): number {
    return this.#membership.connectedCount;
  }

  /** Whether this node fails to hear what it should hear. */
  get isDeaf(): boolean {
    return this.#membership.isDeaf;
  }

  /** Whether nodes are kept though nothing can be known of them. */
  get isStale(): boolean {
    return this.#membership.isStale;
  }

  /** The channels that this node wants to receive. */
  get channels(): Iterable<string> {
    return this.#router.channels;
  }

  /** Counters and gauges. */
  get stats(): ClusterNodeStats {
    return {
      envelopesInvalid: this.#invalid,
      envelopesUnknown: this.#unknown,
      messagesRepeated: this.#repair.repeats,
      messagesRepaired: this.#repair.repaired,
      messagesUnwanted: this.#unwanted,
      repairsRequested: this.#repair.requests,
      repairsAnswered: this.#repairsAnswered,
      repairOverflows: this.#repair.overflows,
      holesOpen: this.#repair.holeCount,
      messagesWaiting: this.#repair.waitingCount,
      gaps: this.#repair.gaps,
      interestChannels: this.#router.channelCount,
      confirmTimeouts: this.#router.confirmTimeouts,
      acknowledgementsPending: this.#acknowledgements.count,
      acknowledgementsRefused: this.#acknowledgements.refusedCount,
      pathsRebuilt: this.#rebuilt,
      stalledMs: this.#membership.stalledMs,
    };
  }

  /** The nodes that are not down, for people. */
  peers(now: Millis): PeerView[] {
    return this.#membership.view(now);
  }

  /** Applies one input. */
  handle(input: ClusterInput, now: Millis): void {
    this.#membership.observe(now);
    this.#apply(input, now);
    this.#settle(now);
  }

  /** Returns and forgets the outputs so far, oldest first. */
  take(): ClusterOutput[] {
    return this.#outputs.take();
  }

  #apply(input: ClusterInput, now: Millis): void {
    switch (input.kind) {
      case "received":
        return this.#receive(input.path, input.node, input.payload, now);
      case "announce":
        for (const { channel, messages } of input.channels) this.#announce(channel, messages);
        return;
      case "subscribe":
        return this.#router.subscribe(input.channel, input.ticket, now);
      case "unsubscribe":
        return this.#router.unsubscribe(input.channel, now);
      case "listening":
        return this.#router.listening(input.path, input.channel);
      case "acknowledge":
        return this.#expect(input, now);
      case "log":
        return this.#answer(input);
      case "part_send": {
        const { part, node, body } = input;
        return this.#send(node === undefined ? undefined : [node], { kind: "part", part, body });
      }
      case "part_digest":
        return void this.#digests.set(input.part, input.body);
      case "path_up":
        return this.#membership.pathUp(input.path, input.node, now);
      case "path_down":
        return this.#membership.pathDown(input.path, input.node, input.loss, now);
      case "path_gone":
        return this.#membership.pathGone(input.path, input.node, now);
      case "path_lost":
        this.#membership.pathLost(input.path);
        return this.#router.pathLost(input.path);
      case "path_found":
        this.#membership.pathFound(input.path, now);
        return this.#router.pathFound(input.path);
      case "leave":
        this.#router.giveUp(Infinity);
        return this.#acknowledgements.tick(Infinity);
      case "dropped":
        if (this.#membership.has(input.node)) this.#heads.offerAll(input.node);
        return;
      case "wake":
        return this.#wake(now);
    }
  }

  #wake(now: Millis): void {
    this.#router.flush();
    if (now < this.#tickAt) return;
    this.#tickAt = now + TICK_MS;
    this.#heads.tick(now);
    this.#membership.tick(now);
    this.#router.tick(now);
    this.#router.flush();
    this.#repair.tick(now);
    this.#debts.tick(now);
    this.#acknowledgements.tick(now);
  }

  #announce(channel: string, messages: readonly Message[]): void {
    this.#heads.set(channel, messages[messages.length - 1]!.seq);
    const nodes = this.#router.interested(channel);
    if (nodes.size === 0) return;
    const acknowledge = this.#acknowledgements.isAwaited(channel);
    const node = this.#self;
    for (let rest = messages; rest.length > 0;) {
      const part = firstBytes(rest);
      rest = part === rest ? [] : rest.slice(part.length);
      this.#send(nodes, {
        kind: "messages",
        channel,
        node,
        repair: false,
        acknowledge,
        messages: part,
      });
    }
  }

  #expect(
    wait: { channel: string; seq: number; ticket: unknown; timeoutMs: Millis },
    now: Millis,
  ): void {
    const { channel, seq, ticket } = wait;
    const nodes = this.#router.interested(channel);
    const giveUpAt = now + wait.timeoutMs;
    this.#acknowledgements.expect(channel, { ticket, seq, nodes, giveUpAt });
  }

  #receive(path: number, from: NodeId, payload: Uint8Array, now: Millis): void {
    if (!this.#membership.has(from)) return;
    this.#membership.heard(path, from, now);
    const envelope = decodeEnvelope(from, payload);
    if (envelope !== undefined) return this.#accept(from, envelope, now);
    this.#invalid++;
    this.#outputs.push({ kind: "fault", node: from, path });
    this.#outputs.push({ kind: "rebuild", path, node: from });
  }

  #accept(from: NodeId, envelope: Envelope, now: Millis): void {
    switch (envelope.kind) {
      case "messages":
        return this.#acceptMessages(from, envelope, now);
      case "heartbeat":
        return this.#acceptHeartbeat(from, envelope, now);
      case "interest":
      case "interest_all":
        return this.#acceptInterest(from, envelope);
      case "interest_ack":
        return this.#router.acknowledge(from, envelope);
      case "interest_request":
        return this.#router.interestRequest(from, now);
      case "repair_request":
        return this.#read(from, envelope);
      case "repair_end":
        return this.#repair.answer({ ...envelope, from }, now);
      case "ack":
        return this.#acknowledgements.acknowledge(envelope.channel, from, envelope);
      case "probe":
        return this.#testify(from, envelope.node, now);
      case "testimony":
        return this.#membership.testimony({ ...envelope, from }, now);
      case "part":
        return this.#acceptPart(from, envelope);
      case "owed":
        return this.#debts.claim(from, envelope.since);
      case "unknown":
        this.#unknown++;
    }
  }

  #acceptMessages(from: NodeId, envelope: MessagesEnvelope, now: Millis): void {
    // Nobody repeats this node's own messages to it, nor another's without being asked.
    if (envelope.node === this.#self || (envelope.node !== from && !envelope.repair)) return;
    if (!this.#router.isWanted(envelope.channel)) {
      this.#unwanted += envelope.messages.length;
      return;
    }
    this.#repair.receive(envelope, now);
  }

  #acceptHeartbeat(from: NodeId, beat: HeartbeatEnvelope, now: Millis): void {
    this.#membership.compare(from, beat.membersDigest);
    this.#router.heartbeat(from, beat.interestVersion);
    for (const { channel, seq } of beat.heads) {
      if (!this.#router.isWanted(channel)) continue;
      this.#repair.head({ channel, node: from, seq, isExact: true }, now);
    }
    for (const part of beat.parts) this.#acceptPart(from, part);
  }

  #acceptPart(node: NodeId, { part, body }: PartBody): void {
    this.#outputs.push({ kind: "part_received", part, node, body });
  }

  #acceptInterest(from: NodeId, interest: InterestEnvelope | InterestAllEnvelope): void {
    const isAll = interest.kind === "interest_all";
    const channels = isAll
      ? this.#router.interestAll(from, interest)
      : this.#router.interest(from, interest);
    if (isAll || interest.removed.length > 0) {
      this.#acknowledgements.excuse(from, (channel) => this.#router.isInterested(from, channel));
    }
    if (channels === undefined) return;
    const { version } = interest;
    this.#debts.learn(from, { version, seq: this.#heads.newest });
    this.#acknowledgeInterest(from, { version, channels, isAll });
  }

  #acknowledgeInterest(
    to: NodeId,
    interest: Pick<InterestAllEnvelope, "version" | "channels"> & { readonly isAll: boolean },
  ): void {
    const { version, channels, isAll } = interest;
    const heads: ChannelSeq[] = [];
    for (const channel of channels) {
      const seq = this.#heads.get(channel);
      if (seq !== undefined) heads.push({ channel, seq });
    }
    // What does not fit goes ahead, so that all is told when the answer comes.
    while (heads.length > HEARTBEAT_HEADS_MAX) this.#tell(to, heads.splice(-HEARTBEAT_HEADS_MAX));
    const { floor } = this.#heads;
    this.#send([to], { kind: "interest_ack", version, isAll, floor, heads });
  }

  #tell(to: NodeId, heads: readonly ChannelSeq[], path?: number): void {
    const membersDigest = this.#membership.digest;
    const interestVersion = this.#router.version;
    const parts = Array.from(this.#digests, ([part, body]) => ({ part, body }));
    this.#send([to], { kind: "heartbeat", interestVersion, membersDigest, heads, parts }, path);
  }

  #testify(to: NodeId, node: NodeId, now: Millis): void {
    const heardAgoMs = this.#membership.testify(node, now);
    this.#send([to], { kind: "testimony", node, heardAgoMs });
  }

  // Before any message or head: a stream is followed from where the first of them says.
  #recall(node: NodeId): void {
    this.#debts.present(node);
    const since = this.#debts.owedTo(node);
    if (since.length > 0) this.#send([node], { kind: "owed", since });
  }

  #read(to: NodeId, wanted: { channel: string; node: NodeId; after: number }): void {
    const { channel, node, after } = wanted;
    const limit = REPAIR_BATCH_MESSAGES;
    this.#outputs.push({ kind: "read", to, channel, node, after, limit });
  }

  // First what is lost, then what is not: so the first message fits.
  #answer({ to, channel, node, messages, floor, head }: LogAnswer): void {
    this.#repairsAnswered++;
    this.#send([to], { kind: "repair_end", channel, node, floor, head });
    const part = firstBytes(messages);
    if (part.length === 0) return;
    const envelope: MessagesEnvelope = {
      kind: "messages",
      channel,
      node,
      repair: true,
      acknowledge: node === this.#self && this.#acknowledgements.isAwaited(channel),
      messages: part,
    };
    this.#send([to], envelope);
  }

  #send(nodes: Iterable<NodeId> | undefined, envelope: EncodableEnvelope, path?: number): void {
    const payload = encodeEnvelope(this.#writer, this.#self, envelope);
    const channel = envelope.kind === "messages" ? envelope.channel : undefined;
    this.#outputs.push({ kind: "send", nodes, payload, channel, path });
  }

  // What one part decides may concern another, so they are asked in turn until none has more to say.
  #settle(now: Millis): void {
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      for (const output of this.#membership.take()) {
        isBusy = true;
        this.#onMembership(output, now);
      }
      for (const output of this.#router.take()) {
        isBusy = true;
        this.#onRouter(output, now);
      }
      for (const output of this.#repair.take()) {
        isBusy = true;
        this.#onRepair(output);
      }
    }
    for (const settled of this.#acknowledgements.take()) {
      this.#outputs.push({ kind: "acknowledged", ...settled });
    }
  }

  #onMembership(output: MembershipOutput, now: Millis): void {
    switch (output.kind) {
      case "greet":
        this.#repair.present(output.node, now);
        this.#outputs.push({ kind: "peer_up", node: output.node });
        this.#recall(output.node);
        return this.#router.greet(output.node, now);
      case "connected":
        this.#outputs.push({ ...output, kind: "peer_connected" });
        return;
      case "down":
        return this.#onDown(output, now);
      case "heartbeat":
        return this.#beat(output);
      case "probe":
        return this.#probe(output.node);
      case "rebuild":
        this.#rebuilt++;
        this.#outputs.push(output);
        return;
      case "discover":
      case "deaf":
        this.#outputs.push(output);
    }
  }

  #onDown(down: MembershipOutput & { readonly kind: "down" }, now: Millis): void {
    const { node, name, reason } = down;
    this.#router.forget(node);
    this.#heads.forget(node);
    this.#acknowledgements.forget(node);
    this.#repair.absent(node, reason, now);
    this.#debts.absent(node, now);
    this.#outputs.push({ kind: "peer_down", node, reason });
    if (down.wasConnected) {
      this.#outputs.push({ kind: "peer_disconnected", node, name, reason });
    }
  }

  #onRouter(output: RouterOutput, now: Millis): void {
    switch (output.kind) {
      case "send":
        return this.#send(output.to === undefined ? undefined : [output.to], output.envelope);
      case "synced":
        return this.#membership.synced(output.node);
      case "head":
        return this.#repair.head(output, now);
      case "listen":
        if (!output.wanted) this.#repair.forget(output.channel);
        this.#outputs.push(output);
        return;
      case "confirmed":
        if (output.ticket !== undefined) this.#outputs.push(output);
    }
  }

  #onRepair(output: RepairOutput): void {
    switch (output.kind) {
      case "request":
        return this.#request(output);
      case "ack":
        return this.#send([output.node], output);
      default:
        this.#outputs.push(output);
    }
  }

  #request(wanted: { channel: string; node: NodeId; after: number; attempt: number }): void {
    const { channel, node, after, attempt } = wanted;
    const holder = this.#holder(channel, node, attempt);
    if (holder !== undefined) {
      this.#send([holder], { kind: "repair_request", channel, node, after });
    }
  }

  // The publishing node knows best. Without it, those who listened to it are asked in turn.
  #holder(channel: string, node: NodeId, attempt: number): NodeId | undefined {
    if (this.#membership.isReachable(node)) return node;
    const holders = [...this.#router.interested(channel)].filter((holder) =>
      this.#membership.isReachable(holder)
    );
    return holders[attempt % Math.max(1, holders.length)];
  }

  #beat({ node, path }: HeartbeatDue): void {
    const isInterested = (channel: string): boolean => this.#router.isInterested(node, channel);
    this.#tell(node, this.#heads.takeFor(node, isInterested), path);
  }

  #probe(node: NodeId): void {
    const others = [...this.#membership.nodes].filter((other) => other !== node);
    if (others.length > 0) this.#send(others, { kind: "probe", node });
  }
}
