import { OPCODE, RawClient } from "../../support/raw_client.ts";
import { createSession, type Publication, type Session } from "./evidence.ts";

/** Where a client connects. */
export interface Endpoint {
  /** The node's address. */
  readonly hostname: string;
  /** The port for clients. */
  readonly port: number;
}

/** How a client behaves. */
export interface LoadClientOptions {
  /** Its name. */
  readonly name: string;
  /** What it subscribes and publishes to. */
  readonly channels: readonly string[];
  /** Tells where to connect: first, and each time that a connection is over. */
  readonly findEndpoint: () => Endpoint;
  /** Where to write down its sessions. */
  readonly sessions: Session[];
}

type Answer = Readonly<Record<string, unknown>> & { readonly type: string };

const RECONNECT_MS = 50;

/**
 * A real WebSocket client that publishes and listens, and writes down what it said and heard.
 *
 * When its connection ends it connects to another node and subscribes with the positions that it
 * holds, as PROTOCOL.md tells clients to.
 */
export class LoadClient {
  /** Its name. */
  readonly name: string;
  /** Bytes to add to each message. */
  paddingBytes = 0;
  readonly #options: LoadClientOptions;
  /** For each channel the newest seq of each node. */
  readonly #held: ReadonlyMap<string, Map<string, number>>;
  readonly #over: Promise<void>;
  #raw: RawClient | undefined;
  #session: Session | undefined;
  #requests = new Map<number, (answer: Answer) => void>();
  #requestId = 0;
  #turn = 0;
  #isListening = false;
  #isClosed = false;
  #onListening: () => void = () => {};

  /** Begins to connect. */
  constructor(options: LoadClientOptions) {
    this.#options = options;
    this.name = options.name;
    this.#held = new Map(options.channels.map((channel) => [channel, new Map()]));
    this.#over = this.#live();
  }

  /** The session that is open and confirmed in every channel, if there is one. */
  get session(): Session | undefined {
    return this.#isListening ? this.#session : undefined;
  }

  /** Resolves when there is a session that is confirmed in every channel. */
  whenListening(): Promise<void> {
    if (this.#isListening) return Promise.resolve();
    return new Promise((resolve) => this.#onListening = resolve);
  }

  /** Publishes one message to the next channel, if it can at this moment. */
  publish(): void {
    const session = this.session;
    if (session === undefined) return;
    const { channels } = this.#options;
    const channel = channels[this.#turn++ % channels.length]!;
    const publications = session.published.get(channel)!;
    const publication: Publication = { sentAt: performance.now(), isTaken: false };
    const { sentAt } = publication;
    const data = {
      from: session.id,
      index: publications.length,
      sentAt,
      padding: "x".repeat(this.paddingBytes),
    };
    publications.push(publication);
    this.#request({ type: "publish", channel, data }, () => publication.isTaken = true);
  }

  /** Stops reading, so that what the node has for it piles up. */
  pause(): void {
    this.#raw?.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#raw?.resume();
  }

  /** Ends it. What it wrote down stays as it is. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#raw?.destroy();
    await this.#over;
  }

  async #live(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#connect();
      } catch {
        // The node is gone, or goes; the next attempt finds another one.
      }
      this.#end();
      if (!this.#isClosed) await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  async #connect(): Promise<void> {
    const raw = this.#raw = await RawClient.connect(this.#options.findEndpoint());
    if (this.#isClosed) raw.destroy();
    for (;;) {
      const { opcode, payload } = await raw.nextFrame(Infinity);
      if (opcode !== OPCODE.text) continue;
      const at = performance.now();
      for (const line of new TextDecoder().decode(payload).split("\n")) {
        this.#take(JSON.parse(line), at);
      }
    }
  }

  #end(): void {
    this.#raw?.destroy();
    this.#raw = undefined;
    this.#isListening = false;
    this.#requests.clear();
    // After the client was closed nothing is evidence any more.
    if (!this.#isClosed && this.#session !== undefined) {
      this.#session.closedAt = performance.now();
    }
    this.#session = undefined;
  }

  #request(message: object, answered: (answer: Answer) => void): void {
    const id = ++this.#requestId;
    this.#requests.set(id, answered);
    this.#raw?.text(JSON.stringify({ ...message, id }));
  }

  #take(message: Answer, at: number): void {
    const { type, id } = message;
    if (type === "welcome") return this.#open(String(message.node));
    const session = this.#session!;
    if (type === "message") return this.#receive(session, message, at);
    if (type === "gap") {
      session.heard.get(String(message.channel))!.gapsAt.push(at);
      return;
    }
    const answered = this.#requests.get(Number(id));
    this.#requests.delete(Number(id));
    if (type === "error") session.errors.push(`${message.code}: ${message.message}`);
    else answered?.(message);
  }

  #open(node: string): void {
    const { name, channels, sessions } = this.#options;
    const count = sessions.filter(({ client }) => client === name).length;
    const session = createSession({ id: `${name}.${count}`, client: name, node }, channels);
    this.#session = session;
    sessions.push(session);
    let waiting = channels.length;
    for (const channel of channels) {
      const position = Object.fromEntries(this.#held.get(channel)!);
      this.#request({ type: "subscribe", channel, position }, (answer) => {
        this.#confirm(session, channel, answer);
        waiting--;
        if (waiting > 0) return;
        this.#isListening = true;
        this.#onListening();
      });
    }
  }

  #confirm(session: Session, channel: string, answer: Answer): void {
    const hearing = session.heard.get(channel)!;
    hearing.confirmedAt = performance.now();
    hearing.isRecovered = answer.recovered === true;
    hearing.missing = (answer.missing ?? []) as readonly string[];
    const held = this.#held.get(channel)!;
    for (const [node, seq] of Object.entries(answer.position as Record<string, number>)) {
      held.set(node, Math.max(held.get(node) ?? 0, seq));
    }
  }

  #receive(session: Session, message: Answer, at: number): void {
    const { channel, data, node, seq } = message as unknown as Arrived;
    const { receipts } = session.heard.get(channel)!;
    const held = this.#held.get(channel)!;
    // What another session brought is dropped, as PROTOCOL.md says. What this one brought before is
    // written down: the node should know better.
    const isRepeat = seq <= (held.get(node) ?? 0);
    if (isRepeat && !receipts.some((receipt) => receipt.seq === seq && receipt.node === node)) {
      return;
    }
    held.set(node, Math.max(held.get(node) ?? 0, seq));
    receipts.push({ publisher: data.from, index: data.index, node, seq, sentAt: data.sentAt, at });
  }
}

interface Arrived {
  readonly channel: string;
  readonly data: { readonly from: string; readonly index: number; readonly sentAt: number };
  readonly node: string;
  readonly seq: number;
}
