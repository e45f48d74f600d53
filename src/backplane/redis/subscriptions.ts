/** What became of a subscription: `undefined` while later requests for it are not answered. */
export type SubscriptionChange = "subscribed" | "unsubscribed" | undefined;

interface Entry {
  isWanted: boolean;
  /** Requests that the server has not confirmed. */
  unconfirmed: number;
}

/**
 * The channels that are wanted of one server, over all of its connections.
 *
 * Subscriptions end with their connection and are asked for again on the next one. A channel that
 * is left and joined again in quick succession is told once, when the last request is confirmed:
 * what is confirmed before is about to change.
 */
export class Subscriptions {
  readonly #entries = new Map<string, Entry>();

  /** Number of channels that are wanted, or not yet left. */
  get size(): number {
    return this.#entries.size;
  }

  /** Wants these channels. Returns those that the server must be asked for, if it is connected. */
  want(channels: readonly string[]): string[] {
    return channels.filter((channel) => {
      const entry = this.#entries.get(channel);
      if (entry === undefined) this.#entries.set(channel, { isWanted: true, unconfirmed: 0 });
      else if (entry.isWanted) return false;
      else entry.isWanted = true;
      return true;
    });
  }

  /** Leaves these channels. Returns those that the server must be told of, if it is connected. */
  leave(channels: readonly string[]): string[] {
    return channels.filter((channel) => {
      const entry = this.#entries.get(channel);
      if (entry?.isWanted !== true) return false;
      entry.isWanted = false;
      return true;
    });
  }

  /** Leaves these channels while there is no connection, so that nothing is kept of them. */
  forget(channels: readonly string[]): void {
    for (const channel of channels) this.#entries.delete(channel);
  }

  /** Notes that the server was asked, or told, about these channels. */
  requested(channels: readonly string[]): void {
    for (const channel of channels) this.#entries.get(channel)!.unconfirmed++;
  }

  /** The server confirmed one request, or took the channel away by itself. */
  confirmed(channel: string, isOn: boolean): SubscriptionChange {
    const entry = this.#entries.get(channel);
    if (entry === undefined) return undefined;
    entry.unconfirmed = Math.max(0, entry.unconfirmed - 1);
    if (entry.unconfirmed > 0) return undefined;
    if (isOn) return entry.isWanted ? "subscribed" : undefined;
    this.#entries.delete(channel);
    return "unsubscribed";
  }

  /** The server refused a request. Returns the channels that are not wanted any more by that. */
  refused(channels: readonly string[]): string[] {
    return channels.filter((channel) => {
      const entry = this.#entries.get(channel);
      if (entry === undefined) return false;
      entry.unconfirmed = Math.max(0, entry.unconfirmed - 1);
      if (entry.unconfirmed > 0) return false;
      this.#entries.delete(channel);
      return entry.isWanted;
    });
  }

  /** The connection is over. Returns the channels that were left by that. */
  disconnected(): string[] {
    const left: string[] = [];
    for (const [channel, entry] of this.#entries) {
      entry.unconfirmed = 0;
      if (entry.isWanted) continue;
      this.#entries.delete(channel);
      left.push(channel);
    }
    return left;
  }

  /** The channels that a new connection must be asked for. */
  wanted(): string[] {
    return [...this.#entries.keys()];
  }
}
