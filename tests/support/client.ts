import {
  OPCODE,
  RawClient,
  type RawClose,
  type RawConnectOptions,
  type RawFrame,
} from "./raw_client.ts";

/** One message of the server, as it came. */
export type ServerMessage = Readonly<Record<string, unknown>> & { readonly type: string };

/** A client that speaks `chorus.v1` and keeps what it was told, in order. */
export class TestClient {
  /** Every `data` that came in a `message`, in order, by channel. */
  readonly received: Map<string, unknown[]> = new Map();
  /** Channels for which a `gap` came, in order. */
  readonly gaps: string[] = [];
  readonly #raw: RawClient;
  readonly #messages: ServerMessage[] = [];
  readonly #frames: Uint8Array[] = [];
  readonly #waiting: (() => void)[] = [];
  #requestId = 0;
  #isOver = false;

  /** Use {@linkcode TestClient.connect}. */
  constructor(raw: RawClient) {
    this.#raw = raw;
    void this.#read();
  }

  /** Connects and waits for the welcome. */
  static async connect(options: RawConnectOptions): Promise<TestClient> {
    const client = new TestClient(await RawClient.connect(options));
    await client.next("welcome");
    return client;
  }

  /** How the connection ended. */
  get closed(): Promise<RawClose> {
    return this.#raw.closed;
  }

  /** The socket below, for what a well-behaved client does not do. */
  get raw(): RawClient {
    return this.#raw;
  }

  /** Sends one message. */
  send(message: Readonly<Record<string, unknown>>): void {
    this.#raw.text(JSON.stringify(message));
  }

  /** Sends a request with an id and waits for its answer, or its error. */
  async request(message: Readonly<Record<string, unknown>>): Promise<ServerMessage> {
    const id = ++this.#requestId;
    this.send({ ...message, id });
    return await this.until((answer) => answer.id === id);
  }

  /** Subscribes and waits for the confirmation. */
  async subscribe(channel: string): Promise<ServerMessage> {
    const answer = await this.request({ type: "subscribe", channel });
    if (answer.type !== "subscribed") throw new Error(`not subscribed: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Publishes without asking for an answer. */
  publish(channel: string, data: unknown): void {
    this.send({ type: "publish", channel, data });
  }

  /** Takes the next message of a type and drops those before it. */
  next(type: string): Promise<ServerMessage> {
    return this.until((message) => message.type === type);
  }

  /** Takes the next message that fits and drops those before it. */
  async until(fits: (message: ServerMessage) => boolean): Promise<ServerMessage> {
    for (;;) {
      for (let message = this.#messages.shift(); message; message = this.#messages.shift()) {
        if (fits(message)) return message;
      }
      await this.#more();
    }
  }

  /** Waits until a channel has brought so many messages, and returns their data. */
  async messages(channel: string, count: number): Promise<readonly unknown[]> {
    for (;;) {
      const received = this.received.get(channel) ?? [];
      if (received.length >= count) return received;
      await this.#more();
    }
  }

  /** Takes the next binary frame. */
  async nextBinary(): Promise<Uint8Array> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      await this.#more();
    }
  }

  /** Drops the connection. */
  destroy(): void {
    this.#raw.destroy();
  }

  #more(): Promise<void> {
    if (this.#isOver) return Promise.reject(new Error("Cannot wait for messages: closed"));
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        if (this.#isOver && this.#messages.length === 0) {
          reject(new Error("Cannot wait for messages: closed"));
        } else resolve();
      });
    });
  }

  async #read(): Promise<void> {
    try {
      for (;;) this.#takeFrame(await this.#raw.nextFrame(Infinity));
    } catch {
      // The connection is over; whoever waits is told.
      this.#isOver = true;
      this.#wake();
    }
  }

  #takeFrame(frame: RawFrame): void {
    if (frame.opcode === OPCODE.text) return this.#take(new TextDecoder().decode(frame.payload));
    if (frame.opcode !== OPCODE.binary) return;
    this.#frames.push(frame.payload);
    this.#wake();
  }

  #take(frame: string): void {
    for (const line of frame.split("\n")) {
      const message: ServerMessage = JSON.parse(line);
      this.#messages.push(message);
      const channel = String(message.channel);
      if (message.type === "message") {
        const received = this.received.get(channel);
        if (received === undefined) this.received.set(channel, [message.data]);
        else received.push(message.data);
      }
      if (message.type === "gap") this.gaps.push(channel);
    }
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
