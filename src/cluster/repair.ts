import { Batch } from "../core/batch.ts";
import type { Millis } from "../core/machine.ts";
import type { Message } from "../core/message.ts";
import type { NodeId } from "../core/node.ts";
import { ownBytes } from "../core/own.ts";
import type { DownReason } from "./membership.ts";
import { PARK_MS, REPAIR_ATTEMPTS_MAX, REPAIR_RETRY_MS, REPAIR_WAITING_MAX } from "./settings.ts";

// A node that returns after its place was given up has told where it stands by then.
const STRANGER_SETTLES_MS = 5_000;
const STRANGERS_MAX = 1_000;

/** What the repair decides. */
export type RepairOutput =
  /** Messages, in order, none twice. */
  | {
    readonly kind: "deliver";
    readonly channel: string;
    readonly node: NodeId;
    readonly messages: readonly Message[];
  }
  /** A stream starts here: nothing before `seq` is expected. */
  | {
    readonly kind: "rebase";
    readonly channel: string;
    readonly node: NodeId;
    readonly seq: number;
  }
  /** Ask somebody for the messages of `node` after a seq. */
  | {
    readonly kind: "request";
    readonly channel: string;
    readonly node: NodeId;
    readonly after: number;
    /** How often it was asked in vain: from 1 on, others than `node` may be asked. */
    readonly attempt: number;
  }
  /** Messages are lost for good. */
  | { readonly kind: "gap"; readonly channel: string; readonly node: NodeId }
  /** Everything from behind `after` up to the seq that its node wants acknowledged is here. */
  | {
    readonly kind: "ack";
    readonly channel: string;
    readonly node: NodeId;
    readonly seq: number;
    readonly after: number;
  };

/** A hole in a stream. */
interface Hole {
  /** The newest seq that is known to exist. */
  target: number;
  /** The newest seq that its node has told of without sending it. */
  told: number;
  /** Messages from behind the hole, by seq, none twice. */
  readonly waiting: Message[];
  askedAt: Millis;
  attempt: number;
}

/** One node's messages in one channel, as this node has them. */
interface Stream {
  /** Where it starts, or starts again after a loss: up to here nothing is known to be here. */
  base: number;
  /** The seq up to which everything from there on is here. */
  last: number;
  hole: Hole | undefined;
  /** The seq to acknowledge once it is here. */
  owed: number;
}

/**
 * Keeps each stream whole: drops what came before, finds what is missing, and asks for it.
 *
 * A stream is one node's messages in one channel. A message is next in line when its `prev` is
 * not past what is here and its `seq` is (a node that forgot a channel starts again from
 * `prev` 0, which is why "not past" and not "equal"). Anything else is a repeat or leaves a hole, and so does what would pass over a message
 * that is known to exist.
 */
export class Repair {
  readonly #channels = new Map<string, Map<NodeId, Stream>>();
  readonly #holes = new Map<Stream, { readonly channel: string; readonly node: NodeId }>();
  /** Nodes that are down, and since when: one that said goodbye never returns, others may. */
  readonly #absent = new Map<NodeId, { readonly reason: DownReason; readonly since: Millis }>();
  /** Absent nodes whose place was given up, and since when they are back, if they are. */
  readonly #strangers = new Map<NodeId, Millis | undefined>();
  readonly #owedBy: (node: NodeId, channel: string) => number;
  readonly #outputs = new Batch<RepairOutput>();
  #repeats = 0;
  #repaired = 0;
  #gaps = 0;
  #requests = 0;
  #overflows = 0;

  /**
   * Starts without streams. `owedBy` tells from behind which seq on a node owes its messages in a
   * channel whose stream is followed for the first time: `Infinity` for from then on.
   */
  constructor(owedBy: (node: NodeId, channel: string) => number) {
    this.#owedBy = owedBy;
  }

  /** Messages that were here already. */
  get repeats(): number {
    return this.#repeats;
  }

  /** Messages that came first in answer to a request. */
  get repaired(): number {
    return this.#repaired;
  }

  /** Holes that could not be filled. */
  get gaps(): number {
    return this.#gaps;
  }

  /** Requests for missing messages. */
  get requests(): number {
    return this.#requests;
  }

  /** Messages from behind a hole that did not fit, and were asked for again. */
  get overflows(): number {
    return this.#overflows;
  }

  /** Streams with a hole at this moment. */
  get holeCount(): number {
    return this.#holes.size;
  }

  /** Messages that wait for the ones before them. */
  get waitingCount(): number {
    let count = 0;
    for (const stream of this.#holes.keys()) count += stream.hole!.waiting.length;
    return count;
  }

  /** Returns and forgets the decisions so far, oldest first. */
  take(): RepairOutput[] {
    return this.#outputs.take();
  }

  /** Messages of a node came in, from whomever. */
  receive(
    batch: {
      readonly channel: string;
      readonly node: NodeId;
      readonly messages: readonly Message[];
      readonly repair: boolean;
      readonly acknowledge: boolean;
    },
    now: Millis,
  ): void {
    const first = batch.messages[0];
    if (first === undefined) return;
    const { channel, node } = batch;
    const known = this.#channels.get(channel)?.get(node);
    // An answer that comes twice, or to a question from before the channel was forgotten.
    if (batch.repair && known?.hole === undefined) {
      this.#repeats += batch.messages.length;
      return;
    }
    const stream = known ?? this.#follow(channel, node, first.prev);
    const before = stream.last;
    if (batch.acknowledge) stream.owed = Math.max(stream.owed, batch.messages.at(-1)!.seq);
    const accepted = this.#accept(stream, batch.messages);
    if (batch.repair) this.#repaired += accepted.length;
    if (accepted.length > 0) {
      this.#outputs.push({ kind: "deliver", channel, node, messages: accepted });
    }
    this.#resume(channel, node, stream);
    this.#lookBehind(channel, node, stream, now);
    const isHere = stream.last > before || stream.last >= stream.owed;
    if (stream.owed > 0 && isHere) this.#pay(channel, node, stream);
    // The rest of a long repair is asked for as soon as its first part is here.
    const isPart = batch.repair && stream.hole !== undefined && stream.last > before;
    if (isPart) this.#ask(channel, node, stream, now);
  }

  /**
   * A node says where its stream stands.
   *
   * @param isExact Whether the stream stands just there; otherwise it is known to be forgotten,
   *     with an end somewhere up to `seq`.
   */
  head(
    head: {
      readonly channel: string;
      readonly node: NodeId;
      readonly seq: number;
      readonly isExact: boolean;
    },
    now: Millis,
  ): void {
    const { channel, node, seq } = head;
    let stream = this.#channels.get(channel)?.get(node);
    if (stream === undefined) {
      stream = this.#follow(channel, node, seq);
      this.#outputs.push({ kind: "rebase", channel, node, seq: stream.last });
    }
    if (seq <= stream.last) return;
    if (head.isExact) this.#open(channel, node, stream, { target: seq, now });
    // What a node forgot, it cannot repeat, nor say whether it was anything.
    else this.#lose(channel, node, stream, seq);
  }

  /**
   * A node answered a request: what it no longer remembers, and where the stream ends for it.
   *
   * Only the publishing node itself can say that messages are lost for good; another holder may
   * just never have had them.
   */
  answer(
    end: {
      readonly from: NodeId;
      readonly channel: string;
      readonly node: NodeId;
      readonly floor: number;
    },
    now: Millis,
  ): void {
    const { channel, node } = end;
    const stream = this.#channels.get(channel)?.get(node);
    if (stream?.hole === undefined || end.from !== node) return;
    stream.hole.attempt = 0;
    stream.hole.askedAt = now;
    if (end.floor > stream.last) this.#lose(channel, node, stream, end.floor);
  }

  /** This node receives a channel no longer. */
  forget(channel: string): void {
    const streams = this.#channels.get(channel);
    if (streams === undefined) return;
    for (const stream of streams.values()) this.#holes.delete(stream);
    this.#channels.delete(channel);
  }

  /**
   * A node is down. Unless it is just out of reach, what only it remembered is lost soon. Its place
   * in the streams is kept where it may return: a node that seems dead may have been cut off.
   */
  absent(node: NodeId, reason: DownReason, now: Millis): void {
    this.#absent.set(node, { reason, since: now });
  }

  /** A node is back. */
  present(node: NodeId, now: Millis): void {
    this.#absent.delete(node);
    if (this.#strangers.has(node)) this.#strangers.set(node, now);
  }

  /** Looks at the time: asks again, gives up, forgets nodes that were away for too long. */
  tick(now: Millis): void {
    for (const [stream, { channel, node }] of this.#holes) {
      const hole = stream.hole!;
      if (now < hole.askedAt + REPAIR_RETRY_MS) continue;
      hole.attempt++;
      const reason = this.#absent.get(node)?.reason ?? "timed_out";
      if (hole.attempt > REPAIR_ATTEMPTS_MAX && reason !== "timed_out") {
        this.#lose(channel, node, stream, endOf(hole, stream.last));
      } else this.#ask(channel, node, stream, now);
    }
    for (const [node, { reason, since }] of this.#absent) {
      const hasLeft = reason === "left";
      if (now < since + (hasLeft ? 2 * REPAIR_ATTEMPTS_MAX * REPAIR_RETRY_MS : PARK_MS)) continue;
      this.#forgetNode(node);
      // Whoever left may return too: where the goodbye was only that of its last backplane.
      this.#strangers.set(node, undefined);
    }
    for (const [node, backSince] of this.#strangers) {
      const isSettled = backSince !== undefined && now >= backSince + STRANGER_SETTLES_MS;
      if (isSettled || this.#strangers.size > STRANGERS_MAX) this.#strangers.delete(node);
    }
  }

  // A stranger's stream was followed before, and what came since `seq` took over is unknown.
  #follow(channel: string, node: NodeId, seq: number): Stream {
    let streams = this.#channels.get(channel);
    if (streams === undefined) this.#channels.set(channel, streams = new Map());
    const isStranger = this.#strangers.has(node);
    const base = isStranger ? seq : Math.min(seq, this.#owedBy(node, channel));
    const stream = { base, last: base, hole: undefined, owed: 0 };
    streams.set(node, stream);
    if (seq > 0 && isStranger) {
      this.#gaps++;
      this.#outputs.push({ kind: "gap", channel, node });
    }
    return stream;
  }

  // Nearly always everything fits, and then the very list that came in goes on.
  #accept(stream: Stream, messages: readonly Message[]): readonly Message[] {
    let accepted: Message[] | undefined;
    for (let index = 0; index < messages.length; index++) {
      const message = messages[index]!;
      if (isNext(stream, message) && !this.#passesOver(stream, message)) {
        stream.last = message.seq;
        accepted?.push(message);
        continue;
      }
      accepted ??= messages.slice(0, index);
      if (message.seq <= stream.last) this.#repeats++;
      else this.#keep(stream, message);
    }
    return accepted ?? messages;
  }

  // Whether a message that waits belongs before this one.
  #passesOver({ last, hole }: Stream, { seq }: Message): boolean {
    if (hole === undefined) return false;
    const { waiting } = hole;
    for (let first = waiting[0]; first !== undefined && first.seq <= last; first = waiting[0]) {
      waiting.shift();
      this.#repeats++;
    }
    return waiting[0] !== undefined && waiting[0].seq < seq;
  }

  #keep(stream: Stream, message: Message): void {
    const hole = stream.hole ??= newHole();
    hole.target = Math.max(hole.target, message.seq);
    const { waiting } = hole;
    // Nearly always it is the newest.
    let index = waiting.length;
    while (index > 0 && waiting[index - 1]!.seq > message.seq) index--;
    if (waiting[index - 1]?.seq === message.seq) this.#repeats++;
    else if (waiting.length >= REPAIR_WAITING_MAX) this.#overflows++;
    else waiting.splice(index, 0, { ...message, data: ownBytes(message.data) });
  }

  // Messages behind the hole may fit now.
  #resume(channel: string, node: NodeId, stream: Stream): void {
    const hole = stream.hole;
    if (hole === undefined) return;
    const messages: Message[] = [];
    let count = 0;
    for (const message of hole.waiting) {
      if (message.seq > stream.last) {
        if (!isNext(stream, message)) break;
        stream.last = message.seq;
        messages.push(message);
      } else this.#repeats++;
      count++;
    }
    hole.waiting.splice(0, count);
    if (messages.length > 0) this.#outputs.push({ kind: "deliver", channel, node, messages });
    if (hole.waiting.length > 0 || hole.target > stream.last) return;
    stream.hole = undefined;
    this.#holes.delete(stream);
  }

  #lookBehind(channel: string, node: NodeId, stream: Stream, now: Millis): void {
    if (stream.hole === undefined || this.#holes.has(stream)) return;
    this.#holes.set(stream, { channel, node });
    this.#ask(channel, node, stream, now);
  }

  #open(
    channel: string,
    node: NodeId,
    stream: Stream,
    hole: { target: number; now: Millis },
  ): void {
    stream.hole ??= newHole();
    stream.hole.target = Math.max(stream.hole.target, hole.target);
    stream.hole.told = Math.max(stream.hole.told, hole.target);
    this.#lookBehind(channel, node, stream, hole.now);
  }

  #ask(channel: string, node: NodeId, stream: Stream, now: Millis): void {
    const hole = stream.hole!;
    hole.askedAt = now;
    this.#requests++;
    const { attempt } = hole;
    this.#outputs.push({ kind: "request", channel, node, after: stream.last, attempt });
  }

  #lose(channel: string, node: NodeId, stream: Stream, upTo: number): void {
    this.#gaps++;
    stream.last = Math.max(stream.last, upTo);
    stream.base = stream.last;
    // What is lost is not held, and its publisher is not told that it were.
    if (stream.owed <= stream.last) stream.owed = 0;
    this.#outputs.push({ kind: "gap", channel, node });
    this.#outputs.push({ kind: "rebase", channel, node, seq: stream.last });
    this.#resume(channel, node, stream);
  }

  #pay(channel: string, node: NodeId, stream: Stream): void {
    const seq = Math.min(stream.last, stream.owed);
    this.#outputs.push({ kind: "ack", channel, node, seq, after: stream.base });
    if (seq === stream.owed) stream.owed = 0;
  }

  #forgetNode(node: NodeId): void {
    this.#absent.delete(node);
    for (const [channel, streams] of this.#channels) {
      const stream = streams.get(node);
      if (stream === undefined) continue;
      if (stream.hole !== undefined) {
        this.#gaps++;
        this.#outputs.push({ kind: "gap", channel, node });
        this.#holes.delete(stream);
      }
      streams.delete(node);
      if (streams.size === 0) this.#channels.delete(channel);
    }
  }
}

// In line is what points back to what is here, unless its node has told of a message before it.
function isNext({ last, hole }: Stream, { seq, prev }: Message): boolean {
  if (prev > last || seq <= last) return false;
  return hole === undefined || hole.told <= last || seq <= hole.told;
}

// Up to where messages are missing before the first that waits.
function endOf(hole: Hole, last: number): number {
  const prev = hole.waiting[0]?.prev ?? hole.target;
  return prev > last ? prev : hole.told;
}

function newHole(): Hole {
  return { target: 0, told: 0, waiting: [], askedAt: 0, attempt: 0 };
}
