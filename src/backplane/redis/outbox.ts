/** Payloads that leave as one packet. */
export interface OutboxEntry {
  /** The Redis channel to publish them in. */
  readonly channel: string;
  /** The payloads, in order. */
  readonly payloads: Uint8Array[];
  /** Their bytes. */
  byteLength: number;
}

/** Payloads to one channel are joined up to this size, so that none is copied at great length. */
const JOINED_BYTES_MAX = 64 * 1024;

/**
 * What one tick publishes: payloads to the same node leave in one packet, which costs the server
 * the price of one, as long as no payload for several nodes stands between them. So each node gets
 * what is for it in the order in which it was sent.
 */
export class Outbox {
  #entries: OutboxEntry[] = [];
  readonly #open = new Map<string, OutboxEntry>();
  #byteLength = 0;

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Bytes of payloads that wait. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Appends a payload for the channel of one node. */
  addToNode(channel: string, payload: Uint8Array): void {
    this.#add(channel, payload);
  }

  /** Appends a payload for a channel that several nodes listen to. */
  addToMany(channel: string, payload: Uint8Array): void {
    const known = this.#open.get(channel);
    const isLast = known !== undefined && known === this.#entries.at(-1);
    if (!isLast || this.#open.size > 1) this.#open.clear();
    this.#add(channel, payload);
  }

  /** Removes and returns everything, in order. */
  take(): readonly OutboxEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    this.#open.clear();
    this.#byteLength = 0;
    return entries;
  }

  #add(channel: string, payload: Uint8Array): void {
    this.#byteLength += payload.byteLength;
    const entry = this.#open.get(channel);
    if (entry !== undefined && entry.byteLength + payload.byteLength <= JOINED_BYTES_MAX) {
      entry.payloads.push(payload);
      entry.byteLength += payload.byteLength;
      return;
    }
    const { byteLength } = payload;
    const fresh: OutboxEntry = { channel, payloads: [payload], byteLength };
    this.#entries.push(fresh);
    this.#open.set(channel, fresh);
  }
}
