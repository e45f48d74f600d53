import { deepStrictEqual } from "node:assert/strict";
import type { Backplane } from "../../src/backplane/backplane.ts";
import { Channels, type Subscription } from "../../src/channels.ts";
import { Cluster, type ClusterOptions } from "../../src/cluster.ts";

const WAIT_LIMIT_MS = 30_000;
const PUBLISH_PAUSE_MS = 4;
const MESSAGES_PER_ROUND = 2;

/** One node of a cluster in this process, and what happened to it. */
export class ClusterSample {
  /** Its name. */
  readonly name: string;
  /** The cluster. */
  readonly cluster: Cluster;
  /** Its channels. */
  readonly channels: Channels = new Channels();
  /** `+b` for a peer that connected, `-b died` for one that is gone. */
  readonly events: string[] = [];
  /** How it felt, in order. */
  readonly health: string[] = [];
  /** What failed and was dealt with. */
  readonly faults: string[] = [];
  readonly #waiters = new Set<() => void>();

  constructor(
    name: string,
    backplanes: Backplane | readonly Backplane[],
    options: ClusterOptions = {},
  ) {
    this.name = name;
    this.cluster = new Cluster(backplanes, { name, ...options });
    this.cluster.attach(this.channels);
    for (const type of ["peerconnected", "peerdisconnected"] as const) {
      this.cluster.addEventListener(type, ({ name: peer, reason }) => {
        this.events.push(reason === undefined ? `+${peer}` : `-${peer} ${reason}`);
        this.#changed();
      });
    }
    this.cluster.addEventListener("healthchange", () => {
      this.health.push(this.cluster.health);
      this.#changed();
    });
    this.cluster.addEventListener("fault", ({ error }) => void this.faults.push(error.message));
  }

  /** Waits until something is so, as seen at each event and every few ms. */
  async until(what: string, isSo: () => boolean, limitMs: number = WAIT_LIMIT_MS): Promise<void> {
    const end = performance.now() + limitMs;
    while (!isSo()) {
      if (performance.now() > end) throw new Error(this.#describe(what));
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 10);
        this.#waiters.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Waits until so many peers are connected. */
  async meets(count: number): Promise<void> {
    await this.until(`${count} peers`, () => {
      const { connectedPeerCount, health } = this.cluster;
      return connectedPeerCount === count && health === "ok";
    });
  }

  #changed(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  #describe(what: string): string {
    const { health, stale, peers } = this.cluster;
    const shown = peers.map(({ name, state }) => `${name} ${state}`);
    return `${this.name} waited in vain: ${what}; it is ${health}${stale ? ", stale" : ""}; ` +
      `peers ${shown}; events ${this.events.slice(-20)}; health ${this.health.slice(-20)}; ` +
      `faults ${this.faults.slice(-5).join(" | ")}; ${JSON.stringify(this.cluster.stats())}`;
  }
}

/** Starts nodes one after the other, runs a body when all have met, and stops them. */
export async function withSamples(
  samples: readonly ClusterSample[],
  body: () => Promise<void>,
): Promise<void> {
  try {
    for (const { cluster } of samples) await cluster.start();
    for (const sample of samples) await sample.meets(samples.length - 1);
    await body();
  } finally {
    await Promise.all(samples.map(({ cluster }) => cluster.stop()));
  }
}

interface Reader {
  readonly sample: ClusterSample;
  readonly subscription: Subscription;
  /** What came from each node, in order. */
  readonly received: Map<string, number[]>;
  gaps: number;
}

/**
 * Load in which a loss, a repeat or a wrong order would show: every node publishes numbers in
 * every channel, and every node subscribes to every channel.
 */
export class ClusterTraffic {
  readonly #samples: readonly ClusterSample[];
  readonly #channels: readonly string[];
  readonly #readers: Reader[] = [];
  /** Hears of each message that came, how long after its publication, in ms. */
  onDelay: (delayMs: number) => void = () => {};
  #counter = 0;
  #isRunning = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(samples: readonly ClusterSample[], channels: readonly string[] = ["x", "y", "z"]) {
    this.#samples = samples;
    this.#channels = channels;
  }

  /** Messages published so far by each node in each channel. */
  get publishedCount(): number {
    return this.#counter;
  }

  /** Gaps that were reported to subscribers. */
  get gapCount(): number {
    return this.#readers.reduce((sum, { gaps }) => sum + gaps, 0);
  }

  /** Subscribes, and publishes until `stop`. */
  async start(): Promise<void> {
    for (const sample of this.#samples) {
      for (const channel of this.#channels) {
        const subscription = sample.channels.subscribe(channel, { queueMessagesMax: 1_000_000 });
        const reader: Reader = { sample, subscription, received: new Map(), gaps: 0 };
        subscription.addEventListener("gap", () => void reader.gaps++);
        this.#readers.push(reader);
        void this.#read(reader);
      }
    }
    for (const { subscription } of this.#readers) {
      deepStrictEqual(await subscription.confirmed, { missing: [] });
    }
    this.#isRunning = true;
    this.#ended = this.#publish();
  }

  /** Runs for so many more messages of each node in each channel. */
  async runs(count: number): Promise<void> {
    const end = this.#counter + count;
    while (this.#counter < end) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Stops publishing, and waits until the last message of each is everywhere. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#ended;
    for (const { sample, subscription, received } of this.#readers) {
      for (const { name } of this.#samples) {
        await sample.until(`all of ${name} in ${subscription.channel}`, () => {
          return received.get(name)?.at(-1) === this.#counter - 1;
        });
      }
    }
    for (const { subscription } of this.#readers) subscription.close();
  }

  /** Checks that every subscriber got everything, once and in order: that nothing needed a gap. */
  assertWhole(): void {
    const expected = Array.from({ length: this.#counter }, (_, index) => index);
    for (const { sample, subscription, received, gaps } of this.#readers) {
      for (const { name } of this.#samples) {
        const where = `${name} to ${sample.name} in ${subscription.channel}`;
        deepStrictEqual(summary(received.get(name) ?? []), summary(expected), where);
      }
      deepStrictEqual(gaps, 0, `${sample.name} has gaps`);
    }
  }

  async #read({ subscription, received }: Reader): Promise<void> {
    for await (const { data } of subscription) {
      const [name, number, publishedAt] = data as [string, number, number];
      this.onDelay(performance.now() - publishedAt);
      const numbers = received.get(name) ?? [];
      received.set(name, numbers);
      numbers.push(number);
    }
  }

  async #publish(): Promise<void> {
    while (this.#isRunning && this.#samples.every(({ cluster }) => cluster.health !== "stopped")) {
      for (let round = 0; round < MESSAGES_PER_ROUND; round++, this.#counter++) {
        for (const { name, channels } of this.#samples) {
          for (const channel of this.#channels) {
            void channels.publish(channel, [name, this.#counter, performance.now()]);
          }
        }
      }
      await new Promise((resolve) => setTimeout(resolve, PUBLISH_PAUSE_MS));
    }
  }
}

// Tells losses, repeats and wrong order in a line, where a list of thousands would tell nothing.
function summary(numbers: readonly number[]): string {
  const parts: string[] = [];
  let start = numbers[0];
  for (const [index, number] of numbers.entries()) {
    const next = numbers[index + 1];
    if (next === number + 1) continue;
    parts.push(`${start}-${number}`);
    start = next;
  }
  return parts.slice(0, 20).join(" ");
}
