import type { Millis } from "../../src/core/machine.ts";
import { BROADCAST_CHANNEL } from "../../src/core/message.ts";
import type { NodeId, Position, Positions } from "../../src/core/node.ts";
import { BINARY_HEADER_BYTES, encodeBinaryPublish } from "../../src/protocol/binary_codec.ts";
import { Attendee, type ToldPresence } from "./attendee.ts";
import type { Chance } from "./chance.ts";
import type { History, Publication, Stay } from "./history.ts";
import type { ClientOptions } from "./options.ts";
import type { Process } from "./process.ts";
import type { Appointment, Schedule } from "./schedule.ts";
import type { Trace } from "./trace.ts";
import { Wire } from "./wire.ts";

/** What a client needs of the world around it. */
export interface ClientWorld {
  readonly schedule: Schedule;
  readonly history: History;
  readonly trace: Trace;
  /** The nodes that let clients in at this moment. */
  openProcesses(): readonly Process[];
}

/** What tells the publication: a field, or the number that a text begins with. */
type SaidData = { readonly p: number } | string;

interface Said extends ToldPresence {
  readonly node?: NodeId;
  readonly seq?: number;
  readonly data?: SaidData;
  readonly position?: Position | Positions;
  readonly missing?: readonly NodeId[];
}

const RECONNECT_MAX_MS = 2_000;
const BINARY_CHANCE = 0.05;
const BROADCAST_CHANCE = 0.05;
const ATTENDANCE_CHANCE = 0.5;
const BINARY_BROADCAST_MESSAGE = 0x14;
const textDecoder = new TextDecoder();

/** One client: connects to some node, subscribes, publishes, and writes down what it sees. */
export class SimulatedClient {
  readonly name: string;
  /** Its part in presence. */
  readonly attendee: Attendee;
  readonly #world: ClientWorld;
  readonly #chance: Chance;
  readonly #options: ClientOptions;
  readonly #channels: readonly string[];
  readonly #wanted = new Set<string>();
  readonly #stays = new Map<string, Stay>();
  readonly #asked = new Map<string, { readonly id: number; readonly at: Millis }>();
  readonly #publications = new Map<number, Publication>();
  #wire: Wire | undefined;
  #node: NodeId | undefined;
  #requestCount = 0;
  #reconnecting: Appointment | undefined;
  #isCalm = false;
  #isOver = false;

  constructor(
    name: string,
    world: ClientWorld,
    chance: Chance,
    options: ClientOptions,
    names: { readonly channels: readonly string[]; readonly members: readonly string[] },
  ) {
    const { channels } = names;
    const voice = { name, request: (message: object) => this.#request(message) };
    this.attendee = new Attendee(voice, world, chance.split(), names);
    this.name = name;
    this.#world = world;
    this.#chance = chance;
    this.#options = options;
    this.#channels = channels;
    for (const channel of channels) if (chance.happens(0.6)) this.#wanted.add(channel);
    this.#reconnect(100);
    this.#publishLater();
    this.#changeLater();
  }

  /** The node that it is connected to. */
  get node(): NodeId | undefined {
    return this.#node;
  }

  /** Stops to change anything by itself, but to reconnect when it has to. */
  calm(): void {
    this.#isCalm = true;
  }

  /** Is done. */
  stop(): void {
    this.#isOver = true;
    this.#wire?.closeByClient();
    this.#onClosed();
  }

  /** Subscribes, if it has not yet. */
  want(channel: string): void {
    if (this.#wanted.has(channel)) return;
    this.#wanted.add(channel);
    this.#subscribe(channel);
  }

  /** Publishes one message. */
  publish(channel: string, qos: 0 | 1): void {
    const wire = this.#wire;
    if (wire === undefined || this.#node === undefined) return;
    const { history, schedule } = this.#world;
    const publication: Publication = {
      index: history.publications.length,
      node: this.#node,
      channel,
      sentAt: schedule.now,
      qos,
      position: undefined,
      answeredAt: undefined,
    };
    history.publications.push(publication);
    const id = ++this.#requestCount;
    this.#publications.set(id, publication);
    const padding = this.#chance.integer(0, this.#options.payloadBytesMax);
    const p = publication.index;
    if (channel === BROADCAST_CHANNEL) {
      return wire.send(JSON.stringify({ type: "broadcast", id, data: { p } }));
    }
    if (this.#chance.happens(BINARY_CHANCE)) {
      const data = new Uint8Array(4 + padding);
      new DataView(data.buffer).setUint32(0, p);
      return wire.send(encodeBinaryPublish(channel, data, { id, qos }));
    }
    const x = "x".repeat(padding);
    const message = qos === 0 && p % 2 === 0 ? { data: `${p} ${x}` } : { qos, data: { p, x } };
    wire.send(JSON.stringify({ type: "publish", channel, id, ...message }));
  }

  #publishLater(): void {
    const pauseMs = this.#chance.between(0, 2 * this.#options.publishPauseMs);
    this.#world.schedule.in(pauseMs, () => {
      if (this.#isCalm || this.#isOver) return;
      const count = this.#chance.integer(1, this.#options.burstMax);
      for (let index = 0; index < count; index++) {
        const isBroadcast = this.#chance.happens(BROADCAST_CHANCE);
        const channel = isBroadcast ? BROADCAST_CHANNEL : this.#chance.pick(this.#channels);
        this.publish(channel, !isBroadcast && this.#chance.happens(0.2) ? 1 : 0);
      }
      this.#publishLater();
    });
  }

  #changeLater(): void {
    const pauseMs = this.#chance.between(0, 2 * this.#options.changePauseMs);
    this.#world.schedule.in(pauseMs, () => {
      if (this.#isCalm || this.#isOver) return;
      this.#change();
      this.#changeLater();
    });
  }

  #change(): void {
    if (this.#chance.happens(this.#options.reconnectChance)) {
      this.#wire?.closeByClient();
      return this.#onClosed();
    }
    if (this.#chance.happens(ATTENDANCE_CHANCE)) return this.attendee.change();
    const channel = this.#chance.pick(this.#channels);
    if (this.#wanted.delete(channel)) {
      this.#request({ type: "unsubscribe", channel });
      this.#asked.delete(channel);
      this.#leave(channel);
    } else {
      this.#wanted.add(channel);
      this.#subscribe(channel);
    }
  }

  #subscribe(channel: string): void {
    if (this.#node === undefined) return;
    const id = this.#request({ type: "subscribe", channel });
    this.#asked.set(channel, { id, at: this.#world.schedule.now });
  }

  #request(message: object): number {
    const id = ++this.#requestCount;
    this.#wire?.send(JSON.stringify({ ...message, id }));
    return id;
  }

  #reconnect(delayMaxMs: Millis): void {
    const delayMs = this.#chance.between(0, delayMaxMs);
    this.#reconnecting = this.#world.schedule.in(delayMs, () => {
      const processes = this.#world.openProcesses();
      if (processes.length === 0) return this.#reconnect(RECONNECT_MAX_MS);
      const { schedule } = this.#world;
      this.#wire = new Wire(schedule, this.#chance.pick(processes), this.#options.delayMs, {
        frame: (frame) => this.#read(frame),
        closed: () => this.#onClosed(),
      });
    });
  }

  #onClosed(): void {
    for (const channel of [...this.#stays.keys()]) this.#leave(channel);
    this.attendee.closed();
    this.#wire = undefined;
    this.#node = undefined;
    this.#asked.clear();
    this.#publications.clear();
    if (this.#reconnecting !== undefined) this.#reconnecting.run = undefined;
    if (!this.#isOver) this.#reconnect(RECONNECT_MAX_MS);
  }

  #leave(channel: string): void {
    const stay = this.#stays.get(channel);
    if (stay === undefined) return;
    stay.endedAt = this.#world.schedule.now;
    this.#stays.delete(channel);
  }

  #read(frame: string | Uint8Array): void {
    if (typeof frame !== "string") return this.#hear(readBinary(frame));
    for (const line of frame.split("\n")) this.#hear(JSON.parse(line) as Said);
  }

  #hear(said: Said): void {
    switch (said.type) {
      case "welcome":
        this.#node = said.node;
        this.#begin(BROADCAST_CHANNEL, { requestedAt: this.#world.schedule.now });
        for (const channel of this.#wanted) this.#subscribe(channel);
        return this.attendee.welcomed(this.#node!);
      case "subscribed":
        return this.#onSubscribed(said);
      case "message":
      case "broadcast":
        return this.#onMessage(said.channel ?? BROADCAST_CHANNEL, said);
      case "gap":
        return this.#onGap(said.channel!);
      case "published":
        return this.#onPublished(said);
      case "error":
        this.#publications.delete(said.id ?? -1);
        return this.attendee.hear(said);
      default:
        this.attendee.hear(said);
    }
  }

  #onSubscribed(said: Said): void {
    const channel = said.channel!;
    const asked = this.#asked.get(channel);
    // It may answer a request that was taken back and made again since.
    if (asked === undefined || asked.id !== said.id) return;
    this.#asked.delete(channel);
    this.#begin(channel, {
      requestedAt: asked.at,
      positions: said.position as Positions,
      missing: said.missing ?? [],
    });
  }

  #begin(
    channel: string,
    how: {
      readonly requestedAt: Millis;
      readonly positions?: Positions;
      readonly missing?: readonly NodeId[];
    },
  ): void {
    const { schedule, history, trace } = this.#world;
    const stay: Stay = {
      client: this.name,
      node: this.#node!,
      channel,
      requestedAt: how.requestedAt,
      confirmedAt: schedule.now,
      positions: how.positions,
      missing: how.missing ?? [],
      endedAt: Infinity,
      items: [],
      heard: new Set(),
    };
    this.#stays.set(channel, stay);
    history.stays.push(stay);
    const missing = stay.missing.length === 0 ? "" : ` without ${stay.missing.join(" ")}`;
    trace.line(this.name, `has ${channel || "broadcasts"} at ${stay.node}${missing}`);
  }

  #onMessage(channel: string, said: Said): void {
    const { node, seq, data } = said;
    const { schedule, history, trace } = this.#world;
    const publication = publicationOf(data!);
    history.deliveredCount++;
    const stay = this.#stays.get(channel);
    trace.line(this.name, `got ${channel} ${node} ${seq} #${publication}`);
    // The last messages before an unsubscribe took effect.
    if (stay === undefined) return;
    stay.items.push({ kind: "message", at: schedule.now, node: node!, seq: seq!, publication });
    stay.heard.add(publication);
  }

  #onGap(channel: string): void {
    const { schedule, trace } = this.#world;
    trace.line(this.name, `gap ${channel}`);
    this.#stays.get(channel)?.items.push({ kind: "gap", at: schedule.now });
  }

  #onPublished(said: Said): void {
    const publication = this.#publications.get(said.id!);
    if (publication === undefined) return;
    const { schedule, trace } = this.#world;
    this.#publications.delete(said.id!);
    publication.position = said.position as Position;
    publication.answeredAt = schedule.now;
    trace.line(this.name, `said #${publication.index}`);
  }
}

function publicationOf(data: SaidData): number {
  return typeof data === "string" ? Number.parseInt(data) : data.p;
}

function readBinary(bytes: Uint8Array): Said {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [channelEnd, nodeLength] = [BINARY_HEADER_BYTES + bytes[2]!, bytes[3]!];
  const nodeEnd = channelEnd + nodeLength;
  return {
    type: bytes[0] === BINARY_BROADCAST_MESSAGE ? "broadcast" : "message",
    channel: textDecoder.decode(bytes.subarray(BINARY_HEADER_BYTES, channelEnd)),
    node: textDecoder.decode(bytes.subarray(channelEnd, nodeEnd)),
    seq: Number(view.getBigUint64(4)),
    data: { p: view.getUint32(nodeEnd) },
  };
}
