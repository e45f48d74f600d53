import type { Receipt, Session } from "./evidence.ts";
import type { FaultCluster, Member } from "./fault_cluster.ts";
import { LoadClient } from "./load_client.ts";
import { until } from "./until.ts";

/** How much load. */
export interface LoadOptions {
  /** Clients for each node. */
  readonly clientsPerNode: number;
  /** Messages that each client publishes a second. */
  readonly messagesPerSecond: number;
}

const CHANNELS = ["news", "chat"];
const TURN_MS = 20;

/** Clients on all nodes that publish at a constant pace, and each of which hears all of it. */
export class Load {
  /** Every session of every client, in the order in which they were opened. */
  readonly sessions: Session[] = [];
  /** The clients. */
  readonly clients: LoadClient[] = [];
  readonly #cluster: FaultCluster;
  readonly #options: LoadOptions;
  #timer: ReturnType<typeof setInterval> | undefined;
  #startedAt = 0;
  #turns = 0;

  /** Nothing runs yet. */
  constructor(cluster: FaultCluster, options: LoadOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Connects clients to every node, and publishes from then on. */
  async start(): Promise<void> {
    for (const member of this.#cluster.members) await this.join(member);
    this.#startedAt = performance.now();
    this.#timer = setInterval(() => this.#publish(), TURN_MS);
  }

  /** Connects new clients to a node, and waits until they listen. */
  async join({ place }: Member): Promise<void> {
    const { clientsPerNode } = this.#options;
    const joining = Array.from({ length: clientsPerNode }, () => {
      let isFirst = true;
      const client: LoadClient = new LoadClient({
        name: `${place.name}${this.clients.length}`,
        channels: CHANNELS,
        sessions: this.sessions,
        findEndpoint: () => {
          const endpoint = isFirst ? place : this.#cluster.findEndpoint();
          isFirst = false;
          return endpoint;
        },
      });
      this.clients.push(client);
      return client;
    });
    await Promise.all(joining.map((client) => client.whenListening()));
  }

  /**
   * Waits until every client listens and has heard, from every other, a message that was sent
   * after this call.
   */
  async flowed(timeLimitMs?: number): Promise<void> {
    const since = performance.now();
    await until("every client hears every other one", () => {
      const sessions = this.clients.map(({ session }) => session);
      return sessions.every((listener) =>
        listener !== undefined &&
        sessions.every((publisher) =>
          publisher !== undefined && hasHeard(listener, publisher, since)
        )
      );
    }, timeLimitMs);
  }

  /** Publishes no more, and waits until everything that was taken has arrived everywhere. */
  async settle(timeLimitMs?: number): Promise<void> {
    clearInterval(this.#timer);
    // Per publisher and channel the last message of all, which comes after all others.
    await until(
      "the last messages arrive",
      () =>
        this.clients.every(({ session }) =>
          session !== undefined &&
          this.clients.every(({ session: publisher }) =>
            publisher !== undefined && hasHeardLast(session, publisher)
          )
        ),
      timeLimitMs,
    );
  }

  /** Ends all clients. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.clients.map((client) => client.close()));
  }

  // Where the clock was held up, what was due is made up for.
  #publish(): void {
    const turnsDue = (performance.now() - this.#startedAt) *
      this.#options.messagesPerSecond / 1_000;
    for (; this.#turns < turnsDue; this.#turns++) {
      for (const client of this.clients) client.publish();
    }
  }
}

function hasHeard(listener: Session, publisher: Session, since: number): boolean {
  return CHANNELS.every((channel) =>
    findLast(listener, channel, ({ publisher: from }) => from === publisher.id)?.sentAt! > since
  );
}

function hasHeardLast(listener: Session, publisher: Session): boolean {
  return CHANNELS.every((channel) => {
    const publications = publisher.published.get(channel)!;
    const last = publications.length - 1;
    if (last < 0) return true;
    const receipt = findLast(listener, channel, ({ publisher: from }) => from === publisher.id);
    return receipt?.index === last && publications[last]!.isTaken;
  });
}

function findLast(
  { heard }: Session,
  channel: string,
  matches: (receipt: Receipt) => boolean,
): Receipt | undefined {
  return heard.get(channel)!.receipts.findLast(matches);
}
